"""What a search for a start costs: bounded, in rows of the sample through E steps."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from reading import look
from samples import count_rows

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.data.inputs import as_blocks
from daskem.fitting.starts import contest
from daskem.fitting.starts.best_starts import best_of_many
from daskem.fitting.starts.effort import Effort, simpler_read


def searched(kind, d, k, n, monkeypatch, far=2.0, n_out=0, seed=0):
    """The effort of a search in clusters that lie `far` apart, and the rows that it took.

    Of the rows so many are far out.
    """
    rng = np.random.default_rng([d, k, n, seed] if seed else [d, k, n])
    rows = far * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    rows[:n_out] += 1e4
    first = look(Mixture(Gaussian(kind)), as_blocks(rows), 0)
    n_sampled = len(first.survey.sample)
    read = simpler_read(first, k, d, n_sampled) or first
    effort = Effort.of(read.model, k, d, n_sampled, "k-means++", 0, n_out)
    counted = count_rows(monkeypatch, k)
    best_of_many(first, k, "k-means++", [rng])
    return effort, counted[0]


SHAPES = [
    ("full", 2, 3, 300),
    ("full", 1, 2, 40),
    ("full", 3, 7, 900),
    ("diag", 4, 2, 500),
    ("tied", 10, 3, 400),
    ("full", 30, 4, 500),
    ("full", 60, 5, 40),
    ("spherical", 5, 20, 60),
]


@pytest.mark.parametrize(("kind", "d", "k", "n"), SHAPES)
@pytest.mark.parametrize("far", [0.0, 3.0])
def test_a_search_takes_no_more_rows_than_it_says(kind, d, k, n, far, monkeypatch):
    effort, rows = searched(kind, d, k, n, monkeypatch, far)
    assert 0 < rows <= effort.most_rows


@pytest.mark.parametrize("family", [Bernoulli(), Poisson()], ids=repr)
def test_few_rows_are_all_seen_where_the_likelihood_has_a_bound(family, monkeypatch):
    """A few rows can be as likely as one likes only where components have a width."""
    rng = np.random.default_rng(0)
    rows = (rng.random((150, 6)) < rng.random((4, 6))[rng.integers(4, size=150)]).astype(float)
    first = look(Mixture(family), as_blocks(rows), 0)
    effort = Effort.of(first.model, 4, 6, 150, "k-means++")
    assert effort.sizes == (150, 150)
    assert Effort.of(Mixture(Gaussian("diag")), 4, 6, 150, "k-means++").sizes == (113, 150)
    counted = count_rows(monkeypatch, 4)
    best_of_many(first, 4, "k-means++", [rng])
    assert 0 < counted[0] <= effort.most_rows


@pytest.mark.parametrize(("n", "held_out"), [(130, 32), (136, 0), (208, 0)])
def test_rows_are_held_out_where_they_are_few_for_the_components_that_are_wanted(n, held_out):
    """Six normals in one feature have 17 parameters, and 8 rows for each are enough; the nine that
    a start begins with are pruned before it is compared.
    """
    first, last = Effort.of(Mixture(Gaussian()), 6, 1, n, "k-means++").sizes
    assert last - first == held_out


@pytest.mark.parametrize("n_out", [0, 3])
@pytest.mark.parametrize(("kind", "d", "k", "n"), SHAPES[:4])
def test_a_search_takes_about_the_rows_that_a_plan_expects(kind, d, k, n, n_out, monkeypatch):
    """In the middle of some: one that ends on a plateau may take several times as many."""
    searches = [searched(kind, d, k, n, monkeypatch, 1.0, n_out, seed) for seed in range(5)]
    rows, (effort, _) = np.median([rows for _, rows in searches]), searches[0]
    assert effort.likely_rows / 5 < rows < 3 * effort.likely_rows
    assert all(rows <= effort.most_rows for _, rows in searches)


def three_classes(n=300):
    """Yes or no to ten questions, (sample, feature)."""
    rng = np.random.default_rng(2)
    return (rng.random((n, 10)) < rng.random((3, 10))[rng.integers(3, size=n)]).astype(float)


def test_all_starts_are_counted_where_rows_are_far_out(monkeypatch):
    """There are partitions besides, in which those rows are a component. (Equal ones are one.)"""
    begun, restart = [], contest.Contest._restart

    def spied(self, rng, starts):
        begun.append(len(starts))
        return restart(self, rng, starts)

    monkeypatch.setattr(contest.Contest, "_restart", spied)
    for n_out, n_partitioned in ((0, 2), (3, 4)):
        begun.clear()
        effort, _ = searched("full", 2, 3, 300, monkeypatch, 0.3, n_out)
        assert begun == [len(effort.counts) + effort.n_partitioned]
        assert effort.n_partitioned == n_partitioned


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("labelled", [0, 1, 3])
@pytest.mark.parametrize("model", [Mixture(Gaussian("diag")), Mixture(Bernoulli())], ids=repr)
def test_a_plan_counts_the_search_that_a_fit_makes(model, labelled, monkeypatch):
    """With rows far out, and with labels that say where some components begin, or all of them."""
    rows = three_classes()
    if isinstance(model.family, Gaussian):
        rows += np.random.default_rng(1).normal(size=rows.shape)
        rows[-2:] = 1e4
    labels = np.full(len(rows), -1)
    labels[:labelled] = np.arange(labelled)
    efforts, of = [], Effort.of.__func__

    def noted(*how):
        efforts.append(of(*how))
        return efforts[-1]

    monkeypatch.setattr(Effort, "of", classmethod(noted))
    for verb in (daskem.plan, daskem.fit):
        verb(model, rows, 3, along={"component": labels}, random_state=0)
    planned, fitted = efforts
    assert planned == fitted


def test_few_answers_are_begun_with_as_many_new_seeds_as_there_are_components(monkeypatch):
    """Where the likelihood has a bound, a class that is missed is looked for more often."""
    first = look(Mixture(Bernoulli()), as_blocks(three_classes(200)), 0)
    effort = Effort.of(first.model, 6, 10, 200, "k-means++")
    assert (effort.n_regrown, effort.n_seeds) == (5, 6)
    many = Effort.of(first.model, 6, 10, 20_000, "k-means++")
    assert (many.n_regrown, many.n_seeds) == (3, 2)
    counted = count_rows(monkeypatch, 6)
    best_of_many(first, 6, "k-means++", [np.random.default_rng(0)])
    assert effort.likely_rows / 3 < counted[0] <= effort.most_rows


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("k", [2, 6])
def test_so_it_does_on_a_sample_of_many_parts(k, monkeypatch):
    effort, rows = searched("diag", 2, k, 6000, monkeypatch, 0.0)
    assert len(effort.sizes) == 4
    assert 0 < rows <= effort.most_rows


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr("daskem.fitting.starts.effort._FEWEST_ROWS", 90)
    monkeypatch.setattr("daskem.fitting.starts.effort._ROWS_PER_PARAMETER", 1)


@pytest.mark.parametrize("d", [1, 10, 100, 1000])
@pytest.mark.parametrize("k", [2, 10, 100])
@pytest.mark.parametrize("n", [100, 2000, 2**16])
def test_the_bound_is_in_passes_over_the_sample(d, k, n):
    effort = Effort.of(Mixture(Gaussian("diag")), k, d, n, "k-means++")
    assert effort.likely_rows < effort.most_rows <= 900 * n


def test_with_more_parameters_than_rows_a_search_does_less():
    """No other start mends that, so that none is regrown and none has another chance."""
    few, many = (Effort.of(Mixture(Gaussian("diag")), 5, 400, n, "k-means++") for n in (65, 9000))
    assert (few.n_regrown, few.n_others) == (0, 0)
    assert (many.n_regrown, many.n_others) == (2, 4)
    assert few.most_rows / 65 < many.most_rows / 9000 / 2


def test_starts_are_judged_by_rows_that_they_are_not_fitted_to(monkeypatch):
    """What was gained by fitting the accidents of some rows does not count."""
    looked = []

    def spy(name):
        asked = getattr(contest, name)

        def spied(model, drafts, rows, *how):
            looked.append((set(rows.rows[:, 0]), name == "judged"))
            return asked(model, drafts, rows, *how)

        monkeypatch.setattr(contest, name, spied)

    for name in ("climbed", "judged"):
        spy(name)
    rng = np.random.default_rng(0)
    first = look(Mixture(Gaussian()), as_blocks(rng.normal(size=(17_000, 1))), 0)
    best_of_many(first, 2, "k-means++", [rng])
    judged = [(before, rows) for (before, _), (rows, judges) in pairwise(looked) if judges]
    assert judged
    assert all(before.isdisjoint(rows) for before, rows in judged)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("n", [20, 2000])
def test_starts_of_wide_rows_are_searched_for_without_their_covariances(n, monkeypatch):
    """An E step of 200 features costs a hundred times as much with them as without."""
    rows = np.random.default_rng(0).normal(size=(n, 200))
    rows[: n // 2] += 1
    steps, e_steps = Counter(), Mixture.e_steps

    def counting(self, block, candidates):
        steps[self.family.covariance_type] += len(candidates)
        return e_steps(self, block, candidates)

    monkeypatch.setattr(Mixture, "e_steps", counting)
    daskem.GaussianMixture(5, max_iter=5, random_state=0).fit(rows)
    assert steps["full"] <= 5
    assert steps.total() > 30


@pytest.mark.parametrize(
    ("model", "n_regrown"), [(Gaussian("diag"), 2), (Bernoulli(), 4)], ids=repr
)
def test_what_is_the_best_already_is_not_regrown_for_ever(model, n_regrown, monkeypatch):
    """Twice is enough; but for a likelihood with a bound, which has more optima."""
    rng = np.random.default_rng(0)
    means = 20.0 * np.eye(8)
    rows = means[rng.integers(8, size=2000)] + rng.normal(size=(2000, 8))
    if isinstance(model, Bernoulli):
        rows = (rows > 5).astype(float)
    regrow, times = contest.Contest.regrow, []

    def counted(self, best, n, rng):
        times.append(n)
        return regrow(self, best, n, rng)

    monkeypatch.setattr(contest.Contest, "regrow", counted)
    best_of_many(look(Mixture(model), as_blocks(rows), 0), 8, "k-means++", [rng])
    assert sum(times) == n_regrown
