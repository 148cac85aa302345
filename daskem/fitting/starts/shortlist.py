"""The better starts of a contest, before they are polished: it may be known by then how much that
is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, count_free
from daskem.fitting.algorithms import Draft
from daskem.fitting.starts.contest import Contest, ranking
from daskem.fitting.starts.short_climbs import Judged, judged
from daskem.models.asking import demand
from daskem.models.protocol import Frames, Model, Simplifies, Varies


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Starts with one number of components, of several restarts.

    Attributes
    ----------
    contest : Contest
    ranked : sequence of list of Judged
        Of each restart, the best one first.
    models : tuple of Model
        That of the contest; and those that it grows into, one after the other.
    rngs : sequence of numpy Generator
        Of each restart.
    is_all : bool
        Whether the sample is all of the data.
    """

    contest: Contest
    ranked: Sequence[list[Judged]]
    models: tuple[Model, ...]
    rngs: Sequence[np.random.Generator]
    is_all: bool

    @one_blas_thread()
    def best(self) -> Judged:
        """The best of all, as the whole sample judges it."""
        *_, sample = self.contest.parts
        firsts = [ranked[0].draft for ranked in self.ranked]
        return ranking(judged(self.contest.model, firsts, sample))[0]

    @property
    def n_parameters(self) -> int:
        """How many parameters are free in each of them."""
        first = self.ranked[0][0].draft.params
        return count_free(self.contest.model.parameters, first)

    @one_blas_thread()
    def winners(self, tol: float = 0.0) -> list[Judged]:
        """Where the best of each restart leads on all of the sample; no more than `tol` need be
        known of what is left, nats per row.
        """
        starts = self.contest.polished(self.ranked, tol)
        if not self.is_all:
            starts = [entry._replace(draft=entry.draft.elsewhere()) for entry in starts]
        for simpler, model in pairwise(self.models):
            drafts = grown_each(model, simpler, [entry.draft for entry in starts], self.rngs)
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
