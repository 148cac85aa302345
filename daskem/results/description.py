"""What a model file says of a fit, and the fit that it says: each the other's way back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from daskem.data.inputs.grids import spelled_grids, unspelled_grids
from daskem.data.inputs.names import Features
from daskem.data.inputs.spelling import (
    spelled,
    spelled_all,
    spelled_dims,
    unspelled,
    unspelled_all,
    unspelled_dims,
)
from daskem.fitting.record import Pass, Status
from daskem.models.asking import kernel_of
from daskem.models.protocol import Model
from daskem.results.fittedrun import FittedRun
from daskem.results.remaking import remade, told


def describe(run: FittedRun, features: Features) -> tuple[dict[str, Any], xr.Dataset]:
    """What JSON can say of a run, and the arrays that its predictions are made from.

    Raises
    ------
    ParameterError
        If nobody could make its model again, or its family is not registered.
    """
    of_model, state = told(run.model, run.framed)
    names = features.names
    about = {
        **of_model,
        "kernel": kernel_of(run.model),
        "feature_dims": spelled_dims(features.dims),
        "variables": spelled_dims(features.variables),
        "feature_names": None if names is None else spelled_all(names),
        "grids": spelled_grids(features.grids),
        "sequence_dim": spelled(features.sequence_dim),
        "labels": [[spelled(n), spelled_dims(each)] for n, each in features.labels.items()],
        "status": run.status.name,
        "history": [dataclasses.asdict(record) for record in run.history],
    }
    return about, xr.Dataset(state)


def restore(
    about: Mapping[str, Any], state: xr.Dataset, given: type | Model | None = None
) -> tuple[FittedRun, Features]:
    """The run and the names of features that were described.

    Raises
    ------
    ModelFileError
        As `remade`.
    """
    arrays = {str(name): variable.to_numpy() for name, variable in state.data_vars.items()}
    model, params = remade(about, arrays, given)
    history = tuple(Pass.restore(record) for record in about["history"])
    run = FittedRun(model, params, history, Status[about["status"]])
    names, dims, variables = (about[k] for k in ("feature_names", "feature_dims", "variables"))
    return run, Features(
        None if names is None else unspelled_all(names),
        unspelled_dims(dims),
        unspelled_dims(variables),
        unspelled_grids(about.get("grids", ())),
        unspelled(about.get("sequence_dim")),
        {unspelled(n): unspelled_dims(each) or () for n, each in about.get("labels", ())},
    )


def plain_names(names: np.ndarray | None) -> np.ndarray | None:
    """Names as any reader of zarr can read them: what is no number or date is told in words."""
    if names is None or names.dtype.kind in "biufmMU":
        return names
    return np.array([str(name) for name in names])
