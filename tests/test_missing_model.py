"""`missing="model"` from the door to the answers: containers, Dask, files, checkpoints, errors."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from gaps import holed

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture, Poisson
from daskem.cli.commands import main
from daskem.errors import DataError, ModelError, ParameterError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")

FEW = {"missing": "model", "max_passes": 3, "random_state": 0}


@pytest.fixture(scope="module")
def gaps(rows):
    """Some of the rows with gaps, the last two of which have nothing at all."""
    gaps = holed(rows[:302])
    gaps[300:] = np.nan
    return gaps


@pytest.fixture(scope="module")
def fitted(gaps, start):
    return daskem.fit(Mixture(Gaussian()), gaps, start=start, **FEW)


@pytest.fixture
def labelled(gaps):
    """The same as three variables of a lazy Dataset (time, place)."""
    values = gaps.reshape(151, 2, 3)
    coords = {"time": np.arange(151), "place": ["a", "b"]}
    variables = {name: (("time", "place"), values[..., i]) for i, name in enumerate("abc")}
    return xr.Dataset(variables, coords).chunk(time=40)


# Rows, notes, criteria.


def test_rows_without_any_value_are_as_with_omit(gaps, fitted, start):
    assert fitted.n_rows == 300
    assert fitted.missing == "model"
    without = daskem.fit(Mixture(Gaussian()), gaps[:300], start=start, **FEW)
    for name, value in without.params.items():
        np.testing.assert_array_equal(fitted.params[name], value)
    assert (fitted.predict(gaps)[300:] == -1).all()
    assert (fitted.predict(gaps)[:300] >= 0).all()
    for answers in (fitted.predict_proba, fitted.score_samples, fitted.impute):
        assert np.isnan(answers(gaps)[300:]).all()
        assert np.isfinite(answers(gaps)[:300]).all()


def test_notes_say_how_many_rows_lack_what(gaps, fitted):
    n = int(np.isnan(gaps[:300]).any(axis=1).sum())
    told = " ".join(fitted.notes)
    assert "2 of 302 rows have no value and were left out" in told
    assert f"{n} of 300 rows lack values and take part" in told


def test_criteria_count_the_rows_that_take_part(gaps, fitted):
    mean, n = fitted.score(gaps), 300
    assert fitted.bic(gaps) == pytest.approx(fitted.n_parameters * np.log(n) - 2 * n * mean)
    assert mean == pytest.approx(fitted.score_samples(gaps)[:300].mean(), rel=1e-12)


def test_one_column_is_a_column_without_its_gaps(rows):
    column = rows[:300, :1].copy()
    column[::7] = np.nan
    one = daskem.fit(Mixture(Gaussian()), column, 2, **FEW)
    two = daskem.fit(Mixture(Gaussian()), column, 2, **{**FEW, "missing": "omit"})
    assert [p.objective for p in one.history] == [p.objective for p in two.history]


# Containers.


def test_lazy_answers_are_those_in_memory(gaps, fitted):
    lazy = da.from_array(gaps, chunks=(70, 3))
    for name in ("predict", "predict_proba", "score_samples", "impute"):
        found, expected = getattr(fitted, name)(lazy), getattr(fitted, name)(gaps)
        assert isinstance(found, da.Array)
        np.testing.assert_allclose(found.compute(), expected, rtol=1e-12, atol=1e-12)


def test_imputed_rows_keep_what_they_have(gaps, fitted):
    imputed = fitted.impute(gaps)
    known = ~np.isnan(gaps)
    np.testing.assert_array_equal(imputed[known], gaps[known])
    r, c, m = fitted.predict_proba(gaps), fitted.params["covariances"], fitted.params["means"]
    row = int(np.flatnonzero(known.sum(axis=1) == 2)[0])
    o = known[row]
    each = [
        m[k][~o] + c[k][np.ix_(~o, o)] @ np.linalg.solve(c[k][np.ix_(o, o)], gaps[row, o] - m[k][o])
        for k in range(3)
    ]
    np.testing.assert_allclose(imputed[row, ~o], r[row] @ np.array(each), rtol=1e-9)


def test_labelled_data_keep_their_labels(gaps, labelled, start):
    result = daskem.fit(Mixture(Gaussian()), labelled, start=start, **FEW)
    imputed = result.impute(labelled)
    assert imputed.dims == ("time", "place", "feature")
    assert isinstance(imputed.data, da.Array)
    assert list(imputed["feature"].values) == ["a", "b", "c"]
    assert "units" not in imputed.attrs
    split = imputed.to_dataset("feature")
    known = labelled["b"].notnull().compute()
    xr.testing.assert_equal(split["b"].where(known).compute().drop_attrs(), labelled["b"].compute())
    labels = result.predict(labelled)
    assert labels.attrs["nodata"] == -1
    assert int((labels == -1).sum()) == 2


def test_features_along_a_dimension_stay_along_it(gaps, start):
    data = xr.DataArray(gaps, dims=("cast", "depth"), coords={"depth": [5.0, 10.0, 20.0]})
    result = daskem.fit(Mixture(Gaussian()), data, start=start, sample_dims=["cast"], **FEW)
    imputed = result.impute(data)
    assert imputed.dims == ("cast", "depth")
    np.testing.assert_array_equal(imputed["depth"], data["depth"])
    np.testing.assert_array_equal(imputed.fillna(0) - data, 0 * data)


@pytest.mark.parametrize("lazy", [False, True])
def test_tables_get_tables(gaps, start, lazy):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(gaps, columns=list("abc"), index=np.arange(302) + 7)
    result = daskem.fit(Mixture(Gaussian()), table, start=start, **FEW)
    if lazy:
        dd = pytest.importorskip("dask.dataframe")
        table = dd.from_pandas(table, npartitions=3)
    imputed = result.impute(table)
    imputed = imputed.compute() if lazy else imputed
    assert list(imputed.columns) == list("abc")
    assert list(imputed.index) == list(range(7, 309))
    np.testing.assert_allclose(imputed.to_numpy(), result.impute(gaps), rtol=1e-12)


def test_a_fit_of_complete_rows_imputes_too(rows, gaps, start):
    result = daskem.fit(Mixture(Gaussian()), rows[:300], start=start, max_passes=2)
    assert np.isfinite(result.impute(gaps)[:300]).all()
    with pytest.raises(DataError, match='or "model" to let them take part'):
        result.predict(gaps)


# The same bits, here and there.


def test_local_is_dask_to_the_last_bit(gaps, fitted, start):
    lazy = da.from_array(gaps, chunks=(302, 3))
    for model in (Mixture(Gaussian()), Mixture(Gaussian("diag"))):
        options = FEW if model.family == Gaussian() else {**FEW, "n_components": 2}
        given = {"start": start} if model.family == Gaussian() else {}
        here = daskem.fit(model, gaps, **options, **given)
        there = daskem.fit(model, lazy, **options, **given)
        for name, value in here.params.items():
            np.testing.assert_array_equal(there.params[name], value)


def test_a_submitted_fit_is_the_same(gaps, start, client):
    model, lazy = Mixture(Gaussian()), da.from_array(gaps, chunks=(151, 3))
    run = daskem.submit(model, lazy, start=start, name="gaps", **FEW)
    there = run.result()
    here = daskem.fit(model, lazy, start=start, **FEW)
    for name, value in here.params.items():
        np.testing.assert_array_equal(there.params[name], value)
    assert there.missing == "model"


def test_files_and_checkpoints_remember(gaps, fitted, start, tmp_path):
    fitted.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert again.missing == "model"
    np.testing.assert_array_equal(again.impute(gaps), fitted.impute(gaps))
    np.testing.assert_array_equal(again.score_samples(gaps), fitted.score_samples(gaps))
    assert again.score(gaps) == fitted.score(gaps)
    options = {**FEW, "start": start, "checkpoint": tmp_path / "run"}
    for result in daskem.iterate(Mixture(Gaussian()), gaps, **options):
        if len(result.history) == 2:
            break
    resumed = daskem.resume(tmp_path / "run", gaps)
    for name, value in fitted.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


def test_a_selection_and_what_follows_one(gaps):
    chosen = daskem.select(gaps, range(1, 3), ("full", "spherical"), n_init=1, **FEW)
    assert chosen.best.missing == "model"
    assert np.isfinite(chosen.best.impute(gaps)[:300]).all()
    two = daskem.fit(Mixture(Gaussian()), gaps, 3, **FEW)
    assert np.isfinite(daskem.diagnose(two, gaps)["entropy"]).all()
    merged = daskem.merge(two, gaps).cut(2)
    assert np.isfinite(merged.impute(gaps)[:300]).all()


@pytest.mark.parametrize("seeds", ["k-means++", "k-means||", "random_from_data"])
def test_starts_are_found_among_rows_with_gaps(gaps, seeds):
    result = daskem.fit(Mixture(Gaussian()), gaps, 3, init_params=seeds, **FEW)
    assert np.isfinite(result.log_likelihood)


def test_estimators_and_the_command_line(gaps, labelled, tmp_path):
    estimator = daskem.GaussianMixture(2, random_state=0, max_iter=3)
    assert np.isfinite(estimator.fit(gaps, missing="model").impute(gaps)[:300]).all()
    labelled.to_zarr(tmp_path / "data.zarr", zarr_format=2)
    model, labels = str(tmp_path / "model"), str(tmp_path / "labels.zarr")
    options = ["-k", "2", "--missing", "model", "--max-passes", "3", "--random-state", "0"]
    assert main(["fit", str(tmp_path / "data.zarr"), *options, "--out", model]) == 0
    assert daskem.load(model).missing == "model"
    assert main(["predict", str(tmp_path / "data.zarr"), "--model", model, "--out", labels]) == 0
    found = xr.open_zarr(labels)
    assert int((next(iter(found.data_vars.values())) == -1).sum()) == 2


# Sequences.


def test_a_chain_with_one_state_is_the_mixture(gaps):
    own = {"means": np.nanmean(gaps, axis=0)[None], "covariances": np.eye(3)[None]}
    options = {**FEW, "algorithm": "em"}
    of_chain = {"initial": np.ones(1), "transitions": np.ones((1, 1)), **own}
    chain = daskem.fit(
        HiddenMarkov(Gaussian()), gaps, lengths=[151, 151], start=of_chain, **options
    )
    mixture = daskem.fit(Mixture(Gaussian()), gaps, start={"weights": np.ones(1), **own}, **options)
    assert chain.log_likelihood == pytest.approx(mixture.log_likelihood, rel=1e-13)
    means = chain.params["means"], mixture.params["means"]
    np.testing.assert_allclose(*means, rtol=1e-12)


def test_steps_that_lack_values_are_decoded_and_imputed(gaps):
    model = HiddenMarkov(Gaussian("diag"))
    result = daskem.fit(model, gaps, 2, lengths=[151, 151], **FEW)
    imputed = result.impute(gaps, lengths=[151, 151])
    assert np.isfinite(imputed[:300]).all()
    assert np.isnan(imputed[300:]).all()
    assert (result.predict(gaps, lengths=[151, 151])[:300] >= 0).all()
    estimator = daskem.GaussianHMM(2, random_state=0, n_iter=2)
    estimator.fit(gaps, [151, 151], missing="model")
    assert np.isfinite(estimator.impute(gaps, [151, 151])[:300]).all()


# What cannot be.


def test_a_feature_without_any_value_is_named(labelled):
    labelled["b"] = labelled["b"] * np.nan
    with pytest.raises(DataError, match="1 of 3 features are NaN in every row: b"):
        daskem.fit(Mixture(Gaussian()), labelled, 2, **FEW)


@pytest.mark.parametrize("family", [Gaussian(), Gaussian("diag"), Poisson()], ids=repr)
def test_what_is_infinite_or_impossible_is_an_error_all_the_same(family):
    counts = holed(np.random.default_rng(0).poisson(3.0, (100, 3)).astype(float))
    counts[17] = [np.nan, np.inf, 1.0]
    with pytest.raises(DataError, match=r"inf at .*row 17"):
        daskem.fit(Mixture(family), counts, 2, **FEW)
    counts[17, 1] = -0.5
    if isinstance(family, Poisson):
        with pytest.raises(DataError, match=r"-0.5 at .*row 17"):
            daskem.fit(Mixture(family), counts, 2, **FEW)


class Rate:
    """A model of one's own, which says nothing of rows with gaps."""

    def e_step(self, block, params):
        return {"log_likelihood": 0.0, "total": block.rows.sum()}

    def m_step(self, statistics, params):
        return params


