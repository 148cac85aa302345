"""Several candidates for each read of the data, so that a leap that fails costs no pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.algorithms.climb import Climb, Pair, State

# Directions in which earlier iterates differ by less than this are not worth a division.
_DEPENDENT = 1e-6
# The least 1 - rate: no direction is followed further than 1 / this times its EM step.
_SLOWEST = 1e-3


@dataclass(frozen=True)
class Candidates(Climb):
    """In every pass the EM step, a leap from many secants, one from few, and a longer EM step.

    The best of them is where the next pass goes on from. A leap that succeeds is several EM
    steps for the price of a read; the longer EM step doubles as long as it is the best, and
    carries a run over plateaus.

    Parameters
    ----------
    many, few : int
        Secants of the two leaps; see `secant_leap`.
    """

    name = "candidates"
    together = True
    many: int = 10
    few: int = 3

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        last, most = memory[-1], len(memory) - 1
        orders = sorted({min(order, most) for order in (self.many, self.few)} - {0}, reverse=True)
        return [
            *((f"{order} secants", secant_leap(memory, order)) for order in orders),
            ("longer", last.x + state.stretch * last.residual),
        ]


def secant_leap(memory: Sequence[Pair], order: int) -> np.ndarray:
    """The quasi-Newton step that `order` secants know of, and the EM step in what they do not.

    With J the Jacobian of the EM step and Q a basis of the last steps, A = Q^T (1 - J) Q is known
    from them, and Newton's step in their space is A^-1 Q^T f. Near a saddle of the likelihood A
    has negative eigenvalues (EM steps grow), and Newton would go back to it; with |eigenvalues|
    it goes on, away from it (Dauphin et al. 2014).
    """
    last = memory[-1]
    dx = np.stack([last.x - p.x for p in memory[-1 - order : -1]], axis=1)
    df = np.stack([last.residual - p.residual for p in memory[-1 - order : -1]], axis=1)
    scale = np.linalg.norm(dx, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    u, s, vt = np.linalg.svd(dx / scale, full_matrices=False)
    known = s > _DEPENDENT * s[0]
    if not known.any():
        return last.step
    q = u[:, known]
    a = -q.T @ (df / scale) @ (vt[known].T / s[known])
    values, vectors = np.linalg.eig(a)
    f = q.T @ last.residual
    try:
        newton = vectors @ (np.linalg.solve(vectors, f + 0j) / np.maximum(np.abs(values), _SLOWEST))
    except np.linalg.LinAlgError:  # A defective matrix has no basis of eigenvectors.
        return last.step
    return last.step + q @ (newton.real - f)
