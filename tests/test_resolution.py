"""No component is narrower than the record resolves, and nothing spurious wins."""

import warnings

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import look
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture as Rival
from table import every_kind

import daskem
from daskem import Gaussian, Mixture
from daskem.core.resolution import Resolution
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ImproperFitWarning, ParameterError
from daskem.models.heldout import HeldOut

IRIS = load_iris().data
SCORES = PCA().fit_transform(IRIS)


def grid(values):
    (step,) = Resolution.of(np.asarray(values, dtype=float)[:, None]).grid
    return step


def normal(n=3000, seed=0):
    return np.random.default_rng(seed).normal(size=n)


RECORDS = {
    "decimals": (280 + 5 * normal().round(3), 0.005),
    "integers": (np.random.default_rng(0).poisson(7, 300), 1),
    "float32": ((280 + normal()).round(2).astype("f4"), 0.01),
    "float32, in other units": (
        (280 + normal()).round(2).astype("f4") - np.float32(273.15),
        0.01,
    ),
    "packed": (np.arange(-999, 999).repeat(2).astype("f4") * np.float32(0.0123) + 280, 0.0123),
    "standardised": (normal().round(1) / 1.7 - 0.3, 0.1 / 1.7),
    "few rows": (normal(40).round(1), 0.1),
    "few values": (np.random.default_rng(0).integers(0, 2, 100) * 3.5, 3.5),
    "with a glitch": (np.append(normal().round(1), 1e5), 0.1),
    "with a fill value": (np.append(normal().round(1), np.full(400, 9.96921e36)), 0.1),
    "continuous": (normal(), 0),
    "continuous, float32": (normal().astype("f4"), 0),
    "few and continuous": (normal(12), 0),
    "zeros and few values": (np.append(np.zeros(5000), np.exp(normal(600))), 0),
    "drawn with replacement": (np.random.default_rng(1).choice(normal(500), 3000), 0),
    "one value": (np.full(50, 3.0), 0),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_the_grid_of_a_record(kind):
    values, step = RECORDS[kind]
    assert grid(values) == pytest.approx(step, rel=1e-3)


@given(
    step=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(100, 400),
)
@settings(max_examples=100)
def test_the_grid_follows_units_and_offsets(step, offset, seed, n):
    whole = np.random.default_rng(seed).integers(0, 60, n)
    assert grid((whole + offset) * step) == pytest.approx(step, rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 200), single=st.booleans())
@settings(max_examples=200)
def test_continuous_values_have_no_grid(seed, n, single):
    values = np.random.default_rng(seed).normal(size=n)
    assert grid(values.astype("f4") if single else values) == 0


@every_kind
def test_no_component_is_narrower_than_the_record(kind):
    result = daskem.fit(Mixture(Gaussian(kind)), IRIS, 6, random_state=0)
    np.testing.assert_allclose(result.resolution, 0.1, rtol=1e-6)
    matrices = Gaussian(kind).covariances(result.params)
    assert np.linalg.eigvalsh(matrices).min() >= 0.1**2 / 12 * (1 - 1e-6)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(1, 5))]
)
@pytest.mark.parametrize(
    ("rows", "scales"),
    [(IRIS, 1), (IRIS / IRIS.std(axis=0), IRIS.std(axis=0)), (SCORES, 1), (SCORES.astype("f4"), 1)],
    ids=["cm", "standardised", "scores", "scores in float32"],
)
def test_iris_are_two_clusters(rows, scales, seed):
    """574.02 is what the literature has, and scikit-learn from good starts."""
    chosen = daskem.select(rows, range(1, 5), random_state=seed, n_init=3)
    assert chosen.best.n_components == 2
    assert not chosen.best.flaws
    in_cm = chosen.best.bic(rows) + 2 * len(rows) * np.log(scales).sum()
    assert in_cm == pytest.approx(574.02, abs=0.1)


def test_with_the_resolution_of_no_record_the_numbers_are_those_of_scikit_learn():
    rows = np.random.default_rng(0).normal(size=(500, 2)).round(1)
    means, precisions = np.array([[0.0, 0.0], [1.0, 1.0]]), np.tile(np.eye(2), (2, 1, 1))
    start = {"weights_init": [0.5, 0.5], "means_init": means, "precisions_init": precisions}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Rival(2, reg_covar=0, max_iter=30, tol=0, **start).fit(rows)
        ours = daskem.GaussianMixture(
            2, resolution=0, max_iter=30, tol=0, algorithm="em", **start
        ).fit(rows)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-9)


def test_a_resolution_is_given_by_feature_and_kept_in_files(tmp_path):
    rows = np.random.default_rng(0).normal(size=(500, 2))
    result = daskem.fit(Mixture(Gaussian(resolution=[0.5, 0])), rows, 3, random_state=0)
    assert np.linalg.inv(result.params["covariances"])[:, 0, 0].max() <= 12 / 0.5**2 * (1 + 1e-6)
    result.save(tmp_path / "model.zarr")
    loaded = daskem.load(tmp_path / "model.zarr")
    assert loaded.model.family == Gaussian(resolution=(0.5, 0.0))
    np.testing.assert_array_equal(loaded.resolution, [0.5, np.nan])


