import html
import inspect
import re
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import is_dask_collection

import daskem
from daskem.data.cluster.graph import nodes_of
from daskem.errors import DataReadError
from daskem.results.predictions import label_dtype

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


def test_answers_of_two_models_to_one_question_are_told_apart(result, rows):
    """Dask computes tasks of one name once."""
    data = da.from_array(rows, chunks=(1000, 3))
    moved = replace(
        result.best, framed={**result.best.framed, "weights": np.array([0.98, 0.01, 0.01])}
    )
    both = [one.score_samples(data) for one in (result, replace(result, runs=[moved]))]
    assert not np.isclose(*dask.compute(*both)).any()


def test_nothing_is_read_before_it_is_asked_for(result):
    def explode(chunk):
        raise AssertionError("a chunk was read")

    data = da.zeros((100, 3), chunks=(10, 3)).map_blocks(explode, meta=np.empty((0, 0)))
    for method in METHODS:
        answers = getattr(result, method)(data)
        with pytest.raises(DataReadError, match="a chunk was read"):
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_single_profile_is_labelled_too(result, field, method, lazy):
    field = field.chunk(time=20) if lazy else field
    one, of_all = (getattr(result, method)(d) for d in (field.isel(time=3, lat=4), field))
    assert is_dask_collection(one) is lazy
    xr.testing.assert_allclose(one.drop_vars("depth", errors="ignore"), of_all.isel(time=3, lat=4))
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
    model = daskem.GaussianMixture(2, random_state=0, tol=1e-2).fit(rows, sample_weight=weights)
    for criterion in ("score", "bic", "aic"):
        ours, its = getattr(model, criterion), getattr(model.result_, criterion)
        assert ours(rows, sample_weight=weights) == its(rows, weights) != ours(rows)


def test_an_answer_takes_its_name_and_its_type_from_the_question(result, field):
    assert [getattr(result, method)(field).name for method in METHODS] == [
        "labels",
        "responsibilities",
        "log_prob",
    ]
    assert result.predict(field).dtype == np.int8
    assert result.predict(field.to_numpy()).dtype == np.int64


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


def test_columns_of_a_table_are_told_apart_by_name():
    table = xr.Dataset({name: ("row", np.arange(9.0) ** p) for p, name in enumerate("abc")})
    table = table.to_dataframe()
    result = daskem.fit(daskem.Mixture(daskem.Gaussian()), table, 1, tol=1)
    assert (result.score_samples(table[["c", "a", "b"]]) == result.score_samples(table)).all()
    with pytest.raises(
        daskem.errors.DataError, match="the features are a, b, d, but the model was fitted to"
    ):
        result.predict(table.rename(columns={"c": "d"}))


# What is written.


