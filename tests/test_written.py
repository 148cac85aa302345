"""Whatever is asked of whatever data is read back from any format as it was answered."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskem

RNG = np.random.default_rng(0)
VALUES = np.where(np.arange(24)[:, None] % 2, 9.0, 0.0) + RNG.normal(size=(24, 2))
METHODS = ["predict", "predict_proba", "score_samples"]
# All that is known to describe values, or how they are stored.
ATTRS = {
    "scale_factor": 0.01,
    "add_offset": 273.15,
    "_FillValue": np.float64(0.0),
    "missing_value": 1.0,
    "_Unsigned": "true",
    "dtype": "bool",
    "units": "K",
    "long_name": "temperature",
    "standard_name": "sea_water_temperature",
    "valid_min": 260.0,
    "valid_range": [260.0, 300.0],
    "flag_values": [7, 8, 9],
    "flag_masks": [1, 2, 4],
    "flag_meanings": "a b c",
    "cell_methods": "time: mean",
    "ancillary_variables": "quality",
    "coordinates": "lon lat",
    "STATISTICS_MEAN": 281.0,
    "STATISTICS_VALID_PERCENT": "100",
    "scales": (0.01,),
    "offsets": (273.15,),
    "nodata": 0.0,
    "GRIB_missingValue": 1e20,
    "instrument": "CTD",
}


def dataset(attrs=ATTRS, holes=True):
    values = VALUES.copy()
    if holes:
        values[5, 1] = np.nan
    time = pd.date_range("2000-01-01T12", periods=4, freq="36h")
    coords = {"time": time, "x": np.arange(6.0), "ship": ("x", np.arange(6) % 3)}
    grids = {v: (("time", "x"), values[:, i].reshape(4, 6), attrs) for i, v in enumerate("ts")}
    made = xr.Dataset(grids, coords, attrs)
    made["time"].encoding = {"units": "days since 1950-01-01", "dtype": np.dtype("f8")}
    made["time"].encoding["calendar"] = "standard"
    return made


def array():
    made = dataset().to_dataarray().transpose("time", "x", "variable")
    return made.assign_attrs(ATTRS).rename("t")


def stored(zarr_format):
    def make(folder):
        # As it is stored: packed, with a code for what is missing.
        packing = {"scale_factor": 0.5, "add_offset": 7.0, "_FillValue": -99, "dtype": "i2"}
        plain = dataset({"units": "K", "instrument": "CTD"})
        for v in "ts":
            plain[v].encoding = packing
        place = folder / f"in{zarr_format}"
        plain.to_zarr(place, zarr_format=zarr_format, consolidated=False)
        return xr.open_zarr(place, consolidated=False)

    return make


QUESTIONS = {
    "dataset": lambda _: dataset(),
    "lazy dataset": lambda _: dataset().chunk(time=2),
    "array": lambda _: array(),
    "zarr 2": stored(2),
    "zarr 3": stored(3),
}


def zarr_of(zarr_format):
    def there_and_back(answers, path):
        answers.to_zarr(path, zarr_format=zarr_format, consolidated=False)
        return xr.load_dataarray(path, engine="zarr", consolidated=False)

    return there_and_back


def netcdf(engine, package, **options):
    def there_and_back(answers, path):
        pytest.importorskip(package)
        answers.to_netcdf(path, engine=engine, **options)
        return xr.load_dataarray(path, engine=engine)

    return there_and_back


FORMATS = {
    "zarr 2": zarr_of(2),
    "zarr 3": zarr_of(3),
    "netCDF 3": netcdf("scipy", "scipy"),
    "netCDF 4": netcdf("netcdf4", "netCDF4", format="NETCDF4"),
    "classic": netcdf("netcdf4", "netCDF4", format="NETCDF3_CLASSIC"),
    "HDF5": netcdf("h5netcdf", "h5netcdf"),
}


@pytest.fixture(scope="module")
def models():
    """One for each question: they do not call their features alike."""
    return {}


def fitted(models, name, data):
    if name not in models:
        model = daskem.GaussianMixture(2, random_state=0, tol=0.1, resolution=0)
        models[name] = model.fit(data, missing="omit")
    return models[name]


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("there_and_back", FORMATS.values(), ids=list(FORMATS))
def test_what_is_written_is_read_as_it_was(models, tmp_path, name, there_and_back):
    data = QUESTIONS[name](tmp_path)
    model = fitted(models, name, data)
    for method in METHODS:
        answers = getattr(model, method)(data)
        again = there_and_back(answers, tmp_path / method)
        assert again.dtype == answers.dtype
        np.testing.assert_array_equal(again, answers)
        assert again["time"].equals(answers["time"])
        assert answers.attrs["units"] == "1"
        assert answers.attrs["instrument"] == "CTD"
        assert again.attrs["long_name"] == answers.attrs["long_name"] != "temperature"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", QUESTIONS)
def test_attributes_of_answers_are_ours(models, tmp_path, name, method):
    data = QUESTIONS[name](tmp_path)
    answers = getattr(fitted(models, name, data), method)(data)
    ours = {"units", "long_name", "instrument"}
    if method == "predict":
        ours |= {"flag_values", "flag_meanings", "nodata"}
        assert answers.attrs["flag_values"].tolist() == [-1, 0, 1]
        assert answers.attrs["nodata"] == -1
    assert set(answers.attrs) == ours
    assert answers.encoding == {}


# Of the packages that rioxarray uses.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_raster_knows_what_is_missing(tmp_path):
    rioxarray = pytest.importorskip("rioxarray")
    grids = {v: (("y", "x"), VALUES[:, i].reshape(4, 6).copy(), ATTRS) for i, v in enumerate("ts")}
    data = xr.Dataset(grids, {"y": np.arange(4.0)[::-1], "x": np.arange(6.0)})
    data["t"][0, 5] = np.nan
    data = data.rio.write_crs("EPSG:32633")
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1, resolution=0)
    labels = model.fit(data, missing="omit").predict(data)
    labels.rio.to_raster(tmp_path / "labels.tif")
    bare = rioxarray.open_rasterio(tmp_path / "labels.tif")
    np.testing.assert_array_equal(bare[0], labels)
    assert bare.rio.nodata == -1
    masked = rioxarray.open_rasterio(tmp_path / "labels.tif", masked=True)
    np.testing.assert_array_equal(np.isnan(masked[0]), labels == -1)


def test_an_answer_that_is_a_coordinate_already():
    data = dataset(attrs={}, holes=False)
    model = daskem.GaussianMixture(2, random_state=0, tol=0.1).fit(data)
    again = data.assign_coords(labels=model.predict(data))
    answers = model.predict(again)
    assert answers.name == "mixture_labels"
    np.testing.assert_array_equal(answers.to_dataset()["mixture_labels"], again["labels"])
