"""What a selection has found: a table of candidates, the best of them, and more on request."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from distributed import Client

from daskem.core.brief import Brief
from daskem.core.settings import whole
from daskem.data.blocks import Blocks, Watch
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.models.asking import demand
from daskem.models.protocol import Predicts
from daskem.results.result import Result
from daskem.results.tables import Table
from daskem.running.coordinator import last_of, running
from daskem.running.progress import Progress
from daskem.selection.criteria import entropies, judge
from daskem.selection.keeping import Course, course
from daskem.selection.race import race
from daskem.selection.search import Cell, Field, Search
from daskem.selection.standing import (
    Candidates,
    Standing,
    Standings,
    best_of,
    ranked,
    spread,
    verdict,
)


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """What `daskem.select` returns.

    Attributes
    ----------
    field : Field
        The data and settings, for `extend`.
    runs : dict
        The runs of every candidate, by name of the model and number of components.
    entropies : dict
        Of the responsibilities, summed over rows, where the criterion needs them.
    n_passes : int
        Reads of the data since the survey.
    coordinator : str
        Where the race was run, and why there.
    notes : tuple of str
        How the data were read.
    """

    field: Field
    runs: Mapping[Cell, Sequence[Run]]
    entropies: Mapping[Cell, float]
    n_passes: int = 0
    coordinator: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", Candidates(self.runs))

    def extend(self, n_components: Iterable[int], progress: Progress = "auto") -> "Selection":
        """The selection with more numbers of components; what is fitted already is kept."""
        counts = [whole("n_components", k) for k in n_components]
        wanted = [(name, k) for name in self.field.search.models for k in counts]
        cells = [cell for cell in dict.fromkeys(wanted) if cell not in self.runs]
        if not cells:
            return self
        task = Selecting(self.field.search.placed(), cells, self)
        with running(task, progress) as selections:
            return last_of(selections, stacklevel=3)

    def stopped(self) -> "Selection":
        """The same, of a race that does not go on."""
        runs = {
            cell: [
                replace(run, status=Status.STOPPED) if run.status is Status.RUNNING else run
                for run in runs
            ]
            for cell, runs in self.runs.items()
        }
        return replace(self, runs=runs)

    @property
    def status(self) -> Status:
        """How the race stands: that of the best candidate, once all have ended."""
        statuses = [run.status for runs in self.runs.values() for run in runs]
        return Status.RUNNING if Status.RUNNING in statuses else self.best.status

    @property
    def history(self) -> tuple[Pass, ...]:
        """Every pass of the best candidate."""
        return self.best.history

    @property
    def flaws(self) -> tuple[str, ...]:
        """Why the best candidate is improper, as all are then; empty if it is proper."""
        return self.best.flaws

    @property
    def standings(self) -> Standings:
        """How all candidates stand, the best one first."""
        standings = {cell: self._standing(cell) for cell in self.runs}
        runs = {cell: standing.run for cell, standing in standings.items()}
        values = {cell: standing.value for cell, standing in standings.items()}
        return Standings(standings[cell] for cell in ranked(runs, values))

    def _standing(self, cell: Cell) -> Standing:
        runs, entropy = self.runs[cell], 2 * self.entropies.get(cell, 0.0)
        run = best_of(runs)
        value = self.field.value(run) + entropy
        return Standing(cell, run, value, spread(self.field, cell, runs))

    @property
    def best_candidate(self) -> Cell:
        """Name of the model and number of components of the best candidate."""
        return self.standings[0].cell

    @property
    def best(self) -> Result:
        """The fit of the best candidate."""
        return self.result(*self.best_candidate)

    def result(self, model: str, n_components: int) -> Result:
        """The fit of a candidate."""
        field, runs = self.field, self.runs[model, n_components]
        whole_model = field.reads[model].model
        bare = [replace(run, model=whole_model) for run in runs]
        prepared = field.search.prepared
        return prepared.result(bare, field.survey, self.notes, self.coordinator)

    @property
    def n_reads(self) -> int:
        """Full reads of the data so far, one of them the survey."""
        return 1 + self.n_passes

    @property
    def table(self) -> xr.Dataset:
        """Every candidate, dims ``model`` and ``n_components``: criteria, and how it ended.

        ``spread`` is how much another seed may change the criterion.
        """
        names, counts = list(self.field.search.models), sorted({k for _, k in self.runs})
        standings = self.standings
        rows = {standing.cell: self._row(standing) for standing in standings}
        variables = {}
        for key in rows[standings[0].cell]:
            grid = [[rows[name, k][key] for k in counts] for name in names]
            variables[key] = (("model", "n_components"), np.array(grid))
        dataset = xr.Dataset(variables, {"model": names, "n_components": counts})
        name, k = standings[0].cell
        return dataset.assign_attrs(
            criterion=self.field.search.criterion,
            n_reads=self.n_reads,
            best_model=name,
            best_n_components=k,
        )

    def _row(self, standing: Standing) -> dict[str, Any]:
        run, cell = standing.run, standing.cell
        row = judge(run, self.field.survey.weight)
        if cell in self.entropies:
            row["entropy"] = self.entropies[cell]
            row["icl"] += 2 * self.entropies[cell]
        else:
            row.pop("icl")
        last = run.history[-1]
        ending = {"passes": len(run.history), "remaining": last.remaining}
        return {**row, "spread": standing.spread, **ending, "status": _status(run)}

    def __repr__(self) -> str:
        best, criterion = self.standings[0], self.field.search.criterion
        summary = f"{best} is best of {len(self.runs)} by {criterion}, {_status(best.run)}"
        return f"<daskem.Selection: {summary}>"

    def __str__(self) -> str:
        return str(self._readable())

    def _repr_html_(self) -> str:
        return self._readable().short().html()

    def _readable(self) -> Table:
        search, standings = self.field.search, self.standings
        rows = [{"model": s.cell[0], "K": s.cell[1], **self._row(s)} for s in standings]
        return Table.of(rows, verdict(search.criterion, search.n_init, standings))

    def plot(self) -> Any:
        """The criterion against the number of components; a matplotlib Figure."""
        from daskem.results.plot import plot_criterion

        return plot_criterion(self.table)


@dataclass(frozen=True, eq=False, repr=False)
class Selecting(Brief):
    """A race of some candidates, as a task: here, or on a scheduler.

    Attributes
    ----------
    search : Search
    cells : sequence of (str, int)
        The candidates.
    earlier : Selection or None
        What is known of others.
    """

    search: Search
    cells: Sequence[Cell]
    earlier: Selection | None = None

    @property
    def blocks(self) -> Blocks:
        return self.search.prepared.blocks

    @property
    def checkpoint(self) -> str | None:
        """Where the race is written down."""
        return self.search.prepared.checkpoint

    def on(self, client: Client) -> "Selecting":
        """The same race, on the cluster of `client`."""
        return replace(self, search=self.search.on(client))

    def watched(self, watch: Watch) -> "Selecting":
        return replace(self, search=self.search.watched(watch))

    def results(self, coordinator: str) -> Iterator[Selection]:
        """The selection after each pass."""
        prepared = self.search.prepared
        # Before anything is read: a place where nothing can be written is told at once.
        log = None if prepared.recording is None else prepared.recording.opened(prepared.seed)
        before = self._before(coordinator)
        now = course(before.field, self.cells, prepared.recording)
        if log is not None:
            now.write(log, before.field)
        after = self._after(before, now)
        if now.has_ended:
            yield after
        for runs in race(before.field, now.runs, before.runs, now.progress):
            now = replace(now, runs=runs, passes=now.passes + 1)
            if log is not None:
                now.write(log, before.field)
            after = self._after(before, now)
            yield after
        if self.search.criterion == "icl":
            known = {**before.entropies, **self._entropies(after.runs)}
            yield replace(after, entropies=known, n_passes=after.n_passes + 1)

    def _before(self, coordinator: str) -> Selection:
        """What is known before the race; what goes on from it is another one, not written down."""
        bare = replace(self.search.prepared, recording=None)
        search = replace(self.search, prepared=bare)
        if self.earlier is None:
            return Selection(search.first_read(), {}, {}, coordinator=coordinator)
        field = replace(self.earlier.field, search=search)
        return replace(self.earlier, field=field, coordinator=coordinator)

    def _after(self, before: Selection, now: Course) -> Selection:
        return replace(
            before,
            runs={**before.runs, **now.runs},
            n_passes=before.n_passes + now.passes,
            notes=tuple(self.blocks.notes),
        )

    def _entropies(self, runs: Mapping[Cell, Sequence[Run]]) -> dict[Cell, float]:
        """Of the responsibilities of the best run of each candidate, in one more read."""
        best = [best_of(runs[cell]) for cell in self.cells]
        pairs = [(demand(run.model, Predicts, "the ICL"), run.params) for run in best]
        totals = self.blocks.sum(entropies, pairs, name="entropy")
        return dict(zip(self.cells, map(float, totals), strict=True))


def _status(run: Run) -> str:
    return ("improper, " if run.improper else "") + run.status.name.lower()
