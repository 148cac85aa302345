"""Sequences along a dimension of labelled data: in the order, chunks and labels of the input."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import daskem
from daskem import Gaussian, HiddenMarkov, Poisson
from daskem.core.parameters import Params
from daskem.data.inputs import as_blocks
from daskem.data.inputs.rows import as_rows
from daskem.errors import DataError, ParameterError

TRUTH = {
    "initial": np.array([0.6, 0.4]),
    "transitions": np.array([[0.9, 0.1], [0.2, 0.8]]),
    "means": np.array([[0.0, 1.0], [3.0, -1.0]]),
    "covariances": np.stack([np.eye(2)] * 2),
}
N_TIME, N_LAT, N_LON = 30, 6, 8
FEW = {"start": TRUTH, "algorithm": "em", "max_passes": 3, "tol": 0}
MODEL = HiddenMarkov(Gaussian(resolution=0))
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


@pytest.fixture(scope="module")
def rows():
    """Rows of all sequences, one after the other, (lat * lon * time, feature)."""
    rng = np.random.default_rng(0)
    sequences = [MODEL.sample(Params(TRUTH), N_TIME, rng)[0] for _ in range(N_LAT * N_LON)]
    return np.concatenate(sequences)


@pytest.fixture(scope="module")
def field(rows):
    """The same, (time, lat, lon)."""
    grid = rows.reshape(N_LAT, N_LON, N_TIME, 2)
    coords = {
        "time": np.arange("2020-01-01", "2020-01-31", dtype="datetime64[D]").astype("M8[ns]"),
        "lat": np.linspace(-50, 50, N_LAT),
        "lon": np.arange(0.0, 360, 45),
    }
    variables = {n: (("lat", "lon", "time"), grid[..., i]) for i, n in enumerate("ab")}
    return xr.Dataset(variables, coords).transpose("time", "lat", "lon")


def answers(result, data, **more):
    return [getattr(result, m)(data, **more) for m in ("predict", "predict_proba")]


def test_the_fit_is_that_of_the_sequences_one_after_the_other(rows, field):
    plain = daskem.fit(MODEL, rows, lengths=[N_TIME] * (N_LAT * N_LON), **FEW)
    along = daskem.fit(MODEL, field, sequence_dim="time", **FEW)
    for name, value in plain.params.items():
        np.testing.assert_array_equal(along.params[name], value)
    for method in ("score", "bic", "aic"):
        expected = getattr(plain, method)(rows, lengths=N_TIME)
        assert getattr(along, method)(field) == expected


@pytest.mark.parametrize(
    "chunks", [{"time": 7}, {"lat": 2, "lon": 3}, {"time": 10, "lat": 4, "lon": 5}]
)
def test_chunks_are_whole_sequences_of_which_the_first_axis_need_not_be_whole(rows, field, chunks):
    plain = daskem.fit(MODEL, rows, lengths=N_TIME, **FEW)
    lazy = field.chunk(chunks)
    along = daskem.fit(MODEL, lazy, sequence_dim="time", **FEW)
    for name, value in plain.params.items():
        np.testing.assert_allclose(along.params[name], value, rtol=1e-10, atol=1e-12)
    told = [note for note in along.notes if "the sequences lie in chunks of" in note]
    assert len(told) == ("time" in chunks)
    theirs = answers(plain, rows, lengths=N_TIME)
    for found, expected in zip(answers(along, lazy), theirs, strict=True):
        assert isinstance(found.data, da.Array)
        assert found.chunksizes["time"] == lazy.chunksizes["time"]
        assert found.dims[:3] == ("time", "lat", "lon")
        assert "path" in found.attrs["long_name"] or found.ndim == 4
        assert found["time"].identical(field["time"])
        there = found.transpose("lat", "lon", "time", ...).to_numpy()
        np.testing.assert_allclose(there.reshape(expected.shape), expected, rtol=1e-9, atol=1e-12)


def test_a_sequence_has_one_score(rows, field):
    along = daskem.fit(MODEL, field, sequence_dim="time", **FEW)
    alone = along.score_samples(rows, lengths=N_TIME).reshape(N_LAT, N_LON)
    for data in (field, field.chunk(time=7, lat=2)):
        scores = along.score_samples(data)
        assert scores.dims == ("lat", "lon")
        assert "sequence" in scores.attrs["long_name"]
        assert isinstance(scores.data, da.Array) == (data is not field)
        np.testing.assert_allclose(scores, alone, rtol=1e-12)
    assert along.score(field) == pytest.approx(float(scores.mean()) / N_TIME, rel=1e-12)


def test_sequences_without_any_row_are_not_there(field):
    """Land: the fit is that of the sea, and what is said of land is that it is missing."""
    sea = (field["lat"] > -40) & (field["lon"] != 90)
    gaps = np.random.default_rng(1).random((N_TIME, N_LAT, N_LON)) < 0.2
    holed = field.where(sea).where(~xr.DataArray(gaps, dims=("time", "lat", "lon")))
    settings = {"sequence_dim": "time", "missing": "omit", **FEW}
    with_land = daskem.fit(MODEL, holed, **settings)
    only_sea = daskem.fit(MODEL, holed.where(sea, drop=True), **settings)
    for name, value in only_sea.params.items():
        np.testing.assert_allclose(with_land.params[name], value, rtol=1e-11, atol=1e-12)
    missing = holed["a"].isnull()
    labels, scores = with_land.predict(holed), with_land.score_samples(holed)
    np.testing.assert_array_equal(labels == -1, missing)
    np.testing.assert_array_equal(scores.isnull(), ~sea)
    # Of some chunks there is nothing but land.
    lazy = holed.chunk(lat=1)
    in_chunks = daskem.fit(MODEL, lazy, **settings)
    np.testing.assert_allclose(in_chunks.params["means"], only_sea.params["means"], rtol=1e-10)
    xr.testing.assert_equal(with_land.predict(lazy).compute(), labels)
    xr.testing.assert_allclose(with_land.score_samples(lazy).compute(), scores)


def test_a_sequence_of_weight_two_is_there_twice(field):
    twice = xr.concat([field, field.isel(lat=[1, 3])], "lat")
    weights = xr.ones_like(field["lat"])
    weights[[1, 3]] = 2
    weighted = daskem.fit(MODEL, field, sequence_dim="time", sample_weight=weights, **FEW)
    repeated = daskem.fit(MODEL, twice, sequence_dim="time", **FEW)
    for name, value in repeated.params.items():
        np.testing.assert_allclose(weighted.params[name], value, rtol=1e-10, atol=1e-12)


def test_a_single_series_is_a_sequence():
    counts = xr.DataArray(np.random.default_rng(0).poisson(5, 40), dims="year")
    result = daskem.fit(HiddenMarkov(Poisson()), counts, 2, sequence_dim="year", random_state=0)
    assert result.predict(counts).dims == ("year",)
    assert result.score_samples(counts).item() == pytest.approx(40 * result.score(counts))


def test_a_file_and_a_checkpoint_know_the_dimension(field, tmp_path):
    settings = {"sequence_dim": "time", **FEW}
    whole = daskem.fit(MODEL, field, **settings, checkpoint=tmp_path / "points")
    whole.save(tmp_path / "model")
    labels = whole.predict(field)
    assert daskem.load(tmp_path / "model").predict(field).identical(labels)
    again = daskem.resume(tmp_path / "points", field)
    np.testing.assert_array_equal(again.params["means"], whole.params["means"])
    assert again.predict(field).identical(labels)


def test_chunks_that_would_be_huge_are_cut_along_the_other_dimensions(monkeypatch):
    monkeypatch.setattr("daskem.data.inputs.lengths._MOST_GATHERED", 2**16)
    lazy = xr.DataArray(da.zeros((1000, 40, 40), chunks=(10, 40, 40)), dims=("t", "y", "x"))
    rows = as_rows(lazy.to_dataset(name="v"), sequence_dim="t")
    blocks = as_blocks(rows.array, lengths=1000)
    assert blocks.array.chunks[-2] == (1000,)
    assert max(blocks.array.chunks[0]) * max(blocks.array.chunks[1]) <= 2 * 2**16 / 8000
    (note,) = blocks.notes
    assert "chunks of (40,) x (40,) x (10, 10, 10, 10, 10, 10, ... 100 in all)" in note
    # A hundred thousand sequences are one number.
    assert blocks.edges == range(0, 1_600_001, 1000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sequence_dim": "depth"}, r"no dimension 'depth' for sequences to lie along; the rows h"),
        ({"sequence_dim": "time", "lengths": [30] * 48}, "both say which rows are a sequence"),
        (
            {"sequence_dim": "lon", "sample_dims": ["time", "lat"]},
            "the features lie along 'lon', and so sequences cannot",
        ),
        ({"lengths": 29}, "the data have 1,440 rows, which are no sequences of 29 rows each"),
        ({"lengths": 0}, "no sequences of 0 rows each"),
        ({}, "of labelled data sequence_dim=..., such as 'time', says it"),
    ],
)
def test_what_cannot_be_sequences_is_said(field, settings, message):
    with pytest.raises(DataError, match=message):
        daskem.fit(MODEL, field, 2, **settings)


def test_data_without_the_dimension_are_told(rows, field):
    with pytest.raises(DataError, match=r"sequence_dim=\.\.\. needs an xarray object"):
        daskem.fit(MODEL, rows, 2, sequence_dim="time")
    result = daskem.fit(MODEL, field, sequence_dim="time", **FEW)
    with pytest.raises(DataError, match=r"data\.expand_dims\('time'\) says so"):
        result.predict(field.isel(time=0))
    with pytest.raises(DataError, match="which rows are a sequence"):
        result.predict(rows)
    one = field.isel(time=[0])
    assert result.predict(one).dims == ("time", "lat", "lon")


def test_a_picture_of_a_chain(rows, field):
    pytest.importorskip("matplotlib")
    result = daskem.fit(MODEL, field, sequence_dim="time", **FEW)
    part = field.isel(lat=[0], lon=[0, 1])
    figure = daskem.plot(result, part)
    left, right = figure.axes
    shown = [text.get_text() for text in left.texts]
    assert shown == [f"{value:.2f}" for value in result.params["transitions"].ravel()]
    path = result.predict(part).transpose("lat", "lon", "time").to_numpy().ravel()
    for points in right.collections:
        steps = points.get_offsets()[:, 0].astype(int)
        assert (path[steps] == int(points.get_label())).all()
    assert sum(len(points.get_offsets()) for points in right.collections) == 2 * N_TIME
    bare = daskem.plot(result, rows[: 3 * N_TIME], features=(1, 0), lengths=N_TIME).axes[1]
    whole = np.full(3, N_TIME)
    again = daskem.plot(result, rows[: 3 * N_TIME], lengths=whole).axes[1]
    assert len(again.lines) == len(bare.lines)
    np.testing.assert_allclose(bare.lines[1].get_ydata(), rows[N_TIME : 2 * N_TIME, 1])
    with pytest.raises(ParameterError, match="feature 2 of a model of 2 features"):
        daskem.plot(result, rows, features=(2, 0), lengths=N_TIME)
