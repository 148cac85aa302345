"""The affine coordinates in which a family computes: z = linear (x - origin)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Directions whose spread is below this fraction of the data's (as a variance, after each
# feature is brought to unit variance) are rounding, not data, and are not blown up further.
FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class Frame:
    """An affine map from the data's units to coordinates of order one.

    Attributes
    ----------
    origin : ndarray, (feature,)
        In the units of the data.
    linear : ndarray, (feature,) or (feature, feature)
        A scale for each feature, or a matrix.
    inverse : ndarray, like `linear`
    """

    origin: np.ndarray
    linear: np.ndarray
    inverse: np.ndarray

    @cached_property
    def log_det(self) -> float:
        """``log |det linear|``: what a log-density gains on the way back to the data's units."""
        if self.linear.ndim == 1:
            return float(np.log(np.abs(self.linear)).sum())
        return float(np.linalg.slogdet(self.linear)[1])

    def tile(self, rows: np.ndarray, out: np.ndarray, spare: np.ndarray) -> np.ndarray:
        """Write ``z`` (feature, row) of `rows` (row, feature) into `out`; `spare` is scratch."""
        if self.linear.ndim == 1:
            np.subtract(rows.T, self.origin[:, None], out=out)
            out *= self.linear[:, None]
            return out
        np.subtract(rows.T, self.origin[:, None], out=spare)
        return np.matmul(self.linear, spare, out=out)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (..., feature) in the data's units to frame coordinates."""
        return _linear(self.linear, points - self.origin)

    def restore(self, points: np.ndarray) -> np.ndarray:
        """Points (..., feature) in frame coordinates to the data's units."""
        return _linear(self.inverse, points) + self.origin


def _linear(linear: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points * linear if linear.ndim == 1 else points @ linear.T


def _spread(variances: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviations, with 1 for features that do not vary beyond their own rounding."""
    sd = np.sqrt(variances)
    return np.where(sd > 4 * np.finfo(float).eps * np.abs(mean), sd, 1.0)


def scaling(mean: np.ndarray, variances: np.ndarray) -> Frame:
    """Centre and scale every feature to unit variance."""
    sd = _spread(variances, mean)
    return Frame(mean, 1 / sd, sd)


def uniform_scaling(mean: np.ndarray, variances: np.ndarray) -> Frame:
    """Centre every feature and scale all of them by one number, to unit mean variance."""
    sd = _spread(variances.mean(keepdims=True), np.abs(mean).max(keepdims=True))
    sd = np.broadcast_to(sd, mean.shape)
    return Frame(mean, 1 / sd, sd)


def whitening(mean: np.ndarray, covariance: np.ndarray) -> Frame:
    """Centre and rotate to unit variance in every direction."""
    sd = _spread(np.diagonal(covariance), mean)
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    axes = np.sqrt(np.maximum(values, FLAT * max(values[-1], 1.0)))
    return Frame(mean, (vectors / axes).T / sd, sd[:, None] * vectors * axes)
