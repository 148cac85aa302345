"""Triangular factors of symmetric matrices, by LAPACK's own routines where these are large."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import blas, lapack

from daskem.core.numerics import EPS

# Rows of a matrix, from which on a call for each of a stack costs less than what it saves.
MANY = 32


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """L with L L^T the positive definite matrices (..., feature, feature)."""
    if matrices.shape[-1] == 1:
        # Of few components, LAPACK's answer takes a while to come.
        if not (matrices > 0).all():
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        return np.sqrt(matrices)
    if matrices.shape[-1] < MANY:
        return np.linalg.cholesky(matrices)
    return _each(_cholesky, matrices)


def inverse(factors: np.ndarray) -> np.ndarray:
    """The inverses of lower triangular matrices, (..., feature, feature)."""
    if factors.shape[-1] == 1:
        return 1 / factors
    if factors.shape[-1] < MANY:
        return np.linalg.inv(factors)
    return _each(_inverse, factors)


def are_definite(matrices: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """Whether each matrix of a stack (matrix, feature, feature) has a Cholesky factor."""
    d = matrices.shape[-1]
    if d >= MANY:
        return np.array([_is_definite(matrix, overwrite) for matrix in matrices])
    definite = np.asarray((np.diagonal(matrices, axis1=1, axis2=2) > 0).all(axis=1))
    if d > 1 and definite.any():
        definite[definite] = _have_factors(matrices if definite.all() else matrices[definite])
    return definite


def _have_factors(matrices: np.ndarray) -> np.ndarray:
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.zeros(1, bool)
        return np.concatenate([_have_factors(half) for half in np.array_split(matrices, 2)])
    return np.ones(len(matrices), bool)


def _is_definite(matrix: np.ndarray, overwrite: bool) -> bool:
    d, least = len(matrix), float(np.diagonal(matrix).min())
    beside = matrix.reshape(-1)[:-1].reshape(d - 1, d + 1)[:, 1:]
    # Elements beside the diagonal change no eigenvalue by more than the root of their squares.
    if least > 0 and np.einsum("ij,ij->", beside, beside) < least**2:
        return True
    # It ends at the first pivot that is not positive: early, where a rank is low.
    _, fault = lapack.dpotrf(matrix.T, clean=0, overwrite_a=overwrite)
    return bool(fault == 0)


def solved(factor: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """L^-1 times `columns` (feature, column), for one lower triangular L."""
    return lapack.dtrtrs(factor.T, columns, lower=0, trans=1)[0]


def solutions(factors: np.ndarray, columns: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The same of stacks, (..., feature, feature) and (..., feature, column)."""
    for where in np.ndindex(factors.shape[:-2]):
        out[where] = solved(factors[where], columns[where])
    return out


def applied(factors: np.ndarray, columns: np.ndarray, out: np.ndarray) -> np.ndarray:
    """L times `columns` (..., feature, column), for lower triangular L."""
    if factors.shape[-1] < MANY:
        return np.matmul(factors, columns, out=out)
    for where in np.ndindex(factors.shape[:-2]):
        out[where] = blas.dtrmm(1.0, factors[where].T, columns[where].T, side=1).T
    return out


def low_rank(matrix: np.ndarray) -> np.ndarray:
    """A with A A^T a semidefinite matrix, (feature, rank): as many columns as it has rank.

    What is left out is rounding, as diagonal elements scaled to 1 show it.
    """
    scale = np.sqrt(np.diagonal(matrix))
    scale = np.where(scale > 0, scale, 1.0)
    scaled = matrix / scale[:, None]
    scaled /= scale
    return _pivoted(scaled, len(matrix) * EPS)[0] * scale[:, None]


def without_largest(matrix: np.ndarray, least: float) -> np.ndarray:
    """What is left of a matrix when its pivots above `least` are eliminated, with 1 in their place.

    It is definite where the matrix is, and has a Cholesky factor by itself: beside sums of order 1
    the small ones would be lost.
    """
    a, pivots = _pivoted(matrix.copy(), least)
    rest = a @ a.T
    np.subtract(matrix, rest, out=rest)
    rest[pivots] = rest[:, pivots] = 0.0
    rest[pivots, pivots] = 1.0
    return rest


def _pivoted(matrix: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """A (feature, rank) of the pivots above `least` of a matrix, and these; it is overwritten."""
    packed, order, rank, _ = lapack.dpstrf(matrix.T, tol=least, lower=1, overwrite_a=1)
    a = np.empty((len(matrix), rank))
    a[order - 1] = np.tril(packed[:, :rank])
    return a, order[:rank] - 1


def _each(replace: Callable[[np.ndarray], None], matrices: np.ndarray) -> np.ndarray:
    """What becomes of a copy of matrices (..., feature, feature) that are replaced one by one."""
    replaced = np.array(matrices, dtype=np.float64, order="C")
    for matrix in replaced.reshape(-1, *matrices.shape[-2:]):
        replace(matrix)
    return replaced


# The transpose of a row-major matrix is what Fortran has of it: LAPACK works in its place.


def _cholesky(matrix: np.ndarray) -> None:
    _, fault = lapack.dpotrf(matrix.T, lower=0, clean=1, overwrite_a=1)
    if fault:
        raise np.linalg.LinAlgError("Matrix is not positive definite")


def _inverse(factor: np.ndarray) -> None:
    lapack.dtrtri(factor.T, lower=0, overwrite_c=1)