def stored(result, method, data, path, zarr_format=2):
    answers = getattr(result, method)(data)
    answers.to_zarr(path, zarr_format=zarr_format, consolidated=False)
    return answers, xr.open_dataarray(path, engine="zarr", chunks={}, consolidated=False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_answer_is_written_and_read_as_it_is(result, field, tmp_path, method, zarr_format):
    field["time"] = xr.date_range("2000-01-01", periods=50)
    field["time"].encoding = {"units": "hours since 1900-01-01", "calendar": "proleptic_gregorian"}
    field.attrs = {"units": "K", "long_name": "temperature", "instrument": "CTD"}
    field["lat"].attrs = {"units": "degrees_north"}
    holes = field.where(field["time"].dt.day != 7)
    holes.drop_vars("level").chunk(time=25, lat=30).to_dataset().to_zarr(
        tmp_path / "in", zarr_format=zarr_format, consolidated=False
    )
    # In other chunks than those that it was stored in.
    data = xr.open_zarr(tmp_path / "in", consolidated=False)["temperature"].chunk(time=10, lat=60)
    told = replace(result, missing="omit")
    answers, again = stored(told, method, data, tmp_path / "out", zarr_format)
    assert again.chunks == answers.chunks
    assert again.chunks[:2] == data.chunks[:2]
    assert again.dtype == answers.dtype
    xr.testing.assert_identical(again.load(), answers.load())
    assert again.attrs["instrument"] == "CTD"
    assert again.attrs["units"] == "1"
    assert again["lat"].attrs == {"units": "degrees_north"}
    assert again["time"].encoding["units"] == "hours since 1900-01-01"


ENCODING = {
    "scale_factor": 0.01,
    "add_offset": 273.15,
    "_FillValue": 0,
    "missing_value": 1,
    "_Unsigned": "true",
    "dtype": "bool",
}


def written_to_netcdf(answers, path):
    answers.to_netcdf(path, engine="scipy")
    return xr.load_dataarray(path, engine="scipy")


def written_to_zarr(zarr_format):
    def there_and_back(answers, path):
        answers.to_zarr(path, zarr_format=zarr_format, consolidated=False)
        return xr.load_dataarray(path, engine="zarr", consolidated=False)

    return there_and_back


@pytest.mark.parametrize("name", ENCODING)
@pytest.mark.parametrize("whole", [False, True], ids=["array", "dataset"])
@pytest.mark.parametrize(
    "there_and_back",
    [written_to_zarr(2), written_to_zarr(3), written_to_netcdf],
    ids=["zarr2", "zarr3", "netcdf3"],
)
def test_how_the_question_was_stored_says_nothing_of_the_answer(
    result, field, tmp_path, name, whole, there_and_back
):
    holes = field.where(field["time"] > 9)
    holes = holes.to_dataset(dim="level") if whole else holes
    holes.attrs = {name: ENCODING[name], "instrument": "CTD"}
    told = replace(result, missing="omit")
    for method in METHODS:
        answers = getattr(told, method)(holes)
        again = there_and_back(answers, tmp_path / method)
        assert again.dtype == answers.dtype
        np.testing.assert_array_equal(again, answers)
        assert again.attrs["instrument"] == "CTD"
        assert name not in answers.attrs


def test_labels_are_flags_in_the_smallest_integers(result, field):
    labels = result.predict(field)
    assert labels.attrs["flag_values"].tolist() == [0, 1, 2]
    assert labels.attrs["flag_values"].dtype == labels.dtype == np.int8
    assert labels.attrs["flag_meanings"].split() == [f"component_{k}" for k in range(3)]
    for size, dtype in ((128, np.int8), (129, np.int16), (2**15, np.int16), (2**15 + 1, np.int32)):
        assert label_dtype(size) == dtype


def test_the_map_of_a_grid_is_kept(result, field):
    field = field.assign_coords(spatial_ref=0).assign_attrs(grid_mapping="spatial_ref")
    assert result.predict(field).attrs["grid_mapping"] == "spatial_ref"


def test_one_chunk_of_rows_makes_one_chunk_of_answers(result, tmp_path):
    wide = xr.DataArray(
        da.zeros((400, 30, 3), chunks=(1, 30, 3)), dims=("time", "lat", "level"), name="t"
    )
    for method in METHODS:
        array = getattr(result, method)(wide).data
        graph = dict(dask.optimize(array)[0].__dask_graph__())
        own = [key for key in graph if isinstance(key, tuple)]
        # Fused with what loads it, and so never waiting for another chunk.
        assert len(own) <= 2 * 400 + 1
        tasks = nodes_of(graph)
        for key in own:
            above = {name for name in tasks[key].dependencies if isinstance(name, tuple)}
            assert len(above) <= 1


def test_a_large_model_is_no_large_graph(rows, client):
    d = 200
    params = {
        "weights": np.full(40, 1 / 40),
        "means": np.random.default_rng(0).standard_normal((40, d)),
        "covariances": np.stack([np.eye(d)] * 40),
    }
    assert params["covariances"].nbytes > 1e7
    data = da.random.default_rng(0).standard_normal((400, d), chunks=(100, d))
    model = daskem.Mixture(daskem.Gaussian())
    large = next(daskem.iterate(model, np.asarray(data), start=params, max_passes=1))
    # Warnings are errors here.
    np.testing.assert_array_equal(large.predict(data).compute(), large.predict(np.asarray(data)))


# For reading.


def test_what_is_read_in_a_notebook(result):
    assert "\n" not in repr(result)
    assert len(repr(result)) < 120
    assert result.best.told in html.unescape(result._repr_html_())


def test_axes_in_the_table_are_lengths_in_the_spread_of_all_rows():
    rows = np.repeat([[-6.0], [6.0]], 500, axis=0) + np.random.default_rng(0).normal(size=(1000, 1))
    result = daskem.fit(daskem.Mixture(daskem.Gaussian()), rows, 2, random_state=0)
    told = [float(x) for x in re.findall(r"([\d.]+) \(1\.00\)", result.table())]
    expected = np.sqrt(result.params["covariances"].ravel()) / rows.std()
    np.testing.assert_allclose(told, expected, rtol=1e-3)


def test_axes_in_the_table_do_not_depend_on_units(rows):
    start = {"weights": [0.5, 0.5], "means": rows[:2], "covariances": [np.cov(rows.T)] * 2}
    units = np.array([2.0**20, 1.0, 2.0**-9])
    scaled = {
        "weights": start["weights"],
        "means": start["means"] * units,
        "covariances": start["covariances"] * np.multiply.outer(units, units),
    }
    model = daskem.Mixture(daskem.Gaussian())
    one = daskem.fit(model, rows, start=start, tol=1e-3)
    other = daskem.fit(model, rows * units, start=scaled, tol=1e-3)
    axes = [
        [line.split(maxsplit=5)[5] for line in r.table().splitlines()[1:]] for r in (one, other)
    ]
    assert axes[0] == axes[1]


# In their own name.


@pytest.mark.parametrize("function", [daskem.fit, daskem.iterate])
def test_a_misspelt_keyword(function, rows):
    with pytest.raises(
        TypeError, match=rf"{function.__name__}\(\) got an unexpected.*'n_componets'"
    ):
        function(daskem.Mixture(daskem.Gaussian()), rows, n_componets=2)


def test_help_on_fit_has_every_parameter():
    told = inspect.getdoc(daskem.fit)
    for name in inspect.signature(daskem.iterate).parameters:
        assert f"\n{name}" in told


@pytest.mark.parametrize("seed", ["a", -1, 1.5])
def test_what_is_no_seed(rows, seed):
    with pytest.raises(daskem.errors.ParameterError, match=f"random_state={seed!r} should be"):
        daskem.fit(daskem.Mixture(daskem.Gaussian()), rows, 2, random_state=seed)


def test_fit_predict_takes_what_fit_takes(field):
    options = {
        "sample_weight": np.cos(field["time"]) ** 2,
        "missing": "omit",
        "feature_dim": "level",
    }
    holes = field.where(field["time"] > 9)
    one = daskem.GaussianMixture(2, random_state=0, tol=1e-2).fit_predict(holes, **options)
    other = daskem.GaussianMixture(2, random_state=0, tol=1e-2).fit(holes, **options).predict(holes)
    xr.testing.assert_identical(one, other)
    assert (one[:9] == -1).all()
