"""The best of many starts, on a sample, which costs no read: seed or partition, over-fit, prune,
compare, regrow, polish, in this order; of a simpler model, where rows are few for this one.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from daskem.fitting.starts.effort import BRIEF, GROWTH, MOST_PASSES, Effort, simpler_read
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.given import Start, given_params
from daskem.fitting.starts.outlying import outlying_first
from daskem.fitting.starts.pruning import joined, pruned
from daskem.fitting.starts.seedbed import Seedbed, begin
from daskem.fitting.stopping import Stop
from daskem.models.asking import allowed, demand, softened
from daskem.models.protocol import Declares, Frames, Model, Simplifies, Starts, Varies

# A start, after whether it has failed or is improper and its objective, on rows that it is not
# fitted to.
Judged = tuple[tuple[bool, bool], float, Draft]

# Components to one new seed of a start that is regrown.
_TO_A_SEED = 4
# Over the last two parts a fit ends when what is left to gain is this fraction of what a sample of
# that size can tell, p/2n nats per row.
_POLISHED = 0.01


def best_start(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rng: np.random.Generator,
    restart: int = 0,
) -> Draft:
    """Params to start from, in the coordinates of the model; where nothing is given, the best of
    many. It takes the parameters of `begin`, and which of several starts it is.
    """
    read = starting(first, n_components, start)
    if read is not first:
        draft = best_start(read, n_components, _known_to(first, read, start), init_params, rng)
        grown = _varied(first.model, _grown(first.model, read.model, draft.params), rng, restart)
        return Draft(_with_known(first, grown, n_components, start))
    if not is_searched(first, n_components, start):
        return Draft(begin(first, n_components, start, init_params, rng))
    return best_of_many(first, whole("n_components", n_components), init_params, rng)[-1]


def unsearched_start(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params of the shapes of `best_start`, which no search has chosen."""
    read = starting(first, n_components, start)
    params = begin(read, n_components, _known_to(first, read, start), init_params, rng)
    if read is first:
        return params
    grown = _grown(first.model, read.model, params)
    return _with_known(first, grown, n_components, start)


def starting(first: FirstRead, n_components: int | None, start: Start | None) -> FirstRead:
    """The first read for the model that makes the starts: a simpler one, where it alone has any."""
    if n_components is None or not _begins_simply(first.model):
        return first
    if isinstance(first.model, Declares) and set(start or {}) >= set(first.model.parameters):
        return first
    return first.of(demand(first.model.simpler, Starts, "starting"))


def _known_to(first: FirstRead, read: FirstRead, start: Start | None) -> Start | None:
    """What of a start is of the model that makes the rest of it."""
    if start is None or read is first or not isinstance(read.model, Declares):
        return start
    return {name: value for name, value in start.items() if name in read.model.parameters}


def _with_known(
    first: FirstRead, params: Params, n_components: int | None, start: Start | None
) -> Params:
    """Params that have grown from those of a simpler model, with what is given of its own."""
    known = given_params(first.model, start, len(first.survey.mean), n_components)
    return allowed(first.model, Params({**params, **known})) if known else params


def _varied(model: Model, params: Params, rng: np.random.Generator, restart: int) -> Params:
    """The params of a start; of all but the first, others near to them, where a model has any."""
    return model.varied(params, rng) if restart and isinstance(model, Varies) else params


def _begins_simply(model: Model) -> TypeGuard[Simplifies]:
    """Whether a model has no starts but those of a simpler one."""
    return isinstance(model, Simplifies) and not isinstance(model, Starts)


def is_searched(first: FirstRead, n_components: int | None, start: Start | None) -> bool:
    """Whether `best_start` looks for the best of many starts."""
    read = starting(first, n_components, start)
    if _known_to(first, read, start) or n_components in (None, 1):
        return False
    return isinstance(read.model, Starts)


def searched(
    first: FirstRead,
    n_components: int,
    init_params: str,
    rng: np.random.Generator,
    restart: int = 0,
) -> Judged:
    """The best of many starts, grown from those of a simpler model where it alone has any."""
    read = starting(first, n_components, None)
    unfit, objective, draft = best_of_many(read, n_components, init_params, rng)
    if read is first:
        return unfit, objective, draft
    grown = _grown(first.model, read.model, draft.params)
    return unfit, objective, Draft(_varied(first.model, grown, rng, restart))


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
    sample, n_named = first.survey.start_sample, first.survey.n_named
    sample = sample[sample.counts > 0]
    d = sample.rows.shape[1]
    simpler = simpler_read(first, n_components, d, len(sample))
    if simpler is not None:
        unfit, objective, draft = best_of_many(simpler, n_components, init_params, rng)
        return unfit, objective, Draft(_grown(first.model, simpler.model, draft.params))
    effort = Effort.of(first.model, n_components, d, len(sample), init_params)
    if n_named == n_components:
        # Labels say where each begins: none is too many, and none can go.
        effort = replace(effort, counts=(n_components,), n_regrown=0)
    sample, n_out = outlying_first(sample)
    parts = [sample[:size] for size in effort.sizes]
    bed = Seedbed(first.model, parts[0], init_params, rng)
    contest = _Contest(first.model, parts, n_components, bed, effort.n_others, n_named, n_out)

    # More components than wanted are an over-fit.
    seeds = [bed.seeded(k) for k in effort.counts] + bed.partitioned(n_components)
    ranked = contest.compare(contest.prune(seeds))
    for _ in range(effort.n_regrown):
        best = ranked[0][-1].params
        ranked = ranking([*ranked, *contest.compare(contest.prune([contest.regrow(best)]))])
    return contest.polish(ranked)


