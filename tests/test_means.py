"""Families of a mean: no fit ends on an edge that it would leave, and what their prior is."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest
from classes import PUBLISHED
from reading import look
from table import every_mean_row

import daskem
from daskem import Bernoulli, Categorical, Mixture, Poisson
from daskem.core import coordinates
from daskem.core.frames import in_units_of_the_data
from daskem.core.parameters import REAL
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ParameterError
from daskem.models.families.independent import MeanFamily
from daskem.selection import splitting


def answers(n, seed):
    """Of three groups, in some of which nobody ever says yes, or no: (sample, feature)."""
    rng = np.random.default_rng(seed)
    p = [[0.9, 0.8, 0.02, 0, 0.3, 0.001], [0.1, 0.2, 0.9, 0.4, 0, 0.01], [0.5, 0, 0, 1, 0.9, 0]]
    return (rng.random((n, 6)) < np.array(p)[rng.integers(3, size=n)]).astype(float)


def events(n, seed):
    """Counts of three groups, some of which have none of a kind: (sample, feature)."""
    rng = np.random.default_rng(seed)
    rates = np.array([[9, 0.8, 0.02, 0], [1, 0.2, 0.9, 0.4], [5, 0, 0, 0.9]])
    return rng.poisson(rates[rng.integers(3, size=n)]).astype(float)


def rare(n, seed):
    """Two groups, most of whose features say yes to few rows in a thousand: (sample, feature)."""
    rng = np.random.default_rng(seed)
    p = np.full((2, 12), 5e-4)
    p[0, :4], p[1, :4], p[1, 8:] = 0.8, 0.2, 2e-3
    return (rng.random((n, 12)) < p[rng.integers(2, size=n)]).astype(float)


def off_the_edges(result, rows, by):
    """The params of a fit, each mean moved towards that of all rows that is nearer to an edge; of
    answers each share.
    """
    family = result.model.family
    if isinstance(family, Categorical):
        overall = np.stack([(rows == level).mean(axis=0) for level in np.unique(rows)], axis=1)
        shares = np.maximum(result.params["probabilities"], by * overall)
        moved = int((shares != result.params["probabilities"]).sum())
        shares /= shares.sum(axis=2, keepdims=True)
        return {**result.params, "probabilities": shares}, moved
    (name,) = family.parameters
    least, most = ((1 - by) * edge + by * rows.mean(axis=0) for edge in family.edges)
    means = result.params[name].clip(least, most)
    return {**result.params, name: means}, int((means != result.params[name]).sum())


def gained_off_the_edges(family, rows, k, seed, by=0.01):
    """What going on from there gains, in nats, and how many means were at an edge."""
    options = {"tol": 1e-7, "max_passes": 2000}
    result = daskem.fit(Mixture(family), rows, k, random_state=seed, **options)
    start, moved = off_the_edges(result, rows, by)
    on = daskem.fit(Mixture(family), rows, start=start, **options)
    return len(rows) * (on.history[-1].objective - result.history[-1].objective), moved


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("family", "rows", "k"),
    [
        (Bernoulli(), PUBLISHED["carcinoma"].rows, 3),
        (Bernoulli(), PUBLISHED["carcinoma"].rows, 4),
        (Bernoulli(), answers(3000, 0), 3),
        (Poisson(), events(2000, 0), 3),
        (Categorical(), PUBLISHED["carcinoma"].rows, 4),
    ],
    ids=["carcinoma 3", "carcinoma 4", "answers", "counts", "kinds"],
)
def test_nothing_is_gained_by_going_on_from_a_little_off_the_edges(family, rows, k, seed):
    gained, moved = gained_off_the_edges(family, rows, k, seed)
    assert moved > 0
    assert gained < 1e-7 * len(rows)


@pytest.mark.parametrize("seed", range(3))
def test_what_the_sample_has_never_seen_is_not_impossible(seed, monkeypatch):
    """Of 1,024 rows in the sample of a component hardly one says yes, of 20,000 some do."""
    monkeypatch.setattr(import_module("daskem.data.survey.survey"), "_MOST_SAMPLED", 2**11)
    gained, _ = gained_off_the_edges(Bernoulli(), rare(40_000, seed), 2, seed)
    assert gained < 1e-7 * 40_000


@every_mean_row
def test_a_start_keeps_one_row_of_all_data_from_every_edge_and_moves_nothing_else(row):
    rows, labels = row.rows(600), np.arange(600) % 3
    rows[labels == 0, 0] = 0.0
    centres = rows[:4] + 0.0
    model = Mixture(row.family, in_units_of_the_data(rows.mean(axis=0)))
    found = model.from_labels(Block(rows), labels, centres)[row.mean]
    expected = np.stack([rows[labels == j].mean(axis=0) for j in range(3)])
    expected[0, 0] = rows[:, 0].mean() / 201
    np.testing.assert_allclose(found[:3], expected, rtol=1e-12)
    # One without rows stays at its centre.
    np.testing.assert_array_equal(found[3], centres[3])


def test_a_start_is_off_the_upper_edge_too_unless_all_rows_are_on_it():
    rows = answers(600, 1)
    labels = rows[:, 0].astype(int)
    rows[:, 5] = 1.0
    model = Mixture(Bernoulli(), in_units_of_the_data(rows.mean(axis=0)))
    p = model.from_labels(Block(rows), labels, rows[:2])["probabilities"]
    n, m = np.bincount(labels), rows[:, 0].mean()
    np.testing.assert_allclose(p[:, 0], [m / (n[0] + 1), (n[1] + m) / (n[1] + 1)], rtol=1e-12)
    np.testing.assert_array_equal(p[:, 5], [1.0, 1.0])


@dataclass(frozen=True)
class UnitNormal(MeanFamily):
    """Features of variance 1: a mean may be any number, and there is no edge."""

    mean = "means"
    support = REAL
    domain = "finite numbers"

    def valid(self, rows):
        return np.isfinite(rows)

    def natural(self, params):
        m = params["means"]
        return np.column_stack([-0.5 * (m**2 + np.log(2 * np.pi)).sum(axis=1), m])

    def log_base(self, x):
        return -0.5 * x**2


def test_where_there_is_no_edge_nothing_moves():
    rows = np.random.default_rng(0).normal(size=(300, 2)) - 5
    model = Mixture(UnitNormal(), in_units_of_the_data(np.zeros(2)))
    found = model.from_labels(Block(rows), np.zeros(300, int), rows[:1])
    np.testing.assert_allclose(found["means"], rows.mean(axis=0)[None], rtol=1e-12)


def test_a_mixture_that_is_split_is_off_the_edges(monkeypatch):
    """Neither the halves of a component, nor the others, where a climb on few rows has led."""
    monkeypatch.setattr(splitting, "_MOST_ROWS", 1000)
    rows = answers(4000, 3)
    first = look(Mixture(Bernoulli()), as_blocks(rows))
    p = np.array([[0.9, 0.8, 0.0, 0.0, 0.3, 0.0], [0.1, 0.2, 0.9, 1.0, 0.0, 0.0]])
    grown = splitting.grown(first, {"weights": np.array([0.4, 0.6]), "probabilities": p}, 3)
    found, m = grown.params["probabilities"], rows.mean(axis=0)
    assert (found >= 0.99 * m / 1001).all()
    assert (1 - found >= 0.99 * (1 - m) / 1001).all()


# The prior.


def with_prior(family, rows, prior_rows):
    """The mixture with so many rows, in a frame that knows the mean of all data."""
    return Mixture(type(family)(prior_rows=prior_rows), in_units_of_the_data(rows.mean(axis=0)))


@every_mean_row
def test_the_prior_is_rows_of_the_mean_of_all_data(row):
    """Three of them in every component, by hand."""
    _, rows = row.some(k=2, d=3, n=400)
    labels = np.arange(400) % 2
    model = with_prior(row.family, rows, 3.0)
    found = model.from_labels(Block(rows), labels, rows[:2])[row.mean]
    for j in range(2):
        mine = np.vstack([rows[labels == j], *[rows.mean(axis=0)] * 3])
        np.testing.assert_allclose(found[j], mine.mean(axis=0), rtol=1e-12)


def test_the_log_density_of_the_prior_is_that_of_the_formula():
    rows = answers(500, 2)
    params = {"weights": np.array([0.3, 0.7]), "probabilities": np.full((2, 6), [[0.2], [0.6]])}
    m, p = rows.mean(axis=0), params["probabilities"]
    expected = (m * np.log(p / m) + (1 - m) * np.log((1 - p) / (1 - m))).sum()
    model = with_prior(Bernoulli(), rows, 2.5)
    assert model.log_prior(params, 500.0) == pytest.approx(2.5 * expected, rel=1e-12)

    rows = events(500, 2)
    params = {"weights": np.array([0.3, 0.7]), "rates": np.full((2, 4), [[0.2], [3.0]])}
    m, rates = rows.mean(axis=0), params["rates"]
    expected = (m * np.log(rates / m) - rates + m).sum()
    model = with_prior(Poisson(), rows, 2.5)
    assert model.log_prior(params, 500.0) == pytest.approx(2.5 * expected, rel=1e-12)


@every_mean_row
def test_a_fit_with_a_prior_ends_at_the_top_of_its_objective(row):
    rows = row.rows(300, d=3, k=2)
    model = with_prior(row.family, rows, 5.0)
    fit = daskem.fit(model, rows, 2, random_state=0, tol=1e-12, max_passes=2000)

    def objective(params):
        likelihood = model.e_step(Block(rows), params)["log_likelihood"]
        return likelihood + model.log_prior(params, 300.0)

    top, free = objective(fit.params), coordinates.to_free(model.parameters, fit.params)
    assert fit.history[-1].objective == pytest.approx(top / 300, rel=1e-9)
    assert fit.history[-1].objective < fit.history[-1].log_likelihood
    rng = np.random.default_rng(0)
    for _ in range(40):
        moved = free + 1e-3 * rng.normal(size=len(free))
        (beside,) = coordinates.from_free_each(model.parameters, [fit.params], [moved])
        assert objective(beside) < top


@every_mean_row
@pytest.mark.parametrize("algorithm", ["em", "auto"])
def test_the_objective_with_a_prior_never_falls(row, algorithm):
    rows = row.rows(400, d=4, k=3)
    options = {"random_state": 0, "algorithm": algorithm, "tol": 1e-9, "max_passes": 300}
    fit = daskem.fit(Mixture(type(row.family)(prior_rows=20.0)), rows, 3, **options)
    objectives = [record.objective for record in fit.history]
    assert len(objectives) > 3
    assert (np.diff(objectives) > -1e-13).all()


@every_mean_row
def test_prior_rows_are_rows_of_weight_one(row):
    """Twice as many beside rows of weight 2, or beside the same rows twice, say the same."""
    params, rows = row.some(k=2, d=3, n=300)
    blocks = [Block(rows), Block(rows, np.full(300, 2.0)), Block(rows.repeat(2, axis=0))]
    found = []
    for block, prior_rows in zip(blocks, (2.0, 4.0, 4.0), strict=True):
        model = with_prior(row.family, rows, prior_rows)
        found.append(model.m_step(model.e_step(block, params), params)[row.mean])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-12)


@pytest.mark.parametrize(("family", "much"), [(Bernoulli, 1.0), (Poisson, 20.0)])
def test_with_a_prior_an_unseen_value_costs_a_few_nats(family, much):
    rows = np.zeros((400, 3))
    rows[::2, 0] = rows[::2, 1] = much
    rows[1, 2] = 1.0
    surprise = np.array([[much, much, 1.0]])
    plain, held = (
        daskem.fit(Mixture(family(prior_rows=prior)), rows, 2, random_state=0, tol=1e-9)
        for prior in (0.0, 1.0)
    )
    assert plain.score(surprise) < held.score(surprise) - 100
    # Of 201 rows one has 1 / 400, the mean of all rows.
    usual = np.array([[much, much, 0.0]])
    assert held.score(surprise) - held.score(usual) == pytest.approx(-np.log(201 * 400), abs=0.1)


@pytest.mark.parametrize("prior_rows", [-1.0, np.nan, np.inf])
def test_a_prior_that_is_no_number_of_rows_is_refused(prior_rows):
    with pytest.raises(ParameterError, match=r"prior_rows=.* should be a number >= 0"):
        Bernoulli(prior_rows=prior_rows)
