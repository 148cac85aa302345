"""What attributes declare of values by the CF conventions: packing, and codes for missing ones.

One rule for all that has attributes. Integers that are packed, or that have a code for missing
values, are not decoded yet, and are refused. Floats are what they say, but for those that equal a
declared code, which are missing.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import dask.array as da
import numpy as np
import numpy.typing as npt

from daskem.errors import DataError

AnArray = TypeVar("AnArray", np.ndarray, da.Array, np.ndarray | da.Array)
# What packs numbers, and the value with which it changes nothing.
_PACKING = {"scale_factor": 1, "add_offset": 0}
_CODES = ("_FillValue", "missing_value")


def decoded(values: AnArray, attrs: Mapping[Any, Any], what: str, stored: bool = False) -> AnArray:
    """`values` with NaN where `attrs` say that they are missing.

    Parameters
    ----------
    values : array
    attrs : mapping
    what : str
        What errors call them.
    stored : bool
        Whether they come straight out of a store, so that packed floats are packed still.

    Raises
    ------
    DataError
        If they are not decoded: names the attributes, and how to decode them.
    """
    whole = values.dtype.kind in "iu"
    declared = [n for n, idle in _PACKING.items() if n in attrs and not _same(attrs[n], idle)]
    declared = declared if whole or stored else []
    if whole:
        declared += [name for name in (*_CODES, "_Unsigned") if name in attrs]
    if declared:
        packing = ", ".join(f"{name} {attrs[name]}" for name in declared)
        raise DataError(
            f"{what} stores packed values ({values.dtype} with {packing}), not decoded ones; open "
            "it with xarray.open_zarr or xarray.open_dataset, which decode, a raster with "
            "rioxarray.open_rasterio(path, mask_and_scale=True), or decode a Dataset with "
            "xarray.decode_cf(dataset); remove the attributes if the values are none such"
        )
    codes = np.array([c for name in _CODES for c in _codes(attrs.get(name))], dtype=np.float64)
    codes = codes[np.isfinite(codes)].astype(values.dtype) if values.dtype.kind == "f" else codes
    if values.dtype.kind != "f" or not len(codes):
        return values
    if isinstance(values, da.Array):
        return da.map_blocks(_missing, values, codes=codes, dtype=values.dtype)
    return _missing(values, codes)


def _missing(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    where = np.isin(values, codes)
    return np.where(where, values.dtype.type(np.nan), values) if where.any() else values


def _codes(code: npt.ArrayLike | None) -> list[float]:
    """The numbers in an attribute, which may have none or several."""
    numbers = np.ravel(np.asarray([] if code is None else code))
    return [float(c) for c in numbers] if numbers.dtype.kind in "fiu" else []


def _same(value: str | float, idle: float) -> bool:
    try:
        return float(value) == idle
    except (TypeError, ValueError):
        return False
