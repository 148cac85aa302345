"""Columns of several kinds side by side, by name: in tables, Datasets, files and chains."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from reading import look
from scipy import stats

import daskem
from daskem import (
    Bernoulli,
    Categorical,
    Gaussian,
    HiddenMarkov,
    Independent,
    Mixture,
    Poisson,
    StudentT,
)
from daskem.cli.families import families
from daskem.core.parameters import Params
from daskem.data.inputs import as_blocks
from daskem.errors import DataError, ParameterError

N = 1500
SHARES = np.array([0.5, 0.3, 0.2])
KINDS = Independent(
    {
        "T": Gaussian("diag"),
        ("lon", "lat"): Gaussian(),
        "type": Categorical(),
        "storms": Poisson(),
        "wet": Bernoulli(prior_rows=1.0),
    }
)


def places(n=N, seed=0):
    """A table of places of three climates, and the climate of each."""
    rng = np.random.default_rng(seed)
    z = rng.choice(3, n, p=SHARES)
    noise = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.5], [0.0, 0.8]])
    lon, lat = (np.array([[0.0, 0.0], [8.0, 1.0], [3.0, 6.0]])[z] + noise).T
    likely = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])[z].cumsum(axis=1)
    kinds = (rng.random((n, 1)) >= likely[:, :2]).sum(axis=1)
    columns = {
        "place": np.arange(n),
        "lat": lat,
        "T": rng.normal([0.0, 2.0, 5.0], 1.0, (n, 3))[np.arange(n), z],
        "lon": lon,
        "type": np.array(["desert", "forest", "steppe"])[kinds],
        "storms": rng.poisson(np.array([1.0, 5.0, 20.0])[z]),
        "wet": rng.random(n) < np.array([0.1, 0.5, 0.9])[z],
    }
    return pd.DataFrame(columns), z


@pytest.fixture(scope="module")
def fitted():
    return daskem.fit(Mixture(KINDS), places()[0], 3, random_state=0)


def test_the_truth_comes_back(fitted):
    table, z = places()
    params = fitted.params
    np.testing.assert_allclose(params["weights"], SHARES, atol=0.03)
    np.testing.assert_allclose(params["means_T"], [[0], [2], [5]], atol=0.2)
    np.testing.assert_allclose(params["means_lon_lat"], [[0, 0], [8, 1], [3, 6]], atol=0.2)
    np.testing.assert_allclose(params["covariances_lon_lat"][0], [[1, 0.5], [0.5, 0.89]], atol=0.12)
    np.testing.assert_allclose(params["rates_storms"], [[1], [5], [20]], rtol=0.1)
    np.testing.assert_allclose(
        params["probabilities_type"][:, 0],
        [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]],
        atol=0.07,
    )
    np.testing.assert_allclose(params["probabilities_wet"], [[0.1], [0.5], [0.9]], atol=0.08)
    assert (fitted.predict(table) == z).mean() > 0.99
    assert fitted.n_parameters == 2 + 3 * (2 + 5 + 2 + 1 + 1)


def test_its_features_are_the_columns_that_it_names(fitted):
    assert list(fitted.features.names) == ["T", "lon", "lat", "type", "storms", "wet"]
    with pytest.raises(ParameterError, match=r"features are \['lat'\], and the family is of \['T'"):
        daskem.fit(Mixture(KINDS), places()[0], 3, features=["lat"])
    with pytest.raises(DataError, match="wet"):
        daskem.fit(Mixture(KINDS), places()[0].drop(columns="wet"), 3)
    with pytest.raises(DataError, match="names"):
        daskem.fit(Mixture(KINDS), np.zeros((10, 6)), 3)


def test_one_component_is_a_fit_of_each_family_alone():
    table, _ = places(300)
    columns = [list(c) for c, _ in KINDS.families]
    together = daskem.fit(Mixture(KINDS), table, 1).log_likelihood
    alone = [
        daskem.fit(Mixture(family), table[c], 1).log_likelihood
        for c, (_, family) in zip(columns, KINDS.families, strict=True)
    ]
    assert together == pytest.approx(sum(alone), rel=1e-12)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize(
    "family", [Gaussian(), Gaussian("tied"), Gaussian("diag", 0.02), StudentT("tied", "tied")]
)
def test_a_family_of_all_columns_is_that_family(family):
    rows = places(400)[0][["lon", "lat", "T"]].to_numpy()
    start = {"weights": SHARES, "means": rows[:3]}
    options = {"random_state": 0, "algorithm": "em", "max_passes": 6, "tol": 0.0}
    one = daskem.fit(Mixture(family), rows, 3, start=start, **options)
    start = {"weights": SHARES, "means_0_1_2": rows[:3]}
    other = daskem.fit(Mixture(Independent({(0, 1, 2): family})), rows, 3, start=start, **options)
    for name, value in one.params.items():
        own = name if name == "weights" else f"{name}_0_1_2"
        np.testing.assert_allclose(other.params[own], value, rtol=1e-9, err_msg=name)
    objectives = [[p.objective for p in result.history] for result in (one, other)]
    np.testing.assert_allclose(*objectives, rtol=1e-12)
    np.testing.assert_allclose(other.score_samples(rows), one.score_samples(rows), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_each_family_keeps_its_frame_beside_those_that_mix_columns():
    """Scales of some columns, a matrix of others: densities are those of scipy in data units."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 7)) @ np.diag([1.0, 1e3, 1e-2, 5.0, 1.0, 40.0, 1.0])
    rows += 1e3 * (np.arange(400)[:, None] % 2) * np.array([0, 1, 0, 0, 0, 0, 0]) + 7.0
    family = Independent(
        {
            (0, 1): Gaussian("diag"),
            (4, 2): Gaussian("full"),
            (3, 5): StudentT("tied", 5.0),
            6: Gaussian("spherical"),
        }
    )
    result = daskem.fit(Mixture(family), rows, 2, random_state=0, max_passes=3)
    p, total = result.params, 0.0
    for k in range(2):
        normal, t = stats.multivariate_normal, stats.multivariate_t
        total += p["weights"][k] * np.exp(
            normal.logpdf(rows[:, [0, 1]], p["means_0_1"][k], np.diag(p["covariances_0_1"][k]))
            + normal.logpdf(rows[:, [4, 2]], p["means_4_2"][k], p["covariances_4_2"][k])
            + t.logpdf(rows[:, [3, 5]], p["means_3_5"][k], p["covariances_3_5"], 5.0)
            + normal.logpdf(rows[:, 6], p["means_6"][k], p["covariances_6"][k])
        )
    np.testing.assert_allclose(result.score_samples(rows), np.log(total), rtol=1e-10)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("constant", [0, 1])
