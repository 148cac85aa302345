"""No component is narrower than the record resolves: the M step of matrices above a floor.

    C >= T,  T = diag(t),  t = floor + ROUNDING * variances

in the units of the data. `floor` are those of the frame, the same for all components. Beside the
component's own `variances`, a direction of which only rounding is left is no narrower than that.
The covariance that maximises the expected log-likelihood of rows with covariance S is then

    C = S + T^1/2 V max(1 - L, 0) V^T T^1/2,  T^-1/2 S T^-1/2 = V L V^T

as log|C| + trace(C^-1 S) parts into such terms of each eigenvalue (Garcia-Escudero et al. 2018).
"""

import numpy as np

from daskem.core.frames import Frame
from daskem.models.families.structure import Narrow

# The least variance in any direction, beside the component's own variances: one that is smaller is
# known to less than five digits, and so is what it adds to the objective.
ROUNDING = 1e-10
# A variance of so many times what rounding may be is as spurious as none.
SPURIOUS = 10.0
# Variances that exceed a floor of the record by less are at it: leaps are not exact.
NEAR = 1 + 1e-6
# `ROUNDING` gets smaller where a component has become so many times wider since, as its params
# have to remain allowed.
_WIDER = 1000.0


def floored(new: np.ndarray, old: np.ndarray, frame: Frame) -> np.ndarray:
    """The M step `new`, (component, feature, feature), above floors that `old` are above too."""
    widths = np.trace(old, axis1=1, axis2=2)
    low = ~_above(new, _bound(frame, frame.floor, ROUNDING * widths))
    if not low.any():
        return new
    raised = new.copy()
    for k in np.flatnonzero(low):
        t = frame.floor + _slack(old[k], frame) * frame.variances(old[k])
        raised[k] = _raised(new[k], t, frame)
    return raised


def allowed(covariances: np.ndarray, frame: Frame) -> np.ndarray:
    """The nearest covariances, (component, feature, feature), above the floors."""
    t = [frame.floor + ROUNDING * frame.variances(c) for c in covariances]
    return np.stack([_raised(c, t, frame) for c, t in zip(covariances, t, strict=True)])


def narrow(covariances: np.ndarray, frame: Frame) -> Narrow:
    """The directions in which components are as narrow as a floor."""
    found = np.zeros((2, len(covariances)), int)
    recorded = NEAR * np.where(frame.recorded, frame.floor, 0.0)
    rounding = SPURIOUS * np.where(frame.recorded, 0.0, frame.floor)
    widths = SPURIOUS * ROUNDING * np.trace(covariances, axis1=1, axis2=2)
    low = ~_above(covariances, _bound(frame, recorded + rounding, widths))
    for k in np.flatnonzero(low):
        t = recorded + rounding + SPURIOUS * ROUNDING * frame.variances(covariances[k])
        values, vectors = _eigen(covariances[k], t, frame)
        # What the record has of a direction, rather than rounding.
        share = (recorded / t) @ np.square(vectors[:, values <= 1])
        found[:, k] = (share > 0.5).sum(), (share <= 0.5).sum()
    return Narrow(*found)


def _bound(frame: Frame, floor: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """No less than T of each component, for its width in the frame: cheaper than T itself."""
    fixed, unit = ((frame.there * t) @ frame.there.T for t in (floor, frame.units))
    return fixed + widths[:, None, None] * unit


def _above(covariances: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Whether each covariance exceeds its bound in every direction, (component,)."""
    try:
        np.linalg.cholesky(covariances - bounds)
    except np.linalg.LinAlgError:
        if len(covariances) == 1:
            return np.zeros(1, bool)
        halves = zip(np.array_split(covariances, 2), np.array_split(bounds, 2), strict=True)
        return np.concatenate([_above(c, b) for c, b in halves])
    return np.ones(len(covariances), bool)


def _raised(covariance: np.ndarray, t: np.ndarray, frame: Frame) -> np.ndarray:
    """C of S."""
    values, vectors = _eigen(covariance, t, frame)
    lacking = values < 1
    added = (frame.there * np.sqrt(t)) @ vectors[:, lacking]
    return covariance + (added * (1 - values[lacking])) @ added.T


def _eigen(covariance: np.ndarray, t: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """L and V of T^-1/2 S T^-1/2."""
    back = frame.back / np.sqrt(t)[:, None]
    values, vectors = np.linalg.eigh(back @ covariance @ back.T)
    return values, vectors


def _slack(old: np.ndarray, frame: Frame) -> float:
    """What of its own variances `old` is above the floor of `frame`, at most ROUNDING."""
    back = frame.back / np.sqrt(frame.variances(old))[:, None]
    above = back @ old @ back.T - np.diag(frame.floor / frame.variances(old))
    return float(np.clip(np.linalg.eigvalsh(above)[0], ROUNDING / _WIDER, ROUNDING))
