"""Anderson's acceleration, damped and restarted (Henderson and Varadhan 2019, DAAREM)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.fitting.algorithms.climb import MEMORY, Climb
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import State


@dataclass(frozen=True)
class Anderson(Climb):
    """A leap in every pass, to where the secants of the last iterates put the fixed point.

        x' = g - dG gamma,   gamma = argmin |f - dF gamma|^2 + lambda |gamma|^2,   f = g - x

    with g the EM step from x, and dG, dF the differences between iterates. lambda shrinks the
    leap towards the EM step: much after a start, hardly once many leaps have been taken. A leap
    that would fall costs its pass and restarts the memory.
    """

    name = "anderson"
    order: int = MEMORY - 2

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        k = min(len(memory) - 1, self.order)
        if k == 0:
            return []
        return [("anderson", fixed_point(memory, k, damping=2.0 ** -(2 * k)))]


def fixed_point(memory: Sequence[Pair], order: int, damping: float) -> np.ndarray:
    """Where `order` secants put the fixed point, shrunk by `damping` (relative, squared)."""
    last = memory[-1]
    before = memory[-1 - order : -1]
    steps = np.stack([last.step - p.step for p in before], axis=1)
    residuals = np.stack([last.residual - p.residual for p in before], axis=1)
    scale = np.linalg.norm(residuals, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    u, s, vt = np.linalg.svd(residuals / scale, full_matrices=False)
    shrunk = s / (s**2 + damping * s[0] ** 2) if s[0] > 0 else s
    return last.step - (steps / scale) @ (vt.T @ (shrunk * (u.T @ last.residual)))
