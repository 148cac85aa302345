"""Every family against scipy.stats and against loops over rows and components."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from table import every_plain_gaussian, every_row, every_row_with, every_setting

from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core import coordinates
from daskem.core.resolution import Resolution
from daskem.core.statistics import add
from daskem.data.blocks import Block
from daskem.models.families.protocol import Coordinates, Draws, Prior
from daskem.models.kernels import guard
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.product import ProductForm


@dataclass(frozen=True)
class Moments:
    """What a family needs to know of a survey."""

    mean: np.ndarray
    covariance: np.ndarray
    weight: float = np.inf

    @property
    def variances(self):
        return np.diagonal(self.covariance)

    levels = None

    @property
    def resolution(self):
        return Resolution(np.zeros(len(self.mean)), np.zeros(len(self.mean)))


def score(family, params, rows):
    return np.concatenate([score for _, score, _ in Mixture(family).posterior(Block(rows), params)])


def assert_close(actual, expected, tolerance):
    assert set(actual) == set(expected)
    for name in expected:
        scale = max(np.abs(expected[name]).max(), 1e-300)
        np.testing.assert_allclose(actual[name], expected[name], 0, tolerance * scale, err_msg=name)


@every_row
@pytest.mark.parametrize(("k", "d"), [(1, 1), (4, 1), (1, 3), (5, 2), (3, 7)])
def test_log_prob_is_that_of_scipy(row, k, d):
    params, rows = row.some(k, d)
    expected = logsumexp(row.log_joint(params, rows), axis=0)
    np.testing.assert_allclose(score(row.family, params, rows), expected, rtol=1e-12, atol=1e-12)


@every_row
def test_responsibilities_are_those_of_bayes_rule(row):
    params, rows = row.some()
    ((_, _, found),) = Mixture(row.family).posterior(Block(rows), params)
    np.testing.assert_allclose(found, row.responsibilities(params, rows), atol=1e-12)


@every_plain_gaussian
@pytest.mark.parametrize("given", [False, True], ids=["own units", "in a frame"])
def test_a_gaussian_mixture_integrates_to_one(row, given):
    params, _ = row.some(k=3, d=2)
    axis = np.linspace(-25, 25, 501)
    grid = np.array(list(product(axis, axis)))
    model = Mixture(row.family)
    if given:
        model = model.given(Moments(np.array([1.0, -2.0]), np.array([[4.0, 1.0], [1.0, 9.0]])))
        params = model.to_frame(params)
    log_prob = np.concatenate([score for _, score, _ in model.posterior(Block(grid), params)])
    assert np.exp(log_prob).sum() * 0.1**2 == pytest.approx(1, abs=1e-9)


def test_a_poisson_mixture_sums_to_one():
    rates = np.random.default_rng(0).gamma(2.0, 2.0, (3, 2))
    params = {"weights": np.array([0.2, 0.3, 0.5]), "rates": rates}
    counts = np.array(list(product(range(120), repeat=2)), dtype=float)
    assert np.exp(score(Poisson(), params, counts)).sum() == pytest.approx(1, abs=1e-12)


def test_a_bernoulli_mixture_sums_to_one():
    probabilities = np.random.default_rng(0).uniform(0.05, 0.95, (3, 9))
    params = {"weights": np.array([0.2, 0.3, 0.5]), "probabilities": probabilities}
    outcomes = np.array(list(product([0, 1], repeat=9)), dtype=float)
    assert np.exp(score(Bernoulli(), params, outcomes)).sum() == pytest.approx(1, abs=1e-12)


def test_a_poisson_component_without_events_gives_no_room_to_any():
    params = {"weights": np.ones(1), "rates": np.array([[0.0, 2.0]])}
    possible, impossible = score(Poisson(), params, np.array([[0.0, 3.0], [1.0, 3.0]]))
    assert possible == pytest.approx(stats.poisson.logpmf(3, 2), rel=1e-14)
    assert np.isfinite(impossible)
    assert impossible < -600


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_certain_bernoulli_feature_gives_no_room_to_the_other_outcome(p):
    params = {"weights": np.ones(1), "probabilities": np.array([[p, 0.25]])}
    possible, impossible = score(Bernoulli(), params, np.array([[p, 1.0], [1 - p, 1.0]]))
    assert possible == pytest.approx(np.log(0.25), rel=1e-14)
    assert np.isfinite(impossible)
    assert impossible < -600


def loop_statistics(row, params, rows, row_weights):
    """The definitions in the docstrings, a row and a component at a time."""
    r = row.responsibilities(params, rows) * row_weights
    total = logsumexp(row.log_joint(params, rows), axis=0)
    shared = {"log_likelihood": sum(row_weights * total), "counts": r.sum(axis=1)}
    return {**shared, **row.statistics(params, rows, r)}


@every_row
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_a_loop(row, weighted):
    params, rows = row.some(k=4, d=3, n=300)
    row_weights = np.random.default_rng(1).uniform(0, 3, 300) if weighted else None
    found = Mixture(row.family).e_step(Block(rows, row_weights), params)
    expected = loop_statistics(row, params, rows, row_weights if weighted else np.ones(300))
    assert_close(found, expected, 1e-12)


@every_row
def test_statistics_add(row):
    params, rows = row.some(n=1000)
    model = Mixture(row.family)
    parts = add(model.e_step(Block(rows[:313]), params), model.e_step(Block(rows[313:]), params))
    assert_close(parts, model.e_step(Block(rows), params), 1e-12)


@every_row
def test_an_empty_block_adds_nothing(row):
    params, rows = row.some()
    statistics = Mixture(row.family).e_step(Block(rows[:0]), params)
    assert statistics.keys() == Mixture(row.family).e_step(Block(rows), params).keys()
    for value in statistics.values():
        np.testing.assert_array_equal(value, np.zeros_like(value))


@every_row
def test_weights_are_repeats(row):
    params, rows = row.some(n=400)
    times = np.random.default_rng(1).integers(0, 4, 400)
    model = Mixture(row.family)
    weighted = model.e_step(Block(rows, times.astype(float)), params)
    assert_close(weighted, model.e_step(Block(rows.repeat(times, axis=0)), params), 1e-12)


@every_row
def test_candidates_of_different_size_are_evaluated_as_if_alone(row):
    _, rows = row.some(n=3000)
    rng = np.random.default_rng(2)
    candidates = [row.mixture(k, 3, rng) for k in (1, 5, 2)]
    model, block = Mixture(row.family), Block(rows)
    for params, together in zip(candidates, model.e_steps(block, candidates), strict=True):
        assert_close(together, model.e_step(block, params), 1e-12)


@every_plain_gaussian
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 6])
def test_the_centred_form_equals_the_product_form(row, weighted, d, monkeypatch):
    _, rows = row.some(d=d, n=3000)
    rng = np.random.default_rng(2)
    candidates = [row.mixture(k, d, rng) for k in (3, 1, 4)]
    block = Block(rows, rng.uniform(0, 2, len(rows)) if weighted else None)
    fast = Mixture(row.family).e_steps(block, candidates)
    monkeypatch.setattr(guard, "LIMIT", 0)
    for one, other in zip(fast, Mixture(row.family).e_steps(block, candidates), strict=True):
        assert_close(one, other, 1e-11)


@every_plain_gaussian
def test_tiles_that_need_the_centred_form_add_to_those_that_do_not(row, monkeypatch):
    params, rows = row.some(n=30_000)
    rows[20_000] += 1e3
    model, block = Mixture(row.family), Block(rows)
    chosen = []
    choose = guard.Guard.form

    def spy(self, z):
        form = choose(self, z)
        chosen.append(type(form))
        return form

    monkeypatch.setattr(guard.Guard, "form", spy)
    monkeypatch.setattr(guard, "LIMIT", 1e5)
    mixed = model.e_step(block, params)
    assert set(chosen) == {ProductForm, CentredForm}
    monkeypatch.setattr(guard, "LIMIT", 0)
    assert_close(mixed, model.e_step(block, params), 1e-9)


def expected_log_likelihood(row, params, rows, r):
    """What the M step maximises: sum_i sum_k r_ik log(weight_k p(x_i | k)), and the prior."""
    prior = row.family.log_prior(params, len(rows), None) if isinstance(row.family, Prior) else 0.0
    return (r * row.log_joint(params, rows)).sum() + prior


def neighbours(model, params, step, rng):
    """Random neighbours of `params`, a step away in coordinates without bounds."""
    free = coordinates.to_free(model.parameters, params)
    for _ in range(60):
        moved = free + step * rng.normal(size=len(free))
        yield from coordinates.from_free_each(model.parameters, [params], [moved])


@every_setting
def test_the_m_step_climbs_the_expected_log_likelihood_to_its_top(row):
    _, rows = row.some(k=3, d=2, n=400)
    rng = np.random.default_rng(3)
    start, model = row.mixture(3, 2, rng), Mixture(row.family)
    r = row.responsibilities(start, rows)
    best = model.m_step(model.e_step(Block(rows), start), start)
    top = expected_log_likelihood(row, best, rows, r)
    assert top > expected_log_likelihood(row, start, rows, r)
    if not row.latent:
        for other in neighbours(model, best, 1e-4, rng):
            assert expected_log_likelihood(row, other, rows, r) < top


@every_setting
def test_m_steps_for_rows_whose_component_is_known_end_at_the_top(row):
    """One of them is enough, unless more than the component is unseen."""
    _, rows = row.some(k=3, d=2, n=400)
    rng = np.random.default_rng(3)
    labels, params, model = rng.integers(3, size=400), row.mixture(3, 2, rng), Mixture(row.family)
    for _ in range(1500 if row.latent else 1):
        hard = model.kernel([params]).hard(Block(rows), labels)
        params = model.m_step(hard, params)
    known = (labels == np.arange(3)[:, None]).astype(float)
    top = expected_log_likelihood(row, params, rows, known)
    for other in neighbours(model, params, 1e-3, rng):
        assert expected_log_likelihood(row, other, rows, known) < top


@every_plain_gaussian
def test_the_prior_of_reg_covar_is_imaginary_rows(row):
    """reg_covar * N more rows of unit covariance around the mean of every component."""
    family = row.family
    regularised = Gaussian(family.covariance_type, 0.01)
    params, rows = row.some(n=500)
    model = Mixture(family)
    statistics = model.e_step(Block(rows), params)
    plain, held = (Mixture(f).m_step(statistics, params) for f in (family, regularised))
    counts = statistics["counts"]
    pooled = family.covariance_type == "tied"
    n = counts.sum() if pooled else counts
    share = (n / (n + 5.0)).reshape(-1, *[1] * (plain["covariances"].ndim - 1))
    share = share[0, 0] if pooled else share
    unit = family.at(params["means"])["covariances"]
    expected = share * plain["covariances"] + (1 - share) * unit
    np.testing.assert_allclose(held["covariances"], expected, rtol=1e-12)
    np.testing.assert_array_equal(held["means"], plain["means"])


@every_row_with(Draws)
def test_samples_are_distributed_as_their_component(row):
    """Whichever way one looks at them: along a feature, or across several."""
    params, _ = row.some(k=3, d=2)
    rng = np.random.default_rng(4)
    rows, components = Mixture(row.family).sample(params, 60_000, rng)
    assert row.family.valid(rows).all()
    np.testing.assert_allclose(np.bincount(components) / 60_000, params["weights"], atol=0.01)
    for j, direction in product(range(3), ([1, 0], [0, 1], [1, 1], [1, -1])):
        mine = rows[components == j]
        expected = row.draw(params, np.full(60_000, j), rng)
        assert stats.ks_2samp(mine @ direction, expected @ direction).pvalue > 1e-4


@every_row
def test_each_family_knows_its_domain(row):
    values = np.array([[*row.possible, *row.impossible]])
    usable = [True] * len(row.possible) + [False] * len(row.impossible)
    np.testing.assert_array_equal(row.family.valid(values), [usable])


@every_row_with(Coordinates)
@pytest.mark.parametrize("d", [1, 4])
def test_a_frame_leaves_the_log_likelihood_and_comes_back(row, d):
    params, rows = row.some(d=d)
    framed = Mixture(row.family).given(Moments(rows.mean(axis=0), np.cov(rows.T).reshape(d, d)))
    inside = framed.to_frame(params)
    assert_close(framed.from_frame(inside), params, 1e-12)
    np.testing.assert_allclose(
        np.concatenate([score for _, score, _ in framed.posterior(Block(rows), inside)]),
        score(row.family, params, rows),
        rtol=1e-11,
    )
