"""Whatever holds rows comes in: Datasets in any order and any chunks, tables, groups, URLs."""

from dataclasses import replace

import dask
import dask.array as da
import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from dask.base import is_dask_collection
from hypothesis import given, settings
from hypothesis import strategies as st

import daskem
from daskem.data.inputs.columns import stack
from daskem.data.inputs.names import Features
from daskem.data.inputs.riders import aligned
from daskem.data.inputs.rows import as_rows
from daskem.errors import DaskemError, DataError, DataTypeError, ParameterError, StoreNotFoundError

MODEL = daskem.Mixture(daskem.Gaussian())
SIZES = {"time": 6, "lat": 5, "lon": 4, "level": 3}
SAMPLES = ("time", "lat", "lon")


def variable(*dims, seed=0):
    values = np.random.default_rng(seed).standard_normal([SIZES[dim] for dim in dims])
    return xr.DataArray(values, dims=dims, attrs={"units": "K"})


@pytest.fixture
def ocean():
    """Two fields, profiles, and a depth that does not change with time."""
    return xr.Dataset(
        {
            "ssh": variable(*SAMPLES, seed=1),
            "sst": variable(*SAMPLES, seed=2),
            "temp": variable("time", "level", "lat", "lon", seed=3),
            "depth": variable("lat", "lon", seed=4),
        },
        {
            "time": np.arange("2020-01", "2020-07", dtype="M8[M]").astype("M8[ns]"),
            "lat": ("lat", np.linspace(-60, 60, 5), {"units": "degrees_north"}),
            "level": [0.0, 10.0, 20.0],
            "region": (("lat", "lon"), np.arange(20).reshape(5, 4)),
        },
        {"title": "an ocean"},
    )


def fit(data, n_components=2, **options):
    options = {"random_state": 0, "tol": 1e-2, **options}
    return daskem.fit(MODEL, data, n_components, **options)


def by_hand(ocean):
    """Rows (time, lat, lon, feature) of all of it, as anybody would stack them."""
    temp = ocean["temp"].transpose(*SAMPLES, "level").to_numpy()
    flat = [ocean[name].to_numpy()[..., None] for name in ("ssh", "sst")]
    depth = np.broadcast_to(ocean["depth"].to_numpy()[..., None], (*temp.shape[:-1], 1))
    return np.concatenate([*flat, temp, depth], axis=-1)


def same(a, b):
    return all((a.params[name] == b.params[name]).all() for name in b.params)


# Datasets.


def test_variables_are_features_levels_are_columns_and_what_is_constant_is_repeated(ocean):
    rows = as_rows(ocean, sample_dims=SAMPLES)
    assert rows.dims == SAMPLES
    assert list(rows.features.names) == [
        *("ssh", "sst", "temp[0.0]", "temp[10.0]", "temp[20.0]", "depth")
    ]
    np.testing.assert_array_equal(rows.array, by_hand(ocean))
    assert same(fit(ocean, sample_dims=SAMPLES), fit(by_hand(ocean)))


@st.composite
def layouts(draw):
    """A way to store each variable: the order of its dims, and its chunks."""
    found = {}
    for name, dims in {
        "ssh": SAMPLES,
        "sst": SAMPLES,
        "temp": (*SAMPLES, "level"),
        "depth": ("lat", "lon"),
    }.items():
        order = draw(st.permutations(dims))
        sizes = {dim: draw(st.integers(1, SIZES[dim])) for dim in dims}
        found[name] = order, draw(st.sampled_from([None, sizes]))
    return found


@given(layouts())
@settings(max_examples=25)
def test_rows_do_not_depend_on_how_variables_are_stored(layout):
    plain = {name: variable(*order, seed=7) for name, (order, _) in layout.items()}
    stored = {
        name: plain[name] if chunks is None else plain[name].chunk(chunks)
        for name, (_, chunks) in layout.items()
    }
    array, _ = stack(stored, SAMPLES)
    assert is_dask_collection(array) is any(chunks is not None for _, chunks in layout.values())
    expected = [
        v.broadcast_like(plain["ssh"]).transpose(*SAMPLES, ...).to_numpy().reshape(6, 5, 4, -1)
        for v in plain.values()
    ]
    found = np.asarray(array)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.concatenate(expected, axis=-1))


