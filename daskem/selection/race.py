"""The race of a selection: which runs ride along, which ones are dropped, when it is decided.

A run ends by `Stop`, as in any fit; the race itself only drops those that have lost.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from daskem.fitting.loop import passes
from daskem.fitting.record import Status
from daskem.fitting.run import Run
from daskem.selection.criteria import reachable
from daskem.selection.search import Cell, Field
from daskem.selection.standing import best_of, ranked

# A difference in a criterion that leaves no doubt (Kass and Raftery 1995).
_SURE = 10.0
# A difference in a criterion that says nothing.
_NOTHING = 1.0
# How far behind the best candidate others count, in what a component costs by the criterion.
_NEAR = 2.0
# Passes before a run is judged by its gains: of two, the first is often larger than the rest.
_TELLING = 3

# Runs of candidates.
Runs = Mapping[Cell, Sequence[Run]]


@dataclass
class Progress:
    """How far a race has come, besides what its runs tell.

    Attributes
    ----------
    seconds : float
        Of all passes.
    mended : set of Cell
        The candidates that a fit with fewer components has joined.
    """

    seconds: float
    mended: set[Cell]


def race(
    field: Field, begun: Runs, earlier: Runs, progress: Progress | None = None
) -> Iterator[dict[Cell, list[Run]]]:
    """Fit all runs together, dropping those that have lost to one another, or to `earlier` ones.

    `progress` is that of the race in which the runs have come as far as they are, and is kept.

    Where a likelihood falls with the number of components, a fit with fewer of them is split and
    joins the race, once for each candidate; before that nothing is decided.

    Yields
    ------
    runs : dict of Cell to list of Run
        As they stand after each pass, until all of them have ended.
    """
    riders = {cell: list(runs) for cell, runs in begun.items()}
    most, progress = field.search.prepared.stop.max_seconds, progress or Progress(0.0, set())
    fits = [best_of(runs) for runs in earlier.values()]
    known = min((field.value(run) for run in fits if not any(run.unfit)), default=np.inf)
    while True:
        if progress.seconds < most and any(run.history for run in _all(riders)):
            _mend(field, riders, earlier, progress.mended)
        if not _running(riders):
            return
        riders, lasted = _passed(field, riders)
        progress.seconds += lasted
        fallen = {cell for cell, _ in _fallen(field, riders, earlier)} - progress.mended
        # A run that joined later has seen less of the clock than the race.
        if progress.seconds >= most:
            _end_all(riders, Status.MAX_SECONDS)
        elif field.search.criterion in ("bic", "aic"):
            _drop_hopeless(field, riders, known)
            if not fallen:
                _follow_the_leader(field, riders, known)
        yield {cell: list(runs) for cell, runs in riders.items()}


def _all(riders: Runs) -> list[Run]:
    return [run for runs in riders.values() for run in runs]


def _mend(field: Field, riders: Mapping[Cell, list[Run]], earlier: Runs, mended: set[Cell]) -> None:
    """Let a fit with fewer components, of which some are split, join where they are more likely."""
    for cell, below in list(_fallen(field, riders, earlier)):
        if cell not in mended:
            mended.add(cell)
            riders[cell].append(field.grown(cell, below))


def _passed(field: Field, riders: Runs) -> tuple[dict[Cell, list[Run]], float]:
    """All runs after one more pass, and the seconds that it took."""
    runs, count = _all(riders), itertools.count()
    cells = {cell: [next(count) for _ in cell_runs] for cell, cell_runs in riders.items()}
    active = next(i for i, run in enumerate(runs) if run.status is Status.RUNNING)
    prepared = field.search.prepared
    to_lead = partial(_to_lead, field, cells)
    how = field.survey, prepared.strict, list(cells.values()), to_lead
    runs = next(passes(runs, prepared.blocks, prepared.stop, *how))
    sorted_out = {cell: [runs[i] for i in numbers] for cell, numbers in cells.items()}
    return sorted_out, runs[active].history[-1].seconds


def _to_lead(
    field: Field, cells: Mapping[Cell, Sequence[int]], runs: Sequence[Run]
) -> Sequence[int]:
    """The numbers of the runs that the sample leads: all after their first pass, then the best one
    of each candidate, and those of candidates not far behind the one in front, whose spreads tell
    what the choice is worth.
    """
    riders = {cell: [runs[i] for i in numbers] for cell, numbers in cells.items()}
    front, best, values = _in_front(field, riders)
    near = values[front] + _NEAR * field.price(front[1], best[front].n_parameters)
    return [
        i
        for cell, numbers in cells.items()
        for i in numbers
        if len(runs[i].history) == 1 or runs[i] is best[cell] or values[cell] <= near
    ]


def _in_front(field: Field, riders: Runs) -> tuple[Cell, dict[Cell, Run], dict[Cell, float]]:
    """The candidate in front; the best run of each, and the criterion of that."""
    best = {cell: best_of(runs) for cell, runs in riders.items()}
    values = {cell: field.value(run) for cell, run in best.items()}
    return ranked(best, values)[0], best, values


def _running(riders: Runs) -> bool:
    return any(run.status is Status.RUNNING for run in _all(riders))


def _end_all(riders: Mapping[Cell, list[Run]], status: Status) -> None:
    """Give this status to all runs that have not ended yet."""
    for runs in riders.values():
        for i, run in enumerate(runs):
            if run.status is Status.RUNNING:
                runs[i] = replace(run, status=status)


def _reachable(run: Run) -> float:
    """What a run that has not ended may gain yet, nats per row; the first passes tell nothing."""
    return reachable(run) if len(run.history) >= _TELLING else np.inf


def _fallen(field: Field, riders: Runs, earlier: Runs) -> Iterator[tuple[Cell, Run]]:
    """The candidates less likely than one of the same model with fewer components, and that.

    What is improper is as likely as one likes, and tells nothing of others.
    """
    fits = {cell: best_of(runs) for cell, runs in {**earlier, **riders}.items()}
    proper = [cell for cell, run in fits.items() if not any(run.unfit)]
    for name, k in riders:
        fewer = [c for n, c in proper if n == name and c < k]
        if not fewer:
            continue
        best, below = fits[name, k], fits[name, max(fewer)]
        fall = below.history[-1].log_likelihood - best.history[-1].log_likelihood
        # Starts have been fitted to the sample, so that they can be compared at once.
        if best.status is Status.RUNNING and len(best.history) > 1:
            fall -= _reachable(best)
        if 2 * field.survey.weight * fall > _NOTHING:
            yield (name, k), below


def _follow_the_leader(field: Field, riders: Mapping[Cell, list[Run]], known: float) -> None:
    """Drop all others once the best run has ended, and every one of them has lost to it, as what is
    improper has to what is not.

    The best one is followed to its end, even if it had been dropped.
    """
    cell, best, values = _in_front(field, riders)
    leader = best[cell]
    least, is_proper = min(values[cell], known), not leader.improper or np.isfinite(known)
    if values[cell] < known and leader.status is Status.DROPPED:
        riders[cell][riders[cell].index(leader)] = replace(leader, status=Status.RUNNING)
    elif values[cell] < known and leader.status is Status.RUNNING:
        return
    elif all(_has_lost(field, run, least, is_proper) for run in _all(riders)):
        _end_all(riders, Status.DROPPED)


def _drop_hopeless(field: Field, riders: Mapping[Cell, list[Run]], known: float) -> None:
    """Drop those of which fits to all of the rows have told that they end well behind.

    What has been fitted to a part of them rides along until the best one has ended: it gains.
    """
    front, _, values = _in_front(field, riders)
    least = min(values[front], known)
    for runs in riders.values():
        for i, run in enumerate(runs):
            told = run.status is Status.RUNNING and np.isfinite(run.state.expected)
            if told and field.value(run, reachable(run)) > least + _SURE:
                runs[i] = replace(run, status=Status.DROPPED)


def _has_lost(field: Field, run: Run, least: float, is_proper: bool) -> bool:
    """Whether a run that has not ended would end behind the best fit, whose criterion is `least`:
    well behind, or known precisely; or is improper where that fit is not.

    Precisely means to `_NOTHING`, and that it is not predicted to overtake.
    """
    if run.status is not Status.RUNNING or (run.improper and is_proper):
        return True
    if field.value(run, _reachable(run)) > least + _SURE:
        return True
    known_to = _NOTHING / (2 * field.survey.weight)
    left = [p.remaining for p in run.history[-2:]]
    is_known = len(left) > 1 and max(left) < known_to
    return is_known and field.value(run, left[-1]) > least
