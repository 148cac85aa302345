"""What all algorithms share: ask for the EM step, for leaps, or for both; go on from the best.

An algorithm is what it proposes. Everything else is the same for all: every params asked for
come back with their objective, so that a leap that would fall is seen and not taken; and
`State.params` is always the plain EM step from the accepted iterate, so that a fit may end after
any pass with params, statistics and likelihood that belong together.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np

from daskem.core.coordinates import from_free_each, to_free_each
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.fitting.algorithms.gain import left_to_gain, noise, steepness
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import Candidate, State
from daskem.models.asking import all_allowed_of
from daskem.models.protocol import Declares, Model

# Leaps look back on so many accepted iterates.
MEMORY = 12
# No coordinate (logs, mostly) moves further than this in one leap; one alone, as that of a
# probability on its way to 0, where nothing stops its logit, does not hold back the others.
FARTHEST = 3.0
# Candidates that no algorithm proposes: one that leads out of a saddle, one to where a sample says
# that EM leads, and one a small step aside, which shows how fast EM comes back and is not taken.
OUT, LED, ASIDE = "out of a saddle", "led by the sample", "aside"
# A gain in the objective, relative to its size, that may be rounding: then the EM step is better.
_ROUNDING = 1e-14


class Climb:
    """Ask and tell; subclasses add `leaps`, and whether the EM step rides along with them."""

    name = "em"
    together = False

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        """Points (coordinate,) to try besides the EM step, or in its place."""
        return []

    def next_length(self, length: float, taken: str | None) -> float:
        """The next step length, after a pass that has taken this candidate, or None of them."""
        return length

    def start(self, params: Params) -> State:
        return State(params, asked=(("em", params),))

    def ask(self, state: State) -> list[Params]:
        """The params at which the next pass should take its statistics."""
        return [params for _, params in state.tried]

    def tell(
        self,
        model: Model,
        state: State,
        statistics: Sequence[Statistics],
        objectives: Sequence[float],
    ) -> State:
        """The next state, given statistics and objective of every params asked for, in order."""
        tried = state.tried
        best = _best(tried, objectives)
        leapt = tried[best][0] != "em"
        taken = not leapt or objectives[best] >= state.objective
        outcomes = _outcomes(state, objectives, best if taken else None)
        if not taken:
            # The next pass is the EM step, and nothing that led to this leap is believed; unless
            # rounding alone can have spoilt it.
            spoilt = objectives[best] >= state.objective - noise(state.objective)
            memory = state.memory if spoilt else state.memory[-1:]
            return replace(
                state,
                asked=(("em", state.params),),
                memory=memory,
                step_length=self.next_length(state.step_length, None),
                candidates=outcomes,
            )
        accepted, sums = tried[best][1], statistics[best]
        moved = replace(
            state,
            params=Params(dict(model.m_step(sums, accepted))),
            accepted=accepted,
            statistics=sums,
            objective=objectives[best],
            step_length=self.next_length(state.step_length, tried[best][0]),
            candidates=outcomes,
            steepness=_steepness(state, tried[0][0], objectives[0]),
        )
        return self._propose(model, moved)

    def _propose(self, model: Model, state: State) -> State:
        em = ("em", state.params)
        if not isinstance(model, Declares) or type(self).leaps is Climb.leaps:
            return replace(state, asked=(em,))
        assert state.accepted is not None
        declared = model.parameters
        x, step = to_free_each(declared, [state.accepted, state.params])
        pair = Pair(x, step, state.objective)
        before = state.memory or moved(state.warm, pair)
        state = replace(state, memory=(*before, pair)[-MEMORY:], warm=())
        memory, free = leapable(state.memory)
        slowness, remaining = left_to_gain(memory, state.steepness, state.slowness)
        state = replace(state, slowness=slowness, remaining=remaining)
        ends = self.leaps(memory, state)
        points = [np.where(free, bounded(memory[-1].x, end), pair.step) for _, end in ends]
        reached = from_free_each(declared, [state.params] * len(points), points)
        # The params where a leap ends, or those nearest to it that the M step could lead to.
        nearest = iter(all_allowed_of(model)([params for params in reached if params is not None]))
        leaps = [
            (name, None if params is None else next(nearest))
            for (name, _), params in zip(ends, reached, strict=True)
        ]
        alone = not self.together and any(params is not None for _, params in leaps)
        return replace(state, asked=tuple(leaps) if alone else (em, *leaps))


def _steepness(state: State, name: str, objective: float) -> float | None:
    """What an EM step gained for its squared length, if `name` says that it was one."""
    if name != "em" or not state.memory or not math.isfinite(objective):
        return state.steepness
    return steepness(state.memory[-1], objective - state.objective)


def besides(state: State, others: Sequence[tuple[str, Params]]) -> State:
    """The same state, but that the next pass tries the EM step and these params."""
    return replace(state, asked=(("em", state.params), *others))


def moved(warm: Sequence[Pair], first: Pair) -> tuple[Pair, ...]:
    """The iterates of a fit to a sample, as if the data had made them.

    The EM steps of a sample and of the data differ by about the same vector everywhere, so that
    the curvature of the one does for the other.
    """
    if not warm:
        return ()
    with np.errstate(invalid="ignore"):  # Values on an edge have infinite coordinates.
        shift = first.residual - warm[-1].residual
        # What the sample gained between them is not what the data gain.
        return tuple(Pair(pair.x, pair.step + shift, math.nan) for pair in warm[:-1])


def leapable(memory: Sequence[Pair]) -> tuple[Sequence[Pair], np.ndarray]:
    """The iterates, with 0 for coordinates in which one cannot leap, and which are the others.

    Values on an edge go where the EM step takes them.
    """
    if all(map(attrgetter("is_finite"), memory)):
        return memory, np.ones(len(memory[-1].x), dtype=bool)
    finite = np.isfinite([v for pair in memory for v in (pair.x, pair.step)])
    free = np.logical_and.reduce(finite, axis=0)
    within = [
        replace(pair, x=np.where(free, pair.x, 0), step=np.where(free, pair.step, 0))
        for pair in memory
    ]
    return within, free


def bounded(x: np.ndarray, point: np.ndarray) -> np.ndarray:
    """The point, or what of it is not too far from `x` in any coordinate."""
    return x + np.minimum(np.maximum(point - x, -FARTHEST), FARTHEST)


def _best(tried: Sequence[tuple[str, Params]], objectives: Sequence[float]) -> int:
    """The highest objective; the EM step, which comes first, where rounding decides."""
    eligible = np.isfinite(objectives) & [name != ASIDE for name, _ in tried]
    known = np.where(eligible, objectives, -np.inf)
    best = int(known.argmax())
    rounding = _ROUNDING * max(1.0, abs(known[0])) if np.isfinite(known[0]) else 0.0
    return 0 if tried[0][0] == "em" and known[best] <= known[0] + rounding else best


def _outcomes(
    state: State, objectives: Sequence[float], taken: int | None
) -> tuple[Candidate, ...]:
    """What became of every candidate."""
    outcomes, number = [], 0
    for name, params in state.asked:
        if params is None:
            outcomes.append(Candidate(name, math.nan, False, "led out of the model: not asked for"))
            continue
        objective = float(objectives[number])
        is_taken = number == taken
        best = state.objective if taken is None else objectives[taken]
        if is_taken:
            reason = "the best" if len(state.asked) > 1 else "no fall"
        elif name == ASIDE:
            reason = "a step aside, which shows how fast EM is"
        elif not math.isfinite(objective):
            reason = "its objective is no number"
        elif taken is None:
            reason = f"{best - objective:.2g} below the iterate before it"
        else:
            reason = f"{best - objective:.2g} below the best"
        outcomes.append(Candidate(name, objective, is_taken, reason))
        number += 1
    return tuple(outcomes)
