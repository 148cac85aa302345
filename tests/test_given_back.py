"""What daskem made it takes back: own params, names of every kind, models of your own."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskem
from daskem.core.parameters import POSITIVE, Parameter
from daskem.data.inputs.spelling import spelled, unspelled
from daskem.errors import DataError, DataTypeError, ModelFileError, ParameterError

README = (Path(__file__).parents[1] / "README.md").read_text()
RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(6, 1, (60, 2))])

# Params and attributes.

X = RNG.normal(size=(120, 1)) + 5.0 * (np.arange(120) % 2)[:, None]
OF_ANY_RANK = {
    "parts of a whole": RNG.dirichlet([3, 2, 1], 120) * 100,
    "a line": np.hstack([X, 2 * X + 1]),
    "two units": np.hstack([X, X + 273.15]),
    "a column twice": np.hstack([X, X]),
    "a constant": np.hstack([X, np.ones_like(X)]),
}
SHORT = {"random_state": 0, "max_passes": 10}
anyhow = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


@anyhow
@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("family", [daskem.Gaussian(), daskem.Gaussian("tied"), daskem.StudentT()])
@pytest.mark.parametrize("name", OF_ANY_RANK)
def test_own_params_are_a_start_whatever_the_rank_of_the_data(name, family):
    rows = OF_ANY_RANK[name]
    model = daskem.Mixture(family)
    first = daskem.fit(model, rows, 2, **SHORT)
    again = daskem.fit(model, rows, start=first.params, **SHORT)
    assert again.log_likelihood > first.log_likelihood - 0.1
    near = np.allclose(again.params["means"], first.params["means"], atol=0.5)
    assert near or again.log_likelihood > first.log_likelihood


@anyhow
@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("name", OF_ANY_RANK)
def test_own_attributes_are_a_start_whatever_the_rank_of_the_data(name, kind):
    rows, options = OF_ANY_RANK[name], {"covariance_type": kind, "max_iter": 10}
    first = daskem.GaussianMixture(2, random_state=0, **options).fit(rows)
    given = {n: getattr(first, f"{n}_") for n in ("weights", "means", "precisions")}
    again = daskem.GaussianMixture(2, **{f"{n}_init": v for n, v in given.items()}, **options)
    assert np.isfinite(again.fit(rows).lower_bound_)
    assert again.means_.shape == first.means_.shape


@pytest.mark.parametrize("matrix", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]]])
def test_what_is_no_covariance_is_still_refused(matrix):
    start = {"weights": [0.5, 0.5], "means": ROWS[:2], "covariances": [np.eye(2), matrix]}
    with pytest.raises(ParameterError, match=r"(?s)covariances\[1\].*symmetric positive definite"):
        daskem.fit(daskem.Mixture(daskem.Gaussian()), ROWS, start=start)
    with pytest.raises(ParameterError, match="symmetric positive definite"):
        daskem.GaussianMixture(2, precisions_init=[np.eye(2), matrix]).fit(ROWS)


# Names.

PERIODS = pd.period_range("2000-01", periods=2, freq="M")
NAMES = {
    "levels": pd.MultiIndex.from_tuples([("t", "mean"), ("t", "std")]),
    "levels of numbers": pd.MultiIndex.from_tuples([("t", 1.5), (2, None)]),
    "mixed": [0, "b"],
    "booleans": [True, False],
    "numpy scalars": pd.Index([np.float32(0.1), np.int8(3)], dtype=object),
    "numpy strings": pd.Index([np.str_("a"), np.str_("b")], dtype=object),
    "periods": PERIODS,
    "intervals": pd.interval_range(0, 2),
    "dates with a zone": pd.date_range("2000-01-01", periods=2, tz="Europe/Berlin"),
    "dates": pd.date_range("2000-01-01", periods=2),
    "durations": pd.to_timedelta(["1h", "36h"]),
    "categories": pd.CategoricalIndex(["a", "b"]),
    "days": pd.Index([datetime.date(2000, 1, 1), datetime.date(2000, 1, 2)], dtype=object),
    "times": pd.Index([datetime.time(1), datetime.time(2, 3)], dtype=object),
    "complex": pd.Index([1j, 2 + 1j], dtype=object),
    "bytes": pd.Index([b"a", b"b"], dtype=object),
    "numbers": [10.0, 20.5],
}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_is_fitted_is_saved(name, tmp_path):
    data = pd.DataFrame(ROWS, columns=NAMES[name])
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(data)
    model.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    pd.testing.assert_series_equal(again.predict(data), model.predict(data))
    turned = again.predict(data.iloc[:, ::-1])
    pd.testing.assert_series_equal(turned, model.predict(data))
    known = list(model.result_.features.names)
    assert list(again.features.names) == known
    assert list(map(type, again.features.names)) == list(map(type, known))


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard"])
def test_dates_of_any_calendar_are_saved(calendar, tmp_path):
    pytest.importorskip("cftime")
    time = xr.date_range("2000-01-01", periods=2, freq="MS", calendar=calendar, use_cftime=True)
    data = xr.DataArray(ROWS, dims=("cell", "time"), coords={"time": time})
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(data)
    model.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    xr.testing.assert_identical(again.predict(data), model.predict(data))


def of_several_variables():
    """An array in which a variable without depths has NaN for one."""
    data = xr.Dataset({v: ("cell", ROWS[:, i]) for i, v in enumerate("ab")})
    data["c"] = data["b"].expand_dims(depth=[10.0])
    return data.to_stacked_array("feature", sample_dims=["cell"])


def at_no_depth():
    return xr.DataArray(ROWS, dims=("cell", "depth"), coords={"depth": [10.0, np.nan]})


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("make", [of_several_variables, at_no_depth])
def test_names_that_are_missing_are_those_of_the_same_data(make, tmp_path):
    data = make()
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(data)
    model.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    for labels in (model.predict(make()), again.predict(data), again.predict(data[:, ::-1])):
        assert (labels == model.predict(data)).all()
        assert set(labels.to_numpy()) == {0, 1}


def test_params_of_features_with_levels_are_unstacked_and_written(tmp_path):
    names = pd.MultiIndex.from_product([["t", "s"], ["mean"]])
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1)
    found = model.fit(pd.DataFrame(ROWS, columns=names)).to_dataset()
    means = found["means"].unstack("feature")
    np.testing.assert_array_equal(means.sel(feature_level_0="s")[:, 0], model.means_[:, 1])
    flat = found.reset_index(["feature", "feature_2"])
    flat.to_zarr(tmp_path / "params", consolidated=False, zarr_format=2)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "params", consolidated=False).load(), flat)


def test_names_that_are_missing_twice_are_told():
    with pytest.raises(DataError, match="2 features are called nan"):
        daskem.GaussianMixture(2).fit(at_no_depth().assign_coords(depth=[np.nan, np.nan]))


def test_what_is_spelled_is_read_as_it_was():
    values = [None, 1, 1.5, "a", True, np.datetime64("2000-01-01", "D"), np.timedelta64(3, "h")]
    values += [(1, ("a", None)), datetime.datetime(2000, 1, 1, 12), datetime.timedelta(3, 4)]
    values += [pd.Timestamp("2000-01-01T00:00:00.000000001"), pd.Interval(1, 2), pd.NA]
    for value in values:
        again = unspelled(spelled(value))
        assert type(again) is type(value)
        assert again is value or again == value


class Odd:
    """A name that only one process knows."""


def test_names_that_no_file_could_hold_are_refused_before_the_fit():
    data = pd.DataFrame(ROWS, columns=pd.Index([Odd(), "b"], dtype=object))
    with pytest.raises(DataTypeError, match=r"of type .*Odd, .*rename it"):
        daskem.GaussianMixture(2).fit(data)


def test_no_message_says_that_a_is_not_a():
    depth = np.array([0.1, 0.2])
    data = xr.DataArray(ROWS, dims=("cell", "depth"), coords={"depth": depth})
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(data)
    with pytest.raises(DataError, match=r"0.1\d+ \(float32\) is not 0.1 \(float64\)|assign_coords"):
        model.predict(data.assign_coords(depth=depth.astype("f4")))
    table = pd.DataFrame(ROWS, columns=[1, 2])
    numbers = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(table)
    with pytest.raises(DataError, match=r"'1' \(str\) is not 1 \(int64\)"):
        numbers.predict(table.rename(columns=str))


def test_of_many_names_the_first_that_is_not_there_is_told():
    rows = RNG.normal(size=(60, 20))
    data = pd.DataFrame(rows, columns=[f"f{i}" for i in range(20)])
    diagonal = daskem.GaussianMixture(1, covariance_type="diag", tol=1.0).fit(data)
    with pytest.raises(DataError, match="1 are not there, the first of them: 'f7'") as caught:
        diagonal.predict(data.rename(columns={"f7": "g7"}))
    assert len(str(caught.value)) < 300


# Models.


@dataclass(frozen=True)
class Exponential:
    """Waiting times, in some unit."""

    unit: float = 1.0

    @property
    def parameters(self):
        return {"rate": Parameter(("feature",), POSITIVE)}

    def n_components(self, params):
        return 1

    def e_step(self, block, params):
        rows, rate = block.rows / self.unit, params["rate"]
        density = (np.log(rate) - rate * rows).sum(axis=1)
        return {"log_likelihood": density.sum(), "rows": float(len(rows)), "sum": rows.sum(axis=0)}

    def m_step(self, statistics, params):
        return {"rate": statistics["rows"] / statistics["sum"]}


WAITS = RNG.exponential(3.0, (80, 2))


@pytest.mark.parametrize("given", [Exponential, Exponential(2.0)])
def test_a_model_of_your_own_is_loaded_with_its_class(given, tmp_path):
    result = daskem.fit(Exponential(2.0), WAITS, start={"rate": np.ones(2)})
    result.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model", given)
    assert again.model == Exponential(2.0)
    np.testing.assert_array_equal(again.params["rate"], result.params["rate"])
    assert again.score(WAITS) == result.score(WAITS)
    assert again.history == result.history
    with pytest.raises(ModelFileError, match=r"give its class, .*load\(path, Exponential\)"):
        daskem.load(tmp_path / "model")
    with pytest.raises(ModelFileError, match="Mixture is another one"):
        daskem.load(tmp_path / "model", daskem.Mixture)


class Told:
    """A model that nobody could make of its class alone."""

    parameters = Exponential().parameters
    m_step = Exponential.m_step

    def __init__(self, noise):
        self.noise = noise

    def e_step(self, block, params):
        return Exponential().e_step(block, params)


def test_what_a_class_cannot_tell_is_given(tmp_path):
    daskem.fit(Told(3), WAITS, start={"rate": np.ones(2)}).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"give the model itself, daskem.load\(path, Told"):
        daskem.load(tmp_path / "model", Told)
    assert daskem.load(tmp_path / "model", Told(3)).model.noise == 3


class Tempered(daskem.Mixture):
    """It says something else of rows than a Mixture does."""


def test_a_subclass_of_a_mixture_is_loaded_with_its_class(tmp_path):
    result = daskem.fit(Tempered(daskem.Gaussian()), ROWS, 2, random_state=0, tol=0.1)
    result.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="a Tempered"):
        daskem.load(tmp_path / "model")
    again = daskem.load(tmp_path / "model", Tempered)
    assert type(again.model) is Tempered
    np.testing.assert_array_equal(again.predict_proba(ROWS), result.predict_proba(ROWS))


def test_merged_components_are_saved(tmp_path):
    data = pd.DataFrame(ROWS, columns=["a", "b"])
    model = daskem.GaussianMixture(4, random_state=0, tol=0.1).fit(data)
    merged = daskem.merge(model, data).cut(2)
    merged.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict_proba(data), merged.predict_proba(data))
    np.testing.assert_array_equal(again.params["weights"], merged.params["weights"])
    assert again.n_components == 2
    again.save(tmp_path / "model")
    assert daskem.load(tmp_path / "model").score(data) == model.score(data)


# Subclasses of the estimator.


class Seasonal(daskem.GaussianMixture):
    """With a setting of its own, and without most of the others."""

    def __init__(self, n_components=1, *, season="winter"):
        super().__init__(n_components, random_state=0)
        self.season = season


class Wider(daskem.GaussianMixture):
    """With all that there are besides."""

    def __init__(self, n_components=1, *, season="winter", **options):
        super().__init__(n_components, **options)
        self.season = season


def test_weights_are_passed_to_fit_itself_where_metadata_are_routed():
    sklearn = pytest.importorskip("sklearn")
    assert "metadata routing is not supported" in " ".join(README.split())
    weights = np.arange(120.0)
    expected = daskem.GaussianMixture(2, random_state=0).fit(ROWS, sample_weight=weights)
    with sklearn.config_context(enable_metadata_routing=True):
        model = daskem.GaussianMixture(2, random_state=0).fit(ROWS, sample_weight=weights)
    np.testing.assert_array_equal(model.means_, expected.means_)


@pytest.mark.parametrize("kind", [Seasonal, Wider])
def test_a_subclass_has_the_settings_of_its_own(kind):
    base = pytest.importorskip("sklearn.base")
    model = kind(2, season="summer")
    assert model.get_params() == {"n_components": 2, "season": "summer"}
    again = base.clone(model).fit(ROWS)
    assert (again.season, again.n_components) == ("summer", 2)
    assert repr(model) == f"{kind.__name__}(n_components=2, season='summer')"
    with pytest.raises(ParameterError, match=f"for {kind.__name__}"):
        model.set_params(tol=1)
