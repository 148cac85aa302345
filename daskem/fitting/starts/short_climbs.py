"""Climbs of many starts on a part of a sample, all of them in step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.coordinates import from_free_each, to_free_each
from daskem.core.parameters import Parameter, Params, count_free
from daskem.core.statistics import Statistics
from daskem.data.blocks import WEIGHT, Block
from daskem.data.blocks.local import LocalBlocks
from daskem.errors import ModelError
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.algorithms.climb import MEMORY, bounded, leapable, moved
from daskem.fitting.algorithms.gain import left_to_gain, noise, steepness
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.squarem import squared
from daskem.fitting.run import objective_of
from daskem.fitting.stopping import told_apart
from daskem.models.asking import EmSteps, demand, log_prior_of
from daskem.models.protocol import Bounded, Declares, Model, Reports
from daskem.models.views import Flaw

# A short climb ends where an EM step has gained this fraction of what the rows can tell apart.
_LITTLE = 0.01
# The algorithm of all: rows in memory cost nothing to read, so that one point a pass is best.
_SQUAREM = Squarem()


class Judged(NamedTuple):
    """A start as some rows judge it: whether it has failed, is improper; its objective.

    `flawed` are the components because of which it is improper.
    """

    unfit: tuple[bool, bool]
    objective: float
    draft: Draft
    flawed: tuple[int, ...] = ()


def climbed(
    model: Model, drafts: Sequence[Draft], part: Block, n_passes: int, tol: float | None = None
) -> list[Judged]:
    """Where climbs from `drafts` lead on a part of a sample, as these rows judge it.

    All of them are at the same pass, so that one sweep over the rows and one change of coordinates
    serve them all. Those that have been on these rows go on where they were. They go as `Squarem`
    goes, and each ends after `n_passes`, or where no more than `tol` is predicted to be left to
    gain, nats per row, twice in a row. Without one a climb ends where an EM step gains little.
    """
    ground, climbs = _Ground(model, part), [_Climb.of(draft, part) for draft in drafts]
    for _ in range(n_passes):
        moving = [climb for climb in climbs if not climb.over]
        if not moving:
            break
        sums = ground.e_steps([climb.asked for climb in moving])
        taken = [c for c, answer in zip(moving, sums, strict=True) if c.takes(ground, *answer)]
        taken = ground.m_steps(taken)
        _remember(ground.declared, taken)
        for climb in taken:
            climb.looks_ahead(ground, tol)
        _leap(ground, taken)
    return [climb.judged(ground) for climb in climbs]


def judged(model: Model, drafts: Sequence[Draft], rows: Block) -> list[Judged]:
    """Each of `drafts` as it is, as these rows judge it."""
    ground = _Ground(model, rows)
    sums = ground.e_steps([draft.params for draft in drafts])
    entries = []
    for draft, answer in zip(drafts, sums, strict=True):
        objective = objective_of(ground.log_prior, draft.params, *answer)
        failed = not math.isfinite(objective)
        flaws = [] if failed else ground.flaws(answer[0], draft.params)
        entries.append(Judged((failed, bool(flaws)), objective, draft, _flawed(flaws)))
    return entries


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
    log_prior, allowed : callable
    """

    def __init__(self, model: Model, part: Block) -> None:
        self.model, self.part = model, part
        self.declared = demand(model, Declares, "a climb").parameters
        self.log_prior = log_prior_of(model)
        self.allowed = model.allowed if isinstance(model, Bounded) else _as_they_are
        self._events = model.events if isinstance(model, Reports) else _nothing
        self._blocks, self._steps = in_memory(part), EmSteps(model)

    def e_steps(self, asked: Sequence[Params]) -> list[tuple[Statistics, float]]:
        """The statistics at each of the params, and the weight of the rows that are fitted."""
        sums = self._blocks.sum(_evaluate, self._steps, Candidates(asked), name="e-step")
        return [(s, s.get("fitted_weight", sums["weight"])) for s in sums["statistics"]]

    def m_steps(self, climbs: "Sequence[_Climb]") -> "list[_Climb]":
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

    def flaws(self, statistics: Statistics, params: Params) -> list[Flaw]:
        return [e for e in self._events(statistics, params) if isinstance(e, Flaw)]


def _as_they_are(params: Params) -> Params:
    return params


def _nothing(statistics: Statistics, params: Params) -> Sequence[str]:
    return ()


def _evaluate(block: Block, steps: EmSteps, candidates: Candidates) -> dict[str, Any]:
    """What the loop evaluates of a block, but for what tells whether its rows have changed."""
    return {"weight": block.weight, "statistics": steps.e_steps(block, candidates)}


def _flawed(flaws: Sequence[Flaw]) -> tuple[int, ...]:
    """The components of which flaws speak."""
    return tuple(flaw.component for flaw in flaws if flaw.component is not None)


