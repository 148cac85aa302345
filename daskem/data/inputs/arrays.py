"""The door for arrays: anything that holds rows becomes blocks, or is refused with a reason."""

import os
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.utils import format_bytes

from daskem.data.blocks.dask import DaskBlocks
from daskem.data.blocks.local import LocalBlocks
from daskem.data.blocks.memory import CACHES
from daskem.data.inputs.stores import as_dask, open_zarr
from daskem.errors import DataError, DataTypeError, ParameterError

AnyBlocks = LocalBlocks | DaskBlocks
MISSING = ("raise", "omit")

_GATHERED = (
    "the features lie in chunks of {}, and are gathered into rows in every pass; a store that is "
    "read often is better written with whole rows in each chunk"
)


def as_blocks(
    data: Any, weights: Any = None, missing: str = "raise", cache: str = "none"
) -> AnyBlocks:
    """Blocks of `data`.

    Parameters
    ----------
    data : array-like, (..., feature)
        Anything that `as_array` takes.
    weights : array-like, (...), optional
        How many times each row counts.
    missing : {"raise", "omit"}
        Whether rows with a NaN are left out, rather than met by whoever cannot use them.
    cache : {"auto", "memory", "none"}
        Whether chunks of Dask arrays are kept in memory after they are first read.

    Raises
    ------
    DataError
        If there are no rows, no features, or `weights` does not match.
    ParameterError
        If `missing` or `cache` is something else.
    """
    for name, value, known in (("missing", missing, MISSING), ("cache", cache, CACHES)):
        if value not in known:
            raise ParameterError(f"{name}={value!r} is not one of {list(known)}")
    data = open_array(data)
    array = as_array(data)
    weights = None if weights is None else _as_weights(weights, array)
    if isinstance(array, da.Array):
        split = data.chunks[-1] if data.numblocks[-1] > 1 else ()
        notes = (_GATHERED.format(split),) if split else ()
        return DaskBlocks(array, weights, missing == "omit", cache, notes)
    rows = array.reshape(-1, array.shape[-1])
    weights = None if weights is None else np.asarray(weights).reshape(-1)
    return LocalBlocks(rows, weights, missing == "omit")


def _as_weights(weights: Any, array: np.ndarray | da.Array) -> np.ndarray | da.Array:
    """Weights in the shape and the chunks of the rows of `array`."""
    weights = weights if isinstance(weights, da.Array) else _as_numpy(weights)
    if weights.dtype.kind not in "fiub":
        raise DataTypeError(f"sample_weight is {weights.dtype}; weights are real numbers >= 0")
    known = not np.isnan([*weights.shape, *array.shape]).any()
    if weights.ndim != array.ndim - 1 or (known and weights.shape != array.shape[:-1]):
        raise DataError(
            f"sample_weight has shape {weights.shape}, but there should be one number for each of "
            f"the rows, {array.shape[:-1]}; a DataArray broadcasts by the names of its dimensions"
        )
    if isinstance(array, np.ndarray):
        return np.asarray(weights, dtype=np.float64)
    if known:
        return da.asarray(weights).rechunk(array.chunks[:-1])
    if getattr(weights, "numblocks", None) != array.numblocks[:-1]:
        raise DataError(
            "the rows are in chunks of unknown length, so sample_weight must be a Dask array in "
            f"chunks of the same rows, {array.numblocks[:-1]} of them; or call "
            "array.compute_chunk_sizes() first"
        )
    return weights


def as_array(data: Any) -> np.ndarray | da.Array:
    """NumPy array or Dask array of rows (..., feature), with the features in one chunk.

    Parameters
    ----------
    data : array-like
        A NumPy array or memmap, Dask array, zarr array, path or URL of a zarr array, or nested
        lists.

    Raises
    ------
    StoreNotFoundError
        If a path leads to no zarr array.
    DataTypeError, DataError
        If these are not rows of real numbers.
    """
    data = open_array(data)
    check_rows(data)
    return features_in_one_chunk(data) if isinstance(data, da.Array) else data


def open_array(data: Any) -> np.ndarray | da.Array:
    """What `as_array` takes, as a NumPy or Dask array that nobody has looked at yet."""
    if isinstance(data, str | os.PathLike):
        data = open_zarr(data)
    if isinstance(data, zarr.Array):
        data = as_dask(data)
    return data if isinstance(data, da.Array) else _as_numpy(data)


def check_rows(array: Any, least_rows: int = 1) -> None:
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
            f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of {least_rows} "
            "is required."
        )


def _as_numpy(data: Any) -> np.ndarray:
    if hasattr(data, "tocsr") or hasattr(data, "tocoo"):
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
    if largest > 2**30:
        raise DataError(
            f"the features lie in chunks of {array.chunks[-1]}, and gathering them would make "
            f"chunks of {format_bytes(int(largest))}. Rechunk the store to whole rows first, "
            f"for instance array.rechunk({{{array.ndim - 1}: -1, 0: 'auto'}})"
        )
    return gathered
