"""Factors of large matrices are those of small ones, by other routines of LAPACK."""

import numpy as np
import pytest

from daskem.core import frames, triangular
from daskem.core.frames import identity
from daskem.core.resolution import Resolution
from daskem.models.families import covariance_floor
from daskem.models.families.covariances import STRUCTURES

SIZES = [triangular.MANY - 1, triangular.MANY, 70]


def definite(k, d, rank, seed=0):
    """Matrices (matrix, feature, feature) of a rank, with features of very different units."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(k, rank, d)) * 10.0 ** np.linspace(-3, 3, d)
    return rows.swapaxes(1, 2) @ rows / rank


@pytest.mark.parametrize("d", SIZES)
def test_factors_and_their_inverses(d):
    matrices = definite(3, d, 4 * d)
    factors = triangular.cholesky(matrices)
    assert (factors == np.tril(factors)).all()
    np.testing.assert_allclose(factors, np.linalg.cholesky(matrices), rtol=1e-9, atol=1e-12)
    unit = triangular.inverse(factors) @ factors
    np.testing.assert_allclose(unit, np.tile(np.eye(d), (3, 1, 1)), atol=1e-7)
    b, out = np.ones((d, 2)), np.empty((d, 2))
    np.testing.assert_allclose(triangular.applied(factors[1], b, out), factors[1] @ b, rtol=1e-9)
    np.testing.assert_array_equal(out, triangular.applied(factors[1], b, out))
    np.testing.assert_allclose(factors[0] @ triangular.solved(factors[0], b), b, atol=1e-7)


@pytest.mark.parametrize("d", SIZES)
def test_what_is_not_definite_has_no_factor(d):
    matrices = definite(4, d, 2 * d)
    matrices[2] -= 2 * np.eye(d) * matrices[2].max()
    assert triangular.are_definite(matrices).tolist() == [True, True, False, True]
    with pytest.raises(np.linalg.LinAlgError):
        triangular.cholesky(matrices)


@pytest.mark.parametrize("rank", [1, 5, 39, 40])
def test_a_matrix_has_as_many_columns_as_its_rank(rank):
    (matrix,) = definite(1, 40, rank)
    matrix[3] = matrix[:, 3] = 0
    a = triangular.low_rank(matrix)
    assert a.shape == (40, min(rank, 39))
    sd = np.sqrt(np.diagonal(matrix))
    assert np.abs(a @ a.T - matrix).max() <= 1e-13 * sd.max() ** 2
    assert (np.abs(a @ a.T - matrix) <= 1e-13 * np.outer(sd, sd)).all()


@pytest.mark.parametrize("rank", [1, 20, 40, 200])
def test_the_floor_is_the_same_by_rank_and_by_eigenvalues(rank):
    """With eigenvalues above it, below it, and none."""
    (s,), (t,) = definite(1, 40, rank), definite(1, 40, 80, seed=1)
    s *= 10.0
    values, vectors, b = covariance_floor._eigen(s, t)
    expected = b @ (vectors * np.maximum(values, 1 - values)) @ vectors.T @ b.T
    found = covariance_floor._raised_by_rank(s, t)
    scale = np.sqrt(np.diagonal(expected))
    assert (np.abs(found - expected) <= 1e-10 * np.outer(scale, scale)).all()
    assert (values > 0.5).any() or rank == 200


@pytest.mark.parametrize("d", SIZES)
def test_a_floor_that_was_lowered_stays_where_it_is(d):
    """Pass by pass the rounding of eigenvalues must not lower it further."""
    (s,) = definite(1, d, 10)
    old, seen = 1e3 * s + np.diag(np.diagonal(s)) * 1e-8, []
    for _ in range(8):
        old = covariance_floor.floored(s[None], old[None], identity(d))[0]
        (least,) = np.linalg.eigvalsh(old / np.sqrt(np.outer(np.diag(old), np.diag(old))))[:1]
        seen.append(least)
    np.testing.assert_allclose(seen[2:], seen[1], rtol=1e-3)
    assert 1e-13 < seen[-1] <= 1.1e-10


@pytest.mark.parametrize("d", SIZES)
def test_a_direction_that_is_lost_falls_to_its_floor_at_once(d):
    """What keeps it open is no part of the width that the component had before."""
    flat = np.diag([*np.ones(d - 1), 0.0])
    found = covariance_floor.floored(flat[None], np.eye(d)[None], identity(d))[0]
    np.testing.assert_allclose(found[-1, -1], covariance_floor.ROUNDING, rtol=1e-2)


def clipped(s, t):
    """The covariance above T that is best for S: eigenvalues clipped where T is the unit."""
    root = np.linalg.cholesky(t)
    values, vectors = np.linalg.eigh(np.linalg.inv(root) @ s @ np.linalg.inv(root).T)
    axes = root @ vectors
    return (axes * np.maximum(values, 1.0)) @ axes.T


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("whitened", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 20, 39, 200])
@pytest.mark.parametrize("d", [triangular.MANY - 1, 40])
def test_the_constrained_m_step_is_that_of_clipped_eigenvalues(d, rank, whitened, kind):
    """With fewer rows than features, with more, and with features that do not vary."""
    structure, rng = STRUCTURES[kind], np.random.default_rng(rank)
    k = 1 if structure.pooled else 3
    rows = rng.normal(size=(k, rank, d)) * 10.0 ** rng.uniform(-1, 1, d)
    rows[:, :, [3, -1]] = 0.0
    new = rows.swapaxes(1, 2) @ rows / rank
    data = rng.normal(size=(2 * d, d)) * 10.0 ** rng.uniform(-1, 1, d)
    measured = data.T @ data / len(data)
    frame = (
        frames.whitening(np.zeros(d), measured)
        if whitened
        else frames.scaling(np.zeros(d), np.diagonal(measured))
    )
    steps = np.sqrt(12 * frame.units) * 10.0 ** rng.uniform(-2, 0, d)
    frame = frame.resolving(Resolution(steps, steps))
    old = np.tile(100 * np.eye(d), (k, 1, 1))
    floor = frame.floors if whitened else np.diag(frame.floors)
    expected = [clipped(s, floor + covariance_floor.ROUNDING * old[0]) for s in new]
    found = structure.floored(*((new[0], old[0]) if structure.pooled else (new, old)), frame)
    for one, other in zip(found.reshape(k, d, d), expected, strict=True):
        root = np.linalg.inv(np.linalg.cholesky(other))
        np.testing.assert_allclose(root @ one @ root.T, np.eye(d), rtol=0, atol=1e-10)


@pytest.mark.parametrize("d", [*SIZES, 400])
def test_a_floor_is_known_to_be_where_it_was_put(d):
    """However much wider the rest of the component is."""
    rng = np.random.default_rng(0)
    for rank in (1, 2, d // 4):
        rows = rng.normal(size=(rank, d)) * 10.0 ** rng.uniform(-3, 3, d)
        own = np.diagonal(rows.T @ rows)
        old = rows.T @ rows + np.diag(covariance_floor.ROUNDING * own)
        slack = covariance_floor._slack(old, np.zeros(d))
        assert slack == pytest.approx(covariance_floor.ROUNDING, rel=1e-2)
        lower = old - np.diag(0.3 * covariance_floor.ROUNDING * own)
        assert covariance_floor._slack(lower, np.zeros(d)) <= 0.71 * covariance_floor.ROUNDING


@pytest.mark.parametrize("rank", [1, 3])
def test_a_matrix_is_definite_where_it_is_without_its_largest_pivots(rank):
    rng = np.random.default_rng(rank)
    wide, rest = rng.normal(size=(50, rank)), rng.normal(size=(50, 50))
    narrow = 1e-10 * rest @ rest.T / 50
    others = np.linalg.qr(wide, mode="complete")[0][:, rank:]
    least = np.linalg.eigvalsh(others.T @ narrow @ others)[0] * np.eye(50)
    for factor, answer in [(0.9, True), (1.1, False)]:
        left = triangular.without_largest(wide @ wide.T + narrow - factor * least, 1e-5)
        assert np.abs(left).max() == 1.0
        assert (np.abs(left) > 1e-5).sum() == rank
        assert triangular.are_definite(left[None])[0] == answer


@pytest.mark.parametrize("beside", [0.0, 1e-9, 0.3])
def test_small_elements_beside_a_diagonal_leave_a_matrix_definite_or_not(beside):
    """Whatever the units of the features."""
    scales = 10.0 ** np.linspace(-6, 6, 40)
    matrix = np.full((40, 40), beside) * np.outer(scales, scales)
    np.fill_diagonal(matrix, scales**2)
    negative, singular = matrix.copy(), matrix.copy()
    negative[3, 3], singular[0, :2] = -matrix[3, 3], singular[1, 1]
    singular[:2, 0] = singular[0, :2]
    singular[0, 0] = singular[1, 1] * 0.999
    stack = np.stack([matrix, negative, singular])
    assert triangular.are_definite(stack).tolist() == [True, False, False]
    np.testing.assert_array_equal(stack[0], matrix)
