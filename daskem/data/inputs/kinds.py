"""What a person may pass as data, and as values beside their rows."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from zarr.abc.store import Store


class Table(Protocol):
    """A DataFrame of pandas, Dask or polars, a table of pyarrow or astropy."""

    @property
    def columns(self) -> Any: ...


# Rows (..., feature), or the path or URL of a store that holds them.
Data = (
    xr.Dataset
    | xr.DataArray
    | Table
    | npt.ArrayLike
    | da.Array
    | zarr.Array
    | zarr.Group
    | Store
    | os.PathLike[str]
)
# One value, or array of values, for each row: weights, what rides along.
Values = npt.ArrayLike | xr.DataArray | da.Array
# Arrays that ride along with the rows, by name.
Riders = Mapping[str, Values]
# Rows of each sequence, in the order of the rows; the one number that all have; or the name of what
# holds them, or the identifier of each row.
Lengths = Sequence[int] | np.ndarray | int | str