class Plain:
    """A family with what every family has, and no more."""

    def __init__(self):
        self.inner = Poisson()

    parameters = property(lambda self: self.inner.parameters)
    domain = "counts"

    def valid(self, rows):
        return self.inner.valid(rows)

    def at(self, centres):
        return self.inner.at(centres)

    def locations(self, params):
        return self.inner.locations(params)

    def kernel(self, candidates, offsets, frame):
        return self.inner.kernel(candidates, offsets, frame)

    def m_step(self, statistics, params, frame):
        return self.inner.m_step(statistics, params, frame)


def test_models_and_families_without_the_members_are_told_which():
    counts = np.ones((10, 1))
    with pytest.raises(ModelError, match='missing="model" needs `impute`, `incomplete`, `with_in'):
        daskem.fit(Rate(), counts, start={"rate": 1.0}, missing="model")
    with pytest.raises(ModelError, match='missing="model" needs `marginal`, which Plain does not'):
        daskem.fit(Mixture(Plain()), counts, 1, missing="model")
    with pytest.raises(ParameterError, match=r"'drop' is not one of .*'model'"):
        daskem.fit(Mixture(Gaussian()), counts, 1, missing="drop")


class OneWay(Plain):
    """The same with the one member that it takes."""

    def marginal(self, params, frame, observed):
        return self.inner.marginal(params, frame, observed)


def test_a_family_of_ones_own_needs_one_member(gaps):
    counts = holed(np.random.default_rng(0).poisson(3.0, (200, 3)).astype(float))
    start = {"weights": np.array([0.5, 0.5]), "rates": np.array([[1.0, 2, 3], [3, 2, 1]])}
    own = daskem.fit(Mixture(OneWay()), counts, start=start, algorithm="em", **FEW)
    ours = daskem.fit(Mixture(Poisson()), counts, start=start, algorithm="em", **FEW)
    assert own.log_likelihood == pytest.approx(ours.log_likelihood, rel=1e-12)
