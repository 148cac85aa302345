"""Rows that lack values take part with what they have: closed forms, brute force, and the laws."""

from itertools import pairwise

import numpy as np
import pytest
from gaps import conditional, em_step, expectations, holed
from scipy import stats
from table import KINDS, TABLE, all_settings, every_kind, every_row_with

import daskem
from daskem import Bernoulli, Gaussian, HiddenMarkov, Mixture, Poisson, StudentT
from daskem.core.frames import whitening
from daskem.core.parameters import Params
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.fitting.starts.first_read import domain
from daskem.models.families import weighted
from daskem.models.families.protocol import Gapped, Marginals
from daskem.models.kernels.incomplete import patterns

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]

every_gappy_row = every_row_with(Marginals)
every_gappy_setting = pytest.mark.parametrize(
    "row",
    [one for row in TABLE if isinstance(row.family, Marginals) for one in all_settings(row)],
    ids=repr,
)
QUICK = {"n_init": 1, "max_passes": 3, "random_state": 0}
PLAIN = {"algorithm": "em", "tol": 0.0}


def expanded(kind, covariances, k, d):
    """Covariances of any structure as matrices, (component, feature, feature)."""
    return {
        "full": lambda: covariances,
        "tied": lambda: np.broadcast_to(covariances, (k, d, d)),
        "diag": lambda: covariances[:, :, None] * np.eye(d),
        "spherical": lambda: covariances[:, None, None] * np.eye(d),
    }[kind]()


# Closed forms.


