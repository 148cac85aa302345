"""What tells whether a fit may go on: its model, its settings, its data, and who computes."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import scipy
from dask.base import tokenize

from daskem.core.numerics import arithmetic
from daskem.data.survey import Survey
from daskem.errors import CheckpointError, ParameterError
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.models.asking import kernel_of
from daskem.models.families.registry import recipe
from daskem.models.protocol import Compiles, Model
from daskem.models.recipes import MODELS, of_noise, of_recipe

About = dict[str, Any]


def of_model(model: Model) -> About:
    """A model of a registered family by its recipe; any other by its class and values."""
    for name, kind in MODELS.items():
        if type(model) is kind:
            try:
                about = {"model": name, "kernel": kernel_of(model), **recipe(model.family)}
                return plain({**about, **of_noise(model)})
            except (ParameterError, CheckpointError):
                return {"model": name, **_of_object(model.family), **of_noise(model)}
    return _of_object(model)


def model_of(about: About) -> Model:
    """The model of a recipe.

    Raises
    ------
    CheckpointError
        If it is one that has to be given again.
    """
    if "family" not in about:
        raise CheckpointError(
            f"the fit was one of {about['class']}, a model of your own: give it again, as in "
            "daskem.resume(path, data, model)"
        )
    made = of_recipe(MODELS[about["model"]], about)
    return made.with_kernel(about["kernel"]) if isinstance(made, Compiles) else made


def of_algorithm(algorithm: str | Algorithm) -> str | About:
    """One of daskem's own by its name and settings, any other by its class and values."""
    if isinstance(algorithm, str):
        return algorithm
    for name, known in ALGORITHMS.items():
        if type(algorithm) is known and is_dataclass(algorithm):
            return {"algorithm": name, "settings": plain(asdict(algorithm))}
    return _of_object(algorithm)


def algorithm_of(about: str | About) -> str | Algorithm:
    """The algorithm that was described; CheckpointError if it has to be given again."""
    if isinstance(about, str):
        return about
    if "algorithm" not in about:
        raise CheckpointError(
            f"the fit climbed by {about['class']}, an algorithm of your own: give it again, as in "
            "daskem.resume(path, data, algorithm=...)"
        )
    return ALGORITHMS[about["algorithm"]](**about["settings"])


def of_survey(survey: Survey) -> About:
    """What a survey says of the data, to the last bit of their sums and of their sample."""
    digest = hashlib.sha256()
    sample = survey.sample
    moments = survey.moments
    sums = (moments.weights, moments.origin, moments.first, moments.second, survey.keys)
    for array in (*sums, sample.rows, *map(sample.along.get, sorted(sample.along))):
        digest.update(np.ascontiguousarray(array).tobytes())
    if sample.edges is not None:
        digest.update(sample.edges.tobytes())
    return {
        "rows": int(survey.n_rows),
        "rows left out": int(survey.n_missing),
        "weight": float(survey.weight),
        "values": f"{survey.fingerprint:016x}",
        "sums and sample": digest.hexdigest()[:16],
    }


def of_arithmetic() -> About:
    """Versions, and what else the last bits depend on."""
    return {
        "daskem": sys.modules["daskem"].__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
        "arithmetic": arithmetic(),
    }


def check_same(what: str, before: Mapping[str, Any], now: Mapping[str, Any], remedy: str) -> None:
    """CheckpointError unless both say the same, with all that differs."""
    before, now = plain(before), plain(now)
    differing = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differing:
        differences = "; ".join(
            f"{key}: {before.get(key)!r:.200} then, {now.get(key)!r:.200} now" for key in differing
        )
        raise CheckpointError(
            f"{what} differs from that of the checkpoint ({differences}). {remedy}"
        )


def plain(about: Mapping[str, Any]) -> About:
    """The same as JSON gives it back; CheckpointError if it cannot."""
    try:
        made: About = json.loads(json.dumps(about, default=np.generic.item))
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"a checkpoint holds what JSON can hold, not this: {error}"
        ) from error
    return made


def _of_object(thing: object) -> About:
    kind = type(thing)
    return {"class": f"{kind.__module__}.{kind.__qualname__}", "values": tokenize(_values(thing))}


def _values(thing: object) -> Any:
    try:
        return dict(vars(thing))
    except TypeError:  # It has slots.
        return None
