"""A contest of starts, on ever larger parts of a sample; those of several contests go in step."""

from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from daskem.core.parameters import Params, count_free
from daskem.data.blocks import Block
from daskem.fitting.algorithms import Draft
from daskem.fitting.starts.effort import BRIEF, GROWTH, MOST_PASSES, Effort
from daskem.fitting.starts.pruning import joined, pruned
from daskem.fitting.starts.seedbed import Seedbed
from daskem.fitting.starts.short_climbs import Judged, climbed, judged
from daskem.fitting.stopping import Stop
from daskem.models.asking import softened_of
from daskem.models.families.protocol import is_bounded
from daskem.models.protocol import Starts

# So many times a start is regrown side by side; all of them in vain, it is believed to be the best.
# In six samples of 20 clusters, some of them rare, starts lost 0.02 p / 2n by it, in the mean.
_AT_ONCE = 2
# Over the last two parts a fit ends when what is left to gain is this fraction of what a sample of
# that size can tell, p/2n nats per row.
_POLISHED = 0.01


class Asked(NamedTuple):
    """What a contest asks of rows: how they judge `drafts`, or where fits to them lead from these.

    Attributes
    ----------
    model : Starts
    drafts : list of Draft
    rows : Block
    stop : Stop or None
        When the fits end; None for no fits.
    """

    model: Starts
    drafts: list[Draft]
    rows: Block
    stop: Stop | None


class Restart(NamedTuple):
    """The starts that one restart has drawn.

    Attributes
    ----------
    rng : numpy Generator
    ranked : list of Judged
        The best one first.
    fitted, overfitted : float
        The objective of the best start on the smallest part, nats per row, and the highest one
        there while starts had components too many.
    """

    rng: np.random.Generator
    ranked: list[Judged]
    fitted: float
    overfitted: float


T = TypeVar("T")
# What is made on the way of questions to the rows, and of their answers.
Way = Generator[Asked, list[Judged], T]


