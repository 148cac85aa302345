"""Data that leave a component nothing to live on: the fit ends, whole, and says what happened."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.datasets import load_iris
from table import every_gaussian, every_kind, every_row, every_setting, every_setting_of_any_width

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core import frames
from daskem.core.numerics import EPS, is_positive_definite
from daskem.core.resolution import Resolution
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning, ImproperFitWarning
from daskem.fitting.record import Pass, Status
from daskem.fitting.starts.first_read import surveyed
from daskem.models.families import covariance_floor
from daskem.models.views import Flaw
from daskem.results import report


def normal(n=200, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def two_groups():
    """One feature: 150 rows around 0, then 150 around 20."""
    return normal(300, 1)[:, 0] + np.repeat([0.0, 20.0], 150)


def parted(labels):
    """Whether the labels are those of `two_groups`."""
    first, second = set(labels[:150]), set(labels[150:])
    return len(first) == len(second) == 1 and first != second


def subsets(first, second):
    return [], [first], [second], [first, second]


def ends(family, rows, k=None, **options):
    """Fit, and check what must hold however poor the data: whole numbers, one warning at most."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = daskem.fit(Mixture(family), rows, k, **{"random_state": 0, **options})
    told = [w.category for w in caught]
    assert told in subsets(ConvergenceWarning, ImproperFitWarning)
    assert bool(result.flaws) == (ImproperFitWarning in told)
    for name, value in result.params.items():
        assert np.isfinite(value).all(), name
    assert result.params["weights"].sum() == pytest.approx(1)
    assert np.isfinite([p.objective for p in result.history]).all()
    assert np.isfinite(result.score_samples(rows)).all()
    assert np.isfinite(result.predict_proba(rows)).all()
    return result


def events(result):
    return {event for record in result.history for event in record.events}


def says(result, *words):
    return any(all(word in event for word in words) for event in events(result))


def far_start(family, k, d, at):
    """One component where the rows are, and one where no row ever will be."""
    means = np.zeros((k, d))
    means[-1] = at
    start = {"weights": np.full(k, 1 / k)}
    covariances = {
        "full": np.tile(np.eye(d), (k, 1, 1)),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }
    return {**start, "means": means, "covariances": covariances[family.covariance_type]}


@every_gaussian
def test_a_component_that_loses_all_its_rows(family):
    rows = normal()
    result = ends(family, rows, start=far_start(family, 2, 2, at=1e4))
    assert says(result, "component 1 has lost all its rows")
    np.testing.assert_allclose(result.params["weights"], [1, 0], atol=1e-12)
    np.testing.assert_allclose(result.params["means"][1], 1e4)
    np.testing.assert_allclose(result.params["means"][0], rows.mean(axis=0), atol=1e-10)


@every_gaussian
def test_a_component_without_rows_takes_no_row_however_far_from_all_others(family):
    result = ends(family, normal(), start=far_start(family, 2, 2, at=1e4))
    assert result.params["weights"].tolist() == [1, 0]
    far = np.array([[1e4, 1e4], [1e8, 1e8], [-1e3, 1e4]])
    assert result.predict(far).tolist() == [0, 0, 0]
    assert result.predict_proba(far).tolist() == [[1, 0]] * 3
    alone = daskem.fit(result.model, normal(), 1, random_state=0)
    np.testing.assert_allclose(result.score_samples(far), alone.score_samples(far), rtol=1e-6)


def test_probabilities_of_nothing_are_zero():
    rows = np.concatenate([normal(), normal() + 100])
    result = ends(Gaussian(), rows, 2)
    probabilities = result.predict_proba(rows)
    assert np.sort(np.unique(probabilities)).tolist() == [0, 1]


