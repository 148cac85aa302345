"""The race of a selection: which runs start, which ones are dropped, and when it is decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from daskem.core.parameters import count_free
from daskem.data.blocks import Survey
from daskem.fitting.algorithms import choose
from daskem.fitting.loop import Run, Status, passes
from daskem.fitting.starts.competition import best_starts
from daskem.models.heldout import HeldOut
from daskem.selection.criteria import judge

Cell = tuple[str, int]

# The part of the statistical accuracy of a fit, p/2N nats per row, that may be left to gain.
_SHARE = 0.1
# Differences in a criterion that leave no doubt (Kass and Raftery 1995), and that say nothing.
_SURE, _NOTHING = 10.0, 1.0
# Of all restarts on the sample, the ones that go on to the data.
_SURVIVORS = 2


@dataclass(frozen=True, eq=False)
class Search:
    """The data and settings of a selection: what `extend` needs to go on with it."""

    fit: Any
    seen: Survey
    models: Mapping[str, Any]
    criterion: str
    n_init: int

    def begin(self, cell: Cell) -> list[Run]:
        """The runs of a model and a number of components that survive on the sample."""
        name, k = cell
        model = self.models[name]
        rng = np.random.default_rng([self.fit.seed, crc32(name.encode()), k])
        n_rounds, n_kept = (1, 1) if k == 1 else (self.n_init, min(_SURVIVORS, self.n_init))
        drafts = best_starts(model, self.seen, k, self.fit.init_params, rng, n_rounds, n_kept)
        asked = HeldOut(model, seed=self.fit.seed) if self.criterion == "heldout" else model
        how, why = choose(self.fit.algorithm, model, drafts[0].params, self.fit.blocks.n_features)
        return [Run(asked, how, draft.start(how), choice=why) for draft in drafts]

    def settled(self, run: Run, tol: float | None = None) -> bool:
        """Whether less than `tol`, or else that of the search, is left to gain, twice in a row."""
        if tol is None:
            tol = self.fit.stop.tol
        if tol is None:
            tol = _SHARE * count_free(run.model.parameters, run.params) / (2 * self.seen.weight)
        return len(run.history) > 1 and all(p.remaining < tol for p in run.history[-2:])

    def value(self, run: Run, gain: float = 0.0) -> float:
        """The criterion of a run if its log-likelihood per row were higher by `gain`."""
        return float(judge(run, self.seen.weight, gain)[self.criterion])


def race(search: Search, begun: dict[Cell, list[Run]], known: float) -> dict[Cell, list[Run]]:
    """Fit all runs together, dropping those that have lost; `known` is a value to beat."""
    cells = [cell for cell, own in begun.items() for _ in own]
    runs = [run for own in begun.values() for run in own]
    stop = replace(search.fit.stop, tol=0.0)
    while _running(runs):
        runs = next(passes(runs, search.fit.blocks, stop))
        for cell in begun:
            _drop_the_slower(runs, [i for i, owner in enumerate(cells) if owner == cell])
        if search.criterion not in ("bic", "aic"):
            runs = [_ended(run) if search.settled(run) else run for run in runs]
        elif _decided(search, runs, known) or not _running(runs):
            runs = [_ended(run) if search.settled(run) else _dropped(run) for run in runs]
    return {cell: [r for r, own in zip(runs, cells, strict=True) if own == cell] for cell in begun}


def _running(runs: Sequence[Run]) -> bool:
    return any(run.status is Status.RUNNING for run in runs)


def _dropped(run: Run) -> Run:
    return replace(run, status=Status.DROPPED) if run.status is Status.RUNNING else run


def _ended(run: Run) -> Run:
    going_on = run.status in (Status.RUNNING, Status.MAX_PASSES)
    return replace(run, status=Status.CONVERGED) if going_on else run


def _predictable(run: Run) -> bool:
    return len(run.history) > 1 and all(np.isfinite(p.remaining) for p in run.history[-2:])


def _reachable(run: Run) -> float:
    """What a run may gain yet: as predicted, or as much as if its gains fell like 1/t^2.

    So slowly EM climbs where a mixture has a component too many (Dwivedi et al. 2020), which is
    what most candidates of a selection have: after t passes, t times the last gain is left. The
    last gain is the larger of two, as a pass whose leap fails gains nothing.
    """
    objectives = [p.objective for p in run.history]
    last = max(np.diff(objectives[-3:]))
    return max(min(run.history[-1].remaining, last * len(run.history)), 0.0)


def _end(run: Run) -> float:
    """The objective at which a run is predicted to end."""
    return run.history[-1].objective + run.history[-1].remaining


def _drop_the_slower(runs: list[Run], own: Sequence[int]) -> None:
    """Of the runs of one candidate, drop those behind the first, now and at the predicted end."""
    alive = [i for i in own if runs[i].status is not Status.DROPPED]
    first = max(alive, key=lambda i: runs[i].history[-1].objective)
    for i in alive:
        if i != first and _predictable(runs[i]) and _end(runs[i]) <= _end(runs[first]):
            runs[i] = _dropped(runs[i])


def _decided(search: Search, runs: Sequence[Run], known: float) -> bool:
    """Whether the best run has settled, and every other one is behind it or known well enough."""
    leader = min(runs, key=search.value)
    least = search.value(leader)
    if least < known and leader.status is Status.RUNNING and not search.settled(leader):
        return False
    known_to = _NOTHING / (2 * search.seen.weight)
    return all(
        run is leader
        or search.settled(run, known_to)
        or (len(run.history) > 2 and search.value(run, _reachable(run)) > min(least, known) + _SURE)
        for run in runs
        if run.status is Status.RUNNING
    )
