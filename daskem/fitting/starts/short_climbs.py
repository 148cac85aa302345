"""Climbs of many starts on a part of a sample, all of them in step."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.data.blocks import WEIGHT, Block
from daskem.data.blocks.local import LocalBlocks
from daskem.errors import ModelError
from daskem.fitting.algorithms import Draft
from daskem.fitting.run import objective_of
from daskem.fitting.starts.one_climb import OneClimb, ask, remember
from daskem.models.asking import EmSteps, all_allowed_of, demand, log_prior_of
from daskem.models.protocol import Declares, Model, Reports, Suspects
from daskem.models.views import Flaw


class Judged(NamedTuple):
    """A start as some rows judge it: whether it has failed, is improper; its objective.

    `flawed` are the components because of which it is improper.
    """

    unfit: tuple[bool, bool]
    objective: float
    draft: Draft
    flawed: tuple[int, ...] = ()


def climbed(
    model: Model,
    drafts: Sequence[Draft],
    part: Block,
    n_passes: int,
    tols: Sequence[float | None] | None = None,
) -> list[Judged]:
    """Where climbs from `drafts` lead on a part of a sample, as these rows judge it.

    All of them are at the same pass, so that one sweep over the rows and one change of coordinates
    serve them all. Those that have been on these rows go on where they were. They go as `Squarem`
    goes, and each ends after `n_passes`, or where no more than its own of `tols` is predicted to be
    left to gain, nats per row, twice in a row. Without one it ends where an EM step gains little.
    """
    ground = _Ground(model, part)
    starts = zip(drafts, tols or [None] * len(drafts), strict=True)
    climbs = [OneClimb.of(draft, part, tol) for draft, tol in starts]
    for n_left in reversed(range(n_passes)):
        moving = [climb for climb in climbs if not climb.over]
        if not moving:
            break
        taken = ground.m_steps(ground.taken(moving))
        remember(ground.declared, taken)
        for climb in taken:
            climb.looks_ahead(ground.declared)
        if n_left:
            ask(ground.declared, ground.all_allowed, taken)
    return ground.judged(
        [climb.draft(part) for climb in climbs],
        [climb.objective for climb in climbs],
        [None if climb.failed else climb.statistics for climb in climbs],
    )


def judged(model: Model, drafts: Sequence[Draft], rows: Block) -> list[Judged]:
    """Each of `drafts` as it is, as these rows judge it."""
    ground = _Ground(model, rows)
    objectives, statistics = [], []
    for draft, answer in zip(drafts, ground.e_steps([d.params for d in drafts]), strict=True):
        objectives.append(objective_of(ground.log_prior, draft.params, *answer))
        statistics.append(answer[0] if math.isfinite(objectives[-1]) else None)
    return ground.judged(drafts, objectives, statistics)


def in_memory(part: Block) -> LocalBlocks:
    """The rows of a block, with those among them that were omitted from its sequences."""
    plain = (part.counts == 1).all()
    along = {name: a for name, a in part.along.items() if not (plain and name == WEIGHT)}
    if part.edges is None or part.kept is None:
        return LocalBlocks(part.rows, along, edges=part.edges)
    filled = {}
    for name, values in {"": part.rows, **along}.items():
        filled[name] = np.full((part.edges[-1], *values.shape[1:]), np.nan)
        filled[name][part.kept] = values
    return LocalBlocks(filled.pop(""), filled, omit="all", edges=part.edges)


class _Ground:
    """A part of a sample, and a model that is asked once what it can.

    Attributes
    ----------
    model : Model
    part : Block
    declared : mapping of Parameter
    log_prior, all_allowed : callable
    """

    def __init__(self, model: Model, part: Block) -> None:
        self.model, self.part = model, part
        self.declared = demand(model, Declares, "a climb").parameters
        self.log_prior = log_prior_of(model)
        self.all_allowed = all_allowed_of(model)
        self._steps, self._blocks = EmSteps(model), in_memory(part)
        # To make a block of few rows takes as long as much of an E step: it is kept.
        alone = self._blocks.n_chunks == 1
        self._only_block = self._blocks.sum(_as_it_is) if alone else None

    def e_steps(self, asked: Sequence[Params]) -> list[tuple[Statistics, float]]:
        """The statistics at each of the params, and the weight of the rows that are fitted."""
        args = self._steps, Candidates(asked)
        if self._only_block is None:
            sums = self._blocks.sum(_evaluate, *args, name="e-step")
        else:
            sums = _evaluate(self._only_block, *args)
        return [(s, s.get("fitted_weight", sums["weight"])) for s in sums["statistics"]]

    def taken(self, climbs: Sequence[OneClimb]) -> list[OneClimb]:
        """Those of some climbs that move on to what they have asked."""
        answers = self.e_steps([climb.asked for climb in climbs])
        return [
            climb
            for climb, (sums, weight) in zip(climbs, answers, strict=True)
            if climb.takes(objective_of(self.log_prior, climb.asked, sums, weight), sums, weight)
        ]

    def m_steps(self, climbs: Sequence[OneClimb]) -> list[OneClimb]:
        """Those of some climbs that can make their EM step, which they make."""
        try:
            sums = [climb.statistics for climb in climbs]
            steps = self._steps.m_steps(sums, [climb.asked for climb in climbs])
        except (ModelError, np.linalg.LinAlgError):
            if len(climbs) > 1:
                return [done for climb in climbs for done in self.m_steps([climb])]
            climbs[0].over = climbs[0].failed = True
            return []
        for climb, step in zip(climbs, steps, strict=True):
            climb.params = step
        return list(climbs)

    def judged(
        self,
        drafts: Sequence[Draft],
        objectives: Sequence[float],
        statistics: Sequence[Statistics | None],
    ) -> list[Judged]:
        """How the rows judge drafts, of objectives and statistics; None where one has failed."""
        well = [
            (draft.params, sums)
            for draft, sums in zip(drafts, statistics, strict=True)
            if sums is not None
        ]
        found = iter(self._flaws([sums for _, sums in well], [params for params, _ in well]))
        flaws = [None if sums is None else next(found) for sums in statistics]
        return [
            Judged((own is None, bool(own)), objective, draft, _flawed(own or []))
            for draft, objective, own in zip(drafts, objectives, flaws, strict=True)
        ]

    def _flaws(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> list[list[Flaw]]:
        """The flaws of each of the params, given their statistics."""
        if not candidates or not isinstance(self.model, Reports):
            return [[] for _ in candidates]
        judgements = zip(
            self._suspects(statistics, candidates), statistics, candidates, strict=True
        )
        events = self.model.events
        return [
            [e for e in events(sums, params) if isinstance(e, Flaw)] if suspect else []
            for suspect, sums, params in judgements
        ]

    def _suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> Sequence[bool]:
        # One is looked at as fast by itself.
        if len(candidates) == 1 or not isinstance(self.model, Suspects):
            return [True] * len(candidates)
        return self.model.suspects(statistics, candidates)


def _as_it_is(block: Block) -> Block:
    return block


def _evaluate(block: Block, steps: EmSteps, candidates: Candidates) -> dict[str, Any]:
    """What the loop evaluates of a block, but for what tells whether its rows have changed."""
    return {"weight": block.weight, "statistics": steps.e_steps(block, candidates)}


def _flawed(flaws: Sequence[Flaw]) -> tuple[int, ...]:
    """The components of which flaws speak."""
    return tuple(flaw.component for flaw in flaws if flaw.component is not None)
