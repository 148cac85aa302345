"""A selection before its race: what is looked for, and what it takes to start and to judge fits."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from dask.system import CPU_COUNT
from distributed import Client

from daskem.core.brief import Brief
from daskem.data.blocks import Watch, counted, place
from daskem.data.cluster import current_client
from daskem.data.survey import Survey
from daskem.errors import ParameterError
from daskem.fitting.algorithms import Draft
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import shortlist
from daskem.fitting.starts.contest import ranking
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.shortlist import Shortlist
from daskem.models.heldout import HeldOut
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.mixture import Mixture
from daskem.models.protocol import Model
from daskem.running.kernels import check_kernel
from daskem.running.prepared import Prepared
from daskem.selection.criteria import judge, penalised
from daskem.selection.splitting import grown

# What a selection chooses among, by name: models that begin with a mixture.
Models = Mapping[str, Mixture | HiddenMarkov]
# A candidate: the name of a model, and its number of components.
Cell = tuple[str, int]

# Of all restarts on the sample, those that go on to the data. They tell what another seed would
# find, see `spread`: n restarts drawn anew from these n miss the best three with a probability of
# (1 - 3/n)^n < e^-3 = 5 %.
SURVIVORS = 3
# A start is polished until no more is left than this share of what its candidate lies behind, and
# than a component costs by the criterion: with less, likelihoods would often fall with the number
# of components, which asks for more reads.
_OF_BEHIND = 0.1
# Numbers of the sample, from which on searches for starts go side by side. Of fewer, NumPy's calls
# are so short that threads take turns rather than time: two took 1.4 times as long as one.
_MANY = 2**15
# Sequences of which a tenth is held out: of fewer, it would often be none of them.
_FEWEST_SEQUENCES = 40


@dataclass(frozen=True, eq=False, repr=False)
class Search(Brief):
    """A selection that is ready to run, in any process: nothing read.

    Attributes
    ----------
    prepared : Prepared
        A fit of the model that needs most of the survey, with all numbers of components.
    models : mapping of str to Mixture or HiddenMarkov
    criterion : str
    n_init : int
    """

    prepared: Prepared
    models: Models
    criterion: str
    n_init: int

    def on(self, client: Client) -> "Search":
        """The same search, on the cluster of `client`."""
        return replace(self, prepared=self.prepared.on(client))

    def watched(self, watch: Watch) -> "Search":
        return replace(self, prepared=self.prepared.watched(watch))

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
        check_kernel(list(self.models.values()), self.prepared.blocks.client)
        first = self.prepared.first_read(np.random.default_rng(self.prepared.seed))
        if self.criterion == "heldout":
            _check_held_out(first.survey)
        reads = {name: first.of(model) for name, model in self.models.items()}
        fitted: dict[str, Model] = {name: read.model for name, read in reads.items()}
        if self.criterion == "heldout":
            seed = self.prepared.seed
            fitted = {name: HeldOut(model, seed=seed) for name, model in fitted.items()}
        return Field(self, reads, fitted)


def _check_held_out(survey: Survey) -> None:
    """Raise ParameterError if whole sequences are held out, and there are few of them."""
    edges = survey.sample.edges
    if edges is None or len(survey.sample) < survey.n_rows or len(edges) > _FEWEST_SEQUENCES:
        return
    raise ParameterError(
        f"criterion='heldout' holds out whole sequences, a tenth of them, and there are "
        f"{len(edges) - 1}; there should be {_FEWEST_SEQUENCES} or more: choose by 'bic'"
    )


@dataclass(frozen=True, eq=False, repr=False)
class Field(Brief):
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

    def begin(self, cells: Sequence[Cell]) -> dict[Cell, list[Run]]:
        """The runs of candidates that survive on the sample, the best one of each first.

        Starts are looked for alike, and polished until what is left is little beside what their
        candidate lies behind.
        """
        longest_first = sorted(cells, key=lambda cell: -cell[1])
        watch = self.search.prepared.blocks.watch
        many = self.survey.sample.rows.size >= _MANY
        with ThreadPoolExecutor(CPU_COUNT if many else 1) as pool:
            lists = pool.map(self._shortlist, longest_first)
            listed = dict(zip(counted("starts", longest_first, watch), lists, strict=True))
            values = list(pool.map(self._foretold, listed.values()))
            behind = [value - min(values) if np.isfinite(value) else 0.0 for value in values]
            runs = pool.map(self._polished, longest_first, listed.values(), behind)
            return dict(zip(longest_first, runs, strict=True))

    def _shortlist(self, cell: Cell) -> Shortlist:
        """Starts of a candidate; restarts share nothing, so that where they differ others would."""
        name, k = cell
        n_init = 1 if k == 1 else self.search.n_init
        rngs = [
            np.random.default_rng([self.search.prepared.seed, crc32(name.encode()), k, restart])
            for restart in range(n_init)
        ]
        return shortlist(self.reads[name], k, self.search.prepared.init_params, rngs)

    def _foretold(self, listed: Shortlist) -> float:
        """The criterion of a candidate, as the sample foretells it by its best start; infinite if
        that is improper.
        """
        best, weight = listed.best(), self.survey.weight
        if any(best.unfit):
            return np.inf
        return penalised(self.search.criterion, best.objective, listed.n_parameters, weight)

    def _polished(self, cell: Cell, listed: Shortlist, behind: float) -> list[Run]:
        name, k = cell
        price = self.price(k, listed.n_parameters)
        enough = min(_OF_BEHIND * behind, price)
        starts = ranking(listed.winners(enough / (2 * self.survey.weight)))
        return [self._run(name, entry.draft) for entry in starts[:SURVIVORS]]

    def price(self, n_components: int, n_parameters: int) -> float:
        """What a component costs by the criterion, where so many have so many parameters."""
        weight = self.survey.weight
        return penalised(self.search.criterion, 0.0, n_parameters, weight) / n_components

    def grown(self, cell: Cell, below: Run) -> Run:
        """A run of a candidate, from a fit of the same model with fewer components."""
        name, k = cell
        return self._run(name, grown(self.reads[name], below.params, k))

    def value(self, run: Run, gain: float = 0.0) -> float:
        """The criterion of a run if its log-likelihood per row were higher by `gain`."""
        return float(judge(run, self.survey.weight, gain)[self.search.criterion])

    def _run(self, name: str, draft: Draft) -> Run:
        prepared = self.search.prepared
        sizes = prepared.blocks.n_features, self.survey.weight
        model, fitted = self.reads[name].model, self.fitted[name]
        # What is held out has been in the sample.
        draft = draft if fitted is model else draft.elsewhere()
        return replace(Run.begin(model, prepared.algorithm, draft, *sizes), model=fitted)
