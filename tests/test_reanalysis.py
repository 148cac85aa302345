"""Winds and geopotential of ERA-Interim, from a zarr store to posteriors on the same grid."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import daskem

FILE = Path(__file__).parents[2] / "shared" / "data" / "eraint_uvz.nc"
FIELDS = ["u", "v", "z"]
DIMS = ("month", "latitude", "longitude")
MODEL = daskem.Mixture(daskem.Gaussian())

pytestmark = [
    pytest.mark.skipif(not FILE.exists(), reason="needs ../shared/data/eraint_uvz.nc"),
    # The file packs its numbers with a missing value that no integer can be.
    pytest.mark.filterwarnings("ignore:variable .* has non-conforming '_FillValue'"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Half of the longitudes, chunked in month and latitude."""
    path = tmp_path_factory.mktemp("reanalysis") / "eraint.zarr"
    with xr.open_dataset(FILE, engine="scipy") as whole:
        part = whole.isel(longitude=slice(None, None, 2)).load().drop_encoding()
    part.chunk(month=1, latitude=60).to_zarr(path, zarr_format=2)
    return path


def stacked(data):
    """Rows (month, latitude, longitude, feature) as anybody would stack them."""
    fields = [data[name].transpose(*DIMS, "level").to_numpy() for name in FIELDS]
    return np.concatenate(fields, axis=-1)


def start_of(rows):
    flat = rows[np.isfinite(rows).all(axis=-1)]
    return {
        "weights": np.full(4, 0.25),
        "means": flat[:: len(flat) // 4][:4],
        "covariances": np.stack([np.cov(flat.T)] * 4),
    }


def fit_both(data, **options):
    """The Dataset, chunk by chunk, and its rows in memory."""
    area = np.cos(np.deg2rad(data["latitude"]))
    rows = stacked(data)
    # The samples of the two are not the same, so that they may end at other passes, or leap
    # elsewhere.
    same = {"start": start_of(rows), "algorithm": "em", "max_passes": 20, "tol": 0}
    options = {**same, **options}
    lazy = daskem.fit(MODEL, data, features=FIELDS, sample_dims=DIMS, sample_weight=area, **options)
    weights = np.broadcast_to(area.to_numpy()[:, None], rows.shape[:-1])
    return lazy, daskem.fit(MODEL, rows, sample_weight=weights, **options), rows


def agree(lazy, plain):
    assert len(lazy.history) == len(plain.history)
    for name, value in plain.params.items():
        scale = np.abs(value).max(axis=0)
        np.testing.assert_allclose(lazy.params[name] / scale, value / scale, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_nine_fields_over_all_months_and_places(store, tmp_path):
    data = xr.open_zarr(store)
    lazy, plain, rows = fit_both(data)
    agree(lazy, plain)
    levels = data["level"].values
    assert list(lazy.features.names) == [f"{name}[{p}]" for name in FIELDS for p in levels]
    posterior = lazy.predict_proba(data)
    assert posterior.chunks[:2] == data["u"].transpose(*DIMS, "level").chunks[:2]
    posterior.to_dataset().to_zarr(tmp_path / "posterior.zarr", zarr_format=2)
    stored = xr.open_zarr(tmp_path / "posterior.zarr")["responsibilities"]
    assert stored.dims == (*DIMS, "component")
    for dim in DIMS:
        xr.testing.assert_identical(stored[dim], data[dim])
    np.testing.assert_allclose(stored, plain.predict_proba(rows), rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_mask_over_part_of_the_grid_comes_back(store):
    data = xr.open_zarr(store)
    land = (data["longitude"] > 60) & (data["latitude"] > 10)
    data["z"] = data["z"].where(~land)
    lazy, plain, rows = fit_both(data, missing="omit")
    agree(lazy, plain)
    labels, proba = lazy.predict(data), lazy.predict_proba(data)
    mask = np.broadcast_to(land.transpose(*DIMS[1:]), labels.shape)
    np.testing.assert_array_equal(labels == -1, mask)
    np.testing.assert_array_equal(np.isnan(proba).any("component"), mask)
    np.testing.assert_array_equal(labels, plain.predict(rows))
    assert lazy.predict(data).attrs["Conventions"] == "CF-1.0"
