"""Arrays with something around them: units, masks, files."""

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.inputs.sources.declared import decoded
from daskem.errors import DataError


def magnitude(data: Any) -> Any:
    """The numbers of a quantity, lazy where they are."""
    return data.magnitude


def masked(data: Any) -> np.ma.MaskedArray:
    return np.ma.MaskedArray(np.asarray(data.unmasked), np.asarray(data.mask))


def variable(data: xr.Variable) -> xr.DataArray:
    return xr.DataArray(data)


def in_file(data: Any) -> da.Array:
    """A variable of an open file of HDF5 or netCDF, lazily."""
    named = "ncattrs" in dir(data)
    try:
        attrs = {k: data.getncattr(k) for k in data.ncattrs()} if named else dict(data.attrs)
        # What netCDF4 decodes by itself has another type than what is stored.
        one = data[(slice(0, 1),) * data.ndim]
    except Exception as error:  # Each of the packages has words of its own.
        raise DataError(
            f"the file of the variable cannot be read; is it closed? ({error!s:.120}) Keep it "
            "open, or open it with xarray.open_dataset(path, chunks={})"
        ) from error
    lazy = da.from_array(
        data, lock=True, asarray=False, name=False, meta=one[(slice(0, 0),) * data.ndim]
    ).astype(one.dtype)
    decodes = named and data.scale and data.mask
    return lazy if decodes else decoded(lazy, attrs, "the array")
