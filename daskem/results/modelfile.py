"""The format of model files: a zarr store that any zarr or xarray reader opens, no pickles.

The root group is a labelled Dataset in the units of the data, for people. The group ``state``
holds what predictions are made from, to the last bit. A description in JSON says which model it
is, and a digest over everything tells a damaged file from a sound one.
"""

import hashlib
import itertools
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.storage import MemoryStore

from daskem.core.addresses import cause, reason, shown
from daskem.data.inputs import address
from daskem.errors import ModelFileError, ParameterError, StoreNotFoundError
from daskem.results.files import check_path, is_remote, n_stored, replace, steadily, stored

VERSION = 3
# Nothing compresses better than a constant, a thousandfold; zeros need not be stored at all.
_LEAST_BYTES, _RATIO = 2**26, 1000


def write(
    path: str | os.PathLike[str], about: dict[str, Any], state: xr.Dataset, readable: xr.Dataset
) -> None:
    """Write a model to a zarr store at `path`, all of it or nothing.

    Parameters
    ----------
    path : path or URL
        A model that is there already is replaced; anything else is left alone.
    about : dict
        What JSON can say of the model.
    state, readable : Dataset

    Raises
    ------
    ParameterError
        As `check_target`.
    """
    made = check_target(path)
    about = {"format": VERSION, **about}
    attributes = {"daskem": json.dumps(about), "sha256": _digest(about, state, readable)}
    labelled = readable.assign_attrs({**readable.attrs, **attributes})
    # In memory first: what cannot be encoded is known before anything is replaced.
    store: dict[str, Any] = {}
    for group, dataset in ((None, labelled), ("state", state)):
        encoded = MemoryStore(store)
        dataset.to_zarr(encoded, group=group, mode="w", zarr_format=2, consolidated=True)
    replace(address(path), {key: value.to_bytes() for key, value in store.items()}, made)


def check_target(path: str | os.PathLike[str]) -> list[str]:
    """Refuse `path` unless it is free, or holds a sound model and nothing else.

    Parameters
    ----------
    path : path or URL

    Returns
    -------
    list of str
        The keys of what lies there, which a new model replaces.

    Raises
    ------
    ParameterError
        If `path` is none, holds anything else, or cannot be listed.
    """
    path = address(path)
    check_path(path)
    keys = stored(path)
    if not keys:
        return []
    try:
        with warnings.catch_warnings():
            # Of files that are not zarr's, which are named below.
            warnings.filterwarnings("ignore", "Object at")
            _, state, readable = read(path)
    except ModelFileError as error:
        if _is_model(path):
            raise ParameterError(
                f"{shown(path)} exists and is not a sound model; choose another path, or remove it "
                f"first: {error}"
            ) from error
        inside = "" if keys == [""] else f". It holds {_some(keys)}"
        raise ParameterError(
            f"{shown(path)} exists and is not a model; choose another path{inside}"
        ) from error
    if foreign := sorted(set(keys) - _keys(path, state, readable)):
        raise ParameterError(
            f"{shown(path)} holds more than the model, which alone may be replaced; choose another "
            f"path, or move elsewhere what is not of the model: {_some(foreign)}"
        )
    return keys


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    """What `write` wrote: `about`, `state` and `readable`.

    Raises
    ------
    StoreNotFoundError
        If there is nothing at `path`.
    ModelFileError
        If it is not a model, is damaged, or was written by a newer daskem.
    """
    place = address(path)
    return steadily(place, lambda: _read(place))


def _read(path: str) -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    called = shown(path)
    if not is_remote(path) and not Path(path).exists():
        raise StoreNotFoundError(f"there is no model at {called}")
    try:
        _check_sizes(path)
        readable = xr.open_zarr(path, chunks=None, consolidated=False).load()
        about = json.loads(readable.attrs["daskem"])
        version = about["format"]
    except KeyError as error:
        raise ModelFileError(f"{called} is not a daskem model: nothing in it says so") from cause(
            error, path
        )
    except Exception as error:
        raise ModelFileError(
            f"{called} is not a daskem model, or its metadata are damaged: {reason(error, path)}"
        ) from cause(error, path)
    if version > VERSION:
        raise ModelFileError(
            f"{called} has format {version}, and this daskem reads up to {VERSION}: upgrade daskem"
        )
    try:
        state = xr.open_zarr(path, group="state", chunks=None, consolidated=False).load()
        sound = readable.attrs["sha256"] == _digest(about, state, readable)
    except Exception as error:
        raise ModelFileError(f"{called} is damaged: {reason(error, path)}") from cause(error, path)
    if not sound:
        raise ModelFileError(
            f"{called} is damaged: its contents do not match their checksum. Fit again, or restore "
            "it from a copy"
        )
    return about, state, readable


def _check_sizes(path: str) -> None:
    """Raise ValueError if arrays would take far more memory than what is stored can fill."""
    group, wanted = zarr.open_group(path, mode="r", use_consolidated=False), 0
    for _, node in group.members(max_depth=None):
        if isinstance(node, zarr.Array):
            wanted += max(node.nbytes, math.prod(node.chunks) * node.dtype.itemsize)
    most = _LEAST_BYTES + _RATIO * n_stored(path)
    if wanted > most:
        raise ValueError(f"its arrays would take {wanted:,} bytes, and what is stored {most:,}")


def _digest(about: dict[str, Any], *datasets: xr.Dataset) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for dataset in datasets:
        for name, variable in sorted(dataset.data_vars.items(), key=lambda item: str(item[0])):
            digest.update(f"{name}{variable.dims}{variable.shape}".encode())
            digest.update(np.ascontiguousarray(variable.to_numpy(), dtype="<f8").tobytes())
    return digest.hexdigest()


def _keys(path: str, state: xr.Dataset, readable: xr.Dataset) -> set[str]:
    """The keys that the model at `path` can have, by its own metadata."""
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    # Of coordinates, which are not in the digest, only those that a model has: a person may have
    # added others.
    names = [*readable.data_vars, *({"feature", "feature_2"} & set(readable.coords))]
    names += [f"state/{name}" for name in state.data_vars]
    of_groups = {".zgroup", ".zattrs", ".zmetadata"}
    keys = of_groups | {f"state/{key}" for key in of_groups}
    for name in map(str, names):
        array: Any = root[name]
        grid = (range(-(-n // size)) for n, size in zip(array.shape, array.chunks, strict=True))
        chunks = map(array.metadata.encode_chunk_key, itertools.product(*grid))
        keys |= {f"{name}/{key}" for key in (".zarray", ".zattrs", *chunks)}
    return keys


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(map(repr, keys[:5])) + more


def _is_model(path: str) -> bool:
    try:
        return "daskem" in zarr.open_group(path, mode="r").attrs
    except Exception:
        return False
