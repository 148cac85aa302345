"""Every family against scipy.stats and against loops over rows and components."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from table import KINDS, PLAIN, every_count, every_plain_family, every_plain_gaussian

from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core.statistics import add
from daskem.data.blocks import Block
from daskem.models.families.protocol import Prior
from daskem.models.kernels import guard
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.product import ProductForm


@dataclass(frozen=True)
class Moments:
    """What a family needs to know of a survey."""

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def variances(self):
        return np.diagonal(self.covariance)


def random_params(family, k, d, rng):
    weights = rng.dirichlet(np.full(k, 5.0))
    if isinstance(family, Poisson):
        return {"weights": weights, "rates": rng.gamma(2.0, 2.0, (k, d))}
    if isinstance(family, Bernoulli):
        return {"weights": weights, "probabilities": rng.uniform(0.05, 0.95, (k, d))}
    roots = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    covariances = {
        "full": roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(d),
        "tied": roots[0] @ roots[0].T + 0.1 * np.eye(d),
        "diag": rng.uniform(0.3, 2.0, (k, d)),
        "spherical": rng.uniform(0.3, 2.0, k),
    }
    return {
        "weights": weights,
        "means": 2 * rng.normal(size=(k, d)),
        "covariances": covariances[family.covariance_type],
    }


def matrix(family, params, j):
    """The covariance of component j, whatever the structure."""
    d, c = params["means"].shape[1], params["covariances"]
    return {
        "full": lambda: c[j],
        "tied": lambda: c,
        "diag": lambda: np.diag(c[j]),
        "spherical": lambda: c[j] * np.eye(d),
    }[family.covariance_type]()


def log_density(family, params, rows):
    """log p(row | component), (component, sample), by scipy."""
    k = len(params["weights"])
    if isinstance(family, Poisson):
        return np.stack([stats.poisson.logpmf(rows, params["rates"][j]).sum(1) for j in range(k)])
    if isinstance(family, Bernoulli):
        p = params["probabilities"]
        return np.stack([stats.bernoulli.logpmf(rows, p[j]).sum(1) for j in range(k)])
    return np.stack(
        [
            stats.multivariate_normal.logpdf(rows, params["means"][j], matrix(family, params, j))
            for j in range(k)
        ]
    ).reshape(k, len(rows))


def log_joint(family, params, rows):
    return np.log(params["weights"])[:, None] + log_density(family, params, rows)


def responsibilities(family, params, rows):
    joint = log_joint(family, params, rows)
    return np.exp(joint - logsumexp(joint, axis=0))


def score(family, params, rows):
    return np.concatenate([score for _, score, _ in Mixture(family).posterior(Block(rows), params)])


def some(family, k=4, d=3, n=500, seed=0):
    rng = np.random.default_rng(seed)
    params = random_params(family, k, d, rng)
    rows, _ = Mixture(family).sample(params, n, rng)
    return params, rows


def assert_close(actual, expected, tolerance):
    assert set(actual) == set(expected)
    for name in expected:
        scale = max(np.abs(expected[name]).max(), 1e-300)
        np.testing.assert_allclose(actual[name], expected[name], 0, tolerance * scale, err_msg=name)


@every_plain_family
@pytest.mark.parametrize(("k", "d"), [(1, 1), (4, 1), (1, 3), (5, 2), (3, 7)])
def test_log_prob_is_that_of_scipy(family, k, d):
    params, rows = some(family, k, d)
    expected = logsumexp(log_joint(family, params, rows), axis=0)
    np.testing.assert_allclose(score(family, params, rows), expected, rtol=1e-12, atol=1e-12)


@every_plain_family
def test_responsibilities_are_those_of_bayes_rule(family):
    params, rows = some(family)
    ((_, _, found),) = Mixture(family).posterior(Block(rows), params)
    np.testing.assert_allclose(found, responsibilities(family, params, rows), atol=1e-12)


@every_plain_gaussian
@pytest.mark.parametrize("given", [False, True], ids=["own units", "in a frame"])
def test_a_gaussian_mixture_integrates_to_one(family, given):
    params, _ = some(family, k=3, d=2)
    axis = np.linspace(-25, 25, 501)
    grid = np.array(list(product(axis, axis)))
    model = Mixture(family)
    if given:
        model = model.given(Moments(np.array([1.0, -2.0]), np.array([[4.0, 1.0], [1.0, 9.0]])))
        params = model.to_frame(params)
    log_prob = np.concatenate([score for _, score, _ in model.posterior(Block(grid), params)])
    assert np.exp(log_prob).sum() * 0.1**2 == pytest.approx(1, abs=1e-9)


def test_a_poisson_mixture_sums_to_one():
    params, _ = some(Poisson(), k=3, d=2)
    counts = np.array(list(product(range(120), repeat=2)), dtype=float)
    assert np.exp(score(Poisson(), params, counts)).sum() == pytest.approx(1, abs=1e-12)


def test_a_bernoulli_mixture_sums_to_one():
    params, _ = some(Bernoulli(), k=3, d=9)
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


def loop_statistics(family, params, rows, row_weights):
    """The definitions in the docstrings, a row and a component at a time."""
    r = responsibilities(family, params, rows) * row_weights
    k, d = len(r), rows.shape[1]
    total = logsumexp(log_joint(family, params, rows), axis=0)
    out = {"log_likelihood": sum(row_weights * total), "counts": r.sum(axis=1)}
    if not isinstance(family, Gaussian):
        first = [sum(r[j, i] * x for i, x in enumerate(rows)) for j in range(k)]
        return {**out, "first": np.array(first)}
    first, second = np.zeros((k, d)), np.zeros((k, d, d))
    for j in range(k):
        for i, x in enumerate(rows):
            u = x - params["means"][j]
            first[j] += r[j, i] * u
            second[j] += r[j, i] * np.outer(u, u)
    kind = family.covariance_type
    if kind == "tied":
        second = second.sum(axis=0, keepdims=True)
    if kind in ("full", "tied"):
        second = second[:, *np.triu_indices(d)]
    else:
        second = np.diagonal(second, axis1=1, axis2=2)
        second = second.sum(axis=1, keepdims=True) if kind == "spherical" else second
    return {**out, "first": first, "second": second}


@every_plain_family
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_a_loop(family, weighted):
    params, rows = some(family, k=4, d=3, n=300)
    row_weights = np.random.default_rng(1).uniform(0, 3, 300) if weighted else None
    found = Mixture(family).e_step(Block(rows, row_weights), params)
    expected = loop_statistics(family, params, rows, row_weights if weighted else np.ones(300))
    assert_close(found, expected, 1e-12)


@every_plain_family
def test_statistics_add(family):
    params, rows = some(family, n=1000)
    model = Mixture(family)
    parts = add(model.e_step(Block(rows[:313]), params), model.e_step(Block(rows[313:]), params))
    assert_close(parts, model.e_step(Block(rows), params), 1e-12)


@every_plain_family
def test_an_empty_block_adds_nothing(family):
    params, rows = some(family)
    statistics = Mixture(family).e_step(Block(rows[:0]), params)
    assert statistics.keys() == Mixture(family).e_step(Block(rows), params).keys()
    for value in statistics.values():
        np.testing.assert_array_equal(value, np.zeros_like(value))


@every_plain_family
def test_weights_are_repeats(family):
    params, rows = some(family, n=400)
    times = np.random.default_rng(1).integers(0, 4, 400)
    model = Mixture(family)
    weighted = model.e_step(Block(rows, times.astype(float)), params)
    assert_close(weighted, model.e_step(Block(rows.repeat(times, axis=0)), params), 1e-12)


@every_plain_family
def test_candidates_of_different_size_are_evaluated_as_if_alone(family):
    _, rows = some(family, n=3000)
    rng = np.random.default_rng(2)
    candidates = [random_params(family, k, 3, rng) for k in (1, 5, 2)]
    model, block = Mixture(family), Block(rows)
    for params, together in zip(candidates, model.e_steps(block, candidates), strict=True):
        assert_close(together, model.e_step(block, params), 1e-12)


@every_plain_gaussian
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 6])
def test_the_centred_form_equals_the_product_form(family, weighted, d, monkeypatch):
    _, rows = some(family, d=d, n=3000)
    rng = np.random.default_rng(2)
    candidates = [random_params(family, k, d, rng) for k in (3, 1, 4)]
    block = Block(rows, rng.uniform(0, 2, len(rows)) if weighted else None)
    fast = Mixture(family).e_steps(block, candidates)
    monkeypatch.setattr(guard, "LIMIT", 0)
    for one, other in zip(fast, Mixture(family).e_steps(block, candidates), strict=True):
        assert_close(one, other, 1e-11)


@every_plain_gaussian
def test_tiles_that_need_the_centred_form_add_to_those_that_do_not(family, monkeypatch):
    params, rows = some(family, n=30_000)
    rows[20_000] += 1e3
    model, block = Mixture(family), Block(rows)
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


def expected_log_likelihood(family, params, rows, r):
    """What the M step maximises: sum_i sum_k r_ik log(weight_k p(x_i | k)), and the prior."""
    prior = family.log_prior(params, len(rows)) if isinstance(family, Prior) else 0.0
    return (r * log_joint(family, params, rows)).sum() + prior


def nudge(family, params, step, rng):
    """A random neighbour of `params` among the valid ones."""
    k, d = len(params["weights"]), params[list(params)[1]].shape[1]
    weights = params["weights"] * np.exp(step * rng.normal(size=k))
    out = {"weights": weights / weights.sum()}
    for name, value in params.items():
        noise = step * rng.normal(size=value.shape)
        if name == "means":
            out[name] = value + noise
        elif name == "covariances" and family.covariance_type in ("full", "tied"):
            push = np.eye(d) + step * rng.normal(size=(*value.shape[:-2], d, d))
            out[name] = push @ value @ push.swapaxes(-1, -2)
        elif name != "weights":
            out[name] = value * np.exp(noise)
    return out


@pytest.mark.parametrize(
    "family",
    [*PLAIN, *(Gaussian(kind, 0.05) for kind in KINDS)],
    ids=repr,
)
def test_the_m_step_maximises_the_expected_log_likelihood(family):
    _, rows = some(family, k=3, d=2, n=400)
    rng = np.random.default_rng(3)
    start = random_params(family, 3, 2, rng)
    r = responsibilities(family, start, rows)
    model = Mixture(family)
    best = model.m_step(model.e_step(Block(rows), start), start)
    top = expected_log_likelihood(family, best, rows, r)
    assert top > expected_log_likelihood(family, start, rows, r)
    for _ in range(60):
        other = nudge(family, best, 1e-4, rng)
        assert expected_log_likelihood(family, other, rows, r) < top


@every_plain_gaussian
def test_the_prior_of_reg_covar_is_imaginary_rows(family):
    """reg_covar * N more rows of unit covariance around the mean of every component."""
    regularised = Gaussian(family.covariance_type, 0.01)
    params, rows = some(family, n=500)
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


@every_plain_gaussian
def test_samples_have_the_moments_of_their_component(family):
    params, _ = some(family, k=3, d=2)
    rows, components = Mixture(family).sample(params, 60_000, np.random.default_rng(4))
    np.testing.assert_allclose(np.bincount(components) / 60_000, params["weights"], atol=0.01)
    for j in range(3):
        mine, sigma = rows[components == j], matrix(family, params, j)
        error = 5 * np.sqrt(np.diagonal(sigma) / len(mine))
        assert (np.abs(mine.mean(axis=0) - params["means"][j]) < error).all()
        np.testing.assert_allclose(np.cov(mine.T), sigma, atol=0.06 * np.abs(sigma).max())


@every_count
def test_samples_of_counts_have_the_mean_of_their_component(family):
    params, _ = some(family, k=3, d=2)
    rows, components = Mixture(family).sample(params, 60_000, np.random.default_rng(4))
    assert family.valid(rows).all()
    means = params[next(iter(family.parameters))]
    variances = means if isinstance(family, Poisson) else means * (1 - means)
    for j in range(3):
        mine = rows[components == j]
        assert (np.abs(mine.mean(axis=0) - means[j]) < 5 * np.sqrt(variances[j] / len(mine))).all()
        np.testing.assert_allclose(mine.var(axis=0), variances[j], rtol=0.1)


@pytest.mark.parametrize(
    ("family", "rows", "usable"),
    [
        (Gaussian(), [-1.5, np.nan, np.inf, -np.inf], [True, False, False, False]),
        (Poisson(), [0, 3, -1, 0.5, np.nan, np.inf], [True, True] + 4 * [False]),
        (Bernoulli(), [0, 1, 2, -1, 0.5, np.nan], [True, True] + 4 * [False]),
    ],
    ids=repr,
)
def test_each_family_knows_its_domain(family, rows, usable):
    np.testing.assert_array_equal(family.valid(np.array([rows])), [usable])


@every_plain_gaussian
@pytest.mark.parametrize("d", [1, 4])
def test_a_frame_leaves_the_log_likelihood_and_comes_back(family, d):
    params, rows = some(family, d=d)
    framed = Mixture(family).given(Moments(rows.mean(axis=0), np.cov(rows.T).reshape(d, d)))
    inside = framed.to_frame(params)
    assert_close(framed.from_frame(inside), params, 1e-12)
    np.testing.assert_allclose(
        np.concatenate([score for _, score, _ in framed.posterior(Block(rows), inside)]),
        score(family, params, rows),
        rtol=1e-11,
    )