def test_a_bivariate_normal_whose_second_value_is_often_missing_is_fitted_by_regression():
    """Anderson (1957): the likelihood factors into that of x_1 and that of x_2 given x_1."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 2)) @ [[1.0, 0.8], [0.0, 0.6]] + [3.0, -20.0]
    rows[150:, 1] = np.nan
    x, y = rows[:150].T
    mean, variance = rows[:, 0].mean(), rows[:, 0].var()
    slope = np.cov(x, y, bias=True)[0, 1] / x.var()
    left = (y - y.mean() - slope * (x - x.mean())).var()
    expected = [mean, y.mean() + slope * (mean - x.mean())]
    covariance = [[variance, slope * variance], [slope * variance, left + slope**2 * variance]]
    result = daskem.fit(Mixture(Gaussian()), rows, 1, missing="model", tol=1e-15, max_passes=300)
    np.testing.assert_allclose(result.params["means"][0], expected, rtol=1e-7)
    np.testing.assert_allclose(result.params["covariances"][0], covariance, rtol=1e-6)


@pytest.mark.parametrize("family", [Gaussian("diag"), Poisson(), Bernoulli()], ids=repr)
def test_one_component_of_independent_features_has_the_means_of_what_there_is(family):
    rng = np.random.default_rng(1)
    rows = holed(rng.integers(0, 2, size=(500, 3)).astype(float), 0.5)
    result = daskem.fit(Mixture(family), rows, 1, missing="model", tol=1e-15, max_passes=300)
    found = family.locations(result.params)[0]
    np.testing.assert_allclose(found, np.nanmean(rows, axis=0), rtol=1e-7)
    if isinstance(family, Gaussian):
        variances = result.params["covariances"][0]
        np.testing.assert_allclose(variances, np.nanvar(rows, axis=0), rtol=1e-6)


# Brute force.


@every_kind
def test_it_is_the_em_that_takes_row_by_row(kind):
    row = TABLE[KINDS.index(kind)]
    params, rows = row.some(k=2, d=3, n=120)
    rows = holed(rows)
    theta = params["weights"], params["means"], expanded(kind, params["covariances"], 2, 3)
    log_likelihoods = []
    for _ in range(6):
        log_likelihood, *theta = em_step(rows, kind, *theta)
        log_likelihoods.append(log_likelihood)
    model = Mixture(Gaussian(kind, resolution=0))
    result = daskem.fit(model, rows, start=params, missing="model", max_passes=6, **PLAIN)
    assert [p.log_likelihood for p in result.history] == pytest.approx(log_likelihoods, rel=1e-11)
    weights, means, covariances = theta
    np.testing.assert_allclose(result.params["weights"], weights, rtol=1e-10)
    np.testing.assert_allclose(result.params["means"], means, rtol=1e-9, atol=1e-11)
    found = expanded(kind, result.params["covariances"], 2, 3)
    np.testing.assert_allclose(found, covariances, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("framed", [False, True])
def test_statistics_in_any_frame_are_those_of_conditional_moments(framed):
    rng = np.random.default_rng(2)
    d, k = 4, 3
    roots = rng.normal(size=(k, d, d))
    params = {
        "weights": np.array([0.2, 0.3, 0.5]),
        "means": 2 * rng.normal(size=(k, d)),
        "covariances": roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(d),
    }
    rows = holed(2 * rng.normal(size=(200, d)))
    frame = whitening(rng.normal(size=d), params["covariances"][0]) if framed else None
    model = Mixture(Gaussian(), frame, incomplete=True)
    log_p, r, first, _ = expectations(rows, *params.values())
    statistics = model.e_step(Block(rows), model.to_frame(params))
    assert statistics["log_likelihood"] == pytest.approx(log_p.sum(), rel=1e-12)
    np.testing.assert_allclose(statistics["counts"], r.sum(axis=1), rtol=1e-11)
    new = model.from_frame(model.m_step(statistics, model.to_frame(params)))
    _, weights, means, covariances = em_step(rows, "full", *params.values())
    np.testing.assert_allclose(new["weights"], weights, rtol=1e-11)
    np.testing.assert_allclose(new["means"], means, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(new["covariances"], covariances, rtol=1e-9, atol=1e-11)
    imputed = model.impute(Block(rows), model.to_frame(params))
    expected = np.einsum("kn,kni->ni", r, first)
    np.testing.assert_allclose(imputed, np.where(np.isnan(rows), expected, rows), atol=1e-11)


def test_heavy_tails_of_some_features_are_those_of_scipy():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, 3))
    params = {
        "weights": np.ones(1),
        "means": rng.normal(size=(1, 3)),
        "covariances": (root @ root.T + np.eye(3))[None],
        "df": np.array([3.0]),
    }
    rows = holed(3 * rng.normal(size=(60, 3)))
    model = Mixture(StudentT(), incomplete=True)
    found = np.concatenate([t.log_prob for t in model.posterior(Block(rows), Params(params))])
    for x, log_prob in zip(rows, found, strict=True):
        o = ~np.isnan(x)
        mean, shape = params["means"][0][o], params["covariances"][0][np.ix_(o, o)]
        expected = stats.multivariate_t.logpdf(x[o], mean, shape, df=3.0)
        assert log_prob == pytest.approx(expected, rel=1e-11)


def test_a_chain_of_steps_that_lack_values_is_summed_over_all_paths():
    rng = np.random.default_rng(4)
    rows = holed(rng.normal(size=(5, 2)), 0.4, seed=1)
    a = np.array([[0.7, 0.3], [0.2, 0.8]])
    params = {
        "initial": np.array([0.4, 0.6]),
        "transitions": a,
        "means": np.array([[0.0, 1.0], [1.0, -1.0]]),
        "covariances": np.array([[[1.0, 0.5], [0.5, 1.0]], [[0.5, -0.2], [-0.2, 0.7]]]),
    }
    density = np.exp(
        [
            [conditional(x, m, c)[0] for x in rows]
            for m, c in zip(params["means"], params["covariances"], strict=True)
        ]
    )
    total = 0.0
    for path in np.ndindex(*[2] * len(rows)):
        p = params["initial"][path[0]] * np.prod([a[i, j] for i, j in pairwise(path)])
        total += p * np.prod([density[s, t] for t, s in enumerate(path)])
    model = HiddenMarkov(Gaussian(), incomplete=True)
    block = Block(rows, edges=np.array([0, len(rows)]))
    found = model.e_step(block, Params(params))["log_likelihood"]
    assert found == pytest.approx(np.log(total), rel=1e-12)


# Both ways of independent features, and what a kernel must not confuse.


@every_row_with(Gapped)
@pytest.mark.parametrize("narrow", [1.0, 1e-6])
def test_rows_with_gaps_together_are_what_they_are_by_pattern(row, narrow, monkeypatch):
    family, (params, rows) = row.family, row.some(k=3, d=4, n=300)
    if "covariances" in params:
        params["covariances"] = params["covariances"] * narrow**2
        rng = np.random.default_rng(1)
        rows = row.draw(params, rng.integers(3, size=300), rng)
    weights = np.random.default_rng(0).gamma(2.0, size=300)
    block, candidates = Block(holed(rows), weights), [Params(params)] * 2
    model = Mixture(family, incomplete=True)
    found = model.e_steps(block, candidates)
    log_prob = np.concatenate([t.log_prob for t in model.posterior(block, candidates[0])])
    # As a family without this way: all by pattern.
    monkeypatch.setattr(weighted, "_WORTH", 0)
    monkeypatch.setattr(type(family), "by_pattern", True)
    for one, other in zip(found, model.e_steps(block, candidates), strict=True):
        for name, value in other.items():
            scale = np.abs(value).max()
            np.testing.assert_allclose(one[name], value, rtol=1e-9, atol=1e-10 * scale)
    other = np.concatenate([t.log_prob for t in model.posterior(block, candidates[0])])
    np.testing.assert_allclose(log_prob, other, rtol=1e-9)


def test_a_pattern_is_computed_once_however_many_rows_have_it(monkeypatch):
    """Those of few rows are computed together, the others by themselves."""
    params, rows = TABLE[0].some(k=2, d=3, n=6)
    rows[0, 0] = rows[1:3, 1] = rows[3:6, 2] = np.nan
    for worth in (2, 4, 6):
        monkeypatch.setattr(weighted, "_WORTH", worth)
        found = Mixture(Gaussian(), incomplete=True).e_step(Block(rows), Params(params))
        log_p, *_ = expectations(rows, *params.values())
        assert found["counts"].sum() == pytest.approx(6)
        assert found["log_likelihood"] == pytest.approx(log_p.sum(), rel=1e-12)


def test_patterns_of_many_features_are_told_apart():
    rng = np.random.default_rng(5)
    rows = holed(rng.normal(size=(60, 150)), 0.01)
    seen = np.zeros(60, dtype=int)
    for observed, here in patterns(rows):
        assert (~np.isnan(rows[here]) == observed).all()
        assert (np.diff(here) > 0).all()
        seen[here] += 1
    assert (seen == 1).all()
    n_distinct = len(np.unique(np.isnan(rows), axis=0))
    assert sum(1 for _ in patterns(rows)) == n_distinct


def test_rows_may_have_a_pattern_each():
    params, rows = TABLE[0].some(k=2, d=12, n=200)
    rows = holed(rows, 0.5)
    log_p, *_ = expectations(rows, *params.values())
    found = Mixture(Gaussian(), incomplete=True).e_step(Block(rows), Params(params))
    assert found["log_likelihood"] == pytest.approx(log_p.sum(), rel=1e-12)


# Laws.


@every_gappy_setting
def test_complete_data_have_the_same_bits(row):
    params, rows = row.some(k=2, d=2, n=300)
    options = {"start": params, "max_passes": 3}
    one = daskem.fit(Mixture(row.family), rows, **options)
    two = daskem.fit(Mixture(row.family), rows, missing="model", **options)
    assert [p.objective for p in one.history] == [p.objective for p in two.history]
    for name, value in one.params.items():
        np.testing.assert_array_equal(two.params[name], value)


def test_complete_data_are_started_and_selected_with_the_same_bits(rows):
    for missing in ("raise", "model"):
        chosen = daskem.select(rows[:300], range(1, 3), ("full", "diag"), missing=missing, **QUICK)
        if missing == "raise":
            expected = chosen.table
    np.testing.assert_array_equal(chosen.table["bic"], expected["bic"])


@every_gappy_setting
def test_the_objective_never_falls(row):
    params, rows = row.some(k=3, d=3, n=400)
    options = {"missing": "model", "max_passes": 12, **PLAIN}
    history = daskem.fit(Mixture(row.family), holed(rows), start=params, **options).history
    objectives = [p.objective for p in history]
    assert np.diff(objectives).min() >= -1e-13 * abs(objectives[0])
    assert objectives[-1] > objectives[0]


@every_gappy_row
def test_a_weight_is_so_many_rows(row):
    params, rows = row.some(k=3, d=3, n=200)
    rows, counts = holed(rows), np.random.default_rng(0).integers(0, 4, size=200)
    model = Mixture(row.family, incomplete=True)
    one = model.e_step(Block(rows, counts.astype(float)), Params(params))
    two = model.e_step(Block(np.repeat(rows, counts, axis=0)), Params(params))
    for name, value in two.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(one[name], value, rtol=1e-11, atol=1e-12 * scale)


@every_gappy_row
def test_the_order_of_rows_does_not_matter(row):
    params, rows = row.some(k=3, d=3, n=300)
    rows = holed(rows)
    options = {"start": params, "missing": "model", "max_passes": 4, **PLAIN}
    one = daskem.fit(Mixture(row.family), rows, **options)
    two = daskem.fit(Mixture(row.family), np.random.default_rng(0).permutation(rows), **options)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)


@every_gappy_row
def test_candidates_in_one_sweep_are_those_alone(row):
    params, rows = row.some(k=3, d=3, n=200)
    other, block = {**params, "weights": params["weights"][::-1].copy()}, Block(holed(rows))
    model = Mixture(row.family, incomplete=True)
    both = model.e_steps(block, [Params(params), Params(other)])
    for one, candidate in zip(both, (params, other), strict=True):
        for name, value in model.e_step(block, Params(candidate)).items():
            scale = np.abs(value).max()
            np.testing.assert_allclose(one[name], value, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("weighted_rows", [False, True])
def test_the_survey_takes_the_moments_of_what_there_is(weighted_rows):
    rng = np.random.default_rng(7)
    rows = 1e6 + holed(rng.normal(size=(300, 3)) @ [[1, 0.9, 0], [0, 0.5, 0], [0, 0, 2]])
    rows[:100, 1] = np.nan
    rows = rows[~np.isnan(rows).all(axis=1)]
    counts = rng.integers(1, 4, size=len(rows)) if weighted_rows else np.ones(len(rows), int)
    known = domain(Mixture(Gaussian(), incomplete=True))
    blocks = [
        Block(x, w.astype(float) if weighted_rows else None)
        for x, w in zip(np.split(rows, [60, 90]), np.split(counts, [60, 90]), strict=True)
    ]
    found = add_all([survey(block, known, 0) for block in blocks])
    repeated = np.repeat(rows, counts, axis=0)
    np.testing.assert_allclose(found.mean, np.nanmean(repeated, axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.variances, np.nanvar(repeated, axis=0), rtol=1e-8)
    np.testing.assert_allclose(np.diagonal(found.covariance), found.variances, rtol=1e-14)
    assert np.linalg.eigvalsh(found.covariance)[0] > 0
    assert found.moments.n_incomplete == np.isnan(rows).any(axis=1).sum()


# What it is for.


def test_thirty_percent_missing_recovers_what_few_complete_rows_cannot():
    rng = np.random.default_rng(6)
    d, n = 6, 800
    weights, centres, root = [0.5, 0.5], np.array([[0.0] * d, [2.5] * d]), np.tri(d, k=-1)
    covariance = (np.eye(d) + 0.3 * root) @ (np.eye(d) + 0.3 * root).T
    truth = rng.integers(2, size=n)
    rows = holed(centres[truth] + rng.multivariate_normal(np.zeros(d), covariance, n))
    assert (~np.isnan(rows).any(axis=1)).mean() < 0.15
    model = Mixture(Gaussian())
    result, omitted = (
        daskem.fit(model, rows, 2, missing=missing, random_state=0, max_passes=30)
        for missing in ("model", "omit")
    )

    def error(found):
        each = [np.abs(found.params["means"][order] - centres) for order in ([0, 1], [1, 0])]
        return min(map(np.max, each))

    # A mean of 280 values has a standard error of 0.08, and this is the largest of twelve.
    assert error(result) < 0.3
    assert error(omitted) > 1.5 * error(result)
    _, r, *_ = expectations(rows[:300], weights, centres, np.stack([covariance] * 2))
    best = (r.argmax(axis=0) == truth[:300]).mean()
    agree = (result.predict(rows)[:300] == truth[:300]).mean()
    assert max(agree, 1 - agree) > best - 0.03
