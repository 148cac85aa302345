"""SQUAREM (Varadhan and Roland 2008): a leap from every two EM steps, by squared extrapolation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.algorithms.climb import Climb, State
from daskem.algorithms.secants import Pair


@dataclass(frozen=True)
class Squarem(Climb):
    """EM step, leap, EM step, leap; a leap that would fall costs its pass.

        r = x1 - x0,  v = (x2 - x1) - r,  alpha = -|r| / |v|,  x' = x0 - 2 alpha r + alpha^2 v

    with x1, x2 the EM steps from x0 and x1 (their third scheme). The guard is free, as the pass
    that takes the statistics at x' returns its objective too.
    """

    name = "squarem"

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        # Two EM steps in a row: the later iterate is the EM step from the earlier one.
        if len(memory) < 2 or state.candidates[0].name != "em":
            return []
        r, last = memory[-2].residual, memory[-1].residual
        v = last - r
        size = np.linalg.norm(v)
        alpha = np.linalg.norm(r) / size if size > 0 else 1.0
        if alpha <= 1:  # No further than the EM step itself.
            return []
        return [("squarem", memory[-2].x + 2 * alpha * r + alpha**2 * v)]
