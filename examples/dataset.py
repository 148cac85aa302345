"""Water masses in a zarr store: from an xarray Dataset to labels on the same grid."""

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

import daskem


def write_ocean(path, seed=0):
    """A small Dataset (time, lat, lon) of warm salty water over cold fresh, and which is which."""
    rng = np.random.default_rng(seed)
    shape = (12, 30, 40)
    warm = rng.random(shape) < 0.4
    noise = rng.standard_normal((2, *shape))
    temperature = np.where(warm, 18.0, 4.0) + 2.0 * noise[0]
    salinity = np.where(warm, 36.0, 34.5) + 0.3 * noise[1]
    dims = ("time", "lat", "lon")
    coords = {
        "time": np.arange("2020-01", "2021-01", dtype="datetime64[M]").astype("datetime64[ns]"),
        "lat": np.linspace(-60, 60, shape[1]),
        "lon": np.arange(0, 360, 360 / shape[2]),
    }
    ocean = xr.Dataset(
        {"temperature": (dims, temperature), "salinity": (dims, salinity)}, coords
    ).chunk(time=4, lat=30, lon=40)
    ocean.to_zarr(path, zarr_format=2)
    return xr.DataArray(warm, coords, dims)


def classify(source, target):
    """The ten lines for a store of your own: only a chunk or two is in memory at a time."""
    ocean = xr.open_zarr(source)
    model = daskem.GaussianMixture(n_components=2, random_state=0)
    area = np.cos(np.deg2rad(ocean["lat"]))
    model.fit(ocean, features=["temperature", "salinity"], sample_weight=area)
    print(model.result_)
    labels = model.predict(ocean)
    labels.to_dataset(name="water_mass").to_zarr(target, zarr_format=2)


def main():
    """The labels as they were stored, and the truth."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "ocean.zarr", Path(folder) / "labels.zarr"
        warm = write_ocean(source)
        classify(source, target)
        return xr.open_zarr(target)["water_mass"].load(), warm


if __name__ == "__main__":
    main()
