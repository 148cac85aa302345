"""Models as files tell of them, and how they are made again: daskem's own, merged ones, yours."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import Parameter, Params, check
from daskem.errors import ModelFileError, ParameterError
from daskem.models import Mixture
from daskem.models.asking import with_missing
from daskem.models.clusters import Clusters
from daskem.models.families.registry import recipe
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.kernels.backends import NUMPY, present
from daskem.models.protocol import Compiles, Declares, Frames, Model
from daskem.models.recipes import MODELS, of_noise, of_recipe

# What is said where a class is not enough.
_HOW = (
    "{0} cannot be made of its class alone: give the model itself, daskem.load(path, {0}(...)); {1}"
)
State = dict[str, tuple[tuple[str, ...], np.ndarray]]


def told(model: Model, params: Params) -> tuple[dict[str, Any], State]:
    """What JSON can say of a model, and the arrays that it needs besides.

    Raises
    ------
    ParameterError
        If nobody could make it again, not even from its class.
    """
    name = type(model).__name__
    if isinstance(model, Clusters):
        about, state = told(model.mixture, model.components)
        return {**about, "groups": [list(group) for group in model.groups]}, state
    if isinstance(model, Mixture | HiddenMarkov):
        # A subclass says something else of rows than the class that is known by that name.
        subclass_mark = {} if type(model) in MODELS.values() else {"own": True}
        about = {**recipe(model.family), "model": name, **of_noise(model), **subclass_mark}
        return about, _arrays(model.parameters, params) | _of_frame(model.frame)
    if not isinstance(model, Declares) or isinstance(model, Frames):
        lacks = "holds its params in a frame" if isinstance(model, Declares) else "has none"
        raise ParameterError(
            f"only a model that declares its `parameters`, in the units of the data, can be made "
            f"again, and {name} {lacks}; keep result.params in a format of your choice"
        )
    return {"model": name, "own": True, "own_settings": _settings(model)}, _arrays(
        model.parameters, params
    )


def remade(
    about: Mapping[str, Any], arrays: dict[str, np.ndarray], given: type | Model | None
) -> tuple[Model, Params]:
    """The model that was told of, and its params; `given` is its class, if it is none of daskem's.

    Raises
    ------
    ModelFileError
        If its family is not registered, or its class is not given.
    """
    if about.get("own"):
        _check_given(about["model"], given)
    missing = about.get("missing", "raise")
    if "family" not in about:
        custom: Any = given if not isinstance(given, type) else _made(given, about["own_settings"])
        return with_missing(custom, missing), Params(check(custom.parameters, arrays))
    framed = {f.name: arrays.pop(f.name) for f in dataclasses.fields(Frame) if f.name in arrays}
    if framed and about["format"] < 2:
        # The first format knew no floors.
        nothing = np.zeros(about["n_features"])
        framed |= {"floor": nothing, "recorded": nothing.astype(bool)}
    if framed and about["format"] < 3:
        # The second had none but those whose origin is the mean.
        framed["mean"] = framed["origin"]
    kind = given if about.get("own") else MODELS[about.get("model", "Mixture")]
    kind = kind if isinstance(kind, type) else type(kind)
    model: Any = of_recipe(kind, about, Frame(**framed) if framed else None)
    kernel = about.get("kernel", NUMPY)
    if isinstance(model, Compiles) and kernel in model.backends and present(kernel):
        model = model.with_kernel(kernel)
    model = with_missing(model, missing)
    params = Params(check(model.parameters, arrays))
    if "groups" not in about:
        return model, params
    clusters = Clusters(model, params, tuple(tuple(group) for group in about["groups"]))
    return clusters, Params({"weights": clusters.members @ params["weights"]})


def _arrays(declared: Mapping[str, Parameter], params: Params) -> State:
    return {name: (p.dims, params[name]) for name, p in declared.items()}


def _of_frame(frame: Frame | None) -> State:
    values = {} if frame is None else dataclasses.asdict(frame)
    dims = dict.fromkeys(values, ("feature", "feature_2")) | {"mean": ("feature", "category")}
    return {name: (dims[name][: v.ndim], v) for name, v in values.items()}


def _settings(model: object) -> dict[str, Any] | None:
    """What a dataclass was made with, where JSON can hold it; None where nobody can tell."""
    if not dataclasses.is_dataclass(model):
        return None if vars(model) else {}
    try:
        settings = {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.init}
        return settings if json.loads(json.dumps(settings)) == settings else None
    except (TypeError, ValueError):
        return None


def _check_given(name: str, given: type | Model | None) -> None:
    """Raise ModelFileError unless what is given is of the class of that name."""
    kind = given if isinstance(given, type) else type(given)
    if given is None or kind.__name__ != name:
        instead = "" if given is None else f", and {kind.__name__} is another one"
        raise ModelFileError(
            f"the model is a {name}, which is none of daskem's own{instead}: give its class, as in "
            f"daskem.load(path, {name})"
        )


def _made(kind: type, settings: Mapping[str, Any] | None) -> Any:
    try:
        if settings is not None:
            return kind(**settings)
    except TypeError as error:
        raise ModelFileError(_HOW.format(kind.__name__, error)) from error
    raise ModelFileError(_HOW.format(kind.__name__, "no file can tell what it was made with"))