def test_a_poisson_component_that_loses_all_its_rows():
    rows = np.random.default_rng(0).poisson(2.0, (200, 2)).astype(float)
    start = {"weights": [0.5, 0.5], "rates": [[2.0, 2.0], [1e4, 1e4]]}
    result = ends(Poisson(), rows, start=start)
    assert says(result, "component 1 has lost all its rows")
    np.testing.assert_allclose(result.params["rates"][0], rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(result.params["rates"][1], [1e4, 1e4])


def test_a_bernoulli_component_that_loses_all_its_rows():
    rows = np.zeros((50, 2))
    start = {"weights": [0.5, 0.5], "probabilities": [[0.5, 0.5], [1.0, 1.0]]}
    result = ends(Bernoulli(), rows, start=start)
    assert says(result, "component 1 has lost all its rows")
    np.testing.assert_array_equal(result.params["probabilities"], [[0, 0], [1, 1]])


@every_setting
def test_a_component_that_starts_without_rows_stays_where_it_is(row):
    params, rows = row.some(2, 2, 200)
    start = {**params, "weights": np.array([1.0, 0.0])}
    result = ends(row.family, rows, start=start, algorithm="em", max_passes=20)
    assert says(result, "component 1 has lost all its rows")
    np.testing.assert_allclose(result.params["weights"], [1, 0], atol=1e-12)
    before, after = (row.family.locations(p)[1] for p in (start, result.params))
    np.testing.assert_allclose(after, before, rtol=1e-9)


@every_setting
def test_every_row_twice_is_the_same_fit(row):
    params, rows = row.some(2, 2, 200)
    # Leaps make much of rounding: it decides how many passes they take where the optimum is flat.
    options = {"start": params, "algorithm": "em", "tol": 1e-5}  # the default follows from N
    once = ends(row.family, rows, **options)
    twice = ends(row.twice, np.tile(rows, (2, 1)), **options)
    assert len(once.history) == len(twice.history)
    for name in once.params:
        np.testing.assert_allclose(once.params[name], twice.params[name], 1e-8, 1e-10)


@every_setting
@pytest.mark.parametrize("k", [1, 3])
def test_one_row_repeated_is_where_all_components_lie(row, k):
    rows = np.tile(row.rows(1), (60, 1))
    result = ends(row.family, rows, k)
    held = result.params["weights"] > 1e-12
    found = row.family.locations(result.params)[held]
    np.testing.assert_allclose(found, np.tile(rows[0], (held.sum(), 1)), rtol=1e-9, atol=1e-12)


@every_gaussian
@pytest.mark.parametrize("value", [0.0, 0.1, -1e8])
@pytest.mark.parametrize("k", [1, 3])
def test_nothing_but_one_row_repeated(family, value, k):
    result = ends(family, np.full((60, 2), value), k)
    np.testing.assert_allclose(result.params["means"], value, rtol=1e-12, atol=1e-12)
    if family.covariance_type != "tied" or k == 1:
        assert says(result, "no spread left")


@every_gaussian
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
@pytest.mark.parametrize("k", [1, 2])
def test_a_constant_column_does_not_hide_the_others(family, value, k):
    rows = np.column_stack([two_groups(), np.full(300, value)])
    result = ends(family, rows, k)
    np.testing.assert_allclose(result.params["means"][:, 1], value, rtol=1e-12, atol=1e-9)
    if k == 2:
        assert parted(result.predict(rows))
    if family.covariance_type != "spherical":
        assert says(result, "no spread left")


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_a_constant_column_changes_nothing_for_the_others(kind, value):
    """Without a prior, too: the direction that has no spread is kept, the others are fitted."""
    alone = normal(300, 2) @ [[1.0, 0.5], [0.0, 1.0]] + np.repeat([[0.0, 0.0], [4.0, 2.0]], 150, 0)
    rows = np.column_stack([alone, np.full(300, value)])
    weights, means = np.array([0.5, 0.5]), np.array([[0.0, 1.0], [3.0, 2.0]])
    eye = {"full": np.tile(np.eye(2), (2, 1, 1)), "tied": np.eye(2), "diag": np.ones((2, 2))}
    start = {"weights": weights, "means": means, "covariances": eye[kind]}
    wider = {"full": np.tile(np.eye(3), (2, 1, 1)), "tied": np.eye(3), "diag": np.ones((2, 3))}
    held = {
        "weights": weights,
        "means": np.column_stack([means, [value, value]]),
        "covariances": wider[kind],
    }
    options = {"algorithm": "em", "tol": 0.0, "max_passes": 20}
    one, other = (
        ends(Gaussian(kind, 0.0), x, start=s, **options) for x, s in ((alone, start), (rows, held))
    )
    np.testing.assert_allclose(other.params["means"][:, :2], one.params["means"], rtol=1e-7)
    inner = (
        other.params["covariances"][..., :2]
        if kind == "diag"
        else (other.params["covariances"][..., :2, :2])
    )
    np.testing.assert_allclose(inner, one.params["covariances"], rtol=1e-6)


REDUNDANT = {
    "the same": lambda x: np.column_stack([x, x]),
    "in other units": lambda x: np.column_stack([x, -3 * x + 1]),
    "a sum": lambda x: np.column_stack([x, x[::-1] ** 2, x + x[::-1] ** 2]),
}


@every_gaussian
@pytest.mark.parametrize("make", REDUNDANT.values(), ids=REDUNDANT)
def test_a_redundant_column_does_not_hide_the_others(family, make):
    rows = make(two_groups())
    assert parted(ends(family, rows, 2).predict(rows))


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("make", REDUNDANT.values(), ids=REDUNDANT)
def test_a_redundant_column_is_an_event(kind, make):
    assert says(ends(Gaussian(kind), make(two_groups()), 2), "no spread left")


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_rows_in_a_plane_do_not_climb_on_rounding(kind):
    rows = np.array([[2.0, 2, 2], [-3, 0, 1], [0, 2, 2], [2, 2, 2]])
    ends(Gaussian(kind, 0.0), rows, 1, random_state=2)


@pytest.mark.parametrize(
    "k", [3, *(pytest.param(k, marks=pytest.mark.torture) for k in (2, 4, 5, 6))]
)
def test_rows_that_were_rounded_can_be_fitted_without_a_prior(k):
    """Components of few rows, which lie in planes of the grid: their matrices are singular."""
    result = ends(Gaussian("full", 0.0), load_iris().data, k, n_init=20)
    assert Status.FAILED not in {run.status for run in result.runs}


@given(
    d=st.integers(2, 5),
    seed=st.integers(0, 2**32 - 1),
    size=st.floats(-16, 0),
    noise=st.floats(-17, -6),
    narrow=st.floats(-9, 0),
    step=st.floats(-7, 0),
    whitened=st.booleans(),
)
@settings(max_examples=500)
def test_a_covariance_above_its_floor_is_definite_and_the_likelihood_does_not_fall(
    d, seed, size, noise, narrow, step, whitened
):
    """Whatever the scatter, its rounding, the frame, and the covariance that was there before."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    moments = np.zeros(d), axes * 10.0 ** rng.uniform(-3, 3, d) @ axes.T
    frame = (
        frames.whitening(*moments) if whitened else frames.scaling(np.zeros(d), np.diag(moments[1]))
    )
    steps = np.sqrt(frame.units) * 10.0 ** (step + rng.uniform(-2, 0, d))
    frame = frame.resolving(Resolution(steps * rng.integers(0, 2, d), steps))
    few = rng.normal(size=(rng.integers(1, d), d)) * 10.0 ** rng.uniform(-3, 0, d)
    scatter = few.T @ few * 10.0**size
    scales = np.sqrt(np.diagonal(scatter))
    rounding = rng.normal(size=(d, d)) * np.outer(scales, scales) * 10.0**noise
    before = covariance_floor.allowed(
        (axes * 10.0 ** rng.uniform(narrow, 0, d) @ axes.T)[None], frame
    )
    after = covariance_floor.floored((scatter + rounding + rounding.T)[None], before, frame)
    least = frame.floors if whitened else np.diag(frame.floors)
    assert is_positive_definite(after).all()
    root = np.linalg.inv(np.linalg.cholesky(least))
    values = np.linalg.eigvalsh(root @ after[0] @ root.T)
    # What `eigvalsh` itself rounds is as large as it is beside the largest.
    assert values[0] >= 1 - 1e-5 - d * EPS * values[-1]
    known = 100 * max(10**noise, 10 * EPS) * max(magnitude(c[0], scatter) for c in (before, after))
    assert misfit(after[0], scatter) <= misfit(before[0], scatter) + known


def magnitude(covariance, scatter):
    """The terms of log|C| + trace(C^-1 S), without their signs."""
    s = np.sqrt(np.diagonal(covariance + scatter))
    unit = np.sqrt(np.diagonal(covariance))
    precision = np.linalg.inv(covariance / np.outer(unit, unit))
    return (s / unit) @ np.abs(precision) @ (s / unit) + np.abs(np.log(unit)).sum()


def misfit(covariance, scatter):
    """log|C| + trace(C^-1 S), as an M step makes it least; in units that suit C."""
    scales = np.sqrt(np.diagonal(covariance))
    unit = np.outer(scales, scales)
    root = np.linalg.inv(np.linalg.cholesky(covariance / unit))
    log_det = 2 * np.log(scales / np.diagonal(root)).sum()
    return log_det + np.trace(root @ (scatter / unit) @ root.T)


@every_gaussian
@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_more_components_than_distinct_points(family, distinct):
    points = np.array([[0.0, 0.0], [3.0, 1.0], [-2.0, 5.0]])[:distinct]
    rows = np.tile(points, (20, 1))
    result = ends(family, rows, 6)
    labels = result.predict(points)
    assert len(set(labels)) == distinct
    assert events(result)


@every_gaussian
def test_a_single_row(family):
    row = np.array([[3.0, -7.0]])
    result = ends(family, row, 1)
    np.testing.assert_allclose(result.params["means"], row, rtol=1e-14)
    assert says(result, "parameters for 1 rows")


@every_gaussian
@pytest.mark.parametrize("n", [2, 3])
def test_as_many_components_as_rows(family, n):
    rows = normal(n, 4)
    result = ends(family, rows, n)
    assert events(result) or result.flaws


@every_gaussian
def test_fewer_rows_than_features(family):
    ends(family, normal(5, 12), 2)


@every_kind
def test_one_component_is_the_moments_of_the_data(kind):
    rows = normal(500, 3) @ np.array([[1.0, 0.5, 0], [0, 2, 0], [0, 0, 0.1]]) + [1, 2, 3]
    result = ends(Gaussian(kind, 0.0), rows, 1)
    assert result.converged
    assert events(result) == set()
    covariance = np.cov(rows.T, bias=True)
    expected = {
        "full": covariance[None],
        "tied": covariance,
        "diag": np.diagonal(covariance)[None],
        "spherical": np.trace(covariance)[None] / 3,
    }[kind]
    np.testing.assert_allclose(result.params["means"], rows.mean(axis=0)[None], rtol=1e-12)
    np.testing.assert_allclose(result.params["covariances"], expected, rtol=1e-11, atol=1e-13)


@every_row
def test_one_component_is_what_the_formula_of_the_family_says(row):
    rows = row.rows(300, 3)
    result = ends(row.family, rows, 1)
    assert result.converged
    for name, value in row.alone(rows).items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize(
    ("family", "constant"), [(Poisson(), 0.0), (Bernoulli(), 0.0), (Bernoulli(), 1.0)], ids=repr
)
@pytest.mark.parametrize("every_column", [True, False])
def test_counts_that_never_vary(family, constant, k, every_column):
    rows = np.random.default_rng(0).integers(0, 2, (100, 3)).astype(float)
    rows[:, : 3 if every_column else 1] = constant
    result = ends(family, rows, k)
    (name,) = family.parameters
    held = result.params["weights"] > 1e-12
    np.testing.assert_allclose(result.params[name][held, 0], constant, atol=1e-12)
    if every_column:
        assert result.score(rows) == pytest.approx(0, abs=1e-12)


@every_setting
def test_a_single_row_of_any_family(row):
    ends(row.family, row.rows(1), 1)


@every_setting
def test_more_components_than_distinct_rows(row):
    ends(row.family, np.tile(row.rows(2), (20, 1)), 5)


@every_gaussian
def test_an_outlier_of_weight_almost_nothing(family):
    rows = np.vstack([normal(300), [[1e6, 1e6]]])
    weights = np.append(np.ones(300), 1e-12)
    ends(family, rows, 2, sample_weight=weights)


@every_kind
@pytest.mark.parametrize("far", [30.0, 1e6])
def test_a_start_of_a_few_rows_far_from_all_others_is_as_wide_as_the_data(kind, far):
    params = {
        "weights": np.array([0.5, 0.498, 0.002]),
        "means": np.array([[0.0, 0.0], [3.0, 0.0], [far, 0.0]]),
        "covariances": {
            "full": np.stack([np.eye(2), np.eye(2), 1e-20 * np.eye(2)]),
            "tied": np.eye(2),
            "diag": np.array([[1.0, 1.0], [1.0, 1.0], [1e-20, 1e-20]]),
            "spherical": np.array([1.0, 1.0, 1e-20]),
        }[kind],
    }
    model = Mixture(Gaussian(kind), frames.identity(2))
    for n_rows, width in ((500, 1.0), (5000, 1e-20)):  # One row, and ten.
        soft = model.softened(params, n_rows)
        spread = Gaussian(kind).structure.variances(soft["covariances"], 3, 2)
        np.testing.assert_array_equal(spread[:, 0], [1.0, 1.0, 1.0 if kind == "tied" else width])
        np.testing.assert_array_equal(soft["means"], params["means"])


@every_setting_of_any_width
@pytest.mark.parametrize("examples", [6, pytest.param(150, marks=pytest.mark.torture)])
def test_whatever_the_data_a_fit_ends(row, examples):
    shape = st.tuples(st.integers(1, 12), st.integers(1, 3))
    elements = st.sampled_from(row.possible)

    @given(arrays(np.float64, shape, elements=elements), st.integers(1, 4), st.integers(0, 3))
    @settings(max_examples=examples)
    def whatever(rows, k, seed):
        ends(row.family, rows, min(k, len(rows)), random_state=seed, max_passes=40)

    whatever()


@every_kind
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_a_constant_feature_has_no_spread_in_the_table(kind, reg_covar, tmp_path):
    rows = np.column_stack([two_groups(), np.full(300, 5.0)])
    result = ends(Gaussian(kind, reg_covar), rows, 2)
    result.save(tmp_path / "model.zarr")
    for shown in (result, daskem.load(tmp_path / "model.zarr")):
        lines = shown.table().splitlines()[1:]
        assert len(lines) == 2
        assert all(line.endswith("; 0 (0.00, 1.00)") for line in lines)


def test_events_are_printed_a_few_of_them_and_in_how_many_passes():
    rows = np.column_stack([two_groups(), np.full(300, 5.0)])
    result = ends(Gaussian("diag", 0.0), rows, start=far_start(Gaussian("diag"), 6, 2, at=1e4))
    shown = [line for line in str(result).splitlines() if line.startswith("event: ")]
    assert shown[0] == "event: component 5 has lost all its rows (in every pass)"
    assert len(shown) == 4
    assert shown[-1] == f"event: {len(events(result)) - 3} more in result.history"


def test_an_event_of_some_passes_is_printed_with_their_number():
    history = [Pass(0.0, 0.0, 0.0, 0.0, 1, 1, ("a",)), Pass(0.0, 0.0, 0.0, 0.0, 1, 1, ("a", "b"))]
    assert report.events(history) == ["event: a (in every pass)", "event: b (in 1 of 2 passes)"]


@pytest.mark.parametrize(("n", "kind"), [(45, "full"), (27, "diag"), (20, "spherical")])
def test_a_lone_row_is_isolated_where_a_new_row_of_no_component_lies(n, kind):
    """By Hotelling's T^2: the covariance of few rows is too small, and rows lie beyond it."""
    d, free = 4, n - (4 if kind == "full" else 1)
    farthest = d * (n + 1) / free * stats.f.isf(1e-3 / (n + 1), d, free)
    for square, isolated in ((0.9 * farthest, False), (1.1 * farthest, True)):
        means = np.zeros((2, d))
        means[1, 0] = np.sqrt(square)
        widths = np.stack([np.ones(d), np.full(d, 1e-20)])
        params = {
            "weights": np.array([n, 1.0]) / (n + 1),
            "means": means,
            "covariances": {
                "full": widths[:, :, None] * np.eye(d),
                "diag": widths,
                "spherical": widths[:, 0],
            }[kind],
        }
        events = Gaussian(kind).events({"counts": np.array([n, 1.0])}, params, None)
        assert isolated == any("far from all others" in event for event in events)
        assert isolated != any(isinstance(event, Flaw) for event in events)


def test_an_ordinary_iris_is_no_component_of_its_own():
    """As float64 scores, which no grid bounds, one row alone made diag, K = 8, the best of all."""
    rows = load_iris().data - load_iris().data.mean(axis=0)
    scores = rows @ np.linalg.svd(rows, full_matrices=False)[2].T
    chosen = daskem.select(scores, (2, 8), ("full", "diag"), random_state=0)
    assert (chosen.best.model.family.covariance_type, chosen.best.n_components) == ("full", 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_far_rows_are_not_split_where_clusters_lack_components(seed):
    """Each of several rows by itself is as likely as one likes, and hides what the others lack."""
    rng = np.random.default_rng(4)
    labels = rng.choice(15, size=500, p=rng.dirichlet(np.full(15, 5.0)))
    rows = rng.normal(size=(500, 3)) + 8 * rng.standard_normal((15, 3))[labels]
    rows[:6] += 1e4
    result = daskem.fit(Mixture(Gaussian("diag")), rows, 16, random_state=seed)
    assert not result.flaws
    assert (result.predict(rows[:6]) == result.predict(rows[:1])).all()
    assert (result.predict(rows[6:]) != result.predict(rows[:1])).all()


def test_a_flaw_names_its_component_wherever_it_goes():
    flaw = Flaw("component 3: too narrow", 3)
    again = pickle.loads(pickle.dumps(flaw))
    assert again == flaw
    assert again.component == 3
    assert Flaw("too many parameters").component is None


def test_a_start_leaves_a_few_far_rows_at_least_the_width_that_they_have():
    rows = normal(1000, 3)
    rows[:3] = [[1e3, 0, 0], [1e5, 1e5, 0], [0, 0, -1e6]]
    model = Mixture(Gaussian()).given(surveyed(Mixture(Gaussian()), as_blocks(rows), 0))
    labels = (np.arange(1000) < 3).astype(int)
    params = model.from_labels(Block(rows), labels, rows[[500, 0]])
    scatter = model.from_frame(params)["covariances"][1]
    assert (np.linalg.eigvalsh(scatter - np.cov(rows[:3].T, bias=True)) > 0).all()
