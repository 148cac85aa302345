import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import is_dask_collection

import daskem

METHODS = ["predict", "predict_proba", "score_samples"]
# A row's last bits depend on where in a tile it lies, and so on the chunks.
ROUNDING = {"rtol": 1e-13, "atol": 1e-15}


@pytest.fixture(scope="module")
def result(rows, start):
    data = xr.DataArray(
        rows, dims=("profile", "level"), coords={"level": ["surface", "middle", "deep"]}
    )
    model = daskem.Mixture(daskem.Gaussian())
    return daskem.fit(model, data, start=start, feature_dim="level", tol=1e-3)


@pytest.fixture
def field(rows):
    """Rows on a grid with coordinates of every kind, (time, lat, level)."""
    return xr.DataArray(
        rows.reshape(50, 60, 3),
        dims=("time", "lat", "level"),
        coords={
            "time": np.arange(50) + 0.5,
            "lat": np.linspace(-60, 60, 60),
            "level": ["surface", "middle", "deep"],
            "depth": ("level", [0.0, 100.0, 1000.0]),
            "ship": ("time", np.arange(50) % 3),
            "region": (("time", "lat"), np.zeros((50, 60), int)),
            "cruise": 7,
        },
        name="temperature",
    )


def shape_of(method, n_rows):
    return (*n_rows, 3) if method == "predict_proba" else n_rows


@pytest.mark.parametrize("method", METHODS)
def test_numpy_in_numpy_out(result, rows, method):
    answers = getattr(result, method)(rows)
    assert type(answers) is np.ndarray
    assert answers.shape == shape_of(method, (3000,))


@pytest.mark.parametrize("method", METHODS)
def test_dask_in_lazy_dask_out_in_the_same_chunks(result, rows, method):
    data = da.from_array(rows, chunks=((1000, 1, 0, 1999), 3))
    answers = getattr(result, method)(data)
    assert isinstance(answers, da.Array)
    assert answers.chunks[0] == data.chunks[0]
    assert answers.shape == shape_of(method, (3000,))
    computed = answers.compute()
    assert computed.dtype == answers.dtype
    np.testing.assert_allclose(computed, getattr(result, method)(rows), **ROUNDING)


def test_nothing_is_read_before_it_is_asked_for(result):
    def explode(chunk):
        raise AssertionError("a chunk was read")

    data = da.zeros((100, 3), chunks=(10, 3)).map_blocks(explode, meta=np.empty((0, 0)))
    for method in METHODS:
        answers = getattr(result, method)(data)
        with pytest.raises(AssertionError, match="a chunk was read"):
            answers.compute()


@pytest.mark.parametrize("method", METHODS)
def test_chunks_of_unknown_length_stay_unknown(result, rows, method):
    data = da.from_array(rows, chunks=(500, 3))
    answers = getattr(result, method)(data[data[:, 0] > 1])
    assert np.isnan(answers.shape[0])
    expected = getattr(result, method)(rows[rows[:, 0] > 1])
    np.testing.assert_allclose(answers.compute(), expected, **ROUNDING)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dims", ["time lat level", "level time lat", "lat level time"])
def test_labels_in_labels_out(result, rows, field, method, lazy, dims):
    data = field.transpose(*dims.split())
    if lazy:
        data = data.chunk(time=20, lat=25, level=2)
    answers = getattr(result, method)(data)
    assert is_dask_collection(answers) is lazy
    samples = tuple(dim for dim in dims.split() if dim != "level")
    assert answers.dims == (
        *samples,
        *(("component",) if method == "predict_proba" else ()),
    )
    if lazy:
        assert answers.chunks[:2] == tuple(data.chunksizes[dim] for dim in samples)
    added = {"component"} if method == "predict_proba" else set()
    assert set(answers.coords) == {"time", "lat", "ship", "region", "cruise"} | added
    xr.testing.assert_equal(answers["region"], data["region"])
    straight = getattr(result, method)(rows).reshape(50, 60, *answers.shape[2:])
    np.testing.assert_allclose(answers.transpose("time", "lat", ...), straight, **ROUNDING)


def test_a_single_profile_is_labelled_too(result, field):
    one = field.isel(time=3, lat=4)
    with pytest.raises(daskem.errors.DataError, match="Reshape your data"):
        result.predict(one)
    assert result.predict(field.isel(time=[3], lat=4)).dims == ("time",)


