"""No component is narrower than the record resolves: the M step of matrices above a floor.

    C >= T,  T = D + r W

in the frame. D are the floors of the frame, the same for all components. W are the component's own
variances, and r a direction of which only rounding is left beside them. The covariance that
maximises the expected log-likelihood of rows with covariance S is then

    C = S + B V max(2 L - 1, 0) V^T B^T,  B B^T = S + T,  B^-1 T B^-T = V L V^T

as log|C| + trace(C^-1 S) parts into such terms of each eigenvalue (Garcia-Escudero et al. 2018):
along a column b of B V, S is 1 - L and T is L times b b^T, and C the larger of them. No L is above
1, so that directions in which T is narrow, or S, cost the others no digit.
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
# r gets smaller where a component has become wider since, as its params have to remain allowed;
# but of what it becomes not less than this, as a Cholesky factor could not be told from none.
_LEAST = 1e-13
# What r may be with many features: a test of each costs less than eigenvalues.
_SLACKS = [ROUNDING / 2**i for i in range(10)]
# Rounding of eigenvalues that are at r, relative to it.
_NEARLY = 1 - 1e-3


def floored(new: np.ndarray, old: np.ndarray, frame: Frame) -> np.ndarray:
    """The M step `new`, (component, feature, feature), above floors that `old` are above too."""
    fixed, raised = frame.floors, new
    for k in np.flatnonzero(~are_definite(new - _bounds(fixed, ROUNDING * _own(old)))):
        raised = raised.copy() if raised is new else raised
        rounding = np.maximum(_slack(old[k], fixed) * _own(old[k]), _LEAST * _own(new[k]))
        raised[k] = _raised(new[k], _bounds(fixed, rounding))
    return raised


def allowed(covariances: np.ndarray, frame: Frame) -> np.ndarray:
    """The nearest covariances, (component, feature, feature), above the floors."""
    bounds = _bounds(frame.floors, ROUNDING * _own(covariances))
    raised = covariances.copy()
    for k in np.flatnonzero(~are_definite(covariances - bounds)):
        raised[k] = _raised(covariances[k], bounds[k])
    return raised


def narrow(covariances: np.ndarray, frame: Frame) -> Narrow:
    """The directions in which components are as narrow as a floor."""
    recorded = NEAR * frame.recorded_floors
    fixed = recorded + SPURIOUS * (frame.floors - frame.recorded_floors)
    bounds = _bounds(fixed, SPURIOUS * ROUNDING * _own(covariances))
    n_directions = np.zeros((2, len(covariances)), int)
    for k in np.flatnonzero(~are_definite(covariances - bounds)):
        values, vectors, factor = _eigen(covariances[k], bounds[k])
        at = values >= 0.5
        directions = np.linalg.solve(factor.T, vectors[:, at])
        # What the record has of a direction, rather than rounding.
        share = np.einsum("ij,ij->j", directions, recorded @ directions) / values[at]
        n_directions[:, k] = (share > 0.5).sum(), (share <= 0.5).sum()
    return Narrow(*n_directions)


def _own(covariances: np.ndarray) -> np.ndarray:
    """W, (..., feature), which is diagonal."""
    return np.diagonal(covariances, axis1=-2, axis2=-1)


def _bounds(fixed: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """T, (..., feature, feature), of D and r W, (..., feature)."""
    bounds = np.empty((*rounding.shape, len(fixed)))
    bounds[...] = fixed
    np.einsum("...ii->...i", bounds)[...] += rounding
    return bounds


def _eigen(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, V and B."""
    b = np.linalg.cholesky(s + t)
    half = np.linalg.solve(b, t)
    values, vectors = np.linalg.eigh(np.linalg.solve(b, half.T))
    return values, vectors, b


def _raised(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """C of S."""
    if len(s) >= MANY:
        return _raised_by_rank(s, t)
    s = _definite(s, t)
    values, vectors, b = _eigen(s, t)
    lacking = values > 0.5
    added = b @ vectors[:, lacking]
    return s + (added * (2 * values[lacking] - 1)) @ added.T


def _definite(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """S without its negative eigenvalues, which are rounding."""
    sd = np.sqrt(np.maximum(np.diagonal(s), 0.0) + np.diagonal(t))
    units = np.outer(sd, sd)
    values, vectors = np.linalg.eigh(s / units)
    if values[0] >= 0:
        return s
    return (vectors * np.maximum(values, 0.0)) @ vectors.T * units


def _raised_by_rank(s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """C of S, at the cost of the rank of S.

    With S = A A^T and M = B^-1 A, whose M^T M = U J U^T, S is J where B B^T is 1, and T is 1 - J:

        C = S + T - A U min(1, 1 / J - 1) U^T A^T
    """
    a = low_rank(s)
    m = solved(cholesky(s + t), a)
    shares, vectors = np.linalg.eigh(m.T @ m)
    above = (a @ vectors) * np.sqrt(np.clip(1 / np.maximum(shares, 0.5) - 1, 0.0, 1.0))
    return s + (t - above @ above.T)


def _slack(old: np.ndarray, fixed: np.ndarray) -> float:
    """What `old` are above the fixed floors, of their own variances; at most `ROUNDING`."""
    sd = np.sqrt(np.diagonal(old))
    beyond = (old - fixed) / np.outer(sd, sd)
    if len(old) >= MANY:
        # Of many noisy eigenvalues the least is too small, and less with each pass.
        first = bisect_left(_SLACKS, True, key=lambda r: _exceed(beyond, _NEARLY * r))
        return _SLACKS[first] if first < len(_SLACKS) else _LEAST
    return min(max(float(np.linalg.eigvalsh(beyond)[0]), _LEAST), ROUNDING)


def _exceed(matrix: np.ndarray, least: float) -> bool:
    """Whether all eigenvalues of a matrix are greater than `least`."""
    shifted = matrix.copy()
    np.einsum("ii->i", shifted)[...] -= least
    return bool(are_definite(shifted[None])[0])
