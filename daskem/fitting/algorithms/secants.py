"""What accepted iterates and their EM steps tell of the way to the top."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Directions in which earlier iterates differ by less than this are not worth a division.
_DEPENDENT = 1e-6
# The least 1 - rate: no direction is followed further than 1 / this times its EM step.
_SLOWEST = 1e-3


# Q (coordinate, direction), and the eigenvalues and eigenvectors of A = Q^T (1 - J) Q.
Curvature = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Pair:
    """An accepted iterate and its EM step, in free coordinates (coordinate,), and its objective."""

    x: np.ndarray
    step: np.ndarray
    objective: float

    @property
    def residual(self) -> np.ndarray:
        return self.step - self.x

    @cached_property
    def is_finite(self) -> bool:
        """Whether no coordinate is on an edge."""
        return bool(np.isfinite(self.x).all() and np.isfinite(self.step).all())

    @cached_property
    def square(self) -> float:
        """|f|^2, with f the EM step."""
        return float(np.square(self.residual).sum())


def secant_leap(memory: Sequence[Pair], order: int) -> np.ndarray:
    """The quasi-Newton step that `order` secants know of, and the EM step in what they do not.

    With J the Jacobian of the EM step and Q a basis of the last steps, A = Q^T (1 - J) Q is known
    from them, and Newton's step in their space is A^-1 Q^T f. Near a saddle of the likelihood A
    has negative eigenvalues (EM steps grow), and Newton would go back to it; with |eigenvalues|
    it goes on, away from it (Dauphin et al. 2014).
    """
    return newton_step(memory[-1], curvature(memory, order))


def newton_step(last: Pair, known: Curvature) -> np.ndarray:
    """The same, from where the curvature is known."""
    q, values, vectors = known
    f = q.T @ last.residual
    try:
        newton = vectors @ (np.linalg.solve(vectors, f + 0j) / np.maximum(np.abs(values), _SLOWEST))
    except np.linalg.LinAlgError:  # A defective matrix has no basis of eigenvectors.
        return last.step
    return last.step + q @ (newton.real - f)


def curvature(memory: Sequence[Pair], order: int) -> Curvature:
    """What the last `order` secants know of it."""
    last, before = memory[-1], memory[-1 - order : -1]
    f = last.residual
    dx = np.ascontiguousarray(np.array([last.x - p.x for p in before]).T)
    df = np.ascontiguousarray(np.array([f - p.residual for p in before]).T)
    scale = np.sqrt(np.square(dx).sum(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    u, s, vt = np.linalg.svd(dx / scale, full_matrices=False)
    known = s > _DEPENDENT * s[0]
    q = u[:, known]
    return q, *np.linalg.eig(-q.T @ (df / scale) @ (vt[known].T / s[known]))
