"""The first value of a fit: everything checked, nothing read, no label left."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from distributed import Client

from daskem.core.brief import Brief
from daskem.data.blocks import Blocks, Watch, counted, moved
from daskem.data.inputs.names import Features
from daskem.data.survey import Survey
from daskem.fitting.algorithms import Algorithm, Draft
from daskem.fitting.loop import passes
from daskem.fitting.record import Status
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.starts.first_read import FirstRead, first_read
from daskem.fitting.starts.start_params import Start, n_components_of
from daskem.fitting.stopping import Stop
from daskem.models.asking import demand
from daskem.models.protocol import Categorises, Model
from daskem.results.fittedrun import FittedRun
from daskem.results.numbering import fixes_order
from daskem.results.result import Result
from daskem.running.checkpoints.recording import Recording
from daskem.running.kernels import check_kernel


@dataclass(frozen=True, eq=False, repr=False)
class Prepared(Brief):
    """A fit that is ready to run, in any process.

    Attributes
    ----------
    model : Model
    blocks : Blocks
    starts : sequence of (int or None, dict or None)
        For each run how many components, and what is known of its params.
    init_params : str
    algorithm : str or Algorithm
    stop : Stop
    seed : int
        Of all that is drawn: the sample and the starts.
    features : Features
        What to call the features in the results.
    notes : tuple of str
        What had to be done to the data at the door.
    missing : {"raise", "omit", "model"}
    strict : bool
        Whether workers that compute different last bits are an error.
    recording : Recording or None
        Where the fit is written down, and goes on from.
    """

    model: Model
    blocks: Blocks
    starts: Sequence[tuple[int | None, Start | None]]
    init_params: str
    algorithm: str | Algorithm
    stop: Stop
    seed: int
    features: Features
    notes: tuple[str, ...]
    missing: str
    strict: bool = False
    recording: Recording | None = None

    @property
    def checkpoint(self) -> str | None:
        """Where the fit is written down."""
        return None if self.recording is None else self.recording.path

    def on(self, client: Client) -> "Prepared":
        """The same fit, on the cluster of `client`."""
        return replace(self, blocks=moved(self.blocks, client))

    def watched(self, watch: Watch) -> "Prepared":
        return replace(self, blocks=self.blocks.watched(watch))

    def results(self, coordinator: str) -> Iterator[Result]:
        """Survey the data, start, and make one pass after the other; all runs after each."""
        for runs, survey in self.passes():
            yield self.result(runs, survey, self.blocks.notes, coordinator)

    def passes(self) -> Iterator[tuple[list[Run], Survey]]:
        """All runs as they stand after each pass, and the survey that they began with."""
        rng = np.random.default_rng(self.seed)
        # Before anything is read: a place where nothing can be written is told at once.
        log = None if self.recording is None else self.recording.opened(self.seed)
        first = self.first_read(rng)
        begun = self._begun(first, rng)
        if all(run.status is not Status.RUNNING for run in begun):
            yield begun, first.survey
        restarts = self._restarts()
        how = first.survey, self.strict, restarts
        for runs in chain([begun], passes(begun, self.blocks, self.stop, *how)):
            if log is not None:
                made = max(len(run.history) for run in runs)
                orders_fixed = self._orders_fixed(len(runs), first.survey)
                same = {"orders_fixed": orders_fixed, "restarts": restarts}
                log.write(made, runs, first.survey, **same)
            if runs is not begun:
                yield runs, first.survey

    def first_read(self, rng: np.random.Generator) -> FirstRead:
        check_kernel([self.model], self.blocks.client)
        counts, names = [k for k, _ in self.starts], self.features.names
        known = [n_components_of(self.model, k, start) for k, start in self.starts]
        fewest = min((k for k in known if k is not None), default=None)
        first = first_read(self.model, self.blocks, rng, self.init_params, counts, names, fewest)
        first.survey.machines.check(self.strict)
        return first

    def _begun(self, first: FirstRead, rng: np.random.Generator) -> list[Run]:
        """The runs before the next pass: from their starts, or from where they were left."""
        if self.recording is None or self.recording.before is None:
            return self._runs(first, rng)
        models = [first.model] * len(self.starts)
        return self.recording.before.runs(first.survey, models, self.algorithm)

    def _runs(self, first: FirstRead, rng: np.random.Generator) -> list[Run]:
        sizes = self.blocks.n_features, first.survey.weight
        rngs = [np.random.default_rng(s) for s in rng.integers(2**63, size=len(self.starts))]
        drafts: dict[int, Draft] = {}
        for numbers in counted("starts", self._restarts(), self.blocks.watch):
            k, start = self.starts[numbers[0]]
            restarts = best_starts(first, k, start, self.init_params, [rngs[i] for i in numbers])
            drafts.update(zip(numbers, restarts, strict=True))
        return [Run.begin(first.model, self.algorithm, drafts[i], *sizes) for i in sorted(drafts)]

    def _restarts(self) -> list[list[int]]:
        """The numbers of runs that differ in nothing but what is drawn."""
        if self.recording is not None and self.recording.before is not None:
            return self.recording.before.restarts
        groups: list[list[int]] = []
        for i, (k, start) in enumerate(self.starts):
            for numbers in groups:
                other, known = self.starts[numbers[0]]
                if k == other and start is known:
                    numbers.append(i)
                    break
            else:
                groups.append([i])
        return groups

    def result(
        self, runs: Sequence[Run], survey: Survey, read_notes: Sequence[str], coordinator: str
    ) -> Result:
        """What `runs` have found in the data of a survey; `read_notes` say how they were read."""
        n, notes = survey.n_missing, list(self.notes)
        if n:
            have = "no value" if self.missing == "model" else "a NaN"
            notes.append(f"{n:,} of {n + survey.n_rows:,} rows have {have} and were left out")
        if some := survey.moments.n_incomplete:
            notes.append(
                f"{some:,} of {survey.n_rows:,} rows lack values and take part with those that "
                "they have, as if nothing but these told which ones they lack"
            )
        notes += [note for note in (survey.rounded, survey.machines.mixed) if note is not None]
        if survey.levels is not None:
            notes += survey.levels.notes(self._categories())
        if survey.far is not None:
            notes += survey.far.notes(self.features.names)
        return Result(
            list(map(FittedRun.of, runs, self._orders_fixed(len(runs), survey))),
            self.blocks.n_features,
            survey.weight,
            self.features,
            (*notes, *read_notes),
            coordinator,
            self.missing,
            survey.extremes.constant,
        )

    def _categories(self) -> list[int]:
        """Which of the features are categories."""
        names = self.features.names
        known: Sequence[Hashable] = range(self.blocks.n_features) if names is None else list(names)
        chosen = set(demand(self.model, Categorises, "categories").categories(known))
        return [place for place, name in enumerate(known) if name in chosen]

    def _orders_fixed(self, n_runs: int, survey: Survey) -> list[bool]:
        """Of each run, whether its start or labels number the components; a selection has no
        starts.
        """
        if self.recording is not None and self.recording.before is not None:
            return self.recording.before.orders_fixed
        if survey.labelled is not None:
            return [True] * n_runs
        fixed = [fixes_order(self.model, start) for _, start in self.starts]
        return fixed if any(fixed) else [False] * n_runs
