"""The four structures of a Gaussian's covariance: what differs between them, and nothing else.

Throughout, ``quadratics`` are the second-order features of a row: the products z_i z_j (i <= j)
of a matrix structure, the squares of a diagonal one, their sum for a spherical one. A `scatter`
is a sum of them, (component, quadratic). A `root` is R with R (z - mean) white: the inverse
Cholesky factor of the covariance, or one over the standard deviations.
"""

from functools import cache
from typing import Any

import numpy as np

from daskem.core import frames
from daskem.core.numerics import EPS, is_positive_definite
from daskem.core.parameters import POSITIVE, POSITIVE_DEFINITE, Parameter
from daskem.models.families.structure import Structure

_TINY = np.finfo(np.float64).tiny

# A variance in one direction, beside that in the others, that may as well be rounding.
_NARROWEST = 1e-12
# A positive eigenvalue that may be rounding, beside the most negative one, which must be.
_NOISIEST = 4.0
# Matrices of a worse condition than this stay as they are: the rounding of their inverses is more
# than the likelihood may fall by.
_WORST = 1e6

upper_triangle = cache(np.triu_indices)


def _is_rounding(left: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Whether differences may be nothing but the rounding of the numbers that they are of."""
    return left <= 8 * EPS * of


class Full(Structure):
    """Every component has its own matrix, (component, feature, feature)."""

    declared = Parameter(("component", "feature", "feature_2"), POSITIVE_DEFINITE)
    cross_moments = True
    # Whitening blows up the rounding of directions that the data do not have: this many EPS of
    # variance, for each row, are no spread.
    rounding = 512 * EPS / frames.FLAT

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return frames.whitening(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return d * (d + 1) // 2

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        start = 0
        for i in range(len(z)):
            stop = start + len(z) - i
            np.multiply(z[i], z[i:], out=out[start:stop])
            start = stop

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        products = np.multiply(u, r, out=spare) @ u.T
        return products[upper_triangle(len(u))]

    def root(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        factors = np.linalg.inv(np.linalg.cholesky(covariances))
        return np.broadcast_to(factors, (n_components, *factors.shape[-2:]))

    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.matmul(root, u, out=out)

    def whiteners(self, root: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return root @ linear

    def log_det(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)

    def trace(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.square(root).sum(axis=(-1, -2))

    def precision(self, root: np.ndarray) -> np.ndarray:
        return root.swapaxes(-1, -2) @ root

    def sharpness(self, precision: np.ndarray) -> float:
        return float(np.abs(precision).sum(axis=-1).max())

    def quadratic(self, precision: np.ndarray) -> np.ndarray:
        rows, columns = upper_triangle(precision.shape[-1])
        return -np.where(rows == columns, 0.5, 1.0) * precision[:, rows, columns]

    def linear(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        white = np.matmul(root, means[:, :, None])
        return np.matmul(root.swapaxes(-1, -2), white)[:, :, 0]

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        total = self.matrices(scatter, d) + pseudo * np.eye(d)
        return total / np.maximum(counts + pseudo, _TINY)[:, None, None]

    def degenerate(self, scatter: np.ndarray, magnitude: np.ndarray, d: int) -> np.ndarray:
        """Whether nothing but rounding is left of the scatter in some direction, (component,)."""
        flat = self._flat(scatter, magnitude, d).any(axis=-1)
        return flat | ~is_positive_definite(self.matrices(scatter, d), least=_NARROWEST)

    def completed(
        self, new: np.ndarray, old: np.ndarray, scatter: np.ndarray, magnitude: np.ndarray, d: int
    ) -> np.ndarray:
        """Covariances `new`, where nothing is left of the scatter those of `old`."""
        flat = self._flat(scatter, magnitude, d)
        lost = self.degenerate(scatter, magnitude, d)
        for k in np.flatnonzero(lost):
            new[k] = _completed(np.where(flat[k] | flat[k][:, None], 0.0, new[k]), old[k])
        return new

    def _flat(self, scatter: np.ndarray, magnitude: np.ndarray, d: int) -> np.ndarray:
        """Features along which nothing but rounding is left, (component, feature)."""
        left, of = (
            np.diagonal(self.matrices(q, d), axis1=1, axis2=2) for q in (scatter, magnitude)
        )
        return _is_rounding(left, of)

    def matrices(self, quadratics: np.ndarray, d: int) -> np.ndarray:
        rows, columns = upper_triangle(d)
        matrices = np.empty((len(quadratics), d, d))
        matrices[:, rows, columns] = quadratics
        matrices[:, columns, rows] = quadratics
        return matrices

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return linear @ covariances @ linear.T

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return np.broadcast_to(covariances, (k, d, d))


class Tied(Full):
    """All components share one matrix, (feature, feature)."""

    declared = Parameter(("feature", "feature_2"), POSITIVE_DEFINITE)
    pooled = True

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return super().covariances(scatter, counts, pseudo, d)[0]

    def completed(
        self, new: np.ndarray, old: np.ndarray, scatter: np.ndarray, magnitude: np.ndarray, d: int
    ) -> np.ndarray:
        return super().completed(new[None], old[None], scatter, magnitude, d)[0]


def _completed(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """A singular matrix with the variances of another one in the directions that it lacks.

        new + V (V^T old^-1 V)^-1 V^T

    with V those directions, and the variances of `old` in them those that are left when all
    others are known. Then log|C| + trace(C^-1 new) parts into the same of the others, which no
    other matrix makes smaller, and what `old` has of V: the likelihood does not fall, whichever
    eigenvectors are in V. It has to have all those whose variance may be rounding, which makes
    eigenvalues as positive as it makes others negative. Where `old` is so wide in V that its own
    rounding drowns the others, and the sum is not definite, `old` stays.
    """
    variances = np.diagonal(new)
    scale = np.sqrt(np.where(variances > 0, variances, np.diagonal(old)))
    unit = np.outer(scale, scale)
    values, vectors = np.linalg.eigh(new / unit)
    lost = values <= max(len(new) * EPS, _NARROWEST, -_NOISIEST * values[0])
    if lost.all() or np.linalg.cond(old / unit) > _WORST:
        return old
    known, v = vectors[:, ~lost], vectors[:, lost]
    added = v @ np.linalg.inv(v.T @ np.linalg.inv(old / unit) @ v) @ v.T
    whole = unit * (known * values[~lost] @ known.T + added)
    return whole if is_positive_definite(whole) else old


class Diagonal(Structure):
    """Every component has a variance for each feature, (component, feature)."""

    declared = Parameter(("component", "feature"), POSITIVE)

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return frames.scaling(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return d

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        np.multiply(z, z, out=out)

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        return np.multiply(u, u, out=spare) @ r

    def root(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        return 1 / np.sqrt(covariances)

    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.multiply(root[:, None], u, out=out)

    def whiteners(self, root: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return (root * linear)[:, :, None] * np.eye(len(linear))

    def log_det(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.log(root).mean(axis=-1) * d

    def trace(self, root: np.ndarray, d: int) -> np.ndarray:
        return np.square(root).mean(axis=-1) * d

    def precision(self, root: np.ndarray) -> np.ndarray:
        return root**2

    def sharpness(self, precision: np.ndarray) -> float:
        return float(precision.max())

    def quadratic(self, precision: np.ndarray) -> np.ndarray:
        return -0.5 * precision

    def linear(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        return root**2 * means

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return (scatter + pseudo) / np.maximum(counts + pseudo, _TINY)[:, None]

    def degenerate(self, scatter: np.ndarray, magnitude: np.ndarray, d: int) -> Any:
        return _is_rounding(scatter, magnitude).any(axis=-1)

    def completed(
        self, new: np.ndarray, old: np.ndarray, scatter: np.ndarray, magnitude: np.ndarray, d: int
    ) -> np.ndarray:
        return np.where(_is_rounding(scatter, magnitude).reshape(new.shape), old, new)

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return covariances * linear**2

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return covariances[..., None] * np.eye(d)


class Spherical(Diagonal):
    """Every component has one variance for all features, (component,)."""

    declared = Parameter(("component",), POSITIVE)

    def frame(self, mean: np.ndarray, measured: np.ndarray) -> frames.Frame:
        return frames.uniform_scaling(mean, measured)

    def n_quadratics(self, d: int) -> int:
        return 1

    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        np.einsum("ij,ij->j", z, z, out=out[0])

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        return super().scatter(u, r, spare).sum(keepdims=True)

    def root(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        return 1 / np.sqrt(covariances)[:, None]

    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        return super().covariances(scatter / d, counts, pseudo, d)[:, 0]

    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        return covariances * linear[0] ** 2

    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return covariances[:, None, None] * np.eye(d)


STRUCTURES: dict[str, Structure] = {
    "full": Full(),
    "tied": Tied(),
    "diag": Diagonal(),
    "spherical": Spherical(),
}
