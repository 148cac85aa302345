"""A handful of rows that happen to lie on a line are no cluster; those that are meant to, are."""

from itertools import combinations

import numpy as np
import pytest
from samples import planted

import daskem
from daskem import Gaussian, Mixture
from daskem.errors import ImproperFitWarning
from daskem.models.families.chance import _expected, by_chance


def beside(rows, cluster):
    """Of a component of all of `rows` and one of those of a cluster: is that one by chance?"""
    parts = rows, cluster
    return by_chance(
        np.stack([np.cov(part.T, bias=True) for part in parts]),
        np.stack([part.mean(axis=0) for part in parts]),
        np.array([len(part) for part in parts], float),
    )


def straightest(rows, size):
    """Those rows, so many, that lie closest to a line through two of them."""

    def off(pair):
        (a, b) = rows[list(pair)]
        normal = np.array([a[1] - b[1], b[0] - a[0]]) / np.linalg.norm(a - b)
        distances = np.abs((rows - a) @ normal)
        nearest = np.argsort(distances)[:size]
        return distances[nearest[-1]], nearest

    return rows[
        min((off(pair) for pair in combinations(range(len(rows)), 2)), key=lambda o: o[0])[1]
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [4, 5, 6])
def test_the_straightest_rows_of_a_normal_are_no_cluster(seed, size):
    rows = np.random.default_rng(seed).standard_normal((150, 2))
    assert beside(rows, straightest(rows, size)).tolist() == [False, True]


@pytest.mark.parametrize("seed", range(5))
def test_a_line_of_many_rows_and_a_tight_spot_of_few_are_clusters(seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((1000, 2))
    line = rng.standard_normal((30, 2)) * [1.0, 0.01]
    spot = rng.standard_normal((8, 2)) * 1e-3 + [0.5, 0.5]
    assert not beside(rows, line).any()
    assert not beside(rows, spot).any()


def test_units_and_axes_do_not_matter():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((150, 2))
    linear = rng.standard_normal((2, 2)) * [1.0, 50.0]
    for size in range(4, 30):
        few = rows[np.argsort(np.abs(rows[:, 0]))[:size]]
        assert beside(rows, few).tolist() == beside(rows @ linear.T, few @ linear.T).tolist()


def test_variances_are_covariances_without_correlations():
    rng = np.random.default_rng(2)
    variances = np.array([1.0, 1.0, 1e-4]) * 10 ** rng.uniform(-1, 1, (40, 3))
    means, counts = rng.standard_normal((40, 3)), rng.integers(4, 60, 40).astype(float)
    variances[0], counts[0] = 1.0, 2000.0
    matrices = variances[..., None] * np.eye(3)
    found = by_chance(variances, means, counts)
    assert found.tolist() == by_chance(matrices, means, counts).tolist()
    assert 0 < found.sum() < 40


@pytest.mark.parametrize("wide", [1, 2])
def test_a_row_makes_a_place_and_one_more_each_direction_that_is_not_narrow(wide):
    """A plane wants three rows, a line two: the others are those that may be there by chance."""
    own, usual, n = np.diag([1.0] * wide + [1e-6] * (3 - wide)), np.eye(3), 1000.0
    expected = _expected(own, usual[None], np.zeros((1, 3)), np.array([n]))
    found, told = [], []
    for size in range(4, 30):
        more = size - (1 + wide)
        log_p = more - (expected + more) * np.log1p(more / expected)
        told.append((1 + wide) * np.log(n + size) + log_p > np.log(1e-3))
        sizes = np.array([n, size])
        found.append(by_chance(np.stack([usual, own]), np.zeros((2, 3)), sizes)[1])
    assert found == told
    assert 0 < sum(told) < len(told)


def test_rows_that_are_expected_of_others_are_counted():
    """Each with the density of the component there, relative to that at its mean."""
    rng = np.random.default_rng(1)
    own, other = np.array([[0.5, 0.2], [0.2, 0.3]]), np.diag([2.0, 1.0])
    x = rng.multivariate_normal([0, 0], other, 200_000) - [1.0, 0.5]
    share = np.exp(-np.einsum("ni,ij,nj->n", x, np.linalg.inv(own), x) / 2)
    found = _expected(own, other[None], np.array([[1.0, 0.5]]), np.array([100.0]))
    assert found == pytest.approx(100 * share.mean(), abs=400 * share.std() / np.sqrt(len(x)))


def test_select_does_not_take_a_line_of_five_rows_for_a_cluster():
    """The likelihood of K = 5 is higher by 24 nats on such a line, and so is its BIC."""
    found = daskem.select(planted(4, n=1500), (4, 5), n_init=3, random_state=1)
    assert found.best_candidate[1] == 4
    assert "very strong evidence" in str(found)


def test_a_fit_tells_of_it():
    rows = planted(2, n=300)
    result = daskem.fit(Mixture(Gaussian()), rows, 2, random_state=0)
    line = straightest(rows[result.predict(rows) == 0], 5)
    spread = np.cov(line.T, bias=True) + 1e-12 * np.eye(2)
    start = {
        "weights": np.append(result.params["weights"] * 295 / 300, 5 / 300),
        "means": np.vstack([result.params["means"], line.mean(axis=0)]),
        "covariances": np.concatenate([result.params["covariances"], spread[None]]),
    }
    with pytest.warns(ImproperFitWarning, match="as narrow as chance makes"):
        daskem.fit(Mixture(Gaussian()), rows, start=start)