@pytest.mark.parametrize("lazy", [False, True])
def test_responsibilities_are_probabilities(result, rows, lazy):
    data = da.from_array(rows, chunks=(700, 3)) if lazy else rows
    shares = np.asarray(result.predict_proba(data))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(shares.argmax(axis=1), np.asarray(result.predict(data)))


def test_the_score_is_the_mean_of_the_scores_of_the_samples(result, rows, field):
    each = result.score_samples(rows)
    assert result.score(rows) == pytest.approx(each.mean(), rel=1e-12)
    assert result.score(field) == result.score(rows)
    weights = np.random.default_rng(0).random(3000)
    expected = np.average(each, weights=weights)
    assert result.score(rows, weights) == pytest.approx(expected, rel=1e-12)


def test_an_answer_takes_its_name_and_its_type_from_the_question(result, field):
    assert [getattr(result, method)(field).name for method in METHODS] == [
        "labels",
        "responsibilities",
        "log_prob",
    ]
    assert result.predict(field).dtype == np.int64


def test_features_in_another_order_are_the_same_features(result, field):
    data = field.sel(level=["deep", "surface", "middle"])
    xr.testing.assert_identical(result.predict(data), result.predict(field))


def test_other_features_are_refused(result, field):
    with pytest.raises(daskem.errors.DataError, match="abyss"):
        result.predict(field.assign_coords(level=["surface", "middle", "abyss"]))


def test_a_fit_without_labels_answers_for_labelled_data(rows, start, result, field):
    plain = daskem.fit(daskem.Mixture(daskem.Gaussian()), rows, start=start, tol=1e-3)
    answers = plain.predict(field)
    assert answers.dims == ("time", "lat")
    np.testing.assert_array_equal(answers, result.predict(field))


# Parameters with labels.


def test_the_dataset_says_which_feature_is_which(result):
    dataset = result.to_dataset()
    assert dataset["weights"].dims == ("component",)
    assert dataset["means"].dims == ("component", "feature")
    assert dataset["covariances"].dims == ("component", "feature", "feature_2")
    assert dataset["feature"].values.tolist() == ["surface", "middle", "deep"]
    assert dataset["feature_2"].values.tolist() == ["surface", "middle", "deep"]
    deep = dataset["means"].sel(feature="deep")
    np.testing.assert_array_equal(deep, result.params["means"][:, 2])


@pytest.mark.parametrize(
    ("family", "dims"),
    [
        (daskem.Gaussian("tied"), ("feature", "feature_2")),
        (daskem.Gaussian("diag"), ("component", "feature")),
        (daskem.Gaussian("spherical"), ("component",)),
    ],
)
def test_covariances_have_the_dims_of_their_structure(rows, family, dims):
    result = daskem.fit(daskem.Mixture(family), rows, 2, random_state=0, tol=1)
    assert result.to_dataset()["covariances"].dims == dims


def test_a_named_feature_dim_is_found_wherever_it_lies(field):
    model = daskem.Mixture(daskem.Gaussian())
    moved = field.transpose("level", "time", "lat")
    for data in (field, moved):
        result = daskem.fit(model, data, 1, feature_dim="level", tol=1)
        np.testing.assert_allclose(
            result.params["means"][0], field.mean(("time", "lat")), rtol=1e-12
        )


def test_a_dimension_that_is_not_there_is_named(field):
    with pytest.raises(daskem.errors.DataError, match=r"'depth'.*'time', 'lat', 'level'"):
        daskem.fit(daskem.Mixture(daskem.Gaussian()), field, 1, feature_dim="depth")


def test_a_dataset_is_refused_with_what_to_do(field):
    with pytest.raises(daskem.errors.DataError, match="to_dataarray"):
        daskem.fit(daskem.Mixture(daskem.Gaussian()), field.to_dataset(), 1)


def test_columns_of_a_table_are_told_apart_by_name():
    table = xr.Dataset({name: ("row", np.arange(9.0) ** p) for p, name in enumerate("abc")})
    table = table.to_dataframe()
    result = daskem.fit(daskem.Mixture(daskem.Gaussian()), table, 1, tol=1)
    assert (result.score_samples(table[["c", "a", "b"]]) == result.score_samples(table)).all()
    with pytest.raises(
        daskem.errors.DataError, match="the features are a, b, d, but the model was fitted to"
    ):
        result.predict(table.rename(columns={"c": "d"}))
