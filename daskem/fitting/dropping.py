"""Which of several restarts have lost to another one, and need not go on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from daskem.fitting.algorithms.gain import noise
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.models.asking import log_prior_of


def drop_the_slower(runs: list[Run], numbers: Sequence[int], tol: float = 0.0) -> None:
    """Of the runs of these numbers, drop those behind the first, now and at the predicted end.

    Those that would end in front of it by less than `tol`, nats per row, are behind, too; without
    one, those that are where it is, to rounding, are not: it might be they that end in front. One
    that was dropped for another goes on, if that has become improper since.
    """
    best = min(numbers, key=lambda i: (*runs[i].unfit, -runs[i].height))
    followed = any(runs[i].status is Status.RUNNING for i in numbers)
    if followed and runs[best].status is Status.DROPPED:
        runs[best] = replace(runs[best], status=Status.RUNNING)
    first = runs[best]
    there = (*first.unfit, noise(_objective(first)) - _objective(first) - tol)
    for i in numbers:
        run = runs[i]
        behind = (*run.unfit, -_objective(run)) > there
        lost = behind and _is_predictable(run) and _end(run) <= _end(first) + tol
        if lost and i != best and run.status is Status.RUNNING:
            runs[i] = replace(run, status=Status.DROPPED)


def drop_before(runs: list[Run], numbers: Sequence[int], weight: float, tol: float = 0.0) -> None:
    """The same before their first pass, of runs from starts that all of the rows have judged.

    What these have said of a start is the record of a run that goes no further.
    """
    judged = [i for i in numbers if not runs[i].history and runs[i].state.accepted is not None]
    if len(judged) < 2:
        return
    as_judged = [replace(runs[i], history=(_judgement(runs[i], weight),)) for i in judged]
    drop_the_slower(as_judged, range(len(judged)), tol)
    for i, run in zip(judged, as_judged, strict=True):
        runs[i] = run if run.status is Status.DROPPED else runs[i]


def _judgement(run: Run, weight: float) -> Pass:
    """What rows of so much weight have said of a start."""
    state = run.state
    assert state.accepted is not None
    prior = log_prior_of(run.model)(state.accepted, weight) / weight
    return Pass(state.objective - prior, state.objective, state.expected, 0.0, 0, 0)


def _objective(run: Run) -> float:
    return run.history[-1].objective


def _is_predictable(run: Run) -> bool:
    """Whether two predictions are known, of its passes or of the start that it goes on from."""
    iterates = [pair for pair in run.state.memory if not np.isnan(pair.objective)]
    known = len(run.history) > 1 or len(iterates) > 1
    return known and all(np.isfinite(p.remaining) for p in run.history[-2:])


def _end(run: Run) -> float:
    """The objective at which a run is predicted to end; that where it stands, if nothing is."""
    left = run.history[-1].remaining
    return _objective(run) + (left if np.isfinite(left) else 0.0)