@pytest.mark.parametrize("wrong", ["fine", -1.0, [0.1, -1], None, [[0.1]]])
def test_what_is_no_resolution(wrong):
    with pytest.raises(ParameterError, match="resolution"):
        Gaussian(resolution=wrong)


def test_as_many_resolutions_as_features():
    with pytest.raises(ParameterError, match="resolution has 3 numbers; there are 2 features"):
        daskem.fit(Mixture(Gaussian(resolution=[1, 2, 3])), np.eye(2), 1)


def test_leaps_of_a_fit_with_rows_held_out_stay_above_the_floors_too():
    model = look(Mixture(Gaussian()), as_blocks(IRIS)).model
    params = model.from_labels(Block(IRIS), np.arange(150) % 2, IRIS[:2])
    thin = {**params, "covariances": params["covariances"] * 1e-9}
    raised = HeldOut(model).allowed(thin)["covariances"]
    np.testing.assert_array_equal(raised, model.allowed(thin)["covariances"])
    assert (np.linalg.eigvalsh(raised)[:, 0] > np.linalg.eigvalsh(thin["covariances"])[:, 0]).all()


# Nothing is smeared.


def clusters():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0, 1, (1000, 2)), rng.normal(6, 1, (1000, 2))])


@pytest.mark.parametrize("seed", range(3))
def test_a_glitch_is_a_component_of_its_own(seed):
    rows = np.append(clusters(), [[1e5, 1e5]], axis=0)
    result = daskem.fit(Mixture(Gaussian()), rows, 3, random_state=seed)
    labels = result.predict(rows)
    assert len({labels[0], labels[1500], labels[2000]}) == 3
    assert not result.flaws
    assert "far from all others, around (100000, 100000)" in str(result)


def test_narrow_components_among_many():
    rng = np.random.default_rng(0)
    rows = (np.arange(50).repeat(100) + rng.normal(0, 0.01, 5000))[:, None]
    fit = daskem.GaussianMixture(50, means_init=np.arange(50.0)[:, None], random_state=0).fit(rows)
    assert np.sqrt(np.median(fit.covariances_)) < 0.02


@pytest.mark.parametrize("fill", [1e20, np.float32(9.96921e36)])
def test_a_fill_value_that_nobody_declared(fill):
    rng = np.random.default_rng(0)
    values = np.where(rng.random(3000) < 0.5, 280.0, 286.0) + rng.normal(0, 1, 3000)
    values[:450] = fill
    fit = daskem.GaussianMixture(3, random_state=0).fit(values[:, None])
    assert np.abs(np.sort(fit.means_.ravel())[:2] - [280, 286]).max() < 1
    assert "450 rows" in " ".join(fit.result_.notes)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("n_zeros", "n"), [(20_000, 300), (157_406, 670)])
def test_zeros_beside_few_values_are_a_component(n_zeros, n, seed):
    rng = np.random.default_rng(0)
    rows = np.append(np.zeros(n_zeros), rng.gamma(2.0, 3.0, n))[:, None]
    result = daskem.fit(Mixture(Gaussian()), rows, 2, random_state=seed)
    assert not result.flaws
    assert result.params["weights"][0] == pytest.approx(n_zeros / (n_zeros + n), abs=1e-4)
    assert f"component 0 ({n_zeros:,} rows): all are exactly 0 in feature 0" in str(result)


# Proper fits win, and improper ones are told.


def test_an_improper_fit_is_told_where_there_is_no_other():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = daskem.fit(Mixture(Gaussian()), rows, 3, random_state=0)
    (told,) = (w for w in caught if w.category is ImproperFitWarning)
    assert "29 parameters for 9 rows" in str(told.message)
    assert "improper: 29 parameters for 9 rows" in str(result)


def test_a_proper_run_wins_over_one_of_higher_likelihood():
    """The start of the other has a component on three rows of a line, which gains for ever."""
    rng = np.random.default_rng(0)
    rows = np.append(clusters()[::4], [[1.0, 1.0], [1.5, 1.5], [2.0, 2.0]], axis=0)
    rows[:-3] += 1e-3 * rng.normal(size=(500, 2))
    line = {
        "weights": [0.495, 0.495, 0.01],
        "means": [[0.0, 0.0], [6.0, 6.0], [1.5, 1.5]],
        "covariances": [np.eye(2), np.eye(2), [[0.2, 0.2 - 1e-9], [0.2 - 1e-9, 0.2]]],
    }
    plain = {**line, "covariances": np.tile(np.eye(2), (3, 1, 1))}
    result = daskem.fit(Mixture(Gaussian()), rows, start=[line, plain], algorithm="em", tol=1e-6)
    improper, proper = result.runs
    assert improper.history[-1].flaws
    assert not proper.history[-1].flaws
    assert improper.history[-1].objective > proper.history[-1].objective
    assert result.best is proper


@every_kind
def test_chunks_do_not_change_the_resolution(kind):
    rows = np.random.default_rng(0).normal(size=(4000, 2)).round(2)
    chunked = da.from_array(rows, (700, 2))
    here, there = (
        daskem.fit(Mixture(Gaussian(kind)), x, 1, random_state=0) for x in (rows, chunked)
    )
    np.testing.assert_array_equal(here.resolution, there.resolution)
    np.testing.assert_allclose(here.resolution, 0.01, rtol=1e-9)