@dataclass(frozen=True, eq=False)
class _Contest:
    """Of starts of a model with a number of components, on ever larger parts of a sample.

    Of the rows of each part the first `n_out` are far out, and the same.
    """

    model: Starts
    parts: Sequence[Block]
    n_components: int
    bed: Seedbed
    n_others: int
    n_named: int
    n_out: int

    def prune(self, starts: Iterable[Params]) -> list[Draft]:
        """Where `starts` lead in a short climb, and in another without the components too many."""
        small, *_ = self.parts
        climbed = self._climbed(map(Draft, starts), small, BRIEF)
        k, n_named = self.n_components, self.n_named
        fewer = [pruned(self.model, d.params, small, k, n_named) for d in climbed]
        return self._climbed(map(Draft, fewer), small, BRIEF)

    def compare(self, drafts: Sequence[Draft], number: int = 1) -> list[Judged]:
        """The best one first, as judged by a part that they are not fitted to.

        Those rows of a larger part are new that the smaller one does not have, so that what was
        gained by fitting its accidents does not count.
        """
        before, part = self.parts[number - 1], self.parts[number]
        fresh = part[self._fresh(len(before), len(part))] if len(part) > len(before) else part
        looked = fitted(self.model, drafts, fresh, Stop(0.0, 1))
        return ranking((*_judged(run), d) for run, d in zip(looked, drafts, strict=True))

    def _fresh(self, n_before: int, n: int) -> slice | np.ndarray:
        """Which of `n` rows tell how good a fit to the first of them is; rows far out in any case.

        A fit may leave them to others where there are none.
        """
        if self.n_out == 0:
            return slice(n_before, n)
        return np.append(np.arange(self.n_out), np.arange(n_before, n))

    def regrow(self, best: Params) -> Params:
        """The best start with a component less, and some new ones around seeds."""
        # Before there are seeds, which then compete for the free place: beside them, half of a
        # cluster that has two components would seem to be missed more than a small new cluster.
        k = self.n_components
        fewer = pruned(self.model, best, self.parts[0], k - 1, self.n_named)
        return joined(self.model, fewer, self.bed.unnamed(max(2, k // _TO_A_SEED)))

    def polish(self, ranked: list[Judged]) -> Judged:
        """The best on ever larger parts; with many passes on the last two."""
        last = len(self.parts) - 1
        for number in range(1, last + 1):
            part, long = self.parts[number], number >= last - 1
            n_on = 1 if long else -(-len(ranked) // GROWTH)
            drafts = [draft for *_, draft in ranked[:n_on]]
            p = count_free(self.model.parameters, drafts[0].params)
            stop = Stop(_POLISHED * p / (2 * len(part)), MOST_PASSES) if long else BRIEF
            ended = self._ranked_fits(drafts, part, stop)
            # Many passes may lead into what no cluster is: then the next best, as far as it goes.
            for *_, draft in ranked[n_on : n_on + self.n_others] if long else ():
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
        return ranking((*_judged(run), _draft(run, len(part))) for run in ended)


def _draft(run: Run, n_rows: int) -> Draft:
    """Where a fit to so many rows ended, as a start of one to others."""
    params = softened(run.model, run.state.accepted or run.params, n_rows)
    return Draft(params, run.state.memory)


def fitted(model: Model, drafts: Iterable[Draft], part: Block, stop: Stop) -> list[Run]:
    """Fits of a model to a part of a sample, from each of `drafts`."""
    # Rows in memory cost nothing to read, so that one point a pass is best; nothing is below 0.
    algorithm = Squarem(foresees=stop.tol != 0)
    plain = (part.counts == 1).all()
    along = {name: a for name, a in part.along.items() if not (plain and name == WEIGHT)}
    blocks = _in_memory(part, along)
    runs = [Run(model, algorithm, draft.start(algorithm)) for draft in drafts]
    (ended,) = deque(passes(runs, blocks, stop), maxlen=1)
    return ended


def _in_memory(part: Block, along: Mapping[str, np.ndarray]) -> LocalBlocks:
    """The rows of a block, with those among them that were omitted from its sequences."""
    if part.edges is None or part.kept is None:
        return LocalBlocks(part.rows, along, edges=part.edges)
    filled = {}
    for name, values in {"": part.rows, **along}.items():
        filled[name] = np.full((part.edges[-1], *values.shape[1:]), np.nan)
        filled[name][part.kept] = values
    return LocalBlocks(filled.pop(""), filled, omit="all", edges=part.edges)


def _grown(model: Model, simpler: Model, params: Params) -> Params:
    """What params of a simpler model are for this one."""
    data_params = demand(simpler, Frames, "growing").from_frame(params)
    return demand(model, Simplifies, "growing").grown(data_params)


def _judged(run: Run) -> tuple[tuple[bool, bool], float]:
    return run.unfit, run.history[-1].objective


def ranking(judged: Iterable[Judged]) -> list[Judged]:
    """The best one first; any proper one wins over an improper one."""
    return sorted(judged, key=lambda entry: (entry[0], -entry[1]))
