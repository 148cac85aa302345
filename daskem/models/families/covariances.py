"""The four structures of a Gaussian's covariance: what differs between them, and nothing else.

Throughout, ``quadratics`` are the second-order features of a row: the products z_i z_j (i <= j)
of a matrix structure, the squares of a diagonal one, their sum for a spherical one. A `scatter`
is a sum of them, (component, quadratic). A `root` is R with R (z - mean) white: the inverse
Cholesky factor of the covariance, or one over the standard deviations.
"""

import numpy as np

from daskem.core import frames
from daskem.core.parameters import POSITIVE, POSITIVE_DEFINITE, Parameter
from daskem.models.families.conditional import Correlated, Uncorrelated, halves, upper
from daskem.models.families.covariance_floor import (
    NEAR,
    ROUNDING,
    SPURIOUS,
    allowed,
    floored,
    narrow,
)
from daskem.models.families.structure import Narrow, Structure
from daskem.models.kernels.terms import Terms

_TINY = np.finfo(np.float64).tiny


class Full(Correlated):
    """Every component has its own matrix, (component, feature, feature)."""

    declared = Parameter(("component", "feature", "feature_2"), POSITIVE_DEFINITE)
    cross_moments = True
    terms = Terms.PRODUCTS

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return (frames.scaling if measured.ndim == 1 else frames.whitening)(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return d * (d + 1) // 2

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        start = 0
        for i in range(len(z)):
            stop = start + len(z) - i
            np.multiply(z[i], z[i:], out=out[start:stop])
            start = stop

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        weighted = np.multiply(u, r[..., None, :], out=spare)
        return upper(weighted @ u.swapaxes(-1, -2))

    def whiteners(self, root: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return root * linear if linear.ndim == 1 else root @ linear

    def log_det(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)

    def trace(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.square(root).sum(axis=(-1, -2))

    def precision(self, root: np.ndarray) -> np.ndarray:
        return root.swapaxes(-1, -2) @ root

    def magnitudes(self, precision: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.einsum("ki,kij,kj->k", s, np.abs(precision), s)

    def sharpness(self, precision: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(precision).sum(axis=-1).max(axis=-1))

    def quadratic(self, precision: np.ndarray) -> np.ndarray:
        return halves(precision.shape[-1]) * upper(precision)

    def linear(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        white = np.matmul(root, means[:, :, None])
        return np.matmul(root.swapaxes(-1, -2), white)[:, :, 0]

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        total = self.matrices(scatter, d)
        np.einsum("kii->ki", total)[...] += pseudo
        total /= np.maximum(counts + pseudo, _TINY)[:, None, None]
        return total

    def floored(self, new: np.ndarray, old: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return floored(new, old, frame)

    def allowed(self, covariances: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return allowed(covariances, frame)

    def fewest(self, d: int) -> int:
        return d + 1

    def narrow(self, covariances: np.ndarray, frame: frames.Frame) -> Narrow:
        return narrow(covariances, frame)

    def total(self, covariances: np.ndarray, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
        between = means - shares @ means
        within = np.einsum("k,kij->ij", shares, self.expand(covariances, *means.shape))
        return (within + (shares * between.T) @ between)[None]

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        if linear.ndim == 1:
            scaled = covariances * linear[:, None]
            scaled *= linear
            return scaled
        return linear @ covariances @ linear.T

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return covariances


class Tied(Full):
    """All components share one matrix, (feature, feature)."""

    declared = Parameter(("feature", "feature_2"), POSITIVE_DEFINITE)
    pooled = True

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return super().covariances(scatter, counts, pseudo, d)[0]

    def factor(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        factor = super().factor(covariances, n_components)
        return np.broadcast_to(factor, (n_components, *factor.shape))

    def inverse(self, factors: np.ndarray) -> np.ndarray:
        return np.broadcast_to(super().inverse(factors[0]), factors.shape)

    def floored(self, new: np.ndarray, old: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return super().floored(new[None], old[None], frame)[0]

    def allowed(self, covariances: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return super().allowed(covariances[None], frame)[0]

    def fewest(self, d: int) -> int:
        return 0

    def narrow(self, covariances: np.ndarray, frame: frames.Frame) -> Narrow:
        return super().narrow(covariances[None], frame)

    def total(self, covariances: np.ndarray, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return super().total(covariances, means, shares)[0]

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return np.broadcast_to(covariances, (k, d, d))


class Diagonal(Uncorrelated):
    """Every component has a variance for each feature, (component, feature)."""

    declared = Parameter(("component", "feature"), POSITIVE)
    terms = Terms.SQUARES

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return frames.scaling(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return d

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        np.multiply(z, z, out=out)

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        squares = np.multiply(u, u, out=spare)
        return np.matmul(r[..., None, :], squares.swapaxes(-1, -2))[..., 0, :]

    def factor(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        return np.sqrt(covariances)

    def inverse(self, factors: np.ndarray) -> np.ndarray:
        return 1 / factors

    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.multiply(root[..., None], u, out=out)

    def solve(self, factor: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.divide(u, factor[..., None], out=out)

    def whiteners(self, root: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return (root * linear)[:, :, None] * np.eye(len(linear))

    def log_det(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.log(root).mean(axis=-1) * d

    def trace(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.square(root).mean(axis=-1) * d

    def precision(self, root: np.ndarray) -> np.ndarray:
        return root**2

    def magnitudes(self, precision: np.ndarray, s: np.ndarray) -> np.ndarray:
        return (precision * s**2).sum(axis=1)

    def sharpness(self, precision: np.ndarray) -> np.ndarray:
        return np.asarray(precision.max(axis=-1))

    def quadratic(self, precision: np.ndarray) -> np.ndarray:
        return -0.5 * precision

    def linear(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        return root**2 * means

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return (scatter + pseudo) / np.maximum(counts + pseudo, _TINY)[:, None]

    def floored(self, new: np.ndarray, old: np.ndarray, frame: frames.Frame) -> np.ndarray:
        # Not to nothing at once, where there is no floor.
        return np.maximum(self.allowed(new, frame), ROUNDING * old)

    def allowed(self, covariances: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return np.maximum(covariances, frame.floor * frame.linear**2)

    def fewest(self, d: int) -> int:
        return 2

    def narrow(self, covariances: np.ndarray, frame: frames.Frame) -> Narrow:
        wide = np.where(frame.recorded, NEAR, SPURIOUS)
        at = covariances <= wide * frame.floor * frame.linear**2
        return Narrow((at & frame.recorded).sum(axis=-1), (at & ~frame.recorded).sum(axis=-1))

    def total(self, covariances: np.ndarray, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
        between = means - shares @ means
        return (shares @ (covariances + between**2))[None]

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return covariances * linear**2

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return covariances[..., None] * np.eye(d)


class Spherical(Diagonal):
    """Every component has one variance for all features, (component,)."""

    declared = Parameter(("component",), POSITIVE)
    terms = Terms.NORM

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return frames.uniform_scaling(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return 1

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        np.einsum("ij,ij->j", z, z, out=out[0])

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        return super().scatter(u, r, spare).sum(axis=-1, keepdims=True)

    def factor(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        return np.sqrt(covariances)[:, None]

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return super().covariances(scatter / d, counts, pseudo, d)[:, 0]

    def allowed(self, covariances: np.ndarray, frame: frames.Frame) -> np.ndarray:
        return super().allowed(covariances[:, None], frame).max(axis=1)

    def narrow(self, covariances: np.ndarray, frame: frames.Frame) -> Narrow:
        return Narrow(*np.minimum(super().narrow(covariances[:, None], frame), 1))

    def total(self, covariances: np.ndarray, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return super().total(covariances[:, None], means, shares).mean(axis=1)

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return covariances * linear[0] ** 2

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return super().of_matrices(matrices).sum(axis=1, keepdims=True)

    def seen(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        return covariances

    def lifted(self, second: np.ndarray, regression: np.ndarray) -> np.ndarray:
        return second

    def unseen(
        self, covariances: np.ndarray, view: np.ndarray, regression: np.ndarray
    ) -> np.ndarray:
        n_seen, d = view.shape
        return (d - n_seen) * covariances[:, None]

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return covariances[:, None, None] * np.eye(d)


STRUCTURES: dict[str, Structure] = {
    "full": Full(),
    "tied": Tied(),
    "diag": Diagonal(),
    "spherical": Spherical(),
}
