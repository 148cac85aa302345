"""The better starts of contests, before they are regrown and polished: it may be known by then how
much that is worth. Those of all contests go in step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, count_free
from daskem.fitting.algorithms import Draft
from daskem.fitting.starts.contest import Contest, Restart, Way, in_step, rank
from daskem.fitting.starts.short_climbs import Judged
from daskem.models.asking import demand
from daskem.models.protocol import Frames, Model, Simplifies, Varies

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Starts with one number of components.

    Attributes
    ----------
    contest : Contest
    models : tuple of Model
        That of the contest; and those that it grows into, one after the other.
    is_all : bool
        Whether the sample is all of the data.
    restarts : sequence of Restart
        That have been drawn so far.
    """

    contest: Contest
    models: tuple[Model, ...]
    is_all: bool
    restarts: Sequence[Restart] = ()

    @one_blas_thread()
    def best(self) -> Judged:
        """The best of all, as the whole sample judges it."""
        *_, sample = self.contest.parts
        firsts = [restart.ranked[0] for restart in self.restarts]
        return in_step([self.contest.judge(firsts, sample)])[0][0]

    @property
    def overfit(self) -> float:
        """By how much fits with more components than wanted are more likely than the best one, nats
        per row: more than any fit with as many as wanted can hope for.
        """
        (best,) = self.of_best(1).restarts
        return max(max(restart.overfitted for restart in self.restarts) - best.fitted, 0.0)

    @property
    def n_parameters(self) -> int:
        """How many parameters are free in each of them."""
        first = self.restarts[0].ranked[0].draft.params
        return count_free(self.contest.model.parameters, first)

    def of_best(self, n: int) -> "Shortlist":
        """The same with no more than so many restarts, the best."""
        best = sorted(self.restarts, key=lambda restart: rank(restart.ranked[0]))
        return replace(self, restarts=best[:n])


@one_blas_thread()
def drawn(
    lists: Sequence[Shortlist],
    rngs: Sequence[Sequence[np.random.Generator]],
    quick: bool = False,
) -> list[Shortlist]:
    """The same, with a restart for each of their `rngs` besides."""
    each = zip(lists, rngs, strict=True)
    ways = [listed.contest.restarts(own, quick) if own else [] for listed, own in each]
    pairs = zip(lists, _in_step_each(ways), strict=True)
    return [replace(listed, restarts=[*listed.restarts, *new]) for listed, new in pairs]


@one_blas_thread()
def regrown(lists: Sequence[Shortlist]) -> list[Shortlist]:
    """The same, with what the best starts of each restart grow into."""
    ways = [list(map(listed.contest.regrown, listed.restarts)) for listed in lists]
    pairs = zip(lists, _in_step_each(ways), strict=True)
    return [replace(listed, restarts=restarts) for listed, restarts in pairs]


@one_blas_thread()
def winners(lists: Sequence[Shortlist], tols: Sequence[float]) -> list[list[Judged]]:
    """Where the best of each restart leads on all of the sample; no more than these need be known
    of what is left, nats per row.
    """
    ways = [
        [listed.contest.polish(restart.ranked, tol) for restart in listed.restarts]
        for listed, tol in zip(lists, tols, strict=True)
    ]
    pairs = zip(lists, _in_step_each(ways), strict=True)
    return [_for_data(listed, starts) for listed, starts in pairs]


def _in_step_each(ways: Sequence[Sequence[Way[T]]]) -> list[list[T]]:
    """Where the ways of each list end, all of them in step."""
    ended = iter(in_step(list(chain(*ways))))
    return [[next(ended) for _ in own] for own in ways]


def _for_data(listed: Shortlist, starts: list[Judged]) -> list[Judged]:
    """Polished starts as those of fits to the data, of the last of the models."""
    if not listed.is_all:
        starts = [entry._replace(draft=entry.draft.elsewhere()) for entry in starts]
    rngs = [restart.rng for restart in listed.restarts]
    for simpler, model in pairwise(listed.models):
        drafts = grown_each(model, simpler, [entry.draft for entry in starts], rngs)
        # They stay as the simpler model has judged them.
        starts = [e._replace(draft=draft) for e, draft in zip(starts, drafts, strict=True)]
    return starts


def grown(model: Model, simpler: Model, params: Params) -> Params:
    """What params of a simpler model are for this one."""
    data_params = demand(simpler, Frames, "growing").from_frame(params)
    return demand(model, Simplifies, "growing").grown(data_params)


def grown_each(
    model: Model, simpler: Model, drafts: Sequence[Draft], rngs: Sequence[np.random.Generator]
) -> list[Draft]:
    """The same of each of `drafts`; of all but the first something near to it, drawn from `rngs`,
    where a model has any.
    """
    made = [grown(model, simpler, draft.params) for draft in drafts]
    if isinstance(model, Varies):
        made[1:] = map(model.varied, made[1:], rngs[1:])
    return [Draft(params) for params in made]
