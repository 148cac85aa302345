"""A climb among others in step: where it stands, and what it makes of the answers of the rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from daskem.core.coordinates import from_free_each, to_free_each
from daskem.core.parameters import Parameter, Params, count_free
from daskem.core.segments import Segments
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.algorithms.climb import MEMORY, bounded, leapable, moved
from daskem.fitting.algorithms.gain import Outlook, noise, steepness
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.squarem import squared
from daskem.fitting.stopping import told_apart

# A short climb ends where an EM step has gained this fraction of what the rows can tell apart.
_LITTLE = 0.01
# The algorithm of all: rows in memory cost nothing to read, so that one point a pass is best.
_SQUAREM = Squarem()


@dataclass
class OneClimb:
    """A start on its way: where it stands, and where its next E step is wanted.

    Attributes
    ----------
    asked : Params
    params : Params
        The EM step from `accepted`; before the first pass, the start.
    tol : float, optional
        It ends where no more is left, nats per row.
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
    climbed : (Pair, float), optional
        The last EM step that was taken, from where, and what it gained.
    outlooks : tuple of Outlook
        From the last two accepted ones.
    known : Outlook, optional
        The last one that is known.
    n_free : int, optional
        How many of its parameters are free, once that was asked.
    over, failed : bool
    """

    asked: Params
    params: Params
    tol: float | None
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
    climbed: tuple[Pair, float] | None = None
    outlooks: tuple[Outlook, ...] = ()
    known: Outlook | None = None
    n_free: int | None = None
    over: bool = False
    failed: bool = False

    @classmethod
    def of(cls, draft: Draft, part: Block, tol: float | None) -> "OneClimb":
        """A climb on a part of a sample; it goes on if it has been there."""
        if draft.step is None or draft.sample is not part:
            return cls(draft.params, draft.params, tol, draft.memory)
        memory = list(draft.memory[-1:])
        return cls(
            draft.step,
            draft.step,
            tol,
            at=memory[-1].step,
            accepted=draft.params,
            objective=memory[-1].objective,
            memory=memory,
        )

    def takes(self, objective: float, statistics: Statistics, weight: float) -> bool:
        """Whether it moves on to what was asked, given its objective there."""
        if self.leapt and not objective >= self.objective:
            self._stay(objective)
            return False
        self.gained, self.weight = objective - self.objective, weight
        if self.leapt:
            self.length = _SQUAREM.next_length(self.length, _SQUAREM.name)
        elif self.memory:
            self.climbed = self.memory[-1], self.gained
        self.accepted, self.statistics, self.objective = self.asked, statistics, objective
        self.over = self.failed = not math.isfinite(objective)
        return not self.failed

    def _stay(self, objective: float) -> None:
        if not objective >= self.objective - noise(self.objective):
            self.memory = self.memory[-1:]  # What led to this leap is not believed.
        self.length = _SQUAREM.next_length(self.length, None)
        self.steps()

    def looks_ahead(self, declared: Mapping[str, Parameter]) -> None:
        """Whether it is over, as far as what it has gained can tell."""
        if self.tol is None:
            if self.n_free is None:
                self.n_free = count_free(declared, self.asked)
            resolution = told_apart(self.n_free, self.weight)
            self.over = not self.leapt and self.gained < _LITTLE * resolution
            return
        memory, _ = leapable(self.memory)
        steep = None if self.climbed is None else steepness(*self.climbed)
        outlook = Outlook(memory, steep, self.known)
        self.outlooks = (*self.outlooks, outlook)[-2:]
        self.known = outlook if outlook.is_known else self.known
        # The costly estimates come last.
        self.over = (
            len(self.outlooks) == 2
            and not any(o.least >= self.tol for o in self.outlooks)
            and all(o.left < self.tol for o in self.outlooks)
        )

    def draft(self, part: Block) -> Draft:
        """Where it has come, on a part of a sample."""
        params, memory = self.accepted or self.asked, tuple(self.memory)
        if self.failed:
            return Draft(params, memory)
        left = max(o.left for o in self.outlooks) if len(self.outlooks) == 2 else math.inf
        return Draft(params, memory, self.params, part, left)

    def steps(self) -> None:
        """It asks for its EM step."""
        self.asked, self.at, self.leapt = self.params, self.memory[-1].step, False

    def leaps(self, params: Params) -> None:
        """It asks for params where a leap leads."""
        self.asked, self.at, self.leapt = params, None, True


def remember(declared: Mapping[str, Parameter], climbs: Sequence[OneClimb]) -> None:
    """Note where climbs stand and where their EM steps lead."""
    new = [climb.asked for climb in climbs if climb.at is None]
    points = iter(to_free_each(declared, [*new, *(climb.params for climb in climbs)]))
    stand = [next(points) if climb.at is None else climb.at for climb in climbs]
    for climb, at, step in zip(climbs, stand, points, strict=True):
        pair = Pair(at, step, climb.objective)
        climb.memory = [*(climb.memory or moved(climb.warm, pair)), pair][-MEMORY:]


def ask(
    declared: Mapping[str, Parameter],
    all_allowed: Callable[[Sequence[Params]], Sequence[Params]],
    climbs: Sequence[OneClimb],
) -> None:
    """Ask for leaps after two EM steps in a row, and for EM steps otherwise."""
    after_two = [c for c in climbs if not (c.over or c.leapt) and len(c.memory) > 1]
    for climb in climbs:
        climb.steps()
    if not after_two:
        return
    pairs = [_joined([climb.memory[at] for climb in after_two]) for at in (-2, -1)]
    (before, last), free = leapable(pairs)
    each = Segments([len(climb.memory[-1].x) for climb in after_two])
    point, far = squared(before, last, [climb.length for climb in after_two], each)
    points = each.parts(np.where(free, bounded(last.x, point), pairs[-1].step))
    leaping = [(c, p) for c, p, is_far in zip(after_two, points, far, strict=True) if is_far]
    likes, points = [climb.params for climb, _ in leaping], [point for _, point in leaping]
    ends = zip(leaping, from_free_each(declared, likes, points), strict=True)
    led = [(climb, params) for (climb, _), params in ends if params is not None]
    near = all_allowed([params for _, params in led])
    for (climb, _), params in zip(led, near, strict=True):
        climb.leaps(params)


def _joined(pairs: Sequence[Pair]) -> Pair:
    """The coordinates of many, one after the other."""
    return Pair(
        np.concatenate([pair.x for pair in pairs]),
        np.concatenate([pair.step for pair in pairs]),
        math.nan,
    )
