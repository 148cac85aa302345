"""Bad input gets an error that says where, and what to do."""

import re
from functools import cache

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import daskem
from daskem.data.inputs import open_zarr
from daskem.errors import (
    DataError,
    DataTypeError,
    ModelError,
    ParameterError,
    StoreNotFoundError,
)

MODEL = daskem.Mixture(daskem.Gaussian())
POISSON = daskem.Mixture(daskem.Poisson())
BERNOULLI = daskem.Mixture(daskem.Bernoulli())


def good(n_rows=1000, n_features=3):
    return np.random.default_rng(0).standard_normal((n_rows, n_features))


def spoilt(value, row, column, data=None):
    rows = good() if data is None else data.astype(float)
    rows[row, column] = value
    return rows


def chunked(rows, size=100):
    return da.from_array(rows, chunks=(size, -1))


def fit(data, model=MODEL, n_components=2, **options):
    return daskem.fit(model, data, n_components, random_state=0, tol=1, **options)


@cache
def fitted():
    """A fit of good rows, for those who ask it about bad ones."""
    return fit(good())


# Values.


def test_a_column_with_a_name_is_called_by_it():
    rows = spoilt(np.nan, 321, 1)
    names = ["temperature", "salinity", "oxygen"]
    data = xr.Dataset({name: ("profile", rows[:, i]) for i, name in enumerate(names)})
    result = fit(data.isel(profile=slice(0, 300)))
    named = r"NaN at chunk .*21.*, column 1 \('salinity'\); expected finite"
    for attempt in (fit, result.score, result.predict, lambda d: fit(d.to_dataframe())):
        for asked in (data, data.chunk(profile=100)):
            with pytest.raises(DataError, match=named):
                np.asarray(attempt(asked))


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_values_that_are_not_finite(value, shown):
    with pytest.raises(DataError, match=rf"{shown} at chunk 0, row 321 .*, column 2.*[Dd]rop"):
        fit(spoilt(value, 321, 2))
    where = rf"{shown} at chunk 3, row 21 \(row 321 of the input\), column 2"
    with pytest.raises(
        DataError, match=rf"{where}; expected finite numbers below 1e.145. Drop or fill"
    ):
        fit(chunked(spoilt(value, 321, 2)))


def test_values_in_chunks_of_unknown_length_are_placed_in_their_chunk():
    data = chunked(spoilt(np.nan, 321, 2))
    with pytest.raises(DataError, match=r"NaN at chunk 3, row 21, column 2;"):
        fit(data[data[:, 0] > -np.inf])


COUNTS = np.random.default_rng(0).poisson(3, (1000, 2))
FLAGS = np.random.default_rng(0).random((1000, 2)) < 0.5


@pytest.mark.parametrize(
    ("model", "data", "value", "domain"),
    [
        (POISSON, COUNTS, -1.0, "whole numbers >= 0"),
        (POISSON, COUNTS, 2.5, "whole numbers >= 0"),
        (POISSON, COUNTS, np.nan, "whole numbers >= 0"),
        (BERNOULLI, FLAGS, 2.0, "zeros and ones"),
        (BERNOULLI, FLAGS, 0.5, "zeros and ones"),
        (BERNOULLI, FLAGS, np.nan, "zeros and ones"),
    ],
)
def test_values_that_a_family_cannot_have_made(model, data, value, domain):
    shown = "NaN" if np.isnan(value) else value
    where = rf"{shown} at chunk 7, row 77 \(row 777 of the input\), column 1; expected {domain}"
    with pytest.raises(DataError, match=where):
        fit(chunked(spoilt(value, 777, 1, data)), model)
    result = fit(chunked(data), model, max_passes=500)
    with pytest.raises(DataError, match=f"{shown} at chunk 0, row 777, column 1; expected"):
        result.predict(spoilt(value, 777, 1, data))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_values_hidden_in_a_chunk_of_a_lazy_prediction(method):
    lazy = getattr(fitted(), method)(chunked(spoilt(np.nan, 321, 2)))
    with pytest.raises(
        DataError, match=r"NaN at chunk 3, row 21 \(row 321 of.*column 2; expected finite"
    ):
        lazy.compute()


def test_values_in_a_prediction_from_memory():
    with pytest.raises(
        DataError, match=r"NaN at .*row 321, column 2; expected finite numbers below 1e.145"
    ):
        fitted().score_samples(spoilt(np.nan, 321, 2))


def test_values_in_data_that_are_scored():
    with pytest.raises(DataError, match=r"NaN at chunk 3, row 21"):
        fitted().score(chunked(spoilt(np.nan, 321, 2)))