def test_events_of_every_family_are_told(constant):
    rows = np.random.default_rng(0).normal(size=(200, 2))
    rows[:, constant] = 3.0
    family = Independent({0: Gaussian(), 1: Gaussian()})
    result = daskem.fit(Mixture(family), rows, 1, max_passes=2)
    (told,) = result.history[-1].events
    assert "no spread left" in told


def test_starts_are_as_far_from_edges_as_those_of_each_family():
    """By as much as the rows of a component leave open, whatever family it is of."""
    rows = np.random.default_rng(0).poisson(2.0, size=(200, 2)).clip(0, 1)
    families = {0: Poisson(), 1: Bernoulli()}
    both = look(Mixture(Independent(families)), as_blocks(rows)).model
    edge = Params(
        {
            "weights": np.array([0.1, 0.9]),
            "rates_0": np.zeros((2, 1)),
            "probabilities_1": np.ones((2, 1)),
        }
    )
    found = both.softened(edge, 200)
    for name, (column, family) in zip(("rates", "probabilities"), families.items(), strict=True):
        alone = look(Mixture(family), as_blocks(rows[:, [column]])).model
        own = Params({"weights": edge["weights"], name: edge[f"{name}_{column}"]})
        expected = alone.softened(own, 200)[name]
        np.testing.assert_allclose(found[f"{name}_{column}"], expected)
        assert expected[0] != expected[1]


def test_leaps_end_above_the_floors_of_every_family():
    rows = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 0.0, 1.0]
    rows = rows.round(1)  # recorded so
    family = Independent({(0, 2): Gaussian(), 1: Poisson()})
    thin = Params(
        {
            "weights": np.ones(1),
            "means_0_2": np.zeros((1, 2)),
            "covariances_0_2": 1e-9 * np.eye(2)[None],
            "rates_1": np.ones((1, 1)),
        }
    )
    alone = Params({"means": thin["means_0_2"], "covariances": thin["covariances_0_2"]})
    both = look(Mixture(family), as_blocks(rows)).model
    one = look(Mixture(Gaussian()), as_blocks(rows[:, [0, 2]])).model
    raised = both.allowed(thin)["covariances_0_2"]
    np.testing.assert_allclose(raised, one.allowed(alone)["covariances"], rtol=1e-9)
    assert (np.linalg.eigvalsh(raised) > 1e-8).all()


