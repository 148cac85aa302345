"""Where a fit begins: on the sample, near the optimum, with no read of the data spent on it."""

import threading
from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
from cluster import bits
from reading import look
from samples import count_rows, counting, overlapping
from scipy.special import ndtri
from table import every_row

import daskem
from daskem import EM, Gaussian, Mixture
from daskem.core.parameters import count_free
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ParameterError
from daskem.fitting.algorithms import Candidates, Draft
from daskem.fitting.algorithms.climb import moved
from daskem.fitting.algorithms.secants import Pair, secant_leap
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.starts.contest import Asked, _answered
from daskem.fitting.starts.effort import BRIEF
from daskem.fitting.starts.oversampling import DRAWN, ROUNDS, oversampled
from daskem.fitting.starts.seedbed import Seedbed, begin, n_units
from daskem.fitting.starts.seeds import denser, kmeans_plus_plus, lloyd
from daskem.fitting.stopping import Stop

N, D = 20_000, 2


def with_a_rare_group(n=50_000, rare=6):
    """A crowd, and a few rows far away that no uniform sample of 2**14 is likely to hold all of."""
    rows = np.random.default_rng(0).normal(size=(n, D))
    there = np.random.default_rng(1).choice(n, rare, replace=False)
    rows[there] = 30 + 0.1 * rows[there]
    return rows, there


@every_row
def test_a_start_is_closer_to_the_optimum_than_the_sample_can_tell(row):
    """An optimum on n rows is expected p/2n nats per row from that on all of them."""
    rows = row.rows(N, d=8, k=4, seed=3)
    blocks = as_blocks(rows)
    first = look(Mixture(row.family), blocks, 0)
    model = first.model
    starts = {
        "cold": begin(first, 4, None, "k-means++", np.random.default_rng(0)),
        "warm": best_starts(first, 4, None, "k-means++", [np.random.default_rng(0)])[0].params,
    }
    climbs = {}
    for name, params in starts.items():
        *_, (run,) = passes([Run(model, EM(), EM().start(params))], blocks, Stop(1e-8, 400))
        climbs[name] = [p.objective for p in run.history]
    noise = count_free(model.parameters, starts["warm"]) / (2 * len(first.survey.sample))
    assert climbs["warm"][-1] - climbs["warm"][0] < 2 * noise
    assert climbs["cold"][-1] - climbs["cold"][0] > 5 * noise
    assert climbs["warm"][-1] > climbs["cold"][-1] - 1e-6


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize(("init_params", "extra"), [("k-means++", 0), ("k-means||", ROUNDS)])
def test_starts_and_runs_share_every_read_of_every_chunk(init_params, extra):
    calls, lock = Counter(), threading.Lock()
    data = counting(overlapping(), 3000, calls, lock)
    options = {"n_init": 2, "init_params": init_params, "random_state": 0, "tol": 1e-3}
    options["cache"] = "none"
    with dask.config.set(scheduler="threads"):
        result = daskem.fit(Mixture(Gaussian()), data, [2, 3], **options)
    n_passes = max(len(run.history) for run in result.runs)
    assert len(result.runs) == 4
    assert set(calls.values()) == {1 + extra + n_passes}
    assert len(calls) == data.numblocks[0]


