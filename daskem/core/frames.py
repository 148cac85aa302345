"""The affine coordinates in which a family computes: z = linear (x - origin)."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from daskem.core.brief import Brief
from daskem.core.numerics import EPS
from daskem.core.resolution import Resolution

# Directions whose spread is below this fraction of the data's (as a variance, after each
# feature is brought to unit variance) are rounding, not data, and are not blown up further.
FLAT = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class Frame(Brief):
    """An affine map from the data's units to coordinates of order one.

    Attributes
    ----------
    origin : ndarray, (feature,)
        In the units of the data.
    linear : ndarray, (feature,) or (feature, feature)
        A scale for each feature, or a matrix.
    inverse : ndarray, like `linear`
    floor : ndarray, (feature,)
        The least variance that a component can have, in the squared units of the data.
    recorded : ndarray of bool, (feature,)
        Whether that is the variance of rounding to the grid of the record, h^2 / 12.
    mean : ndarray, (feature,) or (feature, category)
        Of the data, in their units; of categories the share of each.
    """

    origin: np.ndarray
    linear: np.ndarray
    inverse: np.ndarray
    floor: np.ndarray
    recorded: np.ndarray
    mean: np.ndarray

    @cached_property
    def log_det(self) -> float:
        """``log |det linear|``: what a log-density gains on the way back to the data's units."""
        if self.linear.ndim == 1:
            return float(np.log(np.abs(self.linear)).sum())
        return float(np.linalg.slogdet(self.linear)[1])

    def resolving(self, resolution: Resolution) -> "Frame":
        """The same coordinates, of data that are recorded with a resolution.

        A feature that does not vary keeps its floor, the unit of the frame.
        """
        varies = self.floor == 0
        least = np.maximum(resolution.step**2 / 12, np.square(EPS) * self.units)
        floor = np.where(varies, least, self.floor)
        return replace(self, floor=floor, recorded=varies & (resolution.grid > 0))

    @property
    def resolution(self) -> np.ndarray:
        """The step of the grid of the record, (feature,), in data units; NaN for none."""
        return np.where(self.recorded, np.sqrt(12 * self.floor), np.nan)

    @cached_property
    def units(self) -> np.ndarray:
        """What unit covariance in the frame is of variance in the data's units, (feature,)."""
        return np.square(self.inverse).reshape(len(self.origin), -1).sum(axis=1)

    @cached_property
    def floors(self) -> np.ndarray:
        """The floor as a covariance in the frame, like `linear`: (feature,) if it is diagonal."""
        return self.covariance_of(self.floor)

    @cached_property
    def recorded_floors(self) -> np.ndarray:
        """What of `floors` is the resolution of the record."""
        return self.covariance_of(np.where(self.recorded, self.floor, 0.0))

    def __getstate__(self) -> dict[str, np.ndarray]:
        # What follows from the fields need not travel.
        return {field.name: vars(self)[field.name] for field in fields(self)}

    def variances(self, covariance: np.ndarray) -> np.ndarray:
        """Variances (feature,) in data units, of a covariance (feature, feature) in the frame."""
        if self.inverse.ndim == 1:
            return np.diagonal(covariance) * self.inverse**2
        return np.einsum("ij,ij->i", self.inverse @ covariance, self.inverse)

    def covariance_of(self, variances: np.ndarray) -> np.ndarray:
        """The covariance in the frame of independent features, like `linear`."""
        if self.linear.ndim == 1:
            return variances * self.linear**2
        return (self.linear * variances) @ self.linear.T

    def tile(self, rows: np.ndarray, out: np.ndarray, spare: np.ndarray) -> np.ndarray:
        """Write ``z`` (feature, row) of `rows` (row, feature) into `out`; `spare` is scratch."""
        if self.linear.ndim == 1:
            np.subtract(rows.T, self.origin[:, None], out=out)
            out *= self.linear[:, None]
            return out
        np.subtract(rows.T, self.origin[:, None], out=spare)
        return np.matmul(self.linear, spare, out=out)

    def seen(self, observed: np.ndarray) -> "tuple[Frame, np.ndarray]":
        """The frame for some of the features, and its view of this one.

        What is z here is ``view @ z`` there, of orthonormal rows (feature, feature_2): that has
        unit covariance wherever z has.

        Parameters
        ----------
        observed : ndarray of bool, (feature,)
        """
        per_feature = self.origin[observed], self.floor[observed], self.recorded[observed]
        if self.linear.ndim == 1:
            view = np.eye(len(observed))[observed]
            linear, inverse = self.linear[observed], self.inverse[observed]
        else:
            # inverse[observed] = inverse' view, with inverse' lower triangular.
            q, r = np.linalg.qr(self.inverse[observed].T)
            view, inverse = q.T, r.T
            linear = np.linalg.inv(inverse)
        origin, floor, recorded = per_feature
        return Frame(origin, linear, inverse, floor, recorded, self.mean[observed]), view

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (..., feature) in the data's units to frame coordinates."""
        return _linear(self.linear, points - self.origin)

    def restore(self, points: np.ndarray) -> np.ndarray:
        """Points (..., feature) in frame coordinates to the data's units."""
        return _linear(self.inverse, points) + self.origin


def _linear(linear: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points * linear if linear.ndim == 1 else points @ linear.T


def _frame(mean: np.ndarray, linear: np.ndarray, inverse: np.ndarray, flat: np.ndarray) -> Frame:
    """A frame without a floor, but for features that do not vary.

    Their unit is as good as any; half of it, so that components of unit covariance are above it.
    """
    bare = Frame(mean, linear, inverse, np.zeros(len(mean)), np.zeros(len(mean), bool), mean)
    return replace(bare, floor=np.where(flat, bare.units / 2, 0.0))


def identity(n_features: int) -> Frame:
    """The units of the data."""
    ones = np.ones(n_features)
    return _frame(np.zeros(n_features), ones, ones, np.zeros(n_features, bool))


def in_units_of_the_data(mean: np.ndarray) -> Frame:
    """The units of data of which no more is known than their mean."""
    return replace(identity(len(mean)), mean=mean)


def _spread(variances: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations, with 1 for features that do not vary beyond their rounding: which?"""
    sd = np.sqrt(variances)
    flat = sd <= 4 * EPS * np.abs(mean)
    return np.where(flat, 1.0, sd), flat


def scaling(mean: np.ndarray, variances: np.ndarray) -> Frame:
    """Centre and scale every feature to unit variance."""
    sd, flat = _spread(variances, mean)
    return _frame(mean, 1 / sd, sd, flat)


def uniform_scaling(mean: np.ndarray, variances: np.ndarray) -> Frame:
    """Centre every feature and scale all of them by one number, to unit mean variance."""
    sd, flat = _spread(variances.mean(keepdims=True), np.abs(mean).max(keepdims=True))
    sd = np.broadcast_to(sd, mean.shape)
    frame = _frame(mean, 1 / sd, sd, np.broadcast_to(flat, mean.shape))
    # A feature that does not vary says nothing of the one width that all of them have.
    still = _spread(variances, mean)[1] & (frame.floor == 0)
    return replace(frame, floor=np.where(still, np.square(EPS) * frame.units, frame.floor))


def whitening(mean: np.ndarray, covariance: np.ndarray) -> Frame:
    """Centre and rotate to unit variance in every direction."""
    sd, flat = _spread(np.diagonal(covariance), mean)
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    axes = np.sqrt(np.maximum(values, FLAT * max(values[-1], 1.0)))
    return _frame(mean, (vectors / axes).T / sd, sd[:, None] * vectors * axes, flat)