def test_it_is_saved_and_loaded_with_the_families_and_their_columns(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again, (table, _) = daskem.load(tmp_path / "model"), places(200, seed=1)
    assert again.model.family == fitted.model.family
    for method in ("predict", "predict_proba", "score_samples"):
        found, expected = getattr(again, method)(table), getattr(fitted, method)(table)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match=r"'swamp' in row 0, column 'type'"):
        again.predict(table.assign(type="swamp"))
    with pytest.raises(DataError, match=r"-1.0 at .*\('storms'\); expected .*numbers >= 0 \(storm"):
        again.predict(table.assign(storms=-1))


def test_its_params_are_labelled(fitted):
    labelled = fitted.to_dataset()
    assert labelled["means_lon_lat"].dims == ("component", "lon_lat_feature")
    assert labelled["covariances_lon_lat"].dims[1:] == ("lon_lat_feature", "lon_lat_feature_2")
    assert labelled["lon_lat_feature"].values.tolist() == ["lon", "lat"]
    assert labelled["level_type"].values.tolist() == [["desert", "forest", "steppe"]]
    assert "forest" in str(fitted)


def test_variables_of_a_dataset_are_columns_by_their_names():
    table, z = places()
    shape = {"y": 30, "x": 50}
    data = xr.Dataset(
        {name: (tuple(shape), table[name].to_numpy().reshape(30, 50)) for name in ("T", "storms")}
    )
    family = Independent({"storms": Poisson(), "T": Gaussian("diag")})
    result = daskem.fit(Mixture(family), data.chunk(y=10), 3, random_state=0)
    labels = result.predict(data)
    assert labels.dims == ("y", "x")
    assert (labels.values.ravel() == z).mean() > 0.9
    here = daskem.fit(Mixture(family), table, 3, random_state=0)
    for name, value in here.params.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-3, atol=1e-3)


def test_columns_without_names_are_called_by_their_places():
    table, z = places()
    rows = table[["T", "storms", "lon"]].to_numpy()
    family = Independent({1: Poisson(), (2, 0): Gaussian()})
    lazy = daskem.fit(Mixture(family), da.from_array(rows, (500, 3)), 3, random_state=0)
    assert (lazy.predict(rows) == z).mean() > 0.9
    np.testing.assert_allclose(lazy.params["means_2_0"], [[0, 0], [8, 2], [3, 5]], atol=0.3)


def test_select_finds_how_many_there_are():
    models = {"places": Mixture(KINDS)}
    chosen = daskem.select(places(300)[0], (2, 3), models=models, n_init=1, random_state=0)
    assert chosen.best.n_components == 3


def test_chains_are_of_columns_of_several_kinds_too():
    table, z = places()
    order = np.argsort(z, kind="stable")
    result = daskem.fit(HiddenMarkov(KINDS), table.iloc[order], 3, random_state=0, lengths=[N])
    assert (result.predict(table.iloc[order], lengths=[N]) == z[order]).mean() > 0.99
    assert result.params["means_lon_lat"].shape == (3, 2)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, r"columns of the families are \[\]"),
        ({"a": Gaussian(), ("b", "a"): Poisson()}, "each should be there once"),
        ({"a_b": Gaussian(), ("a", "b"): Poisson()}, "called otherwise"),
        ({0: Gaussian(), 2: Poisson()}, r"\[0, 2\] should be all places from 0, or names"),
        ({"a": Gaussian}, "no family, such as"),
        ({"a": Mixture(Gaussian())}, "no family, such as"),
    ],
)
def test_columns_that_are_none_are_told(columns, told):
    with pytest.raises(ParameterError, match=told):
        Independent(columns)


class Whole:
    """A kernel with what the contract asks for, and no form of a tile."""

    def __init__(self, kernel):
        self.e_step, self.posterior = kernel.e_step, kernel.posterior
        self.hard, self.soft = kernel.hard, kernel.soft
        self.log_densities = kernel.log_densities


class WholeCounts(Poisson):
    def kernel(self, candidates, offsets, frame):
        return Whole(super().kernel(candidates, offsets, frame))


def test_a_kernel_without_forms_stands_alone_only():
    rows = np.arange(40.0).reshape(20, 2) % 7
    alone, usual = (
        daskem.fit(Mixture(f), rows, 2, random_state=0) for f in (WholeCounts(), Poisson())
    )
    np.testing.assert_array_equal(alone.params["rates"], usual.params["rates"])
    with pytest.raises(ParameterError, match="Whole cannot be side by side with others"):
        daskem.fit(Mixture(Independent({0: WholeCounts(), 1: Poisson()})), rows, 2)


def test_it_is_no_word_of_the_command_line():
    assert "independent" not in families()
    assert "categorical" in families()