def test_the_first_runs_of_many_are_those_of_a_few():
    rows = overlapping(5000)
    few, many = (daskem.fit(Mixture(Gaussian()), rows, 4, n_init=n, random_state=7) for n in (1, 3))
    for name, value in few.runs[0].params.items():
        np.testing.assert_allclose(many.runs[0].params[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data", "k-means||"])
def test_the_same_bits_from_numpy_threads_and_a_cluster(client, init_params):
    rows = overlapping()
    n_chunk = as_blocks(rows).chunk_rows
    data = da.from_array(rows, chunks=(n_chunk, -1))
    options = {"init_params": init_params, "random_state": 5, "tol": 1e-3}
    here = daskem.fit(Mixture(Gaussian()), rows, 3, **options)
    there = daskem.fit(Mixture(Gaussian()), data, 3, **options)
    with client.as_current(), dask.config.set(scheduler="threads"):
        threads = daskem.fit(Mixture(Gaussian()), data, 3, **options)
    assert bits(here) == bits(there) == bits(threads)


@pytest.mark.parametrize("init_params", ["k-means++", "k-means||"])
def test_the_start_hardly_depends_on_the_chunks(init_params):
    rows = overlapping()
    one, other = (
        daskem.fit(
            Mixture(Gaussian()),
            da.from_array(rows, chunks=(size, -1)),
            3,
            init_params=init_params,
            random_state=5,
        )
        for size in (N, 1777)
    )
    assert len(one.history) == len(other.history)
    np.testing.assert_allclose(one.params["means"], other.params["means"], rtol=1e-6)


def test_rows_of_no_weight_do_not_start_anything():
    rows, there = with_a_rare_group()
    weights = np.ones(len(rows))
    weights[there] = 0
    result = daskem.fit(
        Mixture(Gaussian()), rows, 3, sample_weight=weights, init_params="k-means||", random_state=0
    )
    assert result.params["means"].max() < 10


# k-means||


@pytest.mark.usefixtures("small_sample")
def test_rare_rows_are_found_and_counted():
    rows, there = with_a_rare_group()
    blocks = as_blocks(rows)
    survey = look(Mixture(Gaussian()), blocks, 3).survey
    assert (survey.sample.rows[:, 0] > 20).sum() < len(there)
    richer = oversampled(blocks, survey, 3, 3, np.random.default_rng(0))
    found = richer.sample.rows[:, 0] > 20
    assert found.sum() == len(there)
    assert richer.sample.weights[found].sum() == pytest.approx(len(there), rel=0.2)
    assert len(np.unique(richer.sample.rows, axis=0)) == len(richer.sample)
    result = daskem.fit(Mixture(Gaussian()), rows, 2, init_params="k-means||", random_state=0)
    assert result.params["weights"].min() == pytest.approx(len(there) / len(rows), rel=1e-3)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_the_richer_sample_are_unbiased(weighted):
    rng = np.random.default_rng(0)
    rows = rng.standard_t(3, size=(22_000, D))
    weights = rng.exponential(size=len(rows)) if weighted else np.ones(len(rows))
    blocks = as_blocks(rows, weights)
    truth = np.array([weights.sum(), weights @ np.abs(rows[:, 0]), weights @ (rows**2).sum(axis=1)])
    estimates = []
    for seed in range(8):
        survey = look(Mixture(Gaussian()), blocks, seed).survey
        richer = oversampled(blocks, survey, 4, seed, np.random.default_rng(seed))
        w, x = richer.sample.weights, richer.sample.rows
        estimates.append([w.sum(), w @ np.abs(x[:, 0]), w @ (x**2).sum(axis=1)])
        assert len(survey.sample) < len(x) <= len(survey.sample) + ROUNDS * DRAWN
    errors = np.mean(estimates, axis=0) - truth
    standard = np.std(estimates, axis=0) / np.sqrt(len(estimates))
    assert (np.abs(errors) < 4 * standard + 1e-3 * truth).all()
    # Far rows are what the second moment depends on: the richer sample knows it better.
    surveys = [look(Mixture(Gaussian()), blocks, i).survey for i in range(8)]
    plain = [(s.sample.rows**2).sum() for s in surveys]
    if not weighted:
        uniform = np.std(plain) * len(rows) / len(survey.sample)
        assert np.std(estimates, axis=0)[2] < 0.5 * uniform


def test_what_is_drawn_does_not_depend_on_the_chunks():
    rows = overlapping(25_000)
    found = []
    for size in (40_000, 1234):
        blocks = as_blocks(da.from_array(rows, chunks=(size, -1)))
        survey = look(Mixture(Gaussian()), blocks, 1).survey
        richer = oversampled(blocks, survey, 4, 1, np.random.default_rng(1))
        found.append((richer.sample.rows, richer.sample.weights))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_where_the_sample_is_everything_nothing_more_is_drawn():
    blocks = as_blocks(overlapping(500))
    survey = look(Mixture(Gaussian()), blocks, 1).survey
    assert oversampled(blocks, survey, 4, 1, np.random.default_rng(1)) is survey


def test_an_unknown_way_to_start_is_refused():
    with pytest.raises(ParameterError, match=r"k-means\|\|"):
        daskem.fit(Mixture(Gaussian()), overlapping(500), 3, init_params="kmeans")


def test_what_a_sample_tells_of_the_curvature_holds_for_the_data():
    """Two affine maps with one matrix: one step on the data, then a leap to their fixed point."""
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    matrix = basis @ np.diag([0.99, 0.9, 0.5, 0.1]) @ basis.T
    ours, theirs = rng.standard_normal((2, 4))
    sampled = [Pair(x, matrix @ x + theirs, 0.0) for x in rng.standard_normal((6, 4))]
    first = Pair(sampled[-1].x, matrix @ sampled[-1].x + ours, 0.0)
    memory = (*moved(sampled, first), first)
    goal = np.linalg.solve(np.eye(4) - matrix, ours)
    np.testing.assert_allclose(secant_leap(memory, 5), goal, rtol=1e-8)


def test_a_fit_that_knows_the_sample_needs_fewer_reads():
    rows = overlapping(200_000)
    blocks = as_blocks(rows)
    first = look(Mixture(Gaussian()), blocks, 0)
    draft = best_starts(first, 4, None, "k-means++", [np.random.default_rng(0)])[0]
    reads = {}
    for name, own in (("with", draft), ("without", Draft(draft.params))):
        run = Run(first.model, Candidates(), own.start(Candidates()))
        *_, (run,) = passes([run], blocks, Stop(1e-9, 60))
        climb = np.array([p.objective for p in run.history])
        reads[name] = int(np.argmax(climb > climb[-1] - 1e-7))
    assert 2 * reads["with"] <= reads["without"]


# Many features.


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_found_in_many_features(kind, seed):
    """With more parameters than rows, and with as many features as rows of a cluster."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=300)
    rows = rng.normal(size=(3, 100))[truth] + rng.normal(size=(300, 100))
    result = daskem.fit(Mixture(Gaussian(kind)), rows, 3, random_state=seed)
    found = result.predict(rows)
    assert sorted(Counter(zip(truth, found, strict=True)).values()) == sorted(
        Counter(truth).values()
    )


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_what_has_grown_has_the_densities_of_what_it_has_grown_from(kind):
    """In frames of their own, with features of very different units."""
    rows = overlapping(500, d=3) * [1.0, 1e-3, 1e6]
    first = look(Mixture(Gaussian(kind)), as_blocks(rows))
    simple = first.of(first.model.simpler)
    params = simple.model.from_labels(Block(rows), np.arange(500) % 2, rows[:2])
    if kind == "tied":
        params["covariances"][...] = params["covariances"].mean(axis=0)
    grown = first.model.grown(simple.model.from_frame(params))
    for (_, one, r), (_, other, q) in zip(
        simple.model.posterior(Block(rows), params),
        first.model.posterior(Block(rows), grown),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)
        np.testing.assert_allclose(r, q, rtol=1e-7)


@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_what_has_no_correlations_is_as_simple_as_it_gets(kind):
    assert Mixture(Gaussian(kind)).simpler is None


def test_k_means_weighs_rows_as_repeats_and_ends_where_nothing_moves():
    rows = overlapping(400)
    times = np.random.default_rng(1).integers(1, 4, 400)
    (labels,), _, (inertia,) = lloyd(rows, times.astype(float), rows[None, :5])
    again = np.repeat(rows, times, axis=0)
    (repeated,), _, (same,) = lloyd(again, np.ones(times.sum()), rows[None, :5])
    np.testing.assert_array_equal(np.repeat(labels, times), repeated)
    assert inertia == pytest.approx(same)
    centres = np.stack(
        [np.average(rows[labels == k], axis=0, weights=times[labels == k]) for k in range(5)]
    )
    np.testing.assert_array_equal(
        np.square(rows[:, None] - centres).sum(axis=2).argmin(axis=1), labels
    )


def test_k_means_goes_on_where_it_was_left():
    rows, weights = overlapping(400), np.random.default_rng(3).uniform(0.5, 2.0, 400)
    at_once = lloyd(rows, weights, rows[None, :7], 9)
    _, half_way, _ = lloyd(rows, weights, rows[None, :7], 4)
    assert not np.array_equal(half_way, at_once.centres)
    for found, expected in zip(lloyd(rows, weights, half_way, 5), at_once, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_row_as_near_to_one_centre_as_to_another_belongs_to_the_first():
    rows = np.array([[0.0], [1.0], [9.0], [10.0]])
    # The second of two centres that are equal has no rows; where it stays these come to it.
    (labels,), *_ = lloyd(rows, np.ones(4), np.array([[[1.0], [1.0], [11.0]]]))
    np.testing.assert_array_equal(labels, [0, 1, 2, 2])


def test_of_the_draws_of_a_seed_the_one_that_leaves_least_is_taken(monkeypatch):
    """Greedy k-means++: the best of 2 + log k draws, the more the more seeds."""

    def thrown(points, weights, k, *throws):
        """Seeds where dice fall as wanted: the first so many of what comes next."""
        falling = iter(throws)
        drawn = lambda _, dice: np.array([next(falling)[: dice.shape[1]]])  # noqa: E731
        monkeypatch.setattr("daskem.fitting.starts.seeds._drawn", drawn)
        return kmeans_plus_plus(points, weights, k, [np.random.default_rng(0)])[0].tolist()

    points = np.array([[0.0], [1.0], [10.0], [10.1], [50.0]])
    assert thrown(points, np.ones(5), 2, [0], [1, 4, 3]) == [0, 4]
    # Two rows of ten times the weight outweigh the one far away.
    assert thrown(points, np.array([1, 1, 1e3, 1e3, 1]), 2, [0], [1, 2, 4]) == [0, 2]
    # Of eight seeds the best of four draws.
    many = np.arange(9.0)[:, None] ** 3
    draws = [[1, 2, 3, 8], *([i, i, i, i] for i in range(1, 7))]
    assert thrown(many, np.ones(9), 8, [0], *draws)[1] == 8


@pytest.mark.parametrize("most", [1, 2**20])
def test_trials_side_by_side_draw_and_end_as_each_does_alone(most, monkeypatch):
    monkeypatch.setattr("daskem.fitting.starts.seeds._MOST_NUMBERS", most)
    rows, weights = overlapping(300), np.random.default_rng(2).uniform(0.5, 2.0, 300)
    # Two trials of one generator draw from it in their order.
    first, second, alone = (np.random.default_rng(seed) for seed in (3, 4, 3))
    seeds = kmeans_plus_plus(rows, weights, 5, [first, first, second])
    for expected in seeds[:2]:
        np.testing.assert_array_equal(kmeans_plus_plus(rows, weights, 5, [alone]), [expected])
    labels, centres, inertias = lloyd(rows, weights, rows[seeds])
    for number, of_trial in enumerate(seeds):
        (expected,), (means,), (inertia,) = lloyd(rows, weights, rows[of_trial][None])
        np.testing.assert_array_equal(labels[number], expected)
        np.testing.assert_allclose(centres[number], means, rtol=1e-12)
        assert inertias[number] == pytest.approx(inertia, rel=1e-12)


def test_partitions_that_are_equal_are_one_start_that_climbs_once(monkeypatch):
    rng = np.random.default_rng(5)
    rows = np.repeat([[0.0], [10.0], [30.0]], 100, axis=0) + rng.normal(size=(300, 1))
    first = look(Mixture(Gaussian()), as_blocks(rows))
    bed = Seedbed(first.model, first.survey.sample, "k-means++")
    first_one, *others = bed.partitioned(3, [np.random.default_rng(seed) for seed in range(3)])
    assert [[id(p) for p in of_one] for of_one in others] == [[id(first_one[0])]] * 2
    assert len(first_one) == 1
    model, sample = first.model, first.survey.sample
    asked = {i: Asked(model, [Draft(first_one[0])], sample, BRIEF) for i in range(3)}
    counted = count_rows(monkeypatch)
    one, *rest = _answered(asked).values()
    assert rest == [one, one]
    assert counted[0] <= BRIEF.max_passes * len(rows)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("seed", range(2))
def test_clusters_are_found_that_one_feature_of_sixty_parts(kind, seed):
    """Standard deviations hide it: in their units no feature has a wider spread than another."""
    rng = np.random.default_rng(seed)
    truth, units = rng.integers(2, size=4000), 10 ** rng.uniform(-3, 3, 60)
    rows = rng.standard_normal((4000, 60))
    rows[:, 7] += 8 * truth
    result = daskem.fit(Mixture(Gaussian(kind)), rows * units, 2, random_state=seed)
    found = result.predict(rows * units)
    assert max((found == truth).mean(), (found != truth).mean()) > 0.99


def test_the_densest_interval_is_that_of_one_cluster():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((20_000, 3))
    points[:, 1] = 5 * points[:, 1] + 200 * rng.integers(2, size=20_000)
    points[:, 2] = rng.random(20_000) < 0.3
    weights = np.ones(20_000)
    # Half of the rows are as dense over twice the width; most values of the last one are the same.
    scale = points.std(axis=0) / denser(points, weights).std(axis=0)
    np.testing.assert_allclose(scale, [1, 5 * ndtri(0.7) / ndtri(0.6), 1], rtol=0.1)
    twice = denser(np.repeat(points, 2, axis=0), np.ones(40_000))[::2]
    np.testing.assert_array_equal(denser(points, 2 * weights), twice)


@pytest.mark.parametrize("d", [1, 2])
def test_of_one_feature_partitions_are_those_in_any_unit(d):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=500) ** 3, rng.random(500)])[:, :d]
    first = look(Mixture(Gaussian()), as_blocks(rows), 0)
    bed = Seedbed(first.model, first.survey.sample, "k-means++")
    (starts,) = bed.partitioned(3, [np.random.default_rng(0)])
    assert len(starts) <= n_units(d) == d
    points = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    weights = np.ones(500)
    in_both = [lloyd(x, weights, x[None, :3]).labels for x in (points, denser(points, weights))]
    assert np.array_equal(*in_both) == (d == 1)
