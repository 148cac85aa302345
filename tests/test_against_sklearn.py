"""The same start and the same number of iterations as scikit-learn's GaussianMixture."""

import warnings

import numpy as np
import pytest
from kernels import every_kernel
from sklearn.exceptions import ConvergenceWarning as SklearnConvergenceWarning
from sklearn.mixture import GaussianMixture as Reference
from sklearn.utils.estimator_checks import estimator_checks_generator
from table import every_kind

import daskem
from daskem.errors import ConvergenceWarning

FEATURES = (1, 2, 10, 40)
K, N, ITERATIONS = 3, 1000, 8

every_d = pytest.mark.parametrize("d", FEATURES)


def data(d):
    """Standardised rows of overlapping clusters of different shape."""
    rng = np.random.default_rng(d)
    means = 1.5 * rng.normal(size=(K, d)) / np.sqrt(d)
    roots = np.eye(d) + 0.3 * rng.normal(size=(K, d, d)) / np.sqrt(d)
    labels = rng.integers(K, size=N)
    rows = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(N, d)))
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


def start(kind, rows):
    rng = np.random.default_rng(1)
    d = rows.shape[1]
    wide = 1 + 0.5 * rng.random((K, d))
    precisions = {
        "full": 1 / wide[:, None] * np.eye(d),
        "tied": np.eye(d) / wide[0],
        "diag": 1 / wide,
        "spherical": 1 / wide[:, 0],
    }
    return {
        "weights_init": np.array([0.5, 0.3, 0.2]),
        "means_init": rows[rng.choice(N, K, replace=False)],
        "precisions_init": precisions[kind],
    }


def fitted(estimator, kind, rows, begin, kernel="numpy"):
    plain = {"algorithm": "em", "kernel": kernel} if estimator is daskem.GaussianMixture else {}
    begin = {**begin, **plain}
    model = estimator(K, covariance_type=kind, reg_covar=0, tol=0, max_iter=ITERATIONS, **begin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SklearnConvergenceWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(rows)


def assert_same_params(ours, theirs, tolerance, shift=0.0):
    assert ours.n_iter_ == theirs.n_iter_ == ITERATIONS
    for name in ("weights_", "covariances_", "precisions_", "precisions_cholesky_"):
        expected = getattr(theirs, name)
        found = getattr(ours, name)
        assert found.shape == expected.shape
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, 0, tolerance * scale, err_msg=name)
    np.testing.assert_allclose(ours.means_ - shift, theirs.means_, 0, tolerance)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_kernel
@every_kind
@every_d
def test_n_iterations_on_standardised_data(kind, d, kernel):
    rows = data(d)
    begin = start(kind, rows)
    ours, theirs = (
        fitted(e, kind, rows, begin, kernel) for e in (daskem.GaussianMixture, Reference)
    )
    assert ours.result_.kernel == kernel
    assert_same_params(ours, theirs, 1e-9)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-10)
    assert len(ours.lower_bounds_) == ITERATIONS
    assert ours.lower_bounds_[-1] == ours.lower_bound_


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_kind
@every_d
def test_n_iterations_on_float32_data(kind, d):
    rows = data(d).astype(np.float32)
    exact = rows.astype(np.float64)
    begin = start(kind, exact)
    ours = fitted(daskem.GaussianMixture, kind, rows, begin)
    theirs = fitted(Reference, kind, exact, begin)
    assert_same_params(ours, theirs, 1e-9)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-10)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_kernel
@every_kind
@every_d
def test_n_iterations_on_data_far_from_zero(kind, d, kernel):
    """Against scikit-learn on the same data near zero, where its own rounding does not show."""
    shift = 1e6
    # What is left of the rows after the shift, so that both see the same values.
    near = (data(d) + shift) - shift
    begin = start(kind, near)
    theirs = fitted(Reference, kind, near, begin)
    far = {**begin, "means_init": begin["means_init"] + shift}
    ours = fitted(daskem.GaussianMixture, kind, near + shift, far, kernel)
    assert_same_params(ours, theirs, 1e-6, shift)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-6)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_d
def test_n_iterations_on_the_same_data_far_from_zero(d):
    """scikit-learn centres before it squares for full covariances alone."""
    rows = data(d) + 1e6
    begin = start("full", rows)
    ours, theirs = (fitted(e, "full", rows, begin) for e in (daskem.GaussianMixture, Reference))
    assert_same_params(ours, theirs, 1e-6)


@every_kind
@pytest.mark.parametrize("d", [1, 10])
def test_answers_for_rows_with_the_same_parameters(kind, d):
    rows = data(d)
    begin = start(kind, rows)
    ours, theirs = (fitted(e, kind, rows, begin) for e in (daskem.GaussianMixture, Reference))
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        setattr(theirs, name, getattr(ours, name))
    new = 3 * np.random.default_rng(9).normal(size=(500, d))
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new), atol=1e-10)
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new), rtol=1e-10)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-12)
    assert ours.bic(new) == pytest.approx(theirs.bic(new), rel=1e-12)
    assert ours.aic(new) == pytest.approx(theirs.aic(new), rel=1e-12)


@every_kind
def test_starts_that_are_partly_given_are_kept(kind):
    rows = data(2)
    means = start(kind, rows)["means_init"]
    model = daskem.GaussianMixture(K, covariance_type=kind, means_init=means, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(rows)
    assert np.isfinite(model.lower_bound_)
    assert np.abs(model.means_ - means).max() < 3


@every_kind
@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_another_fit_leaves_nothing_of_the_first(kind):
    """Not even of what is made when it is asked for."""

    def told(model):
        names = [n for n in dir(model) if n.endswith("_") and n[0] != "_" and n != "result_"]
        return {name: getattr(model, name) for name in names}

    one, other = data(2), 3 * data(2)[::-1] + 1
    begin = start(kind, one)
    again = fitted(daskem.GaussianMixture, kind, one, begin)
    assert "precisions_cholesky_" in told(again)
    again.fit(other)
    fresh = fitted(daskem.GaussianMixture, kind, other, begin)
    np.testing.assert_equal(told(again), told(fresh))


def sklearn_checks():
    with warnings.catch_warnings():
        # scikit-learn is not a dependency, so its base class cannot be one of ours.
        warnings.filterwarnings("ignore", "Estimator GaussianMixture does not inherit")
        return [
            pytest.param(*pair, id=getattr(pair[1], "func", pair[1]).__name__)
            for pair in estimator_checks_generator(daskem.GaussianMixture())
        ]


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize(("estimator", "check"), sklearn_checks())
def test_the_estimator_checks_of_sklearn(estimator, check):
    check(estimator)