def test_masked_values_are_not_taken_for_values():
    with pytest.raises(DataError, match=r"mask"):
        fit(np.ma.masked_less(good(), -1))


# Kinds and shapes.


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "error", "message"),
    [
        ("c16", DataError, "Complex data not supported: the data are complex128"),
        ("M8[s]", DataTypeError, r"datetime64\[s\]; rows must be real .* days since a reference"),
        ("m8[s]", DataTypeError, r"timedelta64\[s\]; rows must be real numbers"),
        ("U8", DataTypeError, "<U8; rows must be real numbers.*indicator columns"),
    ],
)
def test_what_is_not_a_real_number(dtype, error, message, lazy):
    rows = np.arange(20).reshape(10, 2).astype(dtype)
    with pytest.raises(error, match=message):
        fit(chunked(rows) if lazy else rows)


def test_objects_that_are_not_numbers():
    with pytest.raises(
        DataTypeError, match=r"Python objects, and not all of them are numbers: .*x"
    ):
        fit(np.array([["x", 1.0], [2.0, 3.0]], dtype=object))
    with pytest.raises(DataTypeError, match="object; rows must be real numbers"):
        fit(chunked(good().astype(object)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"got an array of shape \(\). Reshape"),
        ((10,), r"got an array of shape \(10,\). Reshape your data with array.reshape\(-1, 1\)"),
        ((10, 0), r"0 feature\(s\) \(shape=\(10, 0\)\) while a minimum of 1 is required"),
        ((0, 3), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
        ((0, 5, 3), r"0 sample\(s\) \(shape=\(0, 5, 3\)\)"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, da.asarray, xr.DataArray])
def test_shapes_without_rows_or_features(shape, message, kind):
    if kind is xr.DataArray and not shape:
        pytest.skip("a DataArray without dimensions has none to be features")
    with pytest.raises(DataError, match=message):
        fit(kind(np.zeros(shape)), feature_dim=f"dim_{len(shape) - 1}")


def test_a_labelled_array_that_could_be_read_in_several_ways():
    field = xr.DataArray(good(60).reshape(3, 20, 3), dims=("time", "lat", "lon"))
    with pytest.raises(DataError, match=r"'time', 'lat', 'lon'.* holds the features\? Pass"):
        fit(field)
    assert fit(field, feature_dim="lon").n_features == 3


@pytest.mark.parametrize(
    "thing", [daskem.Poisson(), daskem.Mixture, daskem.GaussianMixture(2), good(), None]
)
def test_what_is_no_model(thing):
    with pytest.raises(ModelError, match="has no e_step"):
        fit(good(), thing)


def test_a_class_is_no_family():
    with pytest.raises(ParameterError, match=r"needs a family, such as Mixture\(daskem.Gaussian\("):
        daskem.Mixture(daskem.Poisson)


def test_a_misspelt_parameter_of_a_start():
    with pytest.raises(
        ParameterError, match=r"\['rate'\], but the params are \['rates', 'weights'\]"
    ):
        fit(np.ones((9, 1)), POISSON, start={"rate": [[1.0], [2.0]]})


def test_chunks_that_all_turn_out_empty():
    data = chunked(good())
    with pytest.raises(DataError, match="no rows to fit: every chunk is empty"):
        fit(data[data[:, 0] > 1e9])


def test_data_whose_rows_are_all_missing():
    with pytest.raises(DataError, match=r"no rows to fit: all 1,?\d* rows have a NaN"):
        fit(good() * np.nan, missing="omit")


def test_lists_of_unequal_length():
    with pytest.raises(DataError, match=r"length|shape"):
        fit([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("data", [good(4), chunked(good(4), 3)], ids=["numpy", "dask"])
def test_fewer_rows_than_components(data):
    with pytest.raises(DataError, match=r"n_samples >= n_components .* = 5, n_samples = 4"):
        fit(data, n_components=5)


def test_features_in_several_chunks_are_gathered_with_a_note():
    split, whole = fit(da.from_array(good(), chunks=(100, 2))), fit(chunked(good()))
    assert whole.notes == ()
    assert "chunks of (2, 1)" in split.notes[0]
    assert f"note: {split.notes[0]}" in str(split)
    assert all((split.params[name] == whole.params[name]).all() for name in whole.params)


def test_features_in_chunks_that_are_too_long_to_gather():
    data = da.zeros((10**6, 2000), chunks=(10**6, 1))
    with pytest.raises(DataError, match=r"gathering them would make chunks of .*GiB. Rechunk"):
        fit(data)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic"])
@pytest.mark.parametrize("lazy", [False, True])
def test_another_number_of_features_than_was_fitted(method, lazy):
    rows = chunked(good(n_features=2)) if lazy else good(n_features=2)
    with pytest.raises(DataError, match=r"X has 2 features, but .* is expecting 3 features"):
        getattr(fitted(), method)(rows)


# Stores.


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(StoreNotFoundError, match=r"no zarr store at '.*nowhere.zarr'"):
        fit(tmp_path / "nowhere.zarr")


def test_what_is_no_store(tmp_path):
    (tmp_path / "table.csv").write_text("1,2\n3,4\n")
    (tmp_path / "folder").mkdir()
    for name in ("table.csv", "folder"):
        with pytest.raises(StoreNotFoundError, match=rf"no zarr store at '.*{name}'"):
            fit(str(tmp_path / name))


def test_an_array_that_is_not_in_the_store(tmp_path):
    zarr.open_group(tmp_path / "g.zarr", mode="w")
    for name in ("temperature", "salinity"):
        zarr.create_array(tmp_path / "g.zarr", name=name, data=good())
    listed = r"it holds (the arrays )?\['salinity', 'temperature'\]"
    with pytest.raises(StoreNotFoundError, match=rf"is a group, not an array; {listed}"):
        fit(tmp_path / "g.zarr")
    with pytest.raises(StoreNotFoundError, match=rf"has no array 'density'; {listed}"):
        open_zarr(tmp_path / "g.zarr", "density")


@pytest.mark.parametrize(("zarr_format", "file"), [(2, ".zarray"), (3, "zarr.json")])
def test_a_store_whose_metadata_are_damaged_is_not_said_to_be_missing(tmp_path, zarr_format, file):
    zarr.create_array(tmp_path / "a.zarr", data=good(), zarr_format=zarr_format)
    (tmp_path / "a.zarr" / file).write_text('{"shape": [1000,')
    with pytest.raises(daskem.errors.DaskemError, match=r"a\.zarr.*(damaged|cannot be read)"):
        fit(tmp_path / "a.zarr")


# Weights.


@pytest.mark.parametrize("shape", [(999,), (1000, 1), (1000, 3), ()])
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_of_the_wrong_shape(shape, lazy):
    with pytest.raises(DataError, match=r"sample_weight has shape .*each of the rows, \(1000,\)"):
        fit(chunked(good()) if lazy else good(), sample_weight=np.ones(shape))


@pytest.mark.parametrize(("value", "shown"), [(-1, "-1.0"), (np.nan, "nan"), (np.inf, "inf")])
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_that_count_nothing(value, shown, lazy):
    weights = np.ones(1000)
    weights[321] = value
    where = r"chunk 3, row 21 \(row 321 of the input\)" if lazy else "chunk 0, row 321"
    with pytest.raises(DataError, match=rf"sample_weight {shown} at {where}") as error:
        fit(chunked(good()) if lazy else good(), sample_weight=weights)
    # The remedy for rows is none for weights.
    assert "numbers >= 0" in str(error.value)


def test_weights_that_are_all_zero():
    with pytest.raises(DataError, match="every sample_weight is zero"):
        fit(good(), sample_weight=np.zeros(1000))


@pytest.mark.parametrize("dtype", ["c16", "U4", "M8[s]"])
def test_weights_that_are_not_real_numbers(dtype):
    with pytest.raises(DataError, match="sample_weight"):
        fit(good(), sample_weight=np.ones(1000).astype(int).astype(dtype))


def test_weights_that_do_not_fit_chunks_of_unknown_length():
    data = chunked(good())
    some = data[data[:, 0] > 0]
    for weights in (da.ones(1000, chunks=100), da.ones(1000, chunks=500), np.ones(500)):
        with pytest.raises(DataError, match="sample_weight"):
            fit(some, sample_weight=weights)


# Starts.

START = {
    "weights": np.full(2, 0.5),
    "means": np.zeros((2, 3)),
    "covariances": np.stack([np.eye(3)] * 2),
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("means", np.zeros((2, 4)), r"along 'feature', but there should be 3|'covariances' has"),
        ("means", np.zeros((3, 3)), r"'means' has shape \(3, 3\); it should be \(2, 'feature'\)"),
        ("means", np.zeros(3), r"'means' has shape \(3,\)"),
        ("covariances", np.eye(3), r"'covariances' has shape \(3, 3\); it should be \(2, 3, 3\)"),
        ("covariances", -START["covariances"], r"(?s)covariances\[0\] .*positive definite"),
        ("weights", np.array([0.5, 0.6]), "weights.*probabilities that add to 1"),
        ("weights", np.array([1.5, -0.5]), "weights.*probabilities that add to 1"),
        ("means", np.full((2, 3), np.nan), r"means\[0, 0\] = nan is not among: finite numbers"),
        ("rates", np.ones((2, 3)), "rates"),
    ],
)
def test_starts_of_the_wrong_shape_or_range(name, value, message):
    with pytest.raises(ParameterError, match=message):
        fit(good(), start={**START, name: value}, n_components=None)


def test_a_start_of_another_size_than_asked_for():
    with pytest.raises(ParameterError, match="2 along 'component', but there should be 3"):
        fit(good(), start=START, n_components=3)


def test_neither_a_start_nor_a_number_of_components():
    with pytest.raises(ParameterError, match="pass n_components, or start with"):
        fit(good(), n_components=None)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tol": -1}, r"tol=-1 should be a number >= 0"),
        ({"tol": float("nan")}, r"tol=nan should be a number >= 0"),
        ({"max_passes": 0}, r"max_passes=0 should be a whole number >= 1"),
        ({"n_components": 0}, r"n_components=0 should be a whole number >= 1"),
        ({"n_components": True}, r"n_components=True should be a whole number >= 1"),
        ({"n_components": 2.5}, r"n_components=2.5 should be"),
        ({"n_init": 0}, r"n_init=0 should be"),
        ({"init_params": "psychic"}, r"'psychic' is not one of \['k-means\+\+'"),
    ],
)
def test_settings_out_of_range(option, message):
    options = {"n_components": 2, "tol": 1, "random_state": 0, **option}
    with pytest.raises(ParameterError, match=message):
        daskem.fit(MODEL, good(), **options)


