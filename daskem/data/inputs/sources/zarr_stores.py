"""Zarr stores: arrays, groups of arrays, and what xarray has written."""

import base64
import os
import re
from collections.abc import Hashable, Sequence
from typing import Any, TypeGuard

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store

from daskem.core.addresses import cause, hidden, reason, shown
from daskem.data.inputs.sources.declared import decoded
from daskem.data.inputs.sources.files import about, about_several
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
            f"{shown(path)} is a group, not an array; it holds the {_inside(node)}."
            " Add the name to the path, or choose with features=[...], or with --array or "
            "--features on the command line"
        )
    return _member(node, name)


def address(path: str | os.PathLike[str]) -> str:
    """`path` as it is opened: the URL of a local file is a path."""
    return re.sub("^(file|local)://", "", os.fspath(path))


def is_address(data: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is a path or a URL."""
    return isinstance(data, str | os.PathLike)


def at_path(path: str | os.PathLike[str], names: Sequence[Hashable] | None) -> Any:
    """What is at a path or URL: a zarr array, or the lazy Dataset in a group."""
    node = _open(path)
    if isinstance(node, zarr.Group) and names is None and not _holds_labels(node):
        return open_zarr(path)
    return node


def in_store(store: Store) -> zarr.Array | zarr.Group:
    """The node at the root of a store of zarr."""
    try:
        return zarr.open(store, mode="r")
    except FileNotFoundError as error:
        raise StoreNotFoundError(
            f"there is no zarr array or group in {hidden(str(store))}"
        ) from cause(error, str(store))


def in_group(group: zarr.Group, names: Sequence[Hashable] | None) -> xr.Dataset:
    """A zarr group as a lazy Dataset.

    Parameters
    ----------
    group : zarr Group
    names : sequence of str, optional
        The arrays to take from a group that nobody has labelled. Their dimensions, which have no
        names, are called ``dim_0``, ``dim_1`` and so on.

    Raises
    ------
    StoreNotFoundError, DataError
        As `open_zarr`.
    """
    if _holds_labels(group):
        whole = group.metadata.consolidated_metadata is not None
        dataset = xr.open_zarr(group.store, group=group.path or None, consolidated=whole)
        # A store lists its arrays in any order, another one at every reading.
        return dataset[sorted(dataset.data_vars, key=str)]
    if names is None:
        raise DataError(
            f"this is a zarr group; pass one of its {_inside(group)}, or choose with features=[...]"
        )
    arrays = {name: _member(group, name) for name in names}
    return xr.Dataset(
        {name: ([f"dim_{i}" for i in range(a.ndim)], as_dask(a)) for name, a in arrays.items()}
    )


def member(path: str, name: str) -> Any:
    """The array `name` of the group at `path`; a DataArray where xarray has written it."""
    array = open_zarr(path, name)
    return (
        in_group(zarr.open_group(address(path), mode="r"), None)[name]
        if is_labelled(array)
        else array
    )


def _inside(group: zarr.Group) -> str:
    """What a group holds: arrays, or groups where there are no arrays."""
    arrays, groups = sorted(dict(group.arrays())), sorted(group.group_keys())
    return f"groups {groups}" if groups and not arrays else f"arrays {arrays}"


def _holds_labels(group: zarr.Group) -> bool:
    return any(map(is_labelled, dict(group.arrays()).values()))


def is_labelled(array: zarr.Array) -> bool:
    """Whether the dimensions of `array` have names, as xarray writes them."""
    names = getattr(array.metadata, "dimension_names", None)
    return bool(names) or "_ARRAY_DIMENSIONS" in array.attrs


def is_index(name: str, array: zarr.Array) -> bool:
    """Whether an array of a group numbers a dimension, as xarray writes it."""
    dims: Any = array.attrs.get("_ARRAY_DIMENSIONS")
    dims = getattr(array.metadata, "dimension_names", None) or dims
    return list(dims or ()) == [name]


def as_dask(array: zarr.Array) -> da.Array:
    """`array` lazily; small chunks of the store that follow one another are one chunk of it.

    Raises
    ------
    DataError
        If its numbers are not what is stored: CF packing, missing-value codes.
    """
    size = int(np.prod(array.chunks)) * array.dtype.itemsize
    together = max(1, _READ_BYTES // max(size, 1))
    lazy = da.from_zarr(array, chunks=(together * array.chunks[0], *array.chunks[1:]))
    return decoded(lazy, _attributes(array), "the array", stored=True)


def _attributes(array: zarr.Array) -> dict[str, Any]:
    """Those that speak of the values, with the code for missing ones as a number."""
    attrs = dict(array.attrs)
    code = array.fill_value
    # As xarray reads format 2; 0 is what everybody writes who means nothing by it.
    meant = code is not None and (array.dtype.kind == "f" or code != 0)
    if "_ARRAY_DIMENSIONS" in attrs and meant:
        attrs.setdefault("_FillValue", code)
    code = attrs.get("_FillValue")
    if isinstance(code, str) and array.dtype.kind == "f":
        # As xarray writes floats in format 3.
        attrs["_FillValue"] = np.frombuffer(base64.b64decode(code), "<f8")[0]
    return attrs


def _open(path: str | os.PathLike[str]) -> zarr.Array | zarr.Group:
    try:
        return zarr.open(address(path), mode="r")
    except FileNotFoundError as error:
        inside = sorted(os.listdir(path))[:10] if os.path.isdir(path) else []
        how = about_several(os.fspath(path), [os.path.join(path, name) for name in inside])
        folder = f", only a folder with {inside}{how}" if inside else ""
        raise StoreNotFoundError(
            f"there is no zarr store at {shown(path)}{folder or about(address(path))}"
        ) from cause(error, path)
    except Exception as error:
        message = f"cannot be read as zarr{about(address(path))}: {reason(error, path)}"
        raise DataError(f"{shown(path)} {message}") from cause(error, path)


def _member(group: zarr.Group, name: Hashable) -> zarr.Array:
    arrays = dict(group.arrays())
    if name not in arrays:
        raise StoreNotFoundError(
            f"{shown(str(group.store_path))} has no array {name!r}; it holds {sorted(arrays)}"
        )
    return arrays[str(name)]
