"""What is known of all features from some of them, for matrices and for independent features.

With z ~ N(m, C) seen through a view of orthonormal rows, ``u = view (z - m)``:

    B = C view^T (view C view^T)^-1        E[z - m | u] = B u        Cov[z | u] = (1 - B view) C
"""

from abc import ABC
from functools import cache

import numpy as np

from daskem.core import triangular
from daskem.models.families.structure import Structure

upper_triangle = cache(np.triu_indices)


def upper(matrices: np.ndarray) -> np.ndarray:
    """The upper triangles of matrices (..., feature, feature), (..., quadratic)."""
    d = matrices.shape[-1]
    return matrices.reshape(*matrices.shape[:-2], d * d).take(_entries(d), axis=-1)


@cache
def _entries(d: int) -> np.ndarray:
    """The entries of a matrix of d^2 numbers that are its upper triangle, (quadratic,)."""
    return np.ravel_multi_index(upper_triangle(d), (d, d))


@cache
def halves(d: int) -> np.ndarray:
    """What -z^T P z / 2 has of each P_ij z_i z_j, i <= j, (quadratic,)."""
    rows, columns = upper_triangle(d)
    return np.where(rows == columns, -0.5, -1.0)


@cache
def _places(d: int) -> np.ndarray:
    """Where in its upper triangle each entry of a symmetric matrix is, (entry,)."""
    places = np.zeros((d, d), np.intp)
    places[upper_triangle(d)] = np.arange(d * (d + 1) // 2)
    return np.maximum(places, places.T).ravel()


class Correlated(Structure, ABC):
    """Of covariances that are matrices, (component, feature, feature) or (feature, feature)."""

    correlated = True

    def matrices(self, quadratics: np.ndarray, d: int) -> np.ndarray:
        """Symmetric ones, of their upper triangles (component, quadratic)."""
        return quadratics.take(_places(d), axis=1).reshape(len(quadratics), d, d)

    def of_vectors(self, vectors: np.ndarray) -> np.ndarray:
        out = np.empty((len(vectors), self.n_quadratics(vectors.shape[1])))
        self.quadratics(vectors.T, out.T)
        return out

    def factor(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        return triangular.cholesky(covariances)

    def inverse(self, factors: np.ndarray) -> np.ndarray:
        return triangular.inverse(factors)

    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return triangular.applied(root, u, out)

    def solve(self, factor: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        return triangular.solutions(factor, u, out)

    def variances(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return np.diagonal(self.expand(covariances, k, d), axis1=1, axis2=2)

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return upper(matrices)

    def seen(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        return view @ covariances @ view.T

    def regression(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        matrices = _stack(covariances)
        across = view @ matrices
        return np.linalg.solve(across @ view.T, across).swapaxes(-1, -2)

    def lifted(self, second: np.ndarray, regression: np.ndarray) -> np.ndarray:
        matrices = self.matrices(second, regression.shape[-1])
        return self.of_matrices(regression @ matrices @ regression.swapaxes(-1, -2))

    def unseen(
        self, covariances: np.ndarray, view: np.ndarray, regression: np.ndarray
    ) -> np.ndarray:
        # The same as (1 - B view) C, and positive semidefinite whatever its rounding.
        left = np.eye(view.shape[1]) - regression @ view
        return self.of_matrices(left @ _stack(covariances) @ left.swapaxes(-1, -2))


class Uncorrelated(Structure, ABC):
    """Of variances, (component, feature): the view is some of the features themselves."""

    def variances(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        return np.broadcast_to(covariances.reshape(k, -1), (k, d))

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return np.diagonal(matrices, axis1=1, axis2=2)

    def seen(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        return covariances @ view.T

    def regression(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        return view.T[None]

    def lifted(self, second: np.ndarray, regression: np.ndarray) -> np.ndarray:
        return second @ regression[0].T

    def unseen(
        self, covariances: np.ndarray, view: np.ndarray, regression: np.ndarray
    ) -> np.ndarray:
        return covariances * (1 - view.sum(axis=0))


def _stack(covariances: np.ndarray) -> np.ndarray:
    return covariances.reshape(-1, *covariances.shape[-2:])
