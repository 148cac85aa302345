"""Climbs of many starts on a part of a sample: short ones all in step, long ones by the loop."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.coordinates import from_free_each, to_free_each
from daskem.core.parameters import Parameter, Params
from daskem.core.statistics import Statistics
from daskem.data.blocks import WEIGHT, Block
from daskem.data.blocks.local import LocalBlocks
from daskem.errors import ModelError
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.algorithms.climb import MEMORY, bounded, inside, within
from daskem.fitting.algorithms.gain import noise
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.squarem import squared
from daskem.fitting.loop import e_steps, passes
from daskem.fitting.run import Run, objective_of
from daskem.fitting.stopping import Stop, resolution
from daskem.models.asking import allowed, demand
from daskem.models.protocol import Declares, Model, Reports
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


def climbed(model: Model, drafts: Sequence[Draft], part: Block, n_passes: int) -> list[Judged]:
    """Where short climbs from `drafts` lead on a part of a sample, as these rows judge it.

    All of them are at the same pass, so that one sweep over the rows and one change of coordinates
    serve them all. They go as `Squarem` goes, without what tells a fit to data when to end: each
    ends after `n_passes`, or where an EM step gains little.
    """
    declared = demand(model, Declares, "a climb").parameters
    blocks, climbs = in_memory(part), [_Climb(d.params, d.params) for d in drafts]
    for _ in range(n_passes):
        moving = [climb for climb in climbs if not climb.over]
        if not moving:
            break
        sums = _e_steps(model, [climb.asked for climb in moving], blocks)
        taken = [c for c, answer in zip(moving, sums, strict=True) if c.takes(model, *answer)]
        _remember(declared, taken)
        _leap(model, declared, taken)
    return [climb.judged(model) for climb in climbs]


def judged(model: Model, drafts: Sequence[Draft], rows: Block) -> list[Judged]:
    """Each of `drafts` as it is, as these rows judge it."""
    sums = _e_steps(model, [draft.params for draft in drafts], in_memory(rows))
    entries = []
    for draft, answer in zip(drafts, sums, strict=True):
        objective = objective_of(model, draft.params, *answer)
        failed = not math.isfinite(objective)
        flaws = [] if failed else _flaws(model, answer[0], draft.params)
        entries.append(Judged((failed, bool(flaws)), objective, draft, _flawed(flaws)))
    return entries


def fitted(model: Model, drafts: Sequence[Draft], part: Block, stop: Stop) -> list[Judged]:
    """Where fits from `drafts` to a part of a sample end, by the loop of all fits."""
    runs = [Run(model, _SQUAREM, draft.start(_SQUAREM)) for draft in drafts]
    (ended,) = deque(passes(runs, in_memory(part), stop), maxlen=1)
    return [
        Judged(
            run.unfit,
            run.history[-1].objective,
            Draft(run.state.accepted or run.params, run.state.memory),
            _flawed(run.history[-1].flaws),
        )
        for run in ended
    ]


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


def _e_steps(
    model: Model, asked: Sequence[Params], blocks: LocalBlocks
) -> list[tuple[Statistics, float]]:
    """The statistics at each of the params, and the weight of the rows that are fitted."""
    sums = blocks.sum(_evaluate, model, Candidates(asked), name="e-step")
    return [(s, s.get("fitted_weight", sums["weight"])) for s in sums["statistics"]]


def _evaluate(block: Block, model: Model, candidates: Candidates) -> dict[str, Any]:
    """What the loop evaluates of a block, but for what tells whether its rows have changed."""
    return {"weight": block.weight, "statistics": list(e_steps(model, block, candidates))}


def _flaws(model: Model, statistics: Statistics, params: Params) -> list[str]:
    events = model.events(statistics, params) if isinstance(model, Reports) else ()
    return [event for event in events if isinstance(event, Flaw)]


def _flawed(flaws: Iterable[str]) -> tuple[int, ...]:
    """The components of which flaws speak."""
    return tuple(
        flaw.component for flaw in flaws if isinstance(flaw, Flaw) and flaw.component is not None
    )


@dataclass
class _Climb:
    """A start on its way: where it stands, and where its next E step is wanted.

    Attributes
    ----------
    asked : Params
    leapt : bool
        Whether a leap leads there; else it is an EM step, or the start.
    at : ndarray, (coordinate,), optional
        Its free coordinates, where they are known.
    accepted : Params, optional
        The best so far, with its `statistics` and `objective`.
    params : Params
        The EM step from there; before the first pass, the start.
    memory : list of Pair
        The last accepted ones.
    length : float
        How far a leap may go.
    over, failed : bool
    """

    asked: Params
    params: Params
    leapt: bool = False
    at: np.ndarray | None = None
    accepted: Params | None = None
    statistics: Statistics = field(default_factory=dict)
    objective: float = -math.inf
    memory: list[Pair] = field(default_factory=list)
    length: float = 2.0
    over: bool = False
    failed: bool = False

    def takes(self, model: Model, statistics: Statistics, weight: float) -> bool:
        """Whether it moves on to what was asked, given its statistics; it makes the EM step."""
        objective = objective_of(model, self.asked, statistics, weight)
        if self.leapt and not objective >= self.objective:
            self._stay(objective)
            return False
        if self.leapt:
            self.length = _SQUAREM.next_length(self.length, _SQUAREM.name)
        else:
            self.over = objective - self.objective < _LITTLE * resolution(model, self.asked, weight)
        self.accepted, self.statistics, self.objective = self.asked, statistics, objective
        try:
            self.params = Params(dict(model.m_step(statistics, self.accepted)))
        except (ModelError, np.linalg.LinAlgError):
            self.failed = True
        self.failed = self.failed or not math.isfinite(objective)
        self.over = self.over or self.failed
        return not self.failed

    def _stay(self, objective: float) -> None:
        if not objective >= self.objective - noise(self.objective):
            self.memory = self.memory[-1:]  # What led to this leap is not believed.
        self.length = _SQUAREM.next_length(self.length, None)
        self.asked, self.at, self.leapt = self.params, self.memory[-1].step, False

    def leap(self) -> np.ndarray | None:
        """The point (coordinate,) where two EM steps in a row lead, if they lead anywhere."""
        if self.over or len(self.memory) < 2:
            return None
        free = inside(self.memory)
        before, last = (within(pair, free) for pair in self.memory[-2:])
        point = squared(before, last, self.length)
        return None if point is None else np.where(free, bounded(last.x, point), last.step)

    def judged(self, model: Model) -> Judged:
        """Where it has come, as the rows judge it."""
        params = self.accepted or self.asked
        flaws = [] if self.failed else _flaws(model, self.statistics, params)
        draft = Draft(params, tuple(self.memory))
        return Judged((self.failed, bool(flaws)), self.objective, draft, _flawed(flaws))


def _remember(declared: Mapping[str, Parameter], climbs: Sequence[_Climb]) -> None:
    """Note where climbs stand and where their EM steps lead."""
    new = [climb.asked for climb in climbs if climb.at is None]
    points = iter(to_free_each(declared, [*new, *(climb.params for climb in climbs)]))
    stand = [next(points) if climb.at is None else climb.at for climb in climbs]
    for climb, at, step in zip(climbs, stand, points, strict=True):
        climb.memory = [*climb.memory, Pair(at, step, climb.objective)][-MEMORY:]


def _leap(model: Model, declared: Mapping[str, Parameter], climbs: Sequence[_Climb]) -> None:
    """Ask for leaps after two EM steps in a row, and for EM steps otherwise."""
    leaping = [(c, point) for c in climbs if not c.leapt and (point := c.leap()) is not None]
    for climb in climbs:
        climb.asked, climb.at, climb.leapt = climb.params, climb.memory[-1].step, False
    likes, points = [climb.params for climb, _ in leaping], [point for _, point in leaping]
    leaps = from_free_each(declared, likes, points)
    for (climb, _), params in zip(leaping, leaps, strict=True):
        if params is not None:
            climb.asked, climb.at, climb.leapt = allowed(model, params), None, True
