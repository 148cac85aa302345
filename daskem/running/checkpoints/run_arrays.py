"""A run as plain values and named arrays, and back; its model is that of the first read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from daskem.core.coordinates import to_free
from daskem.core.parameters import sizes
from daskem.errors import CheckpointError, LikelihoodFellError, ModelError
from daskem.fitting.algorithms import Algorithm, State
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.fitting.algorithms.state_arrays import from_arrays, to_arrays
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.models.protocol import Declares, Model
from daskem.running.checkpoints.identity import algorithm_of, check_same, of_algorithm

# What a run can have failed of.
_FAILURES = {
    "ModelError": ModelError,
    "LikelihoodFellError": LikelihoodFellError,
    "LinAlgError": np.linalg.LinAlgError,
}


def keep(runs: Sequence[Run]) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """What JSON can say of some runs, and their arrays by name."""
    plain: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for i, run in enumerate(runs):
        if type(run.state) is not State:
            raise CheckpointError(
                f"{type(run.algorithm).__name__} has a state of its own, {type(run.state)}, which "
                "a checkpoint cannot hold: use daskem.fitting.algorithms.State"
            )
        state, arrays_of_run = to_arrays(run.state)
        plain.append(
            {
                "state": state,
                "algorithm": of_algorithm(run.algorithm),
                "history": [asdict(record) for record in run.history],
                "status": run.status.name,
                "choice": run.choice,
                "failure": run.failure and [type(run.failure).__name__, str(run.failure)],
            }
        )
        arrays |= {f"run/{i}/{name}": value for name, value in arrays_of_run.items()}
    return plain, arrays


def again(
    plain: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, np.ndarray],
    models: Sequence[Model],
    algorithm: str | Algorithm,
    n_features: int,
) -> list[Run]:
    """The runs that were kept, of these models; `algorithm` is the one of the settings.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError, AttributeError
        If what was kept is nothing of that kind.
    """
    runs = []
    for i, (about, model) in enumerate(zip(plain, models, strict=True)):
        start = f"run/{i}/"
        arrays_of_run = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        state, climb = (
            from_arrays(about["state"], arrays_of_run),
            _algorithm(about["algorithm"], algorithm),
        )
        if isinstance(model, Declares):
            _check_shapes(model, state, n_features, type(climb) in ALGORITHMS.values())
        failure = about["failure"] and _FAILURES[about["failure"][0]](about["failure"][1])
        runs.append(
            Run(
                model,
                climb,
                state,
                tuple(map(Pass.restore, about["history"])),
                Status[about["status"]],
                about["choice"],
                failure or None,
            )
        )
    return runs


def _check_shapes(model: Declares, state: State, n_features: int, in_coordinates: bool) -> None:
    """Raise an error unless all that a state holds is of one size, which is that of the data."""
    declared = model.parameters
    iterates = state.params, state.accepted, *(params for _, params in state.asked)
    first, *others = (
        sizes(declared, {name: params[name] for name in declared})
        for params in iterates
        if params is not None
    )
    if any(other != first for other in others) or first.get("feature", n_features) != n_features:
        raise ValueError(f"params of {first} and {others}, with {n_features} features")
    if in_coordinates:
        shape = to_free(declared, state.params).shape
        if any({p.x.shape, p.step.shape} != {shape} for p in (*state.memory, *state.warm)):
            raise ValueError(f"the iterates that are remembered have not all the shape {shape}")


def _algorithm(about: dict[str, Any], given: str | Algorithm) -> Algorithm:
    if isinstance(given, str):
        chosen = algorithm_of(about)
        assert not isinstance(chosen, str)
        return chosen
    now = of_algorithm(given)
    assert not isinstance(now, str)
    check_same("the algorithm", about, now, "Give the one that the fit had")
    return given
