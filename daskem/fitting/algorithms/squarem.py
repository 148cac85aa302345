"""SQUAREM (Varadhan and Roland 2008): a leap from every two EM steps, by squared extrapolation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.segments import Segments
from daskem.fitting.algorithms.climb import Climb
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import State

# The limit of |alpha| is multiplied by this after a leap, and divided by it after a failure,
_CAUTION = 4.0
# between these: below, a leap is hardly one; above, the model is far away.
_LEAST, _MOST = 1.5, 1024.0


@dataclass(frozen=True)
class Squarem(Climb):
    """EM step, leap, EM step, leap; a leap that would fall costs its pass.

        r = x1 - x0,  v = (x2 - x1) - r,  alpha = -|r| / |v|,  x' = x0 - 2 alpha r + alpha^2 v

    with x1, x2 the EM steps from x0 and x1 (their third scheme). The guard is free, as the pass
    that takes the statistics at x' returns its objective too. |alpha| has a limit, which a leap
    that fails makes smaller: on a plateau, where one eigenvalue of EM is near 1, all of them would.
    """

    name = "squarem"

    def next_length(self, length: float, taken: str | None) -> float:
        if taken is None:
            return max(length / _CAUTION, _LEAST)
        return min(length * _CAUTION, _MOST) if taken == self.name else length

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        # Two EM steps in a row: the later iterate is the EM step from the earlier one.
        first, *_ = state.candidates
        if len(memory) < 2 or not (first.name == "em" and first.taken):
            return []
        alone = Segments([len(memory[-1].x)])
        point, (is_far,) = squared(memory[-2], memory[-1], [state.step_length], alone)
        return [(self.name, point)] if is_far else []


def squared(
    before: Pair, last: Pair, limits: Sequence[float], each: Segments
) -> tuple[np.ndarray, list[bool]]:
    """x' of several climbs, (coordinate,), from their x0 and x1 with their EM steps.

    `each` has one after the other, with its limit. Also whether each leads further than an EM step.
    """
    r = before.residual
    v = last.residual - r
    squares = zip(each.sums(r * r).tolist(), each.sums(v * v).tolist(), limits, strict=True)
    lengths = [min(math.sqrt(rr / vv), limit) if vv > 0 else 1.0 for rr, vv, limit in squares]
    alpha = each.spread(np.array(lengths))
    return before.x + 2 * alpha * r + alpha**2 * v, [length > 1 for length in lengths]