@dataclass
class _Climb:
    """A start on its way: where it stands, and where its next E step is wanted.

    Attributes
    ----------
    asked : Params
    params : Params
        The EM step from `accepted`; before the first pass, the start.
    warm : sequence of Pair
        The last iterates of a climb on other rows, to look back on until there are own ones.
    leapt : bool
        Whether a leap leads to `asked`; else it is an EM step, or the start.
    at : ndarray, (coordinate,), optional
        Its free coordinates, where they are known.
    accepted : Params, optional
        The best so far, with its `statistics`, its `objective`, what that `gained`, and the
        `weight` of the rows.
    memory : list of Pair
        The last accepted ones.
    length : float
        How far a leap may go.
    steepness, slowness, remaining
        See `left_to_gain`; what was left after the last two accepted ones.
    n_free : int, optional
        How many of its parameters are free, once that was asked.
    over, failed : bool
    """

    asked: Params
    params: Params
    warm: Sequence[Pair] = ()
    leapt: bool = False
    at: np.ndarray | None = None
    accepted: Params | None = None
    statistics: Statistics = field(default_factory=dict)
    objective: float = -math.inf
    gained: float = math.inf
    weight: float = math.nan
    memory: list[Pair] = field(default_factory=list)
    length: float = 2.0
    steepness: float | None = None
    slowness: tuple[float, ...] = ()
    remaining: tuple[float, ...] = ()
    n_free: int | None = None
    over: bool = False
    failed: bool = False

    @classmethod
    def of(cls, draft: Draft, part: Block) -> "_Climb":
        """A climb on a part of a sample; it goes on if it has been there."""
        if draft.step is None or draft.sample is not part:
            return cls(draft.params, draft.params, draft.memory)
        memory = list(draft.memory[-1:])
        return cls(
            draft.step,
            draft.step,
            at=memory[-1].step,
            accepted=draft.params,
            objective=memory[-1].objective,
            memory=memory,
        )

    def takes(self, ground: _Ground, statistics: Statistics, weight: float) -> bool:
        """Whether it moves on to what was asked, given its statistics."""
        objective = objective_of(ground.log_prior, self.asked, statistics, weight)
        if self.leapt and not objective >= self.objective:
            self._stay(objective)
            return False
        self.gained, self.weight = objective - self.objective, weight
        if self.leapt:
            self.length = _SQUAREM.next_length(self.length, _SQUAREM.name)
        elif self.memory and math.isfinite(objective):
            self.steepness = steepness(self.memory[-1], self.gained)
        self.accepted, self.statistics, self.objective = self.asked, statistics, objective
        self.over = self.failed = not math.isfinite(objective)
        return not self.failed

    def _stay(self, objective: float) -> None:
        if not objective >= self.objective - noise(self.objective):
            self.memory = self.memory[-1:]  # What led to this leap is not believed.
        self.length = _SQUAREM.next_length(self.length, None)
        self.asked, self.at, self.leapt = self.params, self.memory[-1].step, False

    def looks_ahead(self, ground: _Ground, tol: float | None) -> None:
        """Whether it is over, as far as what it has gained can tell."""
        if tol is None:
            if self.n_free is None:
                self.n_free = count_free(ground.declared, self.asked)
            resolution = told_apart(self.n_free, self.weight)
            self.over = not self.leapt and self.gained < _LITTLE * resolution
            return
        memory, _ = leapable(self.memory)
        self.slowness, left = left_to_gain(memory, self.steepness, self.slowness)
        self.remaining = (*self.remaining, left)[-2:]
        self.over = len(self.remaining) == 2 and max(self.remaining) < tol

    def leap(self) -> np.ndarray | None:
        """The point (coordinate,) where two EM steps in a row lead, if they lead anywhere."""
        if self.over or len(self.memory) < 2:
            return None
        (before, last), free = leapable(self.memory[-2:])
        point = squared(before, last, self.length)
        return None if point is None else np.where(free, bounded(last.x, point), last.step)

    def judged(self, ground: _Ground) -> Judged:
        """Where it has come, as the rows judge it."""
        params, memory = self.accepted or self.asked, tuple(self.memory)
        if self.failed:
            return Judged((True, False), self.objective, Draft(params, memory))
        flaws = ground.flaws(self.statistics, params)
        left = max(self.remaining) if len(self.remaining) == 2 else math.inf
        draft = Draft(params, memory, self.params, ground.part, left)
        return Judged((False, bool(flaws)), self.objective, draft, _flawed(flaws))


def _remember(declared: Mapping[str, Parameter], climbs: Sequence[_Climb]) -> None:
    """Note where climbs stand and where their EM steps lead."""
    new = [climb.asked for climb in climbs if climb.at is None]
    points = iter(to_free_each(declared, [*new, *(climb.params for climb in climbs)]))
    stand = [next(points) if climb.at is None else climb.at for climb in climbs]
    for climb, at, step in zip(climbs, stand, points, strict=True):
        pair = Pair(at, step, climb.objective)
        climb.memory = [*(climb.memory or moved(climb.warm, pair)), pair][-MEMORY:]


def _leap(ground: _Ground, climbs: Sequence[_Climb]) -> None:
    """Ask for leaps after two EM steps in a row, and for EM steps otherwise."""
    leaping = [(c, point) for c in climbs if not c.leapt and (point := c.leap()) is not None]
    for climb in climbs:
        climb.asked, climb.at, climb.leapt = climb.params, climb.memory[-1].step, False
    likes, points = [climb.params for climb, _ in leaping], [point for _, point in leaping]
    leaps = from_free_each(ground.declared, likes, points)
    for (climb, _), params in zip(leaping, leaps, strict=True):
        if params is not None:
            climb.asked, climb.at, climb.leapt = ground.allowed(params), None, True
