"""What the units of the data, the order of rows and the names of components may not change."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import needs_numba
from sklearn.metrics import adjusted_rand_score
from table import (
    KINDS,
    TABLE,
    BernoulliRow,
    all_settings,
    every_kind,
    every_setting,
    every_setting_of_any_width,
)

import daskem
from daskem import Bernoulli, Gaussian, Mixture
from daskem.core.frames import Frame, scaling, uniform_scaling, whitening
from daskem.errors import ConvergenceWarning

K, D, N = 3, 3, 1000


# Whole powers of two, and matrices of whole numbers, map rows of few digits without rounding:
# what is left to see is the rounding of the fit.
TINY_TO_HUGE = 2.0 ** np.array([-40, 0, 40])  # 1e-12, 1, 1e12
OFFSET = 1e8
LONG = 20  # Passes: the top is reached in five.
BY_THEMSELVES = {"n_components": K, "random_state": 0}
SHEARS = {
    "above": np.array([[1.0, 1e4, 0], [0, 1, 0], [0, 0, 1]]),
    "below": np.array([[1.0, 0, 0], [1e4, 1, 0], [0, 0, 1]]),
    "both": np.array([[1.0, 1e4, 0], [0, 1, 0], [0, 1e3, 1]]),
}


def clusters(seed=0):
    """Clusters apart in every direction, in multiples of 2^-16."""
    rng = np.random.default_rng(seed)
    means = np.array([[0.0, 0, 0], [8, 6, -6], [-6, 8, 7]])
    roots = np.eye(D) + 0.3 * rng.normal(size=(K, D, D))
    labels = rng.integers(K, size=N)
    rows = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(N, D)))
    return np.round(rows * 2**16) / 2**16


def start(kind, rows, linear):
    """The same start in the units of `rows`, which are ``linear @ x`` of the well-scaled ones."""
    squares = linear @ linear.T
    covariances = {
        "full": np.tile(squares, (K, 1, 1)),
        "tied": squares,
        "diag": np.tile(np.diagonal(squares), (K, 1)),
        "spherical": np.full(K, squares[0, 0]),
    }
    return {
        "weights": np.array([0.5, 0.3, 0.2]),
        "means": rows[[5, 77, 301]],
        "covariances": covariances[kind],
    }


def after(passes, family, rows, begin, **options):
    model = Mixture(family)
    with pytest.warns(ConvergenceWarning):
        return daskem.fit(model, rows, start=begin, tol=0, max_passes=passes, **options)


def allowed(kind):
    """Maps that turn a mixture of this kind into another one of it: their matrices."""
    if kind == "spherical":
        return [np.eye(D) * scale for scale in (1.0, TINY_TO_HUGE[0], TINY_TO_HUGE[2])]
    return [np.eye(D), np.diag(TINY_TO_HUGE), np.diag(TINY_TO_HUGE[::-1])]


@cache
def well_scaled(kind, reg_covar, kernel):
    near = clusters()
    family, begin = Gaussian(kind, reg_covar), start(kind, near, np.eye(D))
    return after(12, family, near, begin, kernel=kernel)


@pytest.mark.parametrize(
    ("kind", "linear"), [(kind, linear) for kind in KINDS for linear in allowed(kind)]
)
@pytest.mark.parametrize("offset", [0.0, OFFSET, -OFFSET])
@pytest.mark.parametrize(
    ("reg_covar", "kernel"),
    [(0.0, "numpy"), (1e-6, "numpy"), pytest.param(0.0, "compiled", marks=needs_numba)],
)
def test_offsets_and_scales(kind, linear, offset, reg_covar, kernel):
    near = clusters()
    far = (near + offset) @ linear
    one = well_scaled(kind, reg_covar, kernel)
    begin = start(kind, far, linear)
    other = after(12, Gaussian(kind, reg_covar), far, begin, kernel=kernel)
    log_det = np.log(np.diagonal(linear)).sum()
    scores, mapped = one.score_samples(near), other.score_samples(far)
    np.testing.assert_allclose(mapped + log_det, scores, 0, 1e-8)
    np.testing.assert_array_equal(one.predict(near), other.predict(far))
    for here, there in zip(one.history, other.history, strict=True):
        assert there.log_likelihood + log_det == pytest.approx(here.log_likelihood, abs=1e-8)
        assert there.objective + log_det == pytest.approx(here.objective, abs=1e-8)
    assert other.bic(far) == pytest.approx(one.bic(near) + 2 * N * log_det, abs=2e-8 * N)


@every_kind
def test_offsets_and_scales_find_the_same_clusters_by_themselves(kind):
    near, estimator = clusters(), daskem.GaussianMixture(K, covariance_type=kind, random_state=0)
    one = estimator.fit_predict(near)
    _, *others = [(offset, linear) for offset in (0.0, OFFSET) for linear in allowed(kind)]
    for offset, linear in others:
        other = estimator.fit_predict((near + offset) @ linear)
        assert adjusted_rand_score(one, other) > 0.999


@cache
def at_the_top(kind, reg_covar):
    return after(LONG, Gaussian(kind, reg_covar), clusters(), None, **BY_THEMSELVES)


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("shear", SHEARS)
@pytest.mark.parametrize("offset", [0.0, OFFSET])
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_ill_conditioned_data(kind, shear, offset, reg_covar):
    linear, near = SHEARS[shear], clusters()
    assert np.linalg.cond(linear) > 9.9e7
    far = near @ linear.T + offset
    one = at_the_top(kind, reg_covar)
    other = after(LONG, Gaussian(kind, reg_covar), far, None, **BY_THEMSELVES)
    assert adjusted_rand_score(one.predict(near), other.predict(far)) > 0.999
    assert other.score(far) == pytest.approx(one.score(near), abs=1e-8)
    np.testing.assert_allclose(other.score_samples(far), one.score_samples(near), 0, 1e-7)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_narrow_direction_across_all_features(kind):
    """Singular values 1, 1e-4 and 1e-8 in a basis at random; the product itself rounds."""
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(D, D)))[0] for _ in range(2))
    near = clusters()
    far = near @ (left @ np.diag([1, 1e-4, 1e-8]) @ right).T
    one = at_the_top(kind, 0.0)
    other = after(LONG, Gaussian(kind, 0.0), far, None, **BY_THEMSELVES)
    assert adjusted_rand_score(one.predict(near), other.predict(far)) > 0.999
    assert other.score(far) + np.log(1e-12) == pytest.approx(one.score(near), abs=1e-8)


def mapped(family, params, linear, offset):
    """Params of rows x as those of the rows linear @ x + offset: x is a frame of these."""
    inverse = 1 / linear if linear.ndim == 1 else np.linalg.inv(linear)
    return family.from_frame(
        params, Frame(offset, inverse, linear, np.zeros(D), np.zeros(D, bool), offset)
    )


@pytest.mark.parametrize("row", [row for row in TABLE if row.map is not None], ids=repr)
@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=15)
def test_any_map_that_leaves_a_mixture_one_of_its_family(row, seed, data):
    family = data.draw(st.sampled_from(all_settings(row))).family
    begin, near = row.some(K, D, 600)
    rng = np.random.default_rng(seed)
    linear = row.map(D, rng)
    matrix = np.diag(linear) if linear.ndim == 1 else linear
    offset = 1e3 * np.abs(matrix).max(axis=1) * rng.normal(size=D)
    far = near @ matrix.T + offset
    # Leaps are made in coordinates that know of scales, but not of directions.
    one = after(5, family, near, begin, algorithm="em")
    other = after(5, family, far, mapped(family, begin, linear, offset), algorithm="em")
    log_det = np.linalg.slogdet(matrix)[1]
    np.testing.assert_allclose(other.score_samples(far) + log_det, one.score_samples(near), 0, 1e-8)
    for here, there in zip(one.history, other.history, strict=True):
        assert there.objective + log_det == pytest.approx(here.objective, abs=1e-8)
    expected = mapped(family, one.params, linear, offset)
    np.testing.assert_allclose(family.locations(other.params), family.locations(expected), 1e-8)


def along(family, params, dim, order):
    """Params with their components, or their features, in another order."""
    declared = Mixture(family).parameters
    moved = dict(params)
    for name in params:
        for axis, own in enumerate(declared[name].dims):
            if own.removesuffix("_2") == dim:
                moved[name] = moved[name].take(order, axis)
    return moved


@every_setting
def test_relabelling_the_start_relabels_the_result(row):
    family, (begin, rows), order = row.family, row.some(K, D, 800), np.array([2, 0, 1])
    one = after(10, family, rows, begin)
    other = after(10, family, rows, along(family, begin, "component", order))
    for name, value in along(family, one.params, "component", order).items():
        np.testing.assert_allclose(other.params[name], value, 1e-10, 1e-12)
    np.testing.assert_array_equal(order[other.predict(rows)], one.predict(rows))


@every_setting
def test_the_order_of_rows_does_not_matter(row):
    begin, rows = row.some(K, D, 800)
    shuffled = np.random.default_rng(1).permutation(rows)
    one, other = (after(10, row.family, x, begin) for x in (rows, shuffled))
    for name, value in one.params.items():
        np.testing.assert_allclose(other.params[name], value, 1e-9, 1e-11)


@every_setting_of_any_width
def test_the_order_of_features_does_not_matter(row):
    family, (begin, rows), order = row.family, row.some(K, D, 800), np.array([1, 2, 0])
    one = after(10, family, rows, begin)
    other = after(10, family, rows[:, order], along(family, begin, "feature", order))
    np.testing.assert_allclose(
        other.score_samples(rows[:, order]), one.score_samples(rows), rtol=1e-9
    )


def test_what_counts_as_presence_does_not_matter():
    begin, rows = BernoulliRow(Bernoulli()).some(K, D, 800)
    flipped = {**begin, "probabilities": 1 - begin["probabilities"]}
    one, other = after(10, Bernoulli(), rows, begin), after(10, Bernoulli(), 1 - rows, flipped)
    np.testing.assert_allclose(1 - other.params["probabilities"], one.params["probabilities"], 1e-9)
    np.testing.assert_allclose(other.score_samples(1 - rows), one.score_samples(rows), rtol=1e-10)


@pytest.mark.parametrize("make", [scaling, uniform_scaling, whitening])
def test_a_frame_and_its_inverse(make):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(D, D)) * [1e-3, 1.0, 1e3]
    spread = root.T @ root
    mean = np.array([1.0, -5.0, 1e4])
    frame = make(mean, spread if make is whitening else np.diagonal(spread))
    points = mean + rng.normal(size=(50, D)) @ root
    inside = frame.apply(points)
    np.testing.assert_allclose(frame.restore(inside), points, rtol=1e-10)
    matrix = np.diag(frame.linear) if frame.linear.ndim == 1 else frame.linear
    assert frame.log_det == pytest.approx(np.linalg.slogdet(matrix)[1], rel=1e-12)
    tile = frame.tile(points, out=np.empty((D, 50)), spare=np.empty((D, 50)))
    np.testing.assert_allclose(tile.T, inside, rtol=1e-10, atol=1e-12)


def test_whitened_data_are_white():
    rows = clusters()
    frame = whitening(rows.mean(axis=0), np.cov(rows.T, bias=True))
    inside = frame.apply(rows)
    np.testing.assert_allclose(inside.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(inside.T, bias=True), np.eye(D), atol=1e-12)


@pytest.mark.parametrize("make", [scaling, uniform_scaling, whitening])
def test_features_that_do_not_vary_are_not_blown_up(make):
    spread = np.diag([1.0, 0.0, 1e-20])
    frame = make(np.array([0.0, 3.0, 1e8]), spread if make is whitening else np.diagonal(spread))
    assert np.isfinite(frame.linear).all()
    assert np.isfinite(frame.inverse).all()
    assert np.abs(frame.apply(np.array([0.0, 3.0 + 1e-15, 1e8]))).max() < 1e-8
