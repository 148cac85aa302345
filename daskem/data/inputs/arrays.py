"""From what holds an array to a NumPy or Dask array of rows, or to a refusal with a reason."""

import sys
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.utils import format_bytes
from scipy.sparse import issparse

from daskem.data.inputs.stores import as_dask
from daskem.errors import DataError, DataTypeError

Array = np.ndarray | da.Array

# Chunks of more bytes than this are not made of smaller ones.
_MOST_GATHERED = 2**30
_GATHERED = (
    "the features lie in chunks of {}, and are gathered into rows in every pass; a store that is "
    "read often is better written with whole rows in each chunk"
)


def opened(data: Any) -> tuple[Array, tuple[str, ...]]:
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
    if not isinstance(array, da.Array) or array.numblocks[-1] == 1:
        return array, ()
    return features_in_one_chunk(array), (_GATHERED.format(array.chunks[-1]),)


def as_array(data: Any) -> Array:
    """NumPy or Dask array of what `opened` takes, which nobody has looked at yet."""
    if isinstance(data, zarr.Array):
        return as_dask(data)
    return data if isinstance(data, da.Array) else _as_numpy(data)


def _check_rows(array: Array) -> None:
    """Raise DataError unless `array` can be rows of real numbers."""
    if array.dtype.kind == "c":
        raise DataError(f"Complex data not supported: the data are {array.dtype}")
    if array.dtype.kind not in "fiub":
        raise DataTypeError(
            f"the data are {array.dtype}; rows must be real numbers. Convert them first, for "
            "instance dates to days since a reference date, or names to indicator columns"
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


def is_a(data: Any, module: str, name: str) -> bool:
    """Whether `data` is of a class of a module that nobody may have imported, or even installed."""
    return module in sys.modules and isinstance(data, getattr(sys.modules[module], name))


def _as_numpy(data: Any) -> np.ndarray:
    if issparse(data) or is_a(data, "sparse", "SparseArray"):
        raise DataTypeError(
            "sparse data are not supported: a Gaussian row has no zeros to skip. Use "
            "data.toarray() if it fits in memory, or dimension reduction first"
        )
    if np.ma.is_masked(data):
        raise DataError(
            "the data are masked in places, and a fit would see what lies under the mask. Drop "
            "those rows, or fill them: array.filled(...)"
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise DataError(f"the rows are not all of one length: {error}") from error
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataTypeError(
                f"the data are Python objects, and not all of them are numbers: {error}"
            ) from error
    return array


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
