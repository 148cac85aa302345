"""The best of many starts, on a sample, which costs no read: seed or partition, over-fit, prune,
compare, regrow, polish, in this order; of a simpler model, where rows are few for this one.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, count_free
from daskem.core.settings import whole
from daskem.data.blocks import WEIGHT, Block
from daskem.data.blocks.local import LocalBlocks
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.given import Start
from daskem.fitting.starts.pruning import joined, pruned
from daskem.fitting.starts.seedbed import Seedbed, begin
from daskem.fitting.stopping import Stop
from daskem.models.protocol import Frames, Model, Simplifies, Starts, demand

# A start, after whether it has failed or is improper and its objective, on rows that it is not
# fitted to.
Judged = tuple[tuple[bool, bool], float, Draft]

# Seeds for each component, in each start. Of as many as there are components, some
# come to lie in one cluster and none in another, which EM does not mend; of more, those that are
# missed least are pruned.
_OVERFITS = (1.0, 1.5)
# Times, at most, that the best start loses a component, gets more seeds and is pruned again: after
# four, every cluster of 0.6 % of the rows had its component for 12 of 12 seeds (d = 20, K = 30).
_MOST_REGROWN = 4
# Components to one new seed of a start that is regrown.
_TO_A_SEED = 4
# Passes over a part of the sample before the better starts go on to a larger part.
_BRIEF = Stop(0.0, 8)
# How many times larger the next part is.
_GROWTH = 4
# Rows of the smallest part for each free parameter: fewer fit their own accidents.
_ROWS_PER_PARAMETER = 8
# Rows of the sample for each free parameter, at least: in fewer a simpler model looks for clusters.
_FEWEST_ROWS_PER_PARAMETER = 2
# Rows of the smallest part, at least: fewer cost as much, for what each pass costs besides.
_FEWEST_ROWS = 2**12
# Over the last two parts a fit ends when what is left to gain is this fraction of what a sample of
# that size can tell, p/2n nats per row.
_POLISHED = 0.01
# Starts that are fitted to the last two parts besides, at most, while all of them are improper.
_MOST_OTHERS = 4
# Passes over the last two parts, at most: 300 led to as few reads of the data.
_MOST_PASSES = 100


def best_start(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Draft:
    """Params to start from, in the coordinates of the model; where nothing is given, the best of
    many. It takes the parameters of `begin`.
    """
    model = first.model
    if not start and n_components is not None and _begins_simply(model):
        simpler = first.of(demand(model.simpler, Starts, "starting"))
        draft = best_start(simpler, n_components, None, init_params, rng)
        return Draft(_grown(first.model, simpler.model, draft.params))
    if start or n_components in (None, 1) or not isinstance(model, Starts):
        return Draft(begin(first, n_components, start, init_params, rng))
    return best_of_many(first, whole("n_components", n_components), init_params, rng)[-1]


def _begins_simply(model: Model) -> TypeGuard[Simplifies]:
    """Whether a model has no starts but those of a simpler one."""
    return isinstance(model, Simplifies) and not isinstance(model, Starts)


@one_blas_thread()
def best_of_many(
    first: FirstRead, n_components: int, init_params: str, rng: np.random.Generator
) -> Judged:
    """The best of many starts, as the sample judges it.

    Several starts compete on the sample of the survey: short runs on a small part of it, some with
    more components than wanted, which are then pruned; the better ones go on to larger parts, and
    the best are fitted to all of it (Biernacki, Celeux and Govaert 2003). In between, the best one
    is regrown a few times, which takes components from where there are too many to where one is
    missing (as the splits and merges of Ueda et al. 2000). What the last fit has learned of the
    curvature goes on to the data. Where the rows are few for so many parameters, all this is done
    with a simpler model, if there is one, and its components grow into those of this one.
    """
    assert isinstance(first.model, Starts)
    sample = first.survey.sample
    sample = sample[sample.counts > 0]
    d = sample.rows.shape[1]
    simpler = _simpler(first, n_components, d, len(sample))
    if simpler is not None:
        unfit, objective, draft = best_of_many(simpler, n_components, init_params, rng)
        return unfit, objective, Draft(_grown(first.model, simpler.model, draft.params))
    counts = _overfits(n_components, len(sample))
    sizes = _sizes(_n_free(first.model, max(counts), d), len(sample), init_params)
    # Each component wants a row, however many are held out.
    sizes[0] = min(max(sizes[0], max(counts)), len(sample))
    parts = [sample[:size] for size in sizes]
    bed = Seedbed(first.model, parts[0], init_params, rng)
    contest = _Contest(first.model, parts, n_components, bed)

    # More components than wanted are an over-fit.
    seeds = [bed.seeded(k) for k in counts] + [bed.partitioned(n_components)]
    ranked = contest.compare(contest.prune(seeds))
    for _ in range(min(_MOST_REGROWN, n_components // 2)):
        best = ranked[0][-1].params
        ranked = ranking([*ranked, *contest.compare(contest.prune([contest.regrow(best)]))])
    return contest.polish(ranked)


@dataclass(frozen=True, eq=False)
class _Contest:
    """Of starts of a model with a number of components, on ever larger parts of a sample."""

    model: Starts
    parts: Sequence[Block]
    n_components: int
    bed: Seedbed

    def prune(self, starts: Iterable[Params]) -> list[Draft]:
        """Where `starts` lead in a short climb, and in another without the components too many."""
        small, *_ = self.parts
        climbed = self._climbed(map(Draft, starts), small, _BRIEF)
        fewer = [pruned(self.model, d.params, small, self.n_components) for d in climbed]
        return self._climbed(map(Draft, fewer), small, _BRIEF)

    def compare(self, drafts: Sequence[Draft], number: int = 1) -> list[Judged]:
        """The best one first, as judged by a part that they are not fitted to.

        Those rows of a larger part are new that the smaller one does not have, so that what was
        gained by fitting its accidents does not count.
        """
        before, part = self.parts[number - 1], self.parts[number]
        fresh = part[len(before) :] if len(part) > len(before) else part
        looked = fitted(self.model, drafts, fresh, Stop(0.0, 1))
        return ranking((*_judged(run), d) for run, d in zip(looked, drafts, strict=True))

    def regrow(self, best: Params) -> Params:
        """The best start with a component less, and some new ones around seeds."""
        # Before there are seeds, which then compete for the free place: beside them, half of a
        # cluster that has two components would seem to be missed more than a small new cluster.
        fewer = pruned(self.model, best, self.parts[0], self.n_components - 1)
        return joined(self.model, fewer, self.bed.seeded(max(2, self.n_components // _TO_A_SEED)))

    def polish(self, ranked: list[Judged]) -> Judged:
        """The best on ever larger parts; with many passes on the last two."""
        last = len(self.parts) - 1
        for number in range(1, last + 1):
            part, long = self.parts[number], number >= last - 1
            n_on = 1 if long else -(-len(ranked) // _GROWTH)
            drafts = [draft for *_, draft in ranked[:n_on]]
            p = count_free(self.model.parameters, drafts[0].params)
            stop = Stop(_POLISHED * p / (2 * len(part)), _MOST_PASSES) if long else _BRIEF
            ended = self._ranked_fits(drafts, part, stop)
            # Many passes may lead into what no cluster is: then the next best, as far as it goes.
            for *_, draft in ranked[n_on : n_on + _MOST_OTHERS] if long else ():
                if not any(ended[0][0]):
                    break
                ended = ranking([*ended, *self._ranked_fits([draft], part, stop)])[:n_on]
            if number < last:
                ranked = self.compare([draft for *_, draft in ended], number + 1)
        return ended[0]

    def _climbed(self, drafts: Iterable[Draft], part: Block, stop: Stop) -> list[Draft]:
        """Where `drafts` lead that are fitted to a part of the sample, the best one first."""
        return [draft for *_, draft in self._ranked_fits(drafts, part, stop)]

    def _ranked_fits(self, drafts: Iterable[Draft], part: Block, stop: Stop) -> list[Judged]:
        """The same, as they are judged by the rows that they are fitted to."""
        ended = fitted(self.model, drafts, part, stop)
        return ranking(
            (*_judged(run), Draft(run.state.accepted or run.params, run.state.memory))
            for run in ended
        )


def fitted(model: Model, drafts: Iterable[Draft], part: Block, stop: Stop) -> list[Run]:
    """Fits of a model to a part of a sample, from each of `drafts`."""
    # Rows in memory cost nothing to read, so that one point a pass is best.
    algorithm = Squarem()
    plain = (part.counts == 1).all()
    along = {name: a for name, a in part.along.items() if not (plain and name == WEIGHT)}
    blocks = LocalBlocks(part.rows, along)
    runs = [Run(model, algorithm, draft.start(algorithm)) for draft in drafts]
    (ended,) = deque(passes(runs, blocks, stop), maxlen=1)
    return ended


def _overfits(n_components: int, n_rows: int) -> list[int]:
    """How many components each start begins with."""
    most = max(n_components, n_rows // 2)
    return [min(int(factor * n_components), most) for factor in _OVERFITS]


def _n_free(model: Starts, n_components: int, n_features: int) -> int:
    """The free parameters of a model with a number of components."""
    lengths = {"component": n_components, "feature": n_features}
    return sum(
        p.support.free(tuple(lengths.get(dim.removesuffix("_2"), 1) for dim in p.dims))
        for p in model.parameters.values()
    )


def _simpler(first: FirstRead, n_components: int, n_features: int, n: int) -> FirstRead | None:
    """The first read for a simpler model, if there is one and `n` rows are few for this one."""
    model = first.model
    assert isinstance(model, Starts)
    simpler = model.simpler if isinstance(model, Simplifies) else None
    enough = _FEWEST_ROWS_PER_PARAMETER * _n_free(model, n_components, n_features)
    return None if simpler is None or n >= enough else first.of(simpler)


def _grown(model: Model, simpler: Model, params: Params) -> Params:
    """What params of a simpler model are for this one."""
    data_params = demand(simpler, Frames, "growing").from_frame(params)
    return demand(model, Simplifies, "growing").grown(data_params)


def _sizes(n_parameters: int, n: int, init_params: str) -> list[int]:
    """Rows of growing parts of a sample of `n` rows, the last of which is all of it."""
    least = max(_FEWEST_ROWS, _ROWS_PER_PARAMETER * n_parameters)
    sizes = [n]
    # Rows that k-means|| has found are as rare in the first part of the sample as in the data.
    while sizes[0] // _GROWTH >= least and init_params != "k-means||":
        sizes.insert(0, sizes[0] // _GROWTH)
    if len(sizes) > 1:
        return sizes
    return [n - n // _GROWTH if n < _ROWS_PER_PARAMETER * n_parameters else n, n]


def _judged(run: Run) -> tuple[tuple[bool, bool], float]:
    return run.unfit, run.history[-1].objective


def ranking(judged: Iterable[Judged]) -> list[Judged]:
    """The best one first; any proper one wins over an improper one."""
    return sorted(judged, key=lambda entry: (entry[0], -entry[1]))
