"""No component is narrower than the record resolves: the M step of matrices above a floor.

    C >= T,  T = D + r W

in the frame. D are the floors of the frame, the same for all components. W are the component's own
variances, and r a direction of which only rounding is left beside them. The covariance that
maximises the expected log-likelihood of rows with covariance S is then

    C = S + B V max(1 - L, 0) V^T B^T,  B B^T = T,  B^-1 S B^-T = V L V^T

as log|C| + trace(C^-1 S) parts into such terms of each eigenvalue (Garcia-Escudero et al. 2018).
"""

from bisect import bisect_left

import numpy as np

from daskem.core.frames import Frame
from daskem.core.triangular import MANY, are_definite, cholesky, low_rank, solved
from daskem.models.families.structure import Narrow

# r: a direction that is smaller is known to less than five digits, and so is what it adds to the
# objective.
ROUNDING = 1e-10
# A variance of so many times what rounding may be is as spurious as none.
SPURIOUS = 10.0
# Variances that exceed a floor of the record by less are at it: leaps are not exact.
NEAR = 1 + 1e-6
# r gets smaller where a component has become so many times wider since, as its params have to
# remain allowed.
_WIDER = 1000.0
# What r may be with many features: a test of each costs less than eigenvalues.
_SLACKS = [ROUNDING / 2**i for i in range(10)]
# Rounding of eigenvalues that are at r, relative to it.
_NEARLY = 1 - 1e-3


def floored(new: np.ndarray, old: np.ndarray, frame: Frame) -> np.ndarray:
    """The M step `new`, (component, feature, feature), above floors that `old` are above too."""
    fixed, raised = frame.floors, new
    for k in np.flatnonzero(~are_definite(new - _bounds(fixed, ROUNDING, old))):
        raised = raised.copy() if raised is new else raised
        raised[k] = _raised(new[k], _bounds(fixed, _slack(old[k], fixed), old[k]))
    return raised


def allowed(covariances: np.ndarray, frame: Frame) -> np.ndarray:
    """The nearest covariances, (component, feature, feature), above the floors."""
    bounds = _bounds(frame.floors, ROUNDING, covariances)
    raised = covariances.copy()
    for k in np.flatnonzero(~are_definite(covariances - bounds)):
        raised[k] = _raised(covariances[k], bounds[k])
    return raised


def narrow(covariances: np.ndarray, frame: Frame) -> Narrow:
    """The directions in which components are as narrow as a floor."""
    recorded = NEAR * frame.recorded_floors
    fixed = recorded + SPURIOUS * (frame.floors - frame.recorded_floors)
    bounds = _bounds(fixed, SPURIOUS * ROUNDING, covariances)
    found = np.zeros((2, len(covariances)), int)
    for k in np.flatnonzero(~are_definite(covariances - bounds)):
        values, vectors, factor = _eigen(covariances[k], bounds[k])
        directions = np.linalg.solve(factor.T, vectors[:, values <= 1])
        # What the record has of a direction, rather than rounding.
        share = np.einsum("ij,ij->j", directions, recorded @ directions)
        found[:, k] = (share > 0.5).sum(), (share <= 0.5).sum()
    return Narrow(*found)


def _bounds(fixed: np.ndarray, r: float, covariances: np.ndarray) -> np.ndarray:
    """T, (..., feature, feature), with W the variances of `covariances`."""
    own = np.diagonal(covariances, axis1=-2, axis2=-1)
    bounds, diagonal = np.tile(fixed, (*own.shape[:-1], 1, 1)), np.arange(len(fixed))
    bounds[..., diagonal, diagonal] += r * own
    return bounds


def _eigen(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, V and B."""
    b = np.linalg.cholesky(t)
    half = np.linalg.solve(b, s)
    values, vectors = np.linalg.eigh(np.linalg.solve(b, half.T))
    return values, vectors, b


def _raised(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """C of S."""
    if len(s) >= MANY:
        return _raised_by_rank(s, t)
    values, vectors, b = _eigen(s, t)
    lacking = values < 1
    added = b @ vectors[:, lacking]
    return s + (added * (1 - values[lacking])) @ added.T


def _raised_by_rank(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """C of S, at the cost of the rank of S.

    With S = A A^T and M = B^-1 A, whose M^T M = U L U^T, S has the eigenvalues L, and none else:

        C = S + T - A U min(1, 1 / L) U^T A^T
    """
    a = low_rank(s)
    m = solved(cholesky(t), a)
    values, vectors = np.linalg.eigh(m.T @ m)
    above = (a @ vectors) / np.sqrt(np.maximum(values, 1.0))
    return s + (t - above @ above.T)


def _slack(old: np.ndarray, fixed: np.ndarray) -> float:
    """What `old` are above the fixed floors, of their own variances; at most `ROUNDING`.

    Where they are below, they are no iterate but the unit that a start is made from.
    """
    sd = np.sqrt(np.diagonal(old))
    beyond = (old - fixed) / np.outer(sd, sd)
    if len(old) >= MANY:
        # Of many noisy eigenvalues the least is too small, and less with each pass.
        first = bisect_left(_SLACKS, True, key=lambda r: _exceed(beyond, _NEARLY * r))
        return _SLACKS[first] if first < len(_SLACKS) else ROUNDING
    least = np.linalg.eigvalsh(beyond)[0]
    return ROUNDING if least < ROUNDING / _WIDER else min(float(least), ROUNDING)


def _exceed(matrix: np.ndarray, least: float) -> bool:
    """Whether all eigenvalues of a matrix are greater than `least`."""
    return bool(are_definite((matrix - least * np.eye(len(matrix)))[None])[0])
