"""Zarr stores: arrays, groups of arrays, and what xarray has written."""

import os
import re
from collections.abc import Hashable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from daskem.errors import DataError, StoreNotFoundError

# zarr fetches many small chunks in one call at half of what they cost one by one.
_READ_BYTES = 2**20


def open_zarr(path: str | os.PathLike[str], name: str | None = None) -> zarr.Array:
    """The zarr array at `path`, or called `name` in the group at `path`.

    Raises
    ------
    StoreNotFoundError
        If there is none; the message lists what is there.
    DataError
        If it is no zarr store, or damaged.
    """
    node = _open(path)
    if isinstance(node, zarr.Array):
        return node
    if name is None:
        raise StoreNotFoundError(
            f"{os.fspath(path)!r} is a group, not an array; it holds {sorted(dict(node.arrays()))}."
            " Add the name to the path, or choose with features=[...], or with --array or "
            "--features on the command line"
        )
    return _member(node, name)


def address(path: str | os.PathLike[str]) -> str:
    """`path` as it is opened: the URL of a local file is a path."""
    return re.sub("^(file|local)://", "", os.fspath(path))


def open_labelled(data: Any, names: Sequence[Hashable] | None = None) -> Any:
    """Zarr groups, and paths of them, as a lazy Dataset; anything else as it is.

    Parameters
    ----------
    data : path, URL, zarr Group, or anything else
    names : sequence of str, optional
        The arrays to take from a group that nobody has labelled. Their dimensions, which have no
        names, are called ``dim_0``, ``dim_1`` and so on.

    Raises
    ------
    StoreNotFoundError, DataError
        As `open_zarr`.
    """
    node = _open(data) if isinstance(data, str | os.PathLike) else data
    if not isinstance(node, zarr.Group):
        return node
    if any(map(is_labelled, dict(node.arrays()).values())):
        whole = node.metadata.consolidated_metadata is not None
        dataset = xr.open_zarr(node.store, group=node.path or None, consolidated=whole)
        # A store lists its arrays in any order, another one at every reading.
        return dataset[sorted(dataset.data_vars, key=str)]
    if names is None:
        if node is not data:
            return open_zarr(data)
        raise DataError(
            f"this is a zarr group; pass one of its arrays, {sorted(dict(node.arrays()))}, or "
            "choose with features=[...]"
        )
    arrays = {name: _member(node, name) for name in names}
    return xr.Dataset(
        {name: ([f"dim_{i}" for i in range(a.ndim)], as_dask(a)) for name, a in arrays.items()}
    )


def is_labelled(array: zarr.Array) -> bool:
    """Whether the dimensions of `array` have names, as xarray writes them."""
    names = getattr(array.metadata, "dimension_names", None)
    return bool(names) or "_ARRAY_DIMENSIONS" in array.attrs


def as_dask(array: zarr.Array) -> da.Array:
    """`array` lazily; small chunks of the store that follow one another are one chunk of it.

    Raises
    ------
    DataError
        If its numbers are not what is stored: CF packing, missing-value codes.
    """
    packing = {"scale_factor", "add_offset"} & set(array.attrs)
    if array.dtype.kind in "iu":
        packing |= {"missing_value", "_FillValue"} & set(array.attrs)
        if "_ARRAY_DIMENSIONS" in array.attrs and array.fill_value not in (None, 0):
            packing.add("fill_value")
    if packing:
        raise DataError(
            f"the array stores packed values (it has {', '.join(sorted(packing))}); open it with "
            "xarray.open_zarr, which decodes them, and pass the DataArray"
        )
    size = int(np.prod(array.chunks)) * array.dtype.itemsize
    together = max(1, _READ_BYTES // max(size, 1))
    return da.from_zarr(array, chunks=(together * array.chunks[0], *array.chunks[1:]))


def _open(path: str | os.PathLike[str]) -> zarr.Array | zarr.Group:
    try:
        return zarr.open(address(path), mode="r")
    except FileNotFoundError as error:
        inside = sorted(os.listdir(path))[:10] if os.path.isdir(path) else []
        folder = f", only a folder with {inside}" if inside else ""
        raise StoreNotFoundError(
            f"there is no zarr store at {os.fspath(path)!r}{folder}"
        ) from error
    except Exception as error:
        raise DataError(f"{os.fspath(path)!r} cannot be read as zarr: {error}") from error


def _member(group: zarr.Group, name: Hashable) -> zarr.Array:
    arrays = dict(group.arrays())
    if name not in arrays:
        raise StoreNotFoundError(
            f"{str(group.store_path)!r} has no array {name!r}; it holds {sorted(arrays)}"
        )
    return arrays[str(name)]
