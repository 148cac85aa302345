"""A selection before its race: what is looked for, and what it takes to start and to judge fits."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar
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
from daskem.fitting.starts.best_starts import shortlists
from daskem.fitting.starts.contest import ranking
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.shortlist import Shortlist, drawn, regrown, winners
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

T = TypeVar("T")


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


def _gathered(groups: Sequence[Sequence[Cell]], found: Iterable[Sequence[T]]) -> dict[Cell, T]:
    """What was found for each candidate of some groups."""
    return dict(zip(chain(*groups), chain(*found), strict=True))


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

        All candidates have a few quick restarts. Those that are sure to lose, even if they were as
        likely as with more components, have no others, and are not regrown. All are polished until
        what is left is little beside what their candidate lies behind.
        """
        groups, watch = self._groups(cells), self.search.prepared.blocks.watch
        with ThreadPoolExecutor(min(CPU_COUNT, len(groups))) as pool:
            few = zip(counted("starts", groups, watch), pool.map(self._few, groups), strict=True)
            listed = _gathered(groups, (lists for _, lists in few))
            values = dict(zip(listed, pool.map(self._foretold, listed.values()), strict=True))
            least = min(values.values())
            near = [
                [c for c in group if self._may_win(listed[c], values[c], least)] for group in groups
            ]
            listed |= _gathered(near, pool.map(lambda group: self._all(group, listed), near))
            again = [listed[cell] for cell in chain(*near)]
            values |= zip(chain(*near), pool.map(self._foretold, again), strict=True)
            runs = pool.map(lambda group: self._polished(group, listed, values), groups)
            return _gathered(groups, runs)

    def _groups(self, cells: Sequence[Cell]) -> list[list[Cell]]:
        """Candidates whose starts go in step; the groups go side by side."""
        longest_first = sorted(cells, key=lambda cell: -cell[1])
        if self.survey.sample.rows.size < _MANY:
            return [longest_first]
        return [[cell] for cell in longest_first]

    def _few(self, group: Sequence[Cell]) -> list[Shortlist]:
        """As many restarts of each of a group of candidates as go on to the data; quick ones, where
        others are to follow.
        """
        init_params = self.search.prepared.init_params
        begun = {
            name: shortlists(read, init_params, [k for n, k in group if n == name])
            for name, read in self.reads.items()
            if name in dict(group)
        }
        lists = [begun[name][k] for name, k in group]
        rngs = [self._rngs(cell)[:SURVIVORS] for cell in group]
        return drawn(lists, rngs, quick=self.search.n_init > SURVIVORS)

    def _all(self, group: Sequence[Cell], few: Mapping[Cell, Shortlist]) -> list[Shortlist]:
        """Of all restarts of each of a group of candidates those that go on, as they have grown."""
        lists = [few[cell] for cell in group]
        lists = drawn(lists, [self._rngs(cell)[SURVIVORS:] for cell in group])
        return regrown([listed.of_best(SURVIVORS) for listed in lists])

    def _rngs(self, cell: Cell) -> list[np.random.Generator]:
        """Of each restart: they share nothing, so that where they differ others would."""
        (name, k), seed = cell, self.search.prepared.seed
        n_init = 1 if k == 1 else self.search.n_init
        entropies = [[seed, crc32(name.encode()), k, restart] for restart in range(n_init)]
        return list(map(np.random.default_rng, entropies))

    def _foretold(self, listed: Shortlist) -> float:
        """The criterion of a candidate, as the sample foretells it by its best start; infinite if
        that is improper.
        """
        best, weight = listed.best(), self.survey.weight
        if any(best.unfit):
            return np.inf
        return penalised(self.search.criterion, best.objective, listed.n_parameters, weight)

    def _may_win(self, listed: Shortlist, value: float, least: float) -> bool:
        """Whether a candidate of this criterion might come to be in front by more of a search.

        A fit is less likely than those with half as many components more, however it is found.
        """
        reach = 2 * self.survey.weight * listed.overfit
        return not np.isfinite(value) or value - reach <= least

    def _polished(
        self, group: Sequence[Cell], listed: Mapping[Cell, Shortlist], values: Mapping[Cell, float]
    ) -> list[list[Run]]:
        """The runs of each of a group of candidates."""
        least, tols = min(values.values()), []
        for cell in group:
            behind = values[cell] - least if np.isfinite(values[cell]) else 0.0
            price = self.price(cell[1], listed[cell].n_parameters)
            tols.append(min(_OF_BEHIND * behind, price) / (2 * self.survey.weight))
        each = winners([listed[cell] for cell in group], tols)
        return [
            [self._run(name, entry.draft) for entry in ranking(starts)]
            for (name, _), starts in zip(group, each, strict=True)
        ]

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