@given(layouts())
@settings(max_examples=8)
def test_answers_have_the_labels_of_the_rows_however_they_are_stored(layout):
    ocean = xr.Dataset({name: variable(*layout[name][0], seed=8) for name in layout})
    for name, (_, chunks) in layout.items():
        ocean[name] = ocean[name] if chunks is None else ocean[name].chunk(chunks)
    rows = as_rows(ocean, None, SAMPLES)
    in_memory = np.asarray(rows.array)
    for method in ("predict", "predict_proba", "score_samples"):
        found = getattr(FITTED, method)(ocean)
        straight = getattr(FITTED, method)(in_memory)
        assert set(found.dims) - {"component"} == set(SAMPLES)
        expected = xr.DataArray(straight, dims=(*rows.dims, "component")[: straight.ndim])
        np.testing.assert_allclose(
            found, expected.transpose(*found.dims), rtol=1e-10, atol=1e-12, err_msg=method
        )


# Of the same six features, which is all that predicting asks for.
FITTED = replace(
    fit(np.random.default_rng(9).standard_normal((400, 6)) + np.tile([[0], [9]], (200, 1)), tol=10),
    features=Features(dims=("level",), variables=("ssh", "sst", "temp", "depth")),
)


def test_one_task_for_each_chunk_of_rows(ocean, tmp_path):
    ocean = ocean.drop_vars(["depth", "region"]).drop_encoding()
    ocean.chunk(time=1, lat=5, lon=4, level=3).to_zarr(tmp_path / "ocean.zarr", zarr_format=2)
    lazy = xr.open_zarr(tmp_path / "ocean.zarr")
    rows = as_rows(lazy, sample_dims=SAMPLES)
    assert rows.notes == ()
    assert rows.array.numblocks == (6, 1, 1, 1)
    (fused,) = dask.optimize(rows.array)
    loads = [key for key in fused.__dask_graph__() if isinstance(key, tuple)]
    assert len(loads) == 6


def test_unlike_chunks_are_noted_with_what_they_cost(ocean):
    even = fit(ocean[["ssh", "sst"]].chunk(time=2), cache="none")
    assert even.notes == ()
    uneven = ocean[["ssh", "sst"]].chunk(time=2)
    uneven["sst"] = ocean["sst"].chunk(time=3)
    found = fit(uneven, cache="none")
    (note,) = found.notes
    assert "chunked differently" in note
    assert "sst, 2 chunks of 480 B, into 4 of 320 B" in note
    assert f"note: {note}" in str(found)
    # The same rows in the same order, in blocks of other sizes.
    np.testing.assert_allclose(found.params["means"], even.params["means"], rtol=1e-9)


def test_profiles_in_several_chunks_are_gathered_with_a_note(ocean):
    whole = fit(ocean[["temp"]].chunk(time=2), sample_dims=SAMPLES, cache="none")
    split = fit(ocean[["temp"]].chunk(time=2, level=2), sample_dims=SAMPLES)
    assert whole.notes == ()
    assert "temp lies in chunks of (2, 1) along level" in split.notes[0]
    assert same(whole, split)


def test_variables_are_found_by_name_whatever_their_order(ocean):
    result = fit(ocean, features=["sst", "ssh"])
    assert result.features.variables == ("sst", "ssh")
    expected = result.predict(ocean[["ssh", "depth", "sst", "temp"]])
    xr.testing.assert_identical(result.predict(ocean), expected)
    np.testing.assert_array_equal(expected, result.predict(by_hand(ocean)[..., [1, 0]]))
    with pytest.raises(DataError, match=r"no variable 'ssh' that the model .*; it has \['sst'\]"):
        result.predict(ocean[["sst"]])
    with pytest.raises(DataError, match=r"no variable 'sss'"):
        fit(ocean, features=["sss"])


def test_levels_are_found_by_their_coordinates(ocean):
    result = fit(ocean, features=["temp", "sst"], sample_dims=SAMPLES)
    upside_down = ocean.sel(level=[20.0, 0.0, 10.0])
    xr.testing.assert_identical(result.predict(upside_down), result.predict(ocean))
    with pytest.raises(DataError, match=r"features are temp\[0.0\], .*temp\[30.0\].*fitted to"):
        result.predict(ocean.assign_coords(level=[0.0, 10.0, 30.0]))


