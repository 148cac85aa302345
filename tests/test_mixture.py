"""The mixture: Bayes' rule in tiles, in no more memory than the tiles need."""

import tracemalloc

import numpy as np
import pytest
from table import every_kind, every_row
from threadpoolctl import threadpool_limits

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core.statistics import add
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.errors import ConvergenceWarning
from daskem.fitting.starts.first_read import domain
from daskem.models.kernels import guard

MOST = 64 * 2**20


@pytest.fixture(autouse=True)
def one_thread():
    """Steps are called here as a fit calls them: two threads of BLAS only wait for each other."""
    with threadpool_limits(1):
        yield


def clusters(k, d, n, seed=0, kind="full"):
    """Rows around k centres, and params near the truth."""
    rng = np.random.default_rng(seed)
    means = 3 * rng.normal(size=(k, d))
    rows = means[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    covariances = {
        "full": np.tile(np.eye(d), (k, 1, 1)),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }[kind]
    return rows, {"weights": np.full(k, 1 / k), "means": means, "covariances": covariances}


def peak_memory(f, *args):
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def assert_same(one, other, tolerance=1e-11):
    assert one.keys() == other.keys()
    for name in one:
        scale = np.abs(other[name]).max()
        np.testing.assert_allclose(one[name], other[name], 0, tolerance * scale, err_msg=name)


def framed(kind, rows):
    model = Mixture(Gaussian(kind))
    return model.given(survey(Block(rows), domain(model), seed=0))


@every_kind
@pytest.mark.parametrize(
    ("n", "d", "k", "limit"),
    # The product form of many rows is one of any family.
    [(200_000, 4, 64, 0), (20_000, 100, 20, guard.LIMIT), (20_000, 100, 20, 0)],
    ids=["centred", "product-features", "centred-features"],
)
def test_an_e_step_needs_memory_for_its_tiles_only(kind, n, d, k, limit, monkeypatch):
    monkeypatch.setattr(guard, "LIMIT", limit)
    rows, params = clusters(k, d, n, kind=kind)
    model = framed(kind, rows)
    inside = model.to_frame(params)
    assert peak_memory(model.e_step, Block(rows), inside) < MOST


def test_a_hundred_candidates_need_memory_for_their_tiles_only():
    rows, params = clusters(40, 4, 10_000)
    assert peak_memory(Mixture(Gaussian()).e_steps, Block(rows), [params] * 100) < MOST


@every_row
def test_an_e_step_of_any_family_needs_memory_for_its_tiles_only(row):
    params, rows = row.some(64, 4, 200_000)
    assert peak_memory(Mixture(row.family).e_step, Block(rows), params) < MOST


@every_kind
def test_labels_and_scores_of_many_rows_need_memory_for_their_tiles_only(kind):
    rows, params = clusters(64, 4, 200_000, kind=kind)
    with pytest.warns(ConvergenceWarning):
        result = daskem.fit(Mixture(Gaussian(kind)), rows[:5000], start=params, max_passes=1)
    for answer in (result.predict, result.score_samples):
        assert peak_memory(answer, rows) < MOST


@every_kind
@pytest.mark.parametrize("n", [1, 2, 8191, 8192, 8193, 20_001])
def test_where_a_tile_ends_does_not_matter(kind, n):
    rows, params = clusters(3, 2, n, kind=kind)
    model = Mixture(Gaussian(kind))
    each = [model.e_step(Block(part), params) for part in np.array_split(rows, min(n, 7))]
    total = each[0]
    for part in each[1:]:
        total = add(total, part)
    assert_same(model.e_step(Block(rows), params), total)


@every_kind
@pytest.mark.parametrize(
    "alter",
    [
        lambda rows: rows.astype(np.float32),
        lambda rows: rows.astype(np.int16),
        lambda rows: np.asfortranarray(rows),
        lambda rows: np.repeat(rows, 2, axis=0)[::2],
        lambda rows: rows[::-1][::-1],
        lambda rows: rows.astype(">f8"),
    ],
    ids=["float32", "int16", "columns", "strided", "reversed twice", "big-endian"],
)
def test_how_rows_are_stored_does_not_matter(kind, alter):
    rows, params = clusters(3, 3, 3000, kind=kind)
    rows = alter(np.round(rows))
    for model in (Mixture(Gaussian(kind)), framed(kind, rows.astype(np.float64))):
        inside = model.to_frame(params)
        expected = model.e_step(Block(np.ascontiguousarray(rows, dtype=np.float64)), inside)
        assert_same(model.e_step(Block(rows), inside), expected, 1e-14)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize(
    ("k", "d", "n", "given"), [(8, 20, 9000, True), (2, 150, 500, True), (2, 100, 300, False)]
)
def test_bits_do_not_depend_on_the_threads_of_blas(k, d, n, given):
    """Large matrices are multiplied on several threads, where nothing hinders it."""
    rows, params = clusters(k, d, n)
    start = {"start": params} if given else {"n_components": k, "random_state": 0}
    answers = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            answers.append(daskem.fit(Mixture(Gaussian()), rows, **start, max_passes=2).params)
    assert_same(*answers, tolerance=0)


@pytest.mark.parametrize(("d", "n"), [(20, 20_000), (150, 2000)])
def test_bits_of_what_is_said_of_rows_do_not_depend_on_the_threads_of_blas(d, n):
    """The map to the frame is a product, too."""
    rows, params = clusters(3, d, n)
    rows = rows @ np.random.default_rng(1).normal(size=(d, d))
    model = framed("full", rows)
    answers = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            tiles = [
                (log_prob, r.copy()) for _, log_prob, r in model.posterior(Block(rows), params)
            ]
        answers.append(tiles)
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_bits_of_components_around_known_rows_do_not_depend_on_the_threads_of_blas():
    """A fit that is given the means alone begins so, where no search for a start limits BLAS."""
    rows, params = clusters(3, 150, 2000)
    model, labels = framed("full", rows), np.arange(2000) % 3
    answers = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            answers.append(model.from_labels(Block(rows), labels, params["means"]))
    assert_same(*answers, tolerance=0)


@every_kind
@pytest.mark.parametrize("limit", [guard.LIMIT, 0], ids=["product", "centred"])
def test_rows_far_from_every_component_have_a_component_and_a_score(kind, limit, monkeypatch):
    monkeypatch.setattr(guard, "LIMIT", limit)
    params = clusters(2, 3, 1, kind=kind)[1]
    params["means"] = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    row = np.array([[-1e3, 0.0, 0.0]])
    ((_, log_prob, found),) = Mixture(Gaussian(kind)).posterior(Block(row), params)
    expected = np.log(0.5) - 1.5 * np.log(2 * np.pi) - 1e6 / 2
    np.testing.assert_allclose(log_prob, [expected], rtol=1e-12)
    np.testing.assert_allclose(found[:, 0], [1, 0], atol=1e-100)


@every_kind
def test_a_component_of_no_weight_gets_no_rows(kind):
    rows, params = clusters(3, 2, 500, kind=kind)
    params["weights"] = np.array([0.5, 0.5, 0.0])
    fewer = {
        name: v[:2] if kind != "tied" or name != "covariances" else v for name, v in params.items()
    }
    model = Mixture(Gaussian(kind))
    found, expected = (model.e_step(Block(rows), p) for p in (params, fewer))
    assert found["counts"][2] < 1e-100
    np.testing.assert_allclose(found["counts"][:2], expected["counts"], rtol=1e-12)
    assert found["log_likelihood"] == pytest.approx(expected["log_likelihood"], rel=1e-13)


@every_kind
def test_params_from_labels_are_those_of_the_groups(kind):
    rows, params = clusters(3, 2, 600, kind=kind)
    labels = np.random.default_rng(1).integers(3, size=600)
    model = Mixture(Gaussian(kind, 0.0))
    found = model.from_labels(Block(rows), labels, params["means"])
    groups = [rows[labels == j] for j in range(3)]
    scatters = np.stack([len(g) * np.cov(g.T, bias=True) for g in groups])
    counts = np.bincount(labels)
    expected = {
        "full": scatters / counts[:, None, None],
        "tied": scatters.sum(axis=0) / 600,
        "diag": np.diagonal(scatters, axis1=1, axis2=2) / counts[:, None],
        "spherical": np.trace(scatters, axis1=1, axis2=2) / 2 / counts,
    }[kind]
    np.testing.assert_allclose(found["weights"], counts / 600, rtol=1e-14)
    np.testing.assert_allclose(found["means"], [g.mean(axis=0) for g in groups], rtol=1e-10)
    np.testing.assert_allclose(found["covariances"], expected, rtol=1e-10, atol=1e-12)


@every_row
def test_params_from_labels_are_those_of_each_group_alone(row):
    rows, labels = row.rows(600), np.random.default_rng(1).integers(3, size=600)
    model = Mixture(row.family)
    found = model.from_labels(Block(rows), labels, rows[:3])
    for j in range(3):
        alone = row.alone(rows[labels == j])
        for name, value in alone.items():
            if "component" in model.parameters[name].dims:
                np.testing.assert_allclose(found[name][j], value[0], rtol=1e-9, err_msg=name)


@every_kind
def test_a_group_without_rows_stays_at_its_centre(kind):
    rows, params = clusters(3, 2, 600, kind=kind)
    found = Mixture(Gaussian(kind)).from_labels(Block(rows), np.zeros(600, int), params["means"])
    np.testing.assert_allclose(found["weights"], [1, 0, 0])
    np.testing.assert_allclose(found["means"][1:], params["means"][1:], rtol=1e-14)
    assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize(
    ("family", "free"), [(Gaussian("diag"), 13), (Poisson(), 7), (Bernoulli(), 7)], ids=repr
)
def test_bic_and_aic_are_those_of_the_book(family, free):
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 2, (400, 3)).astype(float)
    result = daskem.fit(Mixture(family), rows, 2, max_passes=2000, random_state=0)
    log_likelihood = result.score_samples(rows).sum()
    assert result.n_parameters == free
    assert result.bic(rows) == pytest.approx(free * np.log(400) - 2 * log_likelihood, rel=1e-12)
    assert result.aic(rows) == pytest.approx(2 * free - 2 * log_likelihood, rel=1e-12)


def test_bic_compares_families():
    """Counts of a Poisson are recognised as such, and so are rows of a Gaussian."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(3.0, (2000, 2)).astype(float)
    poisson, gaussian = (
        daskem.fit(Mixture(family), counts, 1).bic(counts) for family in (Poisson(), Gaussian())
    )
    assert poisson < gaussian