@dataclass(frozen=True, eq=False)
class Contest:
    """Of starts of a model with a number of components, on ever larger parts of a sample.

    Attributes
    ----------
    model : Starts
    parts : sequence of Block
    effort : Effort
    n_components, n_named : int
    n_out : int
        The first so many rows of each part are far out, and the same.
    bed : Seedbed
        In the first part.
    """

    model: Starts
    parts: Sequence[Block]
    effort: Effort
    n_components: int
    n_named: int
    n_out: int
    bed: Seedbed

    def restarts(
        self, rngs: Sequence[np.random.Generator], quick: bool = False
    ) -> list[Way[Restart]]:
        """Starts that each of `rngs` draws, pruned and compared; to be `quick` over-fits alone, of
        more components than wanted, beside partitions.
        """
        counts: Sequence[int] = self.effort.counts
        if quick:
            counts = [k for k in counts if k > self.n_components] or counts
        seeded = [self.bed.seeded(k, rngs) for k in counts]
        parted = self.bed.partitioned(self.n_components, rngs)
        pairs = zip(rngs, zip(*seeded, strict=True), parted, strict=True)
        return [self._restart(rng, [*seeds, *parts]) for rng, seeds, parts in pairs]

    def _restart(self, rng: np.random.Generator, starts: Sequence[Params]) -> Way[Restart]:
        small, *_ = self.parts
        wide = yield from self._fits(map(Draft, starts), small, BRIEF)
        fewer = yield from self._without_too_many(wide)
        ranked = yield from self.compare(fewer)
        best = next(entry for entry in fewer if entry.draft is ranked[0].draft)
        return Restart(rng, ranked, best.objective, wide[0].objective)

    def regrown(self, restart: Restart) -> Way[Restart]:
        """The same, with what the best of its starts grow into."""
        small, *_ = self.parts
        ranked, n_left = restart.ranked, self.effort.n_regrown
        # Where the most likely fit is the best, others may be far from all that were tried.
        at_once = 1 if self._is_bounded else _AT_ONCE
        while n_left > 0:
            best = ranked[0]
            starts = map(Draft, self.regrow(best, min(at_once, n_left), restart.rng))
            wide = yield from self._fits(starts, small, BRIEF)
            grown = yield from self._without_too_many(wide)
            ranked = ranking([*ranked, *(yield from self.compare(grown))])
            n_left -= at_once
            if ranked[0] is best and not self._is_bounded:
                break
        return restart._replace(ranked=ranked)

    def _without_too_many(self, wide: Sequence[Judged]) -> Way[list[Judged]]:
        """Where short climbs lead without the components too many, the best one first."""
        small, *_ = self.parts
        k, n_named = self.n_components, self.n_named
        fewer = [pruned(self.model, e.draft.params, small, k, n_named, e.flawed) for e in wide]
        pairs = zip([entry.draft for entry in wide], fewer, strict=True)
        # Those that are what they were go on; in others there is nothing to look back on.
        drafts = [d if d.step and params is d.params else Draft(params) for d, params in pairs]
        return (yield from self._fits(drafts, small, BRIEF))

    def compare(self, ended: Sequence[Judged], number: int = 1) -> Way[list[Judged]]:
        """The best one first, as judged by a part that they are not fitted to, if there is one."""
        return (yield from self.judge(ended, self._fresh[number]))

    def judge(self, ended: Sequence[Judged], rows: Block) -> Way[list[Judged]]:
        """The best one first, as some rows judge it; unless they have done so where all stand."""
        drafts = [entry.draft for entry in ended]
        if all(draft.step is not None and draft.sample is rows for draft in drafts):
            return ranking(ended)
        return ranking((yield Asked(self.model, drafts, rows, None)))

    def regrow(self, best: Judged, n: int, rng: np.random.Generator) -> list[Params]:
        """The best start with a component less, and some new ones around seeds; `n` times."""
        # Before there are seeds, which then compete for the free place: beside them, half of a
        # cluster that has two components would seem to be missed more than a small new cluster.
        k = self.n_components
        params, flawed = best.draft.params, best.flawed
        fewer = pruned(self.model, params, self.parts[0], k - 1, self.n_named, flawed)
        seeded = [self.bed.unnamed(self.effort.n_seeds, rng) for _ in range(n)]
        return [joined(self.model, fewer, params) for params in seeded]

    def polish(self, ranked: list[Judged], tol: float) -> Way[Judged]:
        """The best on ever larger parts; with many passes on the last two, until `tol` is left."""
        last = len(self.parts) - 1
        for number in range(1, last + 1):
            part, long = self.parts[number], number >= last - 1
            n_on = 1 if long else -(-len(ranked) // GROWTH)
            drafts = [entry.draft for entry in ranked]
            p = count_free(self.model.parameters, drafts[0].params)
            enough = max(_POLISHED * p / (2 * len(part)), tol)
            stop = Stop(enough, MOST_PASSES) if long else BRIEF
            ended = yield from self._fits(drafts[:n_on], part, stop)
            others = drafts[n_on : n_on + self.effort.n_others] if long else []
            # Many passes may lead into what no cluster is: then the next best, as far as they go.
            if others and any(ended[0].unfit):
                also = yield from self._fits(others, part, stop)
                ended = ranking([*ended, *also])[:n_on]
            if number < last:
                ranked = yield from self.compare(ended, number + 1)
        return ended[0]

    @cached_property
    def _fresh(self) -> Mapping[int, Block]:
        """By the number of a part, those of its rows that the part before it does not have.

        What was gained by fitting the accidents of those does not count. Rows far out are among
        them in any case: a fit may leave them to others where there are none.
        """
        return {
            number: part if part is before else part[self._fresh_rows(len(before), len(part))]
            for number, (before, part) in enumerate(pairwise(self.parts), 1)
        }

    def _fresh_rows(self, n_before: int, n: int) -> slice | np.ndarray:
        if self.n_out == 0:
            return slice(n_before, n)
        return np.append(np.arange(self.n_out), np.arange(n_before, n))

    def _fits(self, drafts: Iterable[Draft], part: Block, stop: Stop) -> Way[list[Judged]]:
        """Where fits to a part lead, the best one first, as starts of fits to others."""
        ended = yield Asked(self.model, list(drafts), part, stop)
        drafts = [e.draft.moved(self._softened(e.draft.params, len(part))) for e in ended]
        return ranking(e._replace(draft=d) for e, d in zip(ended, drafts, strict=True))

    @cached_property
    def _is_bounded(self) -> bool:
        return is_bounded(self.model)

    @cached_property
    def _softened(self) -> Callable[[Params, int], Params]:
        return softened_of(self.model)


def ranking(judged: Iterable[Judged]) -> list[Judged]:
    """The best one first; any proper one wins over an improper one."""
    return sorted(judged, key=rank)


def rank(entry: Judged) -> tuple[tuple[bool, bool], float]:
    """What is less for the better one of two."""
    return entry.unfit, -entry.objective


def in_step(ways: Sequence[Way[T]]) -> list[T]:
    """Where `ways` end, all of them at the same question, so that one sweep answers all alike."""
    ended: dict[int, T] = {}
    # Where there is none, a way begins.
    answers: dict[int, list[Judged] | None] = dict.fromkeys(range(len(ways)))
    while answers:
        groups: dict[Hashable, dict[int, Asked]] = {}
        for i, answer in answers.items():
            try:
                question = next(ways[i]) if answer is None else ways[i].send(answer)
            except StopIteration as end:
                ended[i] = end.value
            else:
                groups.setdefault(_alike(question), {})[i] = question
        answers = {i: a for group in groups.values() for i, a in _answered(group).items()}
    return [ended[i] for i in range(len(ways))]


def _answered(asked: Mapping[int, Asked]) -> dict[int, list[Judged]]:
    """The answers to questions about the same rows, which end alike."""
    model, _, rows, stop = next(iter(asked.values()))
    # Starts that several restarts have in common, as partitions are that several have found.
    drafts = {_key(draft): (draft, q.stop) for q in asked.values() for draft in q.drafts}
    entries, stops = zip(*drafts.values(), strict=True)
    if stop is None:
        judgements = judged(model, entries, rows)
    else:
        tols = [each.tol for each in stops]
        judgements = climbed(model, entries, rows, stop.max_passes, tols)
    answers = dict(zip(drafts, judgements, strict=True))
    return {i: [answers[_key(d)] for d in question.drafts] for i, question in asked.items()}


def _alike(question: Asked) -> Hashable:
    """What questions have in common that one sweep answers: of all but how closely."""
    model, _, rows, stop = question
    return id(model), id(rows), None if stop is None else stop.max_passes


def _key(draft: Draft) -> tuple[int, int]:
    """What tells a draft from others, in the way of one question."""
    return id(draft.params), id(draft.memory)