def test_a_fit_to_one_grid_answers_on_another(ocean):
    result = fit(ocean.stack(profile=SAMPLES, create_index=False), sample_dims="profile")
    answers = result.predict(ocean)
    assert answers.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(answers, result.predict(by_hand(ocean)))


def test_a_dataset_and_its_array_are_the_same_data(ocean):
    ocean = ocean[["ssh", "sst"]]
    one, other = fit(ocean), fit(ocean.to_dataarray("feature"))
    assert same(one, other)
    xr.testing.assert_equal(one.predict(ocean), one.predict(ocean.to_dataarray("variable")))
    xr.testing.assert_equal(other.predict(ocean[["sst", "ssh"]]), one.predict(ocean))


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("dims", [SAMPLES, ("time", "lat"), ("time",)])
def test_an_array_has_the_rows_of_its_sample_dims(ocean, dims):
    columns = [dim for dim in SAMPLES if dim not in dims]
    rows = as_rows(ocean["sst"], sample_dims=dims)
    expected = ocean["sst"].to_numpy().reshape(*(SIZES[dim] for dim in dims), -1)
    np.testing.assert_array_equal(rows.array, expected)
    assert rows.features.dims == tuple(columns)
    result = fit(ocean["sst"], 1, sample_dims=dims)
    assert result.predict(ocean["sst"]).dims == dims


def test_variables_of_different_dims_are_refused_with_what_to_do(ocean):
    with pytest.raises(DataError, match=r"depth \('lat', 'lon'\).*pass sample_dims"):
        fit(ocean)
    with pytest.raises(DataError, match=r"no dimension 'profile'; the data have \('time'"):
        fit(ocean, sample_dims=["profile"])
    with pytest.raises(DataError, match="both the feature_dim and one of the sample_dims"):
        fit(ocean, sample_dims=SAMPLES, feature_dim="lat")
    with pytest.raises(DataError, match=r"sample_dims=\.\.\. needs an xarray"):
        fit(by_hand(ocean), sample_dims=SAMPLES)
    with pytest.raises(DataError, match=r"features=\[...\] needs data whose features have names"):
        fit(by_hand(ocean), features=["sst"])


def test_a_variable_that_holds_no_numbers_is_named(ocean):
    ocean["when"] = ocean["time"].broadcast_like(ocean["sst"])
    with pytest.raises(DataTypeError, match=r"some variables .*'when' \(datetime64.*features=\["):
        fit(ocean[["sst", "when"]])


# Weights.


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_broadcast_by_name(ocean, lazy):
    cos = np.cos(np.deg2rad(ocean["lat"]))
    data = ocean[["ssh", "sst"]]
    found = fit(data.chunk(time=2, lat=3) if lazy else data, sample_weight=cos)
    weights = np.broadcast_to(cos.to_numpy()[:, None], (6, 5, 4))
    expected = fit(by_hand(ocean)[..., :2], sample_weight=weights)
    for name in expected.params:
        np.testing.assert_allclose(found.params[name], expected.params[name], rtol=1e-8)
    assert found.score(data, cos) == pytest.approx(expected.score(by_hand(ocean)[..., :2], weights))


def test_weights_broadcast_in_the_chunks_of_the_rows(ocean):
    rows = as_rows(ocean[["sst"]].chunk(time=2, lat=3))
    lazy = aligned(rows, np.cos(np.deg2rad(ocean["lat"])))
    assert lazy["sample_weight"].chunks == rows.array.chunks[:-1]


def test_weights_of_other_places_are_refused(ocean):
    cos = np.cos(np.deg2rad(ocean["lat"]))
    for wrong in (cos.isel(lat=slice(None, None, -1)), cos.isel(lat=slice(3))):
        with pytest.raises(DataError, match=r"other coordinates along 'lat'.*reindex\(lat=data"):
            fit(ocean[["sst"]], sample_weight=wrong)
    with pytest.raises(DataError, match=r"dims \('level',\), but the rows have"):
        fit(ocean[["sst"]], sample_weight=ocean["level"])


def test_the_poles_weigh_nothing_in_single_precision(ocean):
    ocean["lat"] = np.array([-90, -45, 0, 45, 90], dtype="f4")
    cos = np.cos(np.deg2rad(ocean["lat"]))
    assert cos.min() < 0
    data = ocean[["ssh", "sst"]]
    assert same(fit(data, sample_weight=cos), fit(data, sample_weight=cos.clip(0)))
    with pytest.raises(DataError, match=r"sample_weight -0.7\d+ at"):
        fit(data, sample_weight=-cos)
    # What is below zero by more than rounding is not taken for it.
    with pytest.raises(DataError, match=r"sample_weight -9\.99"):
        fit(data, sample_weight=cos.where(cos > 0, -1e-4))


