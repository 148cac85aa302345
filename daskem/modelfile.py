"""Fitted models as zarr stores: labelled arrays that any zarr or xarray reader opens, no pickles.

The root group is `Result.to_dataset`, in the units of the data, for people. The group
``state`` holds what predictions are made from, to the last bit: the params in the coordinates
of the frame, and the frame. A digest over all of it tells a damaged file from a sound one.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from daskem import families
from daskem.errors import ModelFileError, ParameterError, StoreNotFoundError
from daskem.fitting import Pass, Run, Status
from daskem.frames import Frame
from daskem.labels import Features
from daskem.models import Mixture
from daskem.parameters import check
from daskem.result import Result

VERSION = 1
_FRAME = [field.name for field in dataclasses.fields(Frame)]


def save(result: Result, path: str | os.PathLike[str]) -> None:
    """Write the best run of `result` to a zarr store at `path`.

    Parameters
    ----------
    result : Result
        Of a `Mixture` of one of daskem's families.
    path : path or URL
        A model that is there already is replaced; anything else is left alone.

    Raises
    ------
    ParameterError
        If `path` holds something that is not a model, or the model is of your own making (save
        its params with ``result.to_dataset()``).
    """
    model, path = result.model, os.fspath(path)
    if not isinstance(model, Mixture) or type(model.family).__module__.split(".")[0] != "daskem":
        raise ParameterError(
            f"{type(model).__name__} is not a mixture of daskem's families; keep its params with "
            "result.to_dataset().to_zarr(...)"
        )
    if "://" not in path and Path(path).exists() and not _is_model(path):
        raise ParameterError(f"{path!r} exists and is not a model; choose another path")
    state = xr.Dataset({**_state_variables(model, result.best.params)})
    readable = result.to_dataset()
    about = {
        "daskem_model": VERSION,
        "family": type(model.family).__name__,
        "settings": dataclasses.asdict(model.family),
        "feature_dim": result.features.dim,
        "feature_names": _plain(result.features.names),
        "status": result.status.name,
        "history": [dataclasses.asdict(p) for p in result.history],
    }
    attributes = {"daskem": json.dumps(about), "sha256": _digest(about, state, readable)}
    readable.assign_attrs({**readable.attrs, **attributes}).to_zarr(
        path, mode="w", zarr_format=2, consolidated=True
    )
    state.to_zarr(path, group="state", mode="w", zarr_format=2, consolidated=True)


def load(path: str | os.PathLike[str]) -> Result:
    """The fitted model at `path`.

    Raises
    ------
    StoreNotFoundError
        If there is nothing at `path`.
    ModelFileError
        If it is not a model, is damaged, or was written by a newer daskem.
    """
    path = os.fspath(path)
    if "://" not in path and not Path(path).exists():
        raise StoreNotFoundError(f"there is no model at {path!r}")
    try:
        readable = xr.open_zarr(path, chunks=None, consolidated=False).load()
        about = json.loads(readable.attrs["daskem"])
        version = about["daskem_model"]
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
    return _rebuild(about, state, readable)


def _rebuild(about: dict[str, Any], state: xr.Dataset, readable: xr.Dataset) -> Result:
    arrays = {str(name): variable.to_numpy() for name, variable in state.data_vars.items()}
    frame = Frame(*(arrays.pop(name) for name in _FRAME)) if _FRAME[0] in arrays else None
    family = getattr(families, about["family"])(**about["settings"])
    model = Mixture(family, frame)
    history = tuple(
        Pass(**{**record, "events": tuple(record["events"])}) for record in about["history"]
    )
    params = check(model.parameters, arrays)
    run = Run(model, None, _Fitted(params), history, Status[about["status"]])
    names = about["feature_names"]
    features = Features(about["feature_dim"], None if names is None else np.asarray(names))
    return Result([run], readable.sizes["feature"], readable.attrs["n_rows"], features)


@dataclasses.dataclass(frozen=True, eq=False)
class _Fitted:
    """The state of a run that has ended: its params."""

    params: dict[str, np.ndarray]


def _state_variables(model: Mixture, params: dict[str, np.ndarray]) -> dict[str, Any]:
    variables: dict[str, Any] = {
        name: (declared.dims, params[name]) for name, declared in model.parameters.items()
    }
    if model.frame is not None:
        for name in _FRAME:
            value = getattr(model.frame, name)
            variables[name] = (("feature", "feature_2")[: value.ndim], np.array(value))
    return variables


def _digest(about: dict[str, Any], *datasets: xr.Dataset) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for dataset in datasets:
        for name, variable in sorted(dataset.data_vars.items(), key=lambda item: str(item[0])):
            digest.update(f"{name}{variable.dims}{variable.shape}".encode())
            digest.update(np.ascontiguousarray(variable.to_numpy(), dtype="<f8").tobytes())
    return digest.hexdigest()


def _plain(names: np.ndarray | None) -> list[Any] | None:
    return None if names is None else [n if isinstance(n, str) else str(n) for n in names.tolist()]


def _is_model(path: str) -> bool:
    try:
        return "daskem" in zarr.open_group(path, mode="r").attrs
    except Exception:
        return False
