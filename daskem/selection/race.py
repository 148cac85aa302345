"""The race of a selection: which runs start, which ones are dropped, and when it is decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from distributed import Client

from daskem.data.blocks import Survey, current_client, place
from daskem.fitting.loop import passes
from daskem.fitting.record import Status
from daskem.fitting.run import Run
from daskem.fitting.starts.competition import best_starts
from daskem.fitting.starts.first_read import FirstRead
from daskem.models.heldout import HeldOut
from daskem.models.mixture import Mixture
from daskem.models.protocol import Model
from daskem.running.prepared import Prepared
from daskem.selection.criteria import judge

# A candidate: the name of a model, and its number of components.
Cell = tuple[str, int]

# The part of the statistical accuracy of a fit, p/2N nats per row, that may be left to gain.
_SHARE = 0.1
# A difference in a criterion that leaves no doubt (Kass and Raftery 1995).
_SURE = 10.0
# A difference in a criterion that says nothing.
_NOTHING = 1.0
# Of all restarts on the sample, the ones that go on to the data.
_SURVIVORS = 2


@dataclass(frozen=True, eq=False)
class Search:
    """A selection that is ready to run, in any process: nothing read.

    Attributes
    ----------
    prepared : Prepared
        A fit of the model that needs most of the survey, with all numbers of components.
    models : mapping of str to Mixture
    criterion : str
    n_init : int
    """

    prepared: Prepared
    models: Mapping[str, Mixture]
    criterion: str
    n_init: int

    def on(self, client: Client) -> "Search":
        """The same search, on the cluster of `client`."""
        return replace(self, prepared=self.prepared.on(client))

    def placed(self) -> "Search":
        """The same search, on the current client if it has none of its own."""
        blocks = self.prepared.blocks
        if blocks.client is not None:
            return self
        return replace(
            self, prepared=replace(self.prepared, blocks=place(blocks, current_client()))
        )

    def first_read(self) -> "Field":
        """Read the data once: all models in their coordinates, with one survey."""
        first = self.prepared.first_read(np.random.default_rng(self.prepared.seed))
        reads = {name: first.of(model) for name, model in self.models.items()}
        fitted: dict[str, Model] = {name: read.model for name, read in reads.items()}
        if self.criterion == "heldout":
            seed = self.prepared.seed
            fitted = {name: HeldOut(model, seed=seed) for name, model in fitted.items()}
        return Field(self, reads, fitted)


@dataclass(frozen=True, eq=False)
class Field:
    """A search after the first read: what it takes to start candidates and to judge them.

    Attributes
    ----------
    search : Search
    reads : mapping of str to FirstRead
        By name of the model.
    fitted : mapping of str to Model
        What the passes evaluate, by name of the model: itself, or itself without some rows. All
        numbers of components share one object, and so its kernel.
    """

    search: Search
    reads: Mapping[str, FirstRead]
    fitted: Mapping[str, Model]

    @property
    def survey(self) -> Survey:
        return next(iter(self.reads.values())).survey

    def begin(self, cell: Cell) -> list[Run]:
        """The runs of a candidate that survive on the sample."""
        (name, k), prepared, n_init = cell, self.search.prepared, self.search.n_init
        rng = np.random.default_rng([prepared.seed, crc32(name.encode()), k])
        n_rounds, n_kept = (1, 1) if k == 1 else (n_init, min(_SURVIVORS, n_init))
        first, sizes = self.reads[name], (prepared.blocks.n_features, self.survey.weight)
        drafts = best_starts(first, k, prepared.init_params, rng, n_rounds, n_kept)
        runs = [Run.begin(first.model, prepared.algorithm, d, *sizes) for d in drafts]
        return [replace(run, model=self.fitted[name]) for run in runs]

    def settled(self, run: Run, tol: float | None = None) -> bool:
        """Whether less than `tol`, or else that of the search, is left to gain, twice in a row."""
        if tol is None:
            tol = self.search.prepared.stop.tol
        if tol is None:
            tol = _SHARE * run.n_parameters / (2 * self.survey.weight)
        return len(run.history) > 1 and all(p.remaining < tol for p in run.history[-2:])

    def value(self, run: Run, gain: float = 0.0) -> float:
        """The criterion of a run if its log-likelihood per row were higher by `gain`."""
        return float(judge(run, self.survey.weight, gain)[self.search.criterion])


def race(
    field: Field, begun: Mapping[Cell, Sequence[Run]], known: float
) -> Iterator[dict[Cell, list[Run]]]:
    """Fit all runs together, dropping those that have lost; `known` is a value to beat.

    Yields
    ------
    runs : dict of Cell to list of Run
        As they stand after each pass, until all of them have ended.
    """
    cells = [cell for cell, runs in begun.items() for _ in runs]
    runs = [run for cell_runs in begun.values() for run in cell_runs]
    prepared = field.search.prepared
    stop = replace(prepared.stop, tol=0.0)
    while _running(runs):
        runs = next(passes(runs, prepared.blocks, stop))
        for cell in begun:
            _drop_the_slower(runs, [i for i, owner in enumerate(cells) if owner == cell])
        if field.search.criterion not in ("bic", "aic"):
            runs = [_ended(run) if field.settled(run) else run for run in runs]
        elif _decided(field, runs, known) or not _running(runs):
            runs = [_ended(run) if field.settled(run) else _dropped(run) for run in runs]
        pairs = list(zip(cells, runs, strict=True))
        yield {cell: [run for owner, run in pairs if owner == cell] for cell in begun}


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


def _drop_the_slower(runs: list[Run], cell: Sequence[int]) -> None:
    """Of the runs of one candidate, drop those behind the first, now and at the predicted end."""
    alive = [i for i in cell if runs[i].status is not Status.DROPPED]
    first = max(alive, key=lambda i: runs[i].history[-1].objective)
    for i in alive:
        if i != first and _predictable(runs[i]) and _end(runs[i]) <= _end(runs[first]):
            runs[i] = _dropped(runs[i])


def _decided(field: Field, runs: Sequence[Run], known: float) -> bool:
    """Whether the best run has settled, and every other one is behind it or known well enough."""
    leader = min(runs, key=field.value)
    least = field.value(leader)
    if least < known and leader.status is Status.RUNNING and not field.settled(leader):
        return False
    known_to = _NOTHING / (2 * field.survey.weight)
    return all(
        run is leader
        or field.settled(run, known_to)
        or (len(run.history) > 2 and field.value(run, _reachable(run)) > min(least, known) + _SURE)
        for run in runs
        if run.status is Status.RUNNING
    )