# Missing rows.


def masked(ocean):
    land = ocean["region"] % 3 == 0
    return ocean[["ssh", "sst"]].where(~land), land


@pytest.mark.parametrize("chunks", [None, {"time": 1}, {"time": 4, "lat": 2}])
def test_the_mask_comes_back(ocean, chunks):
    data, land = masked(ocean)
    data = data if chunks is None else data.chunk(chunks)
    start = {"weights": [0.5, 0.5], "means": np.eye(2), "covariances": [np.eye(2)] * 2}
    result = fit(data, missing="omit", start=start)
    sea = by_hand(ocean)[..., :2][:, ~land.to_numpy()]
    expected = fit(sea.reshape(-1, 2), start=start)
    assert result.n_rows == expected.n_rows == sea.size / 2
    for name in expected.params:
        np.testing.assert_allclose(result.params[name], expected.params[name], rtol=1e-9)
    labels, proba = result.predict(data), result.predict_proba(data)
    everywhere = land.broadcast_like(labels).transpose(*labels.dims)
    assert labels.dtype == np.int8
    np.testing.assert_array_equal(labels == -1, everywhere)
    np.testing.assert_array_equal(np.isnan(result.score_samples(data)), everywhere)
    np.testing.assert_array_equal(np.isnan(proba).all("component"), everywhere)
    at_sea = labels.to_numpy()[:, ~land.to_numpy()]
    np.testing.assert_array_equal(at_sea, result.predict(sea))
    assert labels.attrs["flag_values"].tolist() == [-1, 0, 1]
    assert labels.attrs["flag_meanings"] == "missing component_0 component_1"
    assert result.score(data) == pytest.approx(float(result.score_samples(data).mean()))


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_row_is_missing_where_any_of_its_features_is(ocean):
    rows = by_hand(ocean).reshape(-1, 6)
    rows[7, 2] = np.nan
    start = {"weights": [0.5, 0.5], "means": rows[:2], "covariances": [np.eye(6)] * 2}
    result = fit(rows, missing="omit", start=start, max_passes=3)
    assert same(result, fit(np.delete(rows, 7, axis=0), start=start, max_passes=3))
    assert np.flatnonzero(result.predict(rows) == -1).tolist() == [7]


def test_missing_rows_are_an_error_unless_they_are_to_be_omitted(ocean):
    data, _ = masked(ocean)
    for values in (data, data.chunk(time=2)):
        with pytest.raises(DataError, match=r'NaN at .*fit with missing="omit"'):
            fit(values)
    with pytest.raises(ParameterError, match="missing='drop' is not one of"):
        fit(data, missing="drop")


@pytest.mark.parametrize("lazy", [False, True])
def test_what_is_infinite_is_an_error_either_way(ocean, lazy):
    rows = by_hand(ocean).reshape(-1, 6)
    rows[3, 1] = np.nan
    result = fit(rows, missing="omit")
    rows[7, 2] = np.inf
    data = da.from_array(rows, chunks=(50, 6)) if lazy else rows
    with pytest.raises(DataError, match=r"inf at chunk 0, row 7 .*column 2"):
        fit(data, missing="omit")
    with pytest.raises(DataError, match=r"inf at chunk 0, row 7[ ,].*column 2"):
        np.asarray(result.predict(data))


def test_a_model_remembers_what_is_missing_and_where_its_features_are(ocean, tmp_path):
    data, _ = masked(ocean)
    data["temp"] = ocean["temp"]
    result = fit(data, missing="omit", sample_dims=SAMPLES)
    result.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert again.missing == "omit"
    assert again.features.dims == ("level",)
    xr.testing.assert_identical(again.predict(data), result.predict(data))


# Tables.


def table(n_rows=300):
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(0).standard_normal((n_rows, 3))
    return pandas.DataFrame(values, columns=["a", "b", "c"]).assign(name="x")


def test_columns_of_a_table_are_chosen_by_name():
    result = fit(table(), features=["c", "a"])
    assert same(result, fit(table()[["c", "a"]].to_numpy()))
    np.testing.assert_array_equal(result.predict(table()), result.predict(table()[["a", "c"]]))
    with pytest.raises(DataError, match="features are a, b, c, name, but you asked for z"):
        fit(table(), features=["z"])