def test_packed_values_are_not_taken_for_numbers(tmp_path):
    packing = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 10.0, "_FillValue": -32768}
    data = xr.Dataset({"t": (("time", "feature"), good())})
    data.to_zarr(tmp_path / "packed", encoding={"t": packing}, zarr_format=2, consolidated=True)
    with pytest.raises(DataError, match=r"stores packed values .*xarray\.open_zarr"):
        fit(tmp_path / "packed" / "t")
    assert fit(xr.open_zarr(tmp_path / "packed")["t"]).n_rows == 1000


def test_a_zarr_group_is_not_an_array(tmp_path):
    zarr.open_group(tmp_path / "group", mode="w").create_array("rows", shape=(9, 2), dtype="f8")
    with pytest.raises(DataError, match=r"one of its arrays \['rows'\], or choose"):
        fit(zarr.open_group(tmp_path / "group"))


@pytest.mark.parametrize(
    ("attempt", "kind", "words"),
    [
        (lambda m, x: daskem.fit(m, x, "3"), ParameterError, "n_components='3' should be a whole"),
        (lambda m, x: daskem.fit(m, x, {"a": 2}), ParameterError, "should be a whole"),
        (lambda m, x: daskem.plan(m, x, n_components="2"), ParameterError, "should be a whole"),
        (lambda m, x: daskem.select(x, [2], models=m), ParameterError, "a dict of them by name"),
        (lambda m, x: daskem.fit(m, x, 2, along=x[:, 0]), DataError, "along is a ndarray; pass a"),
        (lambda m, x: daskem.fit(m, x, 2, along="kind"), DataError, "along is a str; pass a dict"),
        (
            lambda m, x: daskem.fit(m, x, 2, along={"components": x[:, 0]}),
            DataError,
            "Mixture knows nothing of 'components'",
        ),
        (
            lambda m, x: daskem.Mixture(daskem.Gaussian(), noise=0.1),
            ParameterError,
            "True or False",
        ),
        (lambda m, x: daskem.Categorical(prior_rows="1"), ParameterError, "should be a number >="),
        (
            lambda m, x: daskem.Poisson(prior_rows=np.inf),
            ParameterError,
            "prior_rows=inf should be",
        ),
    ],
)
def test_slips_of_the_pen_are_told(attempt, kind, words):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(kind, match=re.escape(words)):
        attempt(daskem.Mixture(daskem.Gaussian()), rows)


def test_what_rides_along_with_an_answer_is_known_too():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    result = daskem.fit(daskem.Mixture(daskem.Gaussian()), rows, 1)
    with pytest.raises(DataError, match="knows nothing of 'componet'"):
        result.predict(rows, along={"componet": np.zeros(40)})
