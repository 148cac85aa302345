"""From what holds an array to a NumPy or Dask array of rows, or to a refusal with a reason."""

from collections.abc import Hashable, Mapping, Sequence

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from dask.utils import format_bytes

from daskem.data.blocks.plain import plain
from daskem.data.cluster import check_reachable
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.sources import Table, opened_source
from daskem.data.inputs.sources.tables import numbers
from daskem.errors import DataError, DataTypeError

Array = np.ndarray | da.Array

# How what is no number becomes one.
_CONVERTED = (
    "for instance numbers that are called otherwise with astype(float), dates to days since a "
    "reference date, or names to indicator columns"
)
# Names that an error lists.
_SHOWN = 9
# Chunks of more bytes than this are not made of smaller ones.
_MOST_GATHERED = 2**30
# What is said of strings that are no columns of a table.
CATEGORIES = "Categorical codes the strings of a DataFrame, column by column, and no others"
_GATHERED = (
    "the features lie in chunks of {}, and are gathered into rows in every pass; a store that is "
    "read often is better written with whole rows in each chunk"
)


def opened(data: Data) -> tuple[Array, tuple[str, ...]]:
    """Rows (..., feature) with the features in one chunk, and what had to be done for that.

    Parameters
    ----------
    data : array-like
        A NumPy array or memmap, Dask array, zarr array, or nested lists.

    Raises
    ------
    DataTypeError, DataError
        If these are not rows of real numbers.
    """
    array = as_array(data)
    _check_rows(array)
    if isinstance(array, da.Array):
        check_reachable(array)
    if not isinstance(array, da.Array) or array.numblocks[-1] == 1:
        return array, ()
    return features_in_one_chunk(array), (_GATHERED.format(array.chunks[-1]),)


def as_array(data: object) -> Array:
    """NumPy or Dask array of what `opened` takes, which nobody has looked at yet."""
    source = opened_source(data)
    if isinstance(source, Table):
        source = _only_column(source)
    if isinstance(source, xr.DataArray):
        source = source.data
    if isinstance(source, xr.Dataset):
        raise DataTypeError(f"a Dataset is no array: pass one of {list(source.data_vars)}")
    return without_mask(source) if isinstance(source, da.Array) else _as_numpy(source)


def without_mask(array: da.Array) -> da.Array:
    """The same with NaN for what is masked, if its chunks are known to have masks."""
    if not isinstance(array._meta, np.ma.MaskedArray):
        return array
    dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
    return da.map_blocks(_floats, array, dtype=dtype, meta=np.empty((0,) * array.ndim, dtype))


def without_objects(values: np.ndarray) -> np.ndarray:
    """Python objects as floats if all of them are numbers, or missing; else as they are."""
    try:
        return numbers(values)
    except (TypeError, ValueError):
        return values


def _floats(chunk: np.ndarray) -> np.ndarray:
    values = plain(chunk)
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _only_column(table: Table) -> Array:
    if len(table.names) != 1:
        raise DataTypeError(
            f"a table of {len(table.names)} columns has no single value for each row; pass one of "
            f"the columns: {', '.join(map(str, table.names[:9]))}"
        )
    check_numbers(table, [0])
    return table.rows([0])[..., 0]


def check_numbers(table: Table, places: Sequence[int]) -> None:
    """Raise DataTypeError unless the columns at these places are real numbers."""
    check_all_numbers("columns", {table.names[i]: table.odd.get(i, "") for i in places})


def check_all_numbers(what: str, odd: Mapping[Hashable, str]) -> None:
    """Raise DataTypeError unless all variables of a Dataset, or columns of a table, are numbers.

    Parameters
    ----------
    what : str
        What they are called.
    odd : mapping of str to str
        What each of them holds that is no real number; empty if it is numbers.
    """
    others = [_bare(name) for name, word in odd.items() if not word][:_SHOWN]
    examples = [f"{_bare(name)!r} ({word})" for name, word in odd.items() if word][:_SHOWN]
    if examples:
        way = f"Choose those that do with features={others}, or convert" if others else "Convert"
        raise DataTypeError(
            f"some {what} hold no numbers: {', '.join(examples)}; rows must be real numbers. {way} "
            f"them first, {_CONVERTED}. {CATEGORIES}"
        )


def _bare(name: object) -> object:
    """A name without the type of the array that it came out of."""
    return name.item() if isinstance(name, np.generic) else name


def _check_rows(array: Array) -> None:
    """Raise DataError unless `array` can be rows of real numbers."""
    if array.dtype.kind == "c":
        raise DataError(f"Complex data not supported: the data are {array.dtype}")
    if array.dtype.kind not in "fiub":
        raise DataTypeError(
            f"the data are {array.dtype}; rows must be real numbers. Convert them first, "
            f"{_CONVERTED}. {CATEGORIES}"
        )
    if array.ndim < 2:
        raise DataError(
            f"Expected rows and features, got an array of shape {array.shape}. Reshape your data "
            "with array.reshape(-1, 1) if it has a single feature, or array.reshape(1, -1) if it "
            "is a single row"
        )
    if array.shape[-1] == 0:
        raise DataError(f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if any(length == 0 for length in array.shape):
        raise DataError(
            f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required."
        )


def _as_numpy(data: npt.ArrayLike) -> np.ndarray:
    if isinstance(data, np.ma.MaskedArray):
        data = plain(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"the rows are not all of one length: {error}") from error
    except Exception as error:
        raise DataTypeError(
            f"{_kind(data)} does not become a NumPy array: {error!s:.200}"
        ) from error
    if array.dtype.kind == "O" and not array.ndim:
        raise DataTypeError(
            f"{_kind(data)} holds no rows that daskem knows; pass an array, a table, a Dataset or "
            "the path of a zarr store"
        )
    if array.dtype.kind == "O":
        try:
            array = numbers(array)
        except (TypeError, ValueError) as error:
            raise DataTypeError(
                f"the data are Python objects, and not all of them are numbers: {error}. "
                f"{CATEGORIES}"
            ) from error
    return array


def _kind(data: object) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}"


def features_in_one_chunk(array: da.Array, n_axes: int = 1) -> da.Array:
    """Gather the last `n_axes`; a small cost beside recomputing a row in every pass.

    Raises
    ------
    DataError
        If that makes chunks of more than 1 GiB.
    """
    axes = range(array.ndim - n_axes, array.ndim)
    if all(array.numblocks[axis] == 1 for axis in axes):
        return array
    gathered = array.rechunk(dict.fromkeys(axes, -1))
    largest = max(np.prod([max(c) for c in gathered.chunks]), 1) * array.dtype.itemsize
    if largest > _MOST_GATHERED:
        raise DataError(
            f"the features lie in chunks of {array.chunks[-1]}, and gathering them would make "
            f"chunks of {format_bytes(int(largest))}. Rechunk the store to whole rows first, "
            f"for instance array.rechunk({{{array.ndim - 1}: -1, 0: 'auto'}})"
        )
    return gathered
