"""What all algorithms share: ask for the EM step, for leaps, or for both; go on from the best.

An algorithm is what it proposes. Everything else is the same for all: every params asked for
come back with their objective, so that a leap that would fall is seen and not taken; and
`State.params` is always the plain EM step from the accepted iterate, so that a fit may end after
any pass with params, statistics and likelihood that belong together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskem.core.parameters import Params, from_free, to_free
from daskem.fitting.algorithms.secants import Pair, curvature, secant_leap

# Leaps look back on so many accepted iterates.
MEMORY = 12
# No coordinate (logs, mostly) moves further than this in one leap; one alone, as that of a
# probability on its way to 0, where nothing stops its logit, does not hold back the others.
FARTHEST = 3.0
# A gain in the objective, relative to its size, that may be rounding: then the EM step is better.
_ROUNDING = 1e-14
# What rounding may amount to where components are very narrow beside their distances.
_NOISE = 1e-10


@dataclass(frozen=True)
class Candidate:
    """What became of one of the params that a pass evaluated.

    Attributes
    ----------
    name : str
        ``"em"`` for the plain EM step, else the kind of leap.
    objective : float
        Per row, in nats; NaN if it was never asked for.
    taken : bool
    reason : str
    """

    name: str
    objective: float
    taken: bool
    reason: str


@dataclass(frozen=True, eq=False)
class State:
    """Where a run stands; a checkpoint is this and the history.

    Attributes
    ----------
    params : Params
        The plain EM step from `accepted`: where a fit that ends now ends.
    accepted : Params or None
        The best iterate whose statistics are known.
    statistics : dict or None
        The statistics at `accepted`.
    objective : float
        At `accepted`, per row, in nats.
    asked : tuple of (str, Params or None)
        Where the next E steps are wanted; None for a leap that led out of the model.
    memory : tuple of Pair
        The last accepted iterates, the newest last.
    stretch : float
        How far a leap goes, or may go, as a multiple of the EM step; algorithms adapt it.
    candidates : tuple of Candidate
        What the last pass evaluated, and what came of it.
    steepness : float or None
        What the last EM step gained for its squared length in free coordinates.
    slowness : tuple of float
        What was left to gain, for the same, as estimated at the last two accepted iterates.
    remaining : float or None
        The algorithm's own prediction of what is left to gain, per row; None for none.
    sketch : tuple of Pair
        The memory of a fit to a sample, to look back on until there are iterates of its own.
    """

    params: Params
    accepted: Params | None = None
    statistics: dict[str, Any] | None = None
    objective: float = -math.inf
    asked: tuple[tuple[str, Params | None], ...] = ()
    memory: tuple[Pair, ...] = ()
    stretch: float = 2.0
    candidates: tuple[Candidate, ...] = ()
    steepness: float | None = None
    slowness: tuple[float, ...] = ()
    remaining: float | None = None
    sketch: tuple[Pair, ...] = ()


@dataclass(frozen=True, eq=False)
class Draft:
    """Where a fit to a sample ended, and its last iterates, of which that is the newest.

    Attributes
    ----------
    params : Params
    memory : tuple of Pair
    """

    params: Params
    memory: tuple[Pair, ...] = ()

    def start(self, algorithm: Any) -> Any:
        """The first state of a fit to all of the data from here."""
        if self.memory and isinstance(algorithm, Climb):
            return replace(algorithm.start(self.params), sketch=self.memory)
        return algorithm.start(self.params)


class Climb:
    """Ask and tell; subclasses add `leaps`, and whether the EM step rides along with them."""

    name = "em"
    together = False

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        """Points (coordinate,) to try besides the EM step, or in its place."""
        return []

    def stretched(self, stretch: float, taken: str | None) -> float:
        """The next `stretch`, after a pass that has taken this candidate, or None of them."""
        return stretch

    def start(self, params: Params) -> State:
        return State(params, asked=(("em", params),))

    def ask(self, state: State) -> list[Params]:
        """The params at which the next pass should take its statistics."""
        return [params for _, params in state.asked if params is not None]

    def tell(
        self,
        model: Any,
        state: State,
        statistics: Sequence[dict[str, Any]],
        objectives: Sequence[float],
    ) -> State:
        """The next state, given statistics and objective of every params asked for, in order."""
        tried = [(name, params) for name, params in state.asked if params is not None]
        best = _best(tried, objectives)
        leapt = tried[best][0] != "em"
        taken = not leapt or objectives[best] >= state.objective
        books = _books(state, objectives, best if taken else None)
        if not taken:
            # The next pass is the EM step, and nothing that led to this leap is believed; unless
            # rounding alone can have spoilt it.
            spoilt = objectives[best] >= state.objective - _noise(state.objective)
            memory = state.memory if spoilt else state.memory[-1:]
            return replace(
                state,
                asked=(("em", state.params),),
                memory=memory,
                stretch=self.stretched(state.stretch, None),
                candidates=books,
            )
        accepted, own = tried[best][1], statistics[best]
        assert accepted is not None
        there = replace(
            state,
            params=model.m_step(own, accepted),
            accepted=accepted,
            statistics=own,
            objective=objectives[best],
            stretch=self.stretched(state.stretch, tried[best][0]),
            candidates=books,
            steepness=_steepness(state, tried[0][0], objectives[0]),
        )
        return self._propose(model, there)

    def _propose(self, model: Any, state: State) -> State:
        em = ("em", state.params)
        declared = getattr(model, "parameters", None)
        if declared is None or type(self).leaps is Climb.leaps:
            return replace(state, asked=(em,))
        assert state.accepted is not None
        x, step = to_free(declared, state.accepted), to_free(declared, state.params)
        pair = Pair(x, step, state.objective)
        before = state.memory or _moved(state.sketch, pair)
        state = replace(state, memory=(*before, pair)[-MEMORY:], sketch=())
        inside = _inside(state.memory)
        memory = [
            replace(p, x=np.where(inside, p.x, 0), step=np.where(inside, p.step, 0))
            for p in state.memory
        ]
        state = _predicted(state, memory)
        leaps = [
            (name, from_free(declared, state.params, np.where(inside, bounded, pair.step)))
            for name, point in self.leaps(memory, state)
            for bounded in [_bounded(memory[-1].x, point)]
        ]
        alone = not self.together and any(params is not None for _, params in leaps)
        return replace(state, asked=tuple(leaps) if alone else (em, *leaps))


def _moved(sketch: Sequence[Pair], first: Pair) -> tuple[Pair, ...]:
    """The iterates of a fit to a sample, as if the data had made them.

    The EM steps of a sample and of the data differ by about the same vector everywhere, so that
    the curvature of the one does for the other.
    """
    if not sketch:
        return ()
    with np.errstate(invalid="ignore"):  # Values on an edge have infinite coordinates.
        shift = first.residual - sketch[-1].residual
        # What the sample gained between them is not what the data gain.
        return tuple(Pair(pair.x, pair.step + shift, math.nan) for pair in sketch[:-1])


def _inside(memory: Sequence[Pair]) -> np.ndarray:
    """Coordinates in which one can leap: values on an edge go where the EM step takes them."""
    finite = np.isfinite([v for pair in memory for v in (pair.x, pair.step)])
    return np.logical_and.reduce(finite, axis=0)


def _steepness(state: State, name: str, objective: float) -> float | None:
    if name != "em" or not state.memory or not math.isfinite(objective):
        return state.steepness
    with np.errstate(invalid="ignore"):  # Values on an edge have infinite coordinates.
        f = state.memory[-1].residual
    square = float(np.square(f[np.isfinite(f)]).sum())
    return max(objective - state.objective, 0.0) / square if square > 0 else 0.0


def _noise(objective: float) -> float:
    return _NOISE * max(1.0, abs(objective)) if math.isfinite(objective) else 0.0


def _predicted(state: State, memory: Sequence[Pair]) -> State:
    """The state with what is left to gain; single estimates scatter, hence the mean of two."""
    own = [p for p in memory if not math.isnan(p.objective)]
    if state.steepness is None or len(own) < 3:
        return replace(state, remaining=math.inf)
    square, noise = memory[-1].square, _noise(state.objective)
    gain = state.steepness * square
    if gain <= 1e-3 * noise:
        return replace(state, remaining=gain)
    slowness = (*state.slowness, _slowness(memory, state.steepness, noise))[-2:]
    left = square * math.prod(slowness) ** (1 / len(slowness))
    return replace(state, slowness=slowness, remaining=left)


def _slowness(memory: Sequence[Pair], steepness: float, noise: float) -> float:
    """What is left to gain for |f|^2, with f the EM step: the larger of two estimates.

    The climb behind: where kappa |f|^2 is left (the inequality of Polyak 1963, as an equation),
    what was gained since an earlier iterate tells kappa; the median of all, as leaps make |f|
    scatter. The way ahead: half the slope along Newton's step n, f . I n / 2, with I the complete
    information, whose size the gain of the last EM step measures, f . I f. Alone this is too
    little: a leap that succeeds has used up what the secants know, as the residuals of conjugate
    gradients are orthogonal to all earlier ones.
    """
    last, order = memory[-1], len(memory) - 1
    if (curvature(memory, order)[1].real < 0).any():
        # On the way from a saddle, where nothing tells how far it is; unless it is all rounding.
        return steepness if steepness * last.square <= noise else math.inf
    own = [p for p in memory[:-1] if not math.isnan(p.objective)]
    gained = np.array([last.objective - p.objective for p in own])
    fallen = np.array([p.square - last.square for p in own])
    behind = np.where(fallen > 0, gained / np.where(fallen > 0, fallen, 1.0), math.inf)
    behind[gained <= noise] = 0.0
    newton = secant_leap(memory, order) - last.x
    ahead = 0.5 * steepness * abs(float(last.residual @ newton)) / last.square
    return max(float(np.median(behind)), ahead)


def _bounded(x: np.ndarray, point: np.ndarray) -> np.ndarray:
    return x + np.clip(point - x, -FARTHEST, FARTHEST)


def _best(tried: Sequence[tuple[str, Any]], objectives: Sequence[float]) -> int:
    """The highest objective; the EM step, which comes first, where rounding decides."""
    known = np.where(np.isfinite(objectives), objectives, -np.inf)
    best = int(known.argmax())
    rounding = _ROUNDING * max(1.0, abs(known[0])) if np.isfinite(known[0]) else 0.0
    return 0 if tried[0][0] == "em" and known[best] <= known[0] + rounding else best


def _books(state: State, objectives: Sequence[float], taken: int | None) -> tuple[Candidate, ...]:
    """What is said of every candidate."""
    books, number = [], 0
    for name, params in state.asked:
        if params is None:
            books.append(Candidate(name, math.nan, False, "led out of the model: not asked for"))
            continue
        objective = float(objectives[number])
        here = number == taken
        best = state.objective if taken is None else objectives[taken]
        if here:
            reason = "the best" if len(state.asked) > 1 else "no fall"
        elif not math.isfinite(objective):
            reason = "its objective is no number"
        elif taken is None:
            reason = f"{best - objective:.2g} below the iterate before it"
        else:
            reason = f"{best - objective:.2g} below the best"
        books.append(Candidate(name, objective, here, reason))
        number += 1
    return tuple(books)
