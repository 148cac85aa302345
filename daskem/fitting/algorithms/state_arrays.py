"""A state as plain values and named arrays, and back: what a checkpoint keeps of an algorithm.

The statistics are not kept: the next pass takes its own, and all that is said of the last ones is
in the history.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from daskem.core.parameters import Params
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import Candidate, State


def to_arrays(state: State) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What JSON can say of a state, and its arrays by name."""
    plain = {
        "objective": state.objective,
        "step_length": state.step_length,
        "steepness": state.steepness,
        "slowness": list(state.slowness),
        "remaining": state.remaining,
        "expected": state.expected,
        "candidates": [asdict(candidate) for candidate in state.candidates],
        "accepted": state.accepted is not None,
        "asked": [[name, params is not None] for name, params in state.asked],
        "memory": [pair.objective for pair in state.memory],
        "warm": [pair.objective for pair in state.warm],
    }
    return plain, dict(_arrays(state))


def from_arrays(plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> State:
    """The state of which `to_arrays` has told, without its statistics."""
    return State(
        params=_params(arrays, "params"),
        accepted=_params(arrays, "accepted") if plain["accepted"] else None,
        objective=float(plain["objective"]),
        asked=tuple(
            (str(name), _params(arrays, f"asked/{i}") if inside else None)
            for i, (name, inside) in enumerate(plain["asked"])
        ),
        memory=_pairs(arrays, "memory", plain["memory"]),
        step_length=float(plain["step_length"]),
        candidates=tuple(Candidate(**candidate) for candidate in plain["candidates"]),
        steepness=_number(plain["steepness"]),
        slowness=tuple(map(float, plain["slowness"])),
        remaining=_number(plain["remaining"]),
        expected=float(plain["expected"]),
        warm=_pairs(arrays, "warm", plain["warm"]),
    )


def _arrays(state: State) -> Iterator[tuple[str, np.ndarray]]:
    asked = {f"asked/{i}": params for i, (_, params) in enumerate(state.asked)}
    for place, params in {"params": state.params, "accepted": state.accepted, **asked}.items():
        for name, value in (params or {}).items():
            yield f"{place}/{name}", np.asarray(value)
    for place, pairs in (("memory", state.memory), ("warm", state.warm)):
        for i, pair in enumerate(pairs):
            yield f"{place}/{i}/x", pair.x
            yield f"{place}/{i}/step", pair.step


def _params(arrays: Mapping[str, np.ndarray], place: str) -> Params:
    """The params below a place; numbers, which models of one's own may have, are numbers again."""
    return Params(
        {
            name.removeprefix(f"{place}/"): value if value.ndim else value[()]
            for name, value in arrays.items()
            if name.startswith(f"{place}/")
        }
    )


def _pairs(
    arrays: Mapping[str, np.ndarray], place: str, objectives: Sequence[float]
) -> tuple[Pair, ...]:
    return tuple(
        Pair(arrays[f"{place}/{i}/x"], arrays[f"{place}/{i}/step"], float(objective))
        for i, objective in enumerate(objectives)
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
