"""What a model file says of a fit, and the fit that it says: each the other's way back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from daskem.core.frames import Frame
from daskem.core.parameters import Params, check
from daskem.data.inputs.grids import spelled_grids, unspelled_grids
from daskem.data.inputs.names import Features
from daskem.data.inputs.spelling import spelled_all, spelled_dims, unspelled_all, unspelled_dims
from daskem.errors import ParameterError
from daskem.fitting.record import Pass, Status
from daskem.models import Mixture
from daskem.models.families.registry import from_recipe, recipe
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.results.fittedrun import FittedRun

# The models that a file can hold, by the name of their class; older files name none.
MODELS: dict[str, type[Mixture] | type[HiddenMarkov]] = {
    made.__name__: made for made in (Mixture, HiddenMarkov)
}


def describe(run: FittedRun, features: Features) -> tuple[dict[str, Any], xr.Dataset]:
    """What JSON can say of a run, and the arrays that its predictions are made from.

    Raises
    ------
    ParameterError
        If its model is of your own making, or its family is not registered.
    """
    model = run.model
    # A subclass says something else of rows than the class that `load` would make.
    if not isinstance(model, Mixture | HiddenMarkov) or type(model) not in MODELS.values():
        raise ParameterError(
            f"{type(model).__name__} is none of {', '.join(MODELS)}, which `load` could make "
            "again; keep result.params in a format of your choice"
        )
    names = features.names
    about = {
        **recipe(model.family),
        "model": type(model).__name__,
        "feature_dims": spelled_dims(features.dims),
        "variables": spelled_dims(features.variables),
        "feature_names": None if names is None else spelled_all(names),
        "grids": spelled_grids(features.grids),
        "status": run.status.name,
        "history": [dataclasses.asdict(record) for record in run.history],
    }
    state = {n: (p.dims, run.framed[n]) for n, p in model.parameters.items()}
    for name, value in ({} if model.frame is None else dataclasses.asdict(model.frame)).items():
        state[name] = (("feature", "feature_2")[: value.ndim], value)
    return about, xr.Dataset(state)


def restore(about: Mapping[str, Any], state: xr.Dataset) -> tuple[FittedRun, Features]:
    """The run and the names of features that were described.

    Raises
    ------
    ModelFileError
        If its family is not registered.
    """
    arrays = {str(name): variable.to_numpy() for name, variable in state.data_vars.items()}
    framed = {f.name: arrays.pop(f.name) for f in dataclasses.fields(Frame) if f.name in arrays}
    if framed and about["format"] < 2:
        # The first format knew no floors.
        nothing = np.zeros(about["n_features"])
        framed |= {"floor": nothing, "recorded": nothing.astype(bool)}
    made = MODELS[about.get("model", "Mixture")]
    model = made(from_recipe(about), Frame(**framed) if framed else None)
    history = tuple(Pass.restore(record) for record in about["history"])
    params = Params(check(model.parameters, arrays))
    run = FittedRun(model, params, history, Status[about["status"]])
    names, dims, variables = (about[k] for k in ("feature_names", "feature_dims", "variables"))
    return run, Features(
        None if names is None else unspelled_all(names),
        unspelled_dims(dims),
        unspelled_dims(variables),
        unspelled_grids(about.get("grids", ())),
    )


def plain_names(names: np.ndarray | None) -> np.ndarray | None:
    """Names as any reader of zarr can read them: what is no number or date is told in words."""
    if names is None or names.dtype.kind in "biufmMU":
        return names
    return np.array([str(name) for name in names])
