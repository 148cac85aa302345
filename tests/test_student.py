"""Student-t components: against scipy's own fits, and the tails that they are for."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

import daskem
from daskem import Gaussian, Mixture, StudentT
from daskem.errors import ParameterError
from daskem.models.families.student import LEAST, MOST

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def tails(df, n, d=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) / np.sqrt(rng.chisquare(df, n) / df)[:, None]


def test_one_component_is_the_fit_of_scipy():
    rows = 3 + 2 * tails(4.0, 2000, 1)
    result = daskem.fit(Mixture(StudentT()), rows, 1, tol=1e-10, max_passes=500)
    df, mean, scale = stats.t.fit(rows[:, 0])
    log_likelihood = stats.t.logpdf(rows[:, 0], df, mean, scale).mean()
    assert result.log_likelihood >= log_likelihood - 1e-9
    assert result.params["df"][0] == pytest.approx(df, rel=1e-2)
    assert result.params["means"][0, 0] == pytest.approx(mean, abs=1e-3)
    assert np.sqrt(result.params["covariances"].ravel()[0]) == pytest.approx(scale, rel=1e-2)


def test_no_direct_search_finds_more():
    """A general optimiser of the same likelihood, from where the fit ended and from elsewhere."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([tails(3.0, 400, 1), 6 + 0.5 * tails(8.0, 200, 1, 1)])
    fit = daskem.fit(Mixture(StudentT()), rows, 2, tol=1e-10, max_passes=2000, random_state=0)

    def deviance(free):
        weight, m, log_s, log_df = 1 / (1 + np.exp(-free[0])), free[1:3], free[3:5], free[5:7]
        each = [
            stats.t.logpdf(rows[:, 0], np.exp(f), mean, np.exp(s))
            for f, mean, s in zip(log_df, m, log_s, strict=True)
        ]
        return -np.logaddexp(np.log(weight) + each[0], np.log1p(-weight) + each[1]).mean()

    best = min(
        minimize(deviance, [0.5, 0, 6, 0, -0.5, 1, 2] + 0.3 * rng.normal(size=7)).fun
        for _ in range(3)
    )
    assert fit.log_likelihood >= -best - 1e-7


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("df", ["each", "tied"])
def test_a_known_truth_is_found(kind, df):
    rows = np.concatenate([tails(3.0, 6000), tails(3.0, 4000, seed=1) + 12])
    result = daskem.fit(Mixture(StudentT(kind, df)), rows, 2, random_state=0)
    weights, means = result.params["weights"], result.params["means"]
    np.testing.assert_allclose(weights, [0.6, 0.4], atol=0.02)
    np.testing.assert_allclose(means, [[0, 0], [12, 12]], atol=0.1)
    np.testing.assert_allclose(result.params["df"], 3.0, atol=0.4)
    assert np.shape(result.params["df"]) == ((2,) if df == "each" else ())
    matrices = StudentT(kind, df).covariances(result.params)
    np.testing.assert_allclose(matrices, np.stack([np.eye(2)] * 2), atol=0.12)


def test_far_rows_move_no_component():
    """Normal components follow a few far rows, or spend one on them; these do neither."""
    rng = np.random.default_rng(0)
    near = np.concatenate([rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) + 8])
    far = rng.uniform(-60, 60, (30, 2))
    rows = np.concatenate([near, far])
    heavy = daskem.fit(Mixture(StudentT()), rows, 2, random_state=0)
    normal = daskem.fit(Mixture(Gaussian()), rows, 2, random_state=0)
    truth = np.repeat([0, 1], 500)

    def agreement(result):
        labels = result.predict(near)
        return max((labels == truth).mean(), (labels != truth).mean())

    assert agreement(heavy) > 0.99
    assert np.sort(heavy.params["means"][:, 0]) == pytest.approx([0, 8], abs=0.3)
    assert heavy.log_likelihood > normal.log_likelihood + 0.1


def test_normal_rows_have_normal_components():
    rows = np.random.default_rng(0).normal(size=(3000, 2))
    heavy = daskem.fit(Mixture(StudentT()), rows, 1, max_passes=500)
    normal = daskem.fit(Mixture(Gaussian()), rows, 1)
    assert heavy.params["df"][0] > 30
    assert heavy.log_likelihood == pytest.approx(normal.log_likelihood, abs=2e-3)
    fixed = daskem.fit(Mixture(StudentT(df=1e9)), rows, 1)
    assert fixed.log_likelihood == pytest.approx(normal.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(fixed.params["covariances"], normal.params["covariances"], rtol=1e-6)


def test_degrees_of_freedom_stay_within_their_limits():
    cauchy = tails(0.2, 500, 1)
    spiky = daskem.fit(Mixture(StudentT()), cauchy, 1, max_passes=300)
    assert spiky.params["df"][0] == LEAST
    flat = np.random.default_rng(0).uniform(size=(500, 1))
    assert daskem.fit(Mixture(StudentT()), flat, 1, max_passes=300).params["df"][0] <= MOST


@pytest.mark.parametrize("df", [0, -1.0, "all", True, None])
def test_other_degrees_of_freedom_are_refused(df):
    with pytest.raises(ParameterError, match=r"df=.* should be a number > 0, or one of"):
        StudentT(df=df)


def test_a_saved_model_predicts_the_same_bits(tmp_path):
    rows = tails(3.0, 300)
    rows[:100] += 9
    for family in (StudentT(), StudentT("diag", "tied"), StudentT("tied", 5)):
        result = daskem.fit(Mixture(family), rows, 2, random_state=0)
        result.save(tmp_path / "model")
        again = daskem.load(tmp_path / "model")
        np.testing.assert_array_equal(again.score_samples(rows), result.score_samples(rows))
        assert again.model.family == family
