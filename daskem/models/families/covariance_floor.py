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

from collections.abc import Callable

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import EPS
from daskem.core.triangular import (
    MANY,
    are_definite,
    cholesky,
    inverse,
    low_rank,
    solved,
    without_largest,
)
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
# Pivots that are large beside r.
_LARGE = 1e-5
# Rounding of eigenvalues that are at r, relative to it.
_NEARLY = 1 - 1e-3


def floored(new: np.ndarray, old: np.ndarray, frame: Frame) -> np.ndarray:
    """The M step `new`, (component, feature, feature), above floors that `old` are above too."""
    fixed, least = frame.floors, _least(new.shape[-1])

    def bound(k: int) -> np.ndarray:
        return np.maximum(_slack(old[k], fixed) * _own(old[k]), least * _own(new[k]))

    return _raised_where(~_exceed(new, fixed, ROUNDING * _own(old)), new, fixed, bound)


def allowed(covariances: np.ndarray, frame: Frame) -> np.ndarray:
    """The nearest covariances, (component, feature, feature), above the floors."""
    fixed, rounding = frame.floors, ROUNDING * _own(covariances)
    below = ~_exceed(covariances, fixed, rounding)
    return _raised_where(below, covariances, fixed, lambda k: rounding[k])


def narrow(covariances: np.ndarray, frame: Frame) -> Narrow:
    """The directions in which components are as narrow as a floor."""
    recorded = NEAR * _matrix(frame.recorded_floors)
    fixed = recorded + SPURIOUS * _matrix(frame.floors - frame.recorded_floors)
    rounding = SPURIOUS * ROUNDING * _own(covariances)
    n_directions = np.zeros((2, len(covariances)), int)
    for k in np.flatnonzero(~_exceed(covariances, fixed, rounding)):
        values, vectors, factor = _eigen(covariances[k], fixed + np.diag(rounding[k]))
        at = values >= 0.5
        directions = np.linalg.solve(factor.T, vectors[:, at])
        # What the record has of a direction, rather than rounding.
        share = np.einsum("ij,ij->j", directions, recorded @ directions) / values[at]
        n_directions[:, k] = (share > 0.5).sum(), (share <= 0.5).sum()
    return Narrow(*n_directions)


def _own(covariances: np.ndarray) -> np.ndarray:
    """W, (..., feature), which is diagonal."""
    return np.diagonal(covariances, axis1=-2, axis2=-1)


def _matrix(covariance: np.ndarray) -> np.ndarray:
    """A covariance (feature, feature), if need be of its diagonal (feature,)."""
    return np.diag(covariance) if covariance.ndim == 1 else covariance


def _exceed(covariances: np.ndarray, fixed: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """Whether covariances (component, feature, feature) are above T, of D and r W (component,
    feature).
    """
    if covariances.shape[-1] < MANY:
        return are_definite(_beyond(covariances, fixed, rounding))
    # One at a time, as what is left of all of them would not fit into a cache.
    pairs = zip(covariances, rounding, strict=True)
    return np.array([are_definite(_beyond(c, fixed, r)[None], overwrite=True)[0] for c, r in pairs])


def _beyond(covariances: np.ndarray, fixed: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """C - T, (..., feature, feature)."""
    diagonal = rounding + fixed if fixed.ndim == 1 else rounding
    beyond = covariances.copy() if fixed.ndim == 1 else covariances - fixed
    np.einsum("...ii->...i", beyond)[...] -= diagonal
    return beyond


def _eigen(s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, V and B."""
    b = np.linalg.cholesky(s + t)
    half = np.linalg.solve(b, t)
    values, vectors = np.linalg.eigh(np.linalg.solve(b, half.T))
    return values, vectors, b


def _raised_where(
    below: np.ndarray,
    covariances: np.ndarray,
    fixed: np.ndarray,
    rounding: Callable[[int], np.ndarray],
) -> np.ndarray:
    """Covariances (component, feature, feature) with C of those that are below T, of which
    `rounding` knows r W; themselves where none is.
    """
    if not below.any():
        return covariances
    raised = covariances.copy()
    for k in np.flatnonzero(below).tolist():
        raised[k] = _raised(covariances[k], fixed, rounding(k))
    return raised


def _raised(s: np.ndarray, fixed: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """C of S."""
    if len(s) >= MANY:
        diagonal = fixed.ndim == 1
        return _raised_by_rank(s, fixed + rounding if diagonal else fixed + np.diag(rounding))
    t = _matrix(fixed) + np.diag(rounding)
    if len(s) == 1:
        return np.maximum(s, t)
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
    """C of S, at the cost of the rank of S; T (feature, feature), or its diagonal (feature,).

    With S = A A^T and T = E E^T, (E^-1 A)^T E^-1 A = G = U J U^T, S is J times T along A U:

        C = S + T - A U min(1, 1 / J) U^T A^T

    J spans more digits than there are, but the eigenvalues of H = (1 + G)^-1, 1 / (1 + J), do not.
    """
    a = low_rank(s)
    m = a / np.sqrt(t)[:, None] if t.ndim == 1 else solved(cholesky(t), a)
    root = inverse(cholesky(np.eye(a.shape[1]) + m.T @ m))
    shares, vectors = np.linalg.eigh(root.T @ root)
    h = np.clip(shares, 0.0, 0.5)
    above = (a @ vectors) * np.sqrt(h / (1 - h))
    raised = above @ above.T
    if t.ndim == 1:
        np.negative(raised, out=raised)
        np.einsum("ii->i", raised)[...] += t
    else:
        np.subtract(t, raised, out=raised)
    raised += s
    return raised


def _slack(old: np.ndarray, fixed: np.ndarray) -> float:
    """What `old` are above the fixed floors, of their own variances; at most `ROUNDING`."""
    own = _own(old)
    if len(old) < MANY:
        sd = np.sqrt(own)
        beyond = _beyond(old, fixed, np.zeros_like(own)) / np.outer(sd, sd)
        return min(max(float(np.linalg.eigvalsh(beyond)[0]), _LEAST), ROUNDING)
    # Of many noisy eigenvalues the least is too small, and less with each pass.
    return next((r for r in _SLACKS if _is_above(old, fixed, _NEARLY * r * own)), _LEAST)


def _is_above(covariance: np.ndarray, fixed: np.ndarray, rounding: np.ndarray) -> bool:
    """Whether one covariance is above T, however much wider it is in some directions."""
    if _exceed(covariance[None], fixed, rounding[None])[0]:
        return True
    sd = np.sqrt(_own(covariance))
    rest = _beyond(covariance, fixed, rounding) / np.outer(sd, sd)
    return bool(are_definite(without_largest(rest, _LARGE)[None], overwrite=True)[0])


def _least(n_features: int) -> float:
    """What r may be at least: as much as leaves a Cholesky factor, whatever its rounding."""
    return max(_LEAST, 4 * n_features * EPS)