def test_tables_of_dask_keep_their_partitions(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pytest.importorskip("dask.dataframe")
    table().to_parquet(tmp_path / "0.parquet")
    table(200).to_parquet(tmp_path / "1.parquet")
    lazy = frame.read_parquet(tmp_path, columns=["a", "b", "c"])
    result = fit(lazy, features=["a", "b"])
    rows = np.concatenate([table(), table(200)])[:, :2].astype(float)
    assert result.n_rows == 500
    np.testing.assert_allclose(
        result.params["means"].mean(0), fit(rows).params["means"].mean(0), atol=1
    )
    labels = result.predict(lazy)
    assert isinstance(labels, frame.Series)
    np.testing.assert_array_equal(labels.compute(), result.predict(rows))
    # Dask joins the partitions of files once few columns are used, in each expression otherwise.
    weighted = frame.read_parquet(tmp_path)
    weighted["c"] = abs(weighted["c"])
    by_name = fit(weighted, features=["a", "b"], sample_weight="c")
    by_hand = fit(weighted[["a", "b"]], sample_weight=weighted["c"])
    np.testing.assert_array_equal(by_name.params["means"], by_hand.params["means"])
    weights = np.abs(np.concatenate([table()["c"], table(200)["c"]]))
    assert by_name.n_rows == pytest.approx(weights.sum())
    in_three = frame.from_pandas(table()[["a", "b"]], npartitions=3)
    assert result.predict_proba(in_three).npartitions == 3


# Stores.


def elsewhere(path):
    """URL of a copy of a store that is not in a file system of this machine."""
    url = f"memory://{path}"
    fsspec.filesystem("memory").put(str(path), url, recursive=True)
    return url


@pytest.mark.parametrize("how", ["path", "url", "group", "elsewhere"])
def test_arrays_of_a_group_are_features(ocean, tmp_path, how):
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    rows = by_hand(ocean).reshape(-1, 6)
    path = tmp_path / "g.zarr"
    zarr.create_array(path, name="ssh", data=rows[:, 0], chunks=(50,))
    zarr.create_array(path, name="sst", data=rows[:, 1], chunks=(50,))
    zarr.create_array(path, name="temp", data=rows[:, 2:5], chunks=(50, 3))
    places = {"path": path, "url": f"file://{path}", "group": group, "elsewhere": elsewhere(path)}
    data = places[how]
    chunked = da.from_array(rows, chunks=-1)  # Small chunks of a store are fetched together.
    result = fit(data, features=["sst", "ssh"])
    assert same(result, fit(chunked[:, [1, 0]]))
    np.testing.assert_array_equal(result.predict(data), result.predict(rows[:, [1, 0]]))
    wide = fit(data, features=["ssh", "temp"], sample_dims="dim_0")
    assert same(wide, fit(chunked[:, [0, 2, 3, 4]]))
    with pytest.raises(StoreNotFoundError, match=r"no array 'sss'; it holds \['ssh', 'sst'"):
        fit(data, features=["sss"])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_that_xarray_has_written_is_a_dataset(ocean, tmp_path, zarr_format):
    path = tmp_path / "ocean.zarr"
    packing = {"ssh": {"dtype": "i2", "scale_factor": 0.001, "_FillValue": -32768}}
    ocean[["ssh", "sst"]].to_zarr(
        path, encoding=packing, zarr_format=zarr_format, consolidated=zarr_format == 2
    )
    opened = xr.open_zarr(path, consolidated=zarr_format == 2)
    for data in (path, f"file://{path}", zarr.open_group(path, mode="r"), elsewhere(path)):
        result = fit(data)
        assert same(result, fit(opened[["ssh", "sst"]]))
        xr.testing.assert_identical(result.predict(data).load(), result.predict(opened).load())


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_model_at_a_url(ocean, tmp_path, scheme):
    result, url = fit(by_hand(ocean)), f"{scheme}://{tmp_path}/model"
    with pytest.raises(DaskemError, match="model"):
        daskem.load(url)
    result.save(url)
    assert same(daskem.load(url), result)
    result.save(url)
    assert same(daskem.load(url), result)
    assert (tmp_path / "model").exists() is (scheme == "file")
