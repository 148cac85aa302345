"""The format of model files: a zarr store that any zarr or xarray reader opens, no pickles.

The root group is a labelled Dataset in the units of the data, for people. The group ``state``
holds what predictions are made from, to the last bit. A description in JSON says which model it
is, and a digest over everything tells a damaged file from a sound one.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from daskem.blocks import address
from daskem.errors import ModelFileError, ParameterError, StoreNotFoundError

VERSION = 1


def write(
    path: str | os.PathLike[str], about: dict[str, Any], state: xr.Dataset, readable: xr.Dataset
) -> None:
    """Write a model to a zarr store at `path`.

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
        If `path` holds something that is not a model.
    """
    path = address(path)
    if "://" not in path and Path(path).exists() and not _is_model(path):
        raise ParameterError(f"{path!r} exists and is not a model; choose another path")
    about = {"format": VERSION, **about}
    attributes = {"daskem": json.dumps(about), "sha256": _digest(about, state, readable)}
    labelled = readable.assign_attrs({**readable.attrs, **attributes})
    for group, dataset in ((None, labelled), ("state", state)):
        dataset.to_zarr(path, group=group, mode="w", zarr_format=2, consolidated=True)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    """What `write` wrote: `about`, `state` and `readable`.

    Raises
    ------
    StoreNotFoundError
        If there is nothing at `path`.
    ModelFileError
        If it is not a model, is damaged, or was written by a newer daskem.
    """
    path = address(path)
    if "://" not in path and not Path(path).exists():
        raise StoreNotFoundError(f"there is no model at {path!r}")
    try:
        readable = xr.open_zarr(path, chunks=None, consolidated=False).load()
        about = json.loads(readable.attrs["daskem"])
        version = about["format"]
    except KeyError as error:
        raise ModelFileError(f"{path!r} is not a daskem model: nothing in it says so") from error
    except Exception as error:
        raise ModelFileError(
            f"{path!r} is not a daskem model, or its metadata are damaged: {error}"
        ) from error
    if version > VERSION:
        raise ModelFileError(
            f"{path!r} has format {version}, and this daskem reads up to {VERSION}: upgrade daskem"
        )
    try:
        state = xr.open_zarr(path, group="state", chunks=None, consolidated=False).load()
        sound = readable.attrs["sha256"] == _digest(about, state, readable)
    except Exception as error:
        raise ModelFileError(f"{path!r} is damaged: {error}") from error
    if not sound:
        raise ModelFileError(
            f"{path!r} is damaged: its contents do not match their checksum. Fit again, or restore "
            "it from a copy"
        )
    return about, state, readable


def _digest(about: dict[str, Any], *datasets: xr.Dataset) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for dataset in datasets:
        for name, variable in sorted(dataset.data_vars.items(), key=lambda item: str(item[0])):
            digest.update(f"{name}{variable.dims}{variable.shape}".encode())
            digest.update(np.ascontiguousarray(variable.to_numpy(), dtype="<f8").tobytes())
    return digest.hexdigest()


def _is_model(path: str) -> bool:
    try:
        return "daskem" in zarr.open_group(path, mode="r").attrs
    except Exception:
        return False
