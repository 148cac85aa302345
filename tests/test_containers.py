"""One door for every kind of container: a table of them, each fitted and predicted, or refused."""

import asyncio
import os
import subprocess
import sys

import cluster
import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from distributed import Client

import daskem
from daskem.cli import main
from daskem.cli.weights import weights
from daskem.errors import ClusterError, DataError, DataTypeError, StoreNotFoundError

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(0, 1, (300, 2)), RNG.normal(6, 1, (300, 2))])
PANDAS = pd.DataFrame(ROWS, columns=["a", "b"])


def mixture():
    return daskem.GaussianMixture(2, random_state=0)


@pytest.fixture(scope="module")
def expected():
    model = mixture().fit(ROWS)
    return model.means_, model.predict(ROWS)


def dataset(**of_variables):
    return xr.Dataset({v: ("n", ROWS[:, i], of_variables) for i, v in enumerate("ab")})


def of(module, make):
    """A row of the table that needs a package which may not be installed."""
    return lambda: make(pytest.importorskip(module))


def quantified():
    pytest.importorskip("pint_xarray")
    return dataset(units="K").chunk(n=200).pint.quantify()


class Stream:
    """A table of some package that gives its columns as Arrow does."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


CONTAINERS = {
    "list": lambda: ROWS.tolist(),
    "tuples": lambda: list(map(tuple, ROWS)),
    "numpy": lambda: ROWS,
    "Fortran": lambda: np.asfortranarray(ROWS),
    "big-endian": lambda: ROWS.astype(">f8"),
    "read-only": lambda: np.frombuffer(ROWS.tobytes()).reshape(ROWS.shape),
    "backwards": lambda: ROWS[::-1].copy()[::-1],
    "objects": lambda: ROWS.astype(object),
    "records": lambda: np.rec.fromarrays(ROWS.T, names="a,b"),
    "lazy records": lambda: da.from_array(np.rec.fromarrays(ROWS.T, names="a,b"), chunks=200),
    "masked, nothing of it": lambda: np.ma.MaskedArray(ROWS),
    "dask": lambda: da.from_array(ROWS, chunks=(200, 2)),
    "lists in dask": lambda: da.map_blocks(
        lambda chunk: chunk.tolist(), da.from_array(ROWS, chunks=(200, 2)), meta=ROWS[:0]
    ),
    "masked dask": lambda: da.ma.masked_equal(da.from_array(ROWS, chunks=(200, 2)), -999),
    "dataset": dataset,
    "objects in a dataset": lambda: dataset().assign(b=("n", ROWS[:, 1].astype(object))),
    "pint": quantified,
    "pint alone": of("pint", lambda pint: pint.UnitRegistry().Quantity(ROWS, "K")),
    "variable": lambda: xr.Variable(("n", "m"), ROWS),
    "pandas": lambda: PANDAS,
    "nullable": lambda: PANDAS.astype("Float64"),
    "objects in pandas": lambda: PANDAS.astype(object),
    "arrow in pandas": of("pyarrow", lambda _: PANDAS.convert_dtypes(dtype_backend="pyarrow")),
    "dask table": of("dask.dataframe", lambda dd: dd.from_pandas(PANDAS, npartitions=3)),
    "nullable dask table": of(
        "dask.dataframe", lambda dd: dd.from_pandas(PANDAS.astype("Float64"), npartitions=3)
    ),
    "polars": of("polars", lambda pl: pl.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1]})),
    "pyarrow": of("pyarrow", lambda pa: pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]})),
    "batch": of(
        "pyarrow", lambda pa: pa.record_batch({"a": pa.array(ROWS[:, 0]), "b": ROWS[:, 1]})
    ),
    "stream of Arrow": of(
        "pyarrow", lambda pa: Stream(pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}))
    ),
    "astropy": of("astropy.table", lambda t: t.Table({"a": ROWS[:, 0], "b": ROWS[:, 1]})),
    "quantities": of(
        "astropy.units",
        lambda u: __import__("astropy.table").table.QTable([ROWS[:, 0] * u.m, ROWS[:, 1] * u.m]),
    ),
}


# Variables do not keep their files open.
FILES = []


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    while FILES:
        FILES.pop().close()


def on_disk(folder):
    mapped = np.memmap(folder / "rows", "f8", "w+", shape=ROWS.shape)
    mapped[:] = ROWS
    mapped.flush()
    return mapped


def zarr_array(folder):
    return zarr.create_array(folder / "z", data=ROWS, chunks=(200, 2))


def labelled_group(folder):
    dataset().chunk(n=200).to_zarr(folder / "g", group="deep/er", consolidated=False)
    return folder / "g" / "deep" / "er"


def variable_of(package, **options):
    """A variable of an open file of netCDF, read by one of the packages that do."""

    def make(folder):
        module = pytest.importorskip(package)
        dataset().to_dataarray().T.to_dataset(name="v").to_netcdf(folder / "f.nc", **options)
        opened = module.Dataset if package == "netCDF4" else module.File
        FILES.append(opened(str(folder / "f.nc"), "r"))
        return FILES[-1]["v"]

    return make


STORED = {
    "memmap": on_disk,
    "read-only memmap": lambda folder: np.memmap(on_disk(folder).filename, "f8", "r").reshape(
        -1, 2
    ),
    "lazy zarr": zarr_array,
    "lazy store": lambda folder: zarr_array(folder) and zarr.storage.LocalStore(folder / "z"),
    "lazy path": lambda folder: zarr_array(folder) and str(folder / "z"),
    "lazy group": lambda folder: zarr.open_group(labelled_group(folder), mode="r"),
    "lazy path of a group": labelled_group,
    "lazy netCDF": variable_of("netCDF4", engine="netcdf4"),
    "lazy HDF5": variable_of("h5py", engine="h5netcdf"),
    "lazy h5netcdf": variable_of("h5netcdf", engine="h5netcdf"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*CONTAINERS, *STORED])
def test_every_container_gives_the_same_answer(name, expected, tmp_path):
    data = CONTAINERS[name]() if name in CONTAINERS else STORED[name](tmp_path)
    model = mixture().fit(data)
    np.testing.assert_allclose(np.sort(model.means_, 0), np.sort(expected[0], 0), atol=1e-2)
    found = model.predict(data)
    lazy = "dask" in name or "lazy" in name or name == "pint"
    assert dask.is_dask_collection(found) is lazy
    np.testing.assert_array_equal(np.asarray(found), expected[1])
    model.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert type(again.predict(data)) is type(found)
    np.testing.assert_array_equal(np.asarray(again.predict(data)), expected[1])
    assert again.score(data) == model.score(data)


def in_time():
    return dataset().assign_coords(n=pd.date_range("2000", periods=600))


def tree():
    return xr.DataTree(dataset())


REFUSED = {
    "delayed": (lambda: dask.delayed(np.ones)((5, 2)), "from_delayed"),
    "tree": (tree, "to_dataset"),
    "dict": (lambda: {"a": [1.0], "b": [2.0]}, "pandas.DataFrame"),
    "generator": (lambda: (x for x in ROWS), "holds no rows"),
    "bag": (lambda: __import__("dask.bag").bag.from_sequence([1, 2]), "to_dataframe"),
    "list of dask": (lambda: [da.ones(9), da.ones(9)], "dask.array.stack"),
    "list of Series": (lambda: [PANDAS["a"], PANDAS["b"]], r"pandas\.concat, with axis=1"),
    "list of Datasets": (lambda: [dataset(), dataset()], r"xarray\.concat"),
    "list of paths": (lambda: ["a.nc", "b.nc"], "open_mfdataset"),
    "no number in any column": (lambda: PANDAS.astype(str), r"'b' \(str\).*astype\(float\)"),
    "records in xarray": (
        lambda: xr.DataArray(np.rec.fromarrays(ROWS.T, names="a,b"), dims="n"),
        r"fields \['a', 'b'\]",
    ),
    "groups": (lambda: PANDAS.groupby("a"), "fit each group"),
    "groups in xarray": (lambda: in_time().groupby("n"), "fit each group"),
    "groups in dask": (
        of("dask.dataframe", lambda dd: dd.from_pandas(PANDAS, npartitions=2).groupby("a")),
        "fit each group",
    ),
    "samples": (lambda: in_time().resample(n="5D"), "fit each group"),
    "windows": (lambda: PANDAS.rolling(3), r"windows .*\.mean\(\)"),
    "windows in xarray": (lambda: in_time().rolling(n=3), r"windows .*\.mean\(\)"),
    "weighted": (lambda: in_time().weighted(xr.ones_like(in_time().a)), r"windows .*\.mean\(\)"),
    "list of dicts": (lambda: PANDAS.to_dict("records"), r"pandas\.DataFrame\(data\)"),
    "list of quantities": (
        of("pint", lambda pint: [pint.UnitRegistry().Quantity(ROWS[:, i], "K") for i in (0, 1)]),
        "make a Dataset",
    ),
    "mapping of fsspec": (
        of("fsspec", lambda fsspec: fsspec.get_mapper("memory://nothing")),
        "FsspecStore",
    ),
    "places in the sky": (
        of("astropy.coordinates", lambda c: c.SkyCoord(*(ROWS.T % 80), unit="deg")),
        r"beside 1.*data\.cartesian\.xyz\.value\.T",
    ),
    "vectors of astropy": (
        of("astropy.coordinates", lambda c: c.CartesianRepresentation(*ROWS.T, ROWS[:, 0])),
        r"to_cartesian\(\)",
    ),
    "times of astropy": (
        of("astropy.time", lambda time: time.Time(ROWS[:, 0], format="mjd")),
        r"data\.jd\[:, None\]",
    ),
    "strings as objects": (lambda: np.array([["1", 2.0]], dtype=object), "not all of them"),
    "lazy frame": (of("polars", lambda pl: pl.LazyFrame({"a": [1.0]})), "collect"),
    "sparse": (of("sparse", lambda sparse: sparse.random((50, 3), 0.2)), "sparse data"),
    "sparse in xarray": (
        of(
            "sparse",
            lambda s: xr.Dataset({v: (("n", "m"), s.random((50, 3), 0.2)) for v in "ab"}),
        ),
        "sparse data",
    ),
    "sparse in dask": (
        of("sparse", lambda s: da.from_array(ROWS, chunks=(200, 2)).map_blocks(s.COO)),
        "sparse",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_by_name(name):
    make, words = REFUSED[name]
    with pytest.raises(DataTypeError, match=words):
        mixture().fit(make())
    if "sparse" not in name and "list" not in name:
        with pytest.raises(DataTypeError, match=words):
            mixture().fit(ROWS).predict(make())


@pytest.mark.parametrize("package", ["h5py", "netCDF4", "h5netcdf"])
def test_open_files_are_no_variables_and_variables_need_open_files(tmp_path, package):
    variable = variable_of(package, engine="h5netcdf" if package == "h5py" else None)(tmp_path)
    with pytest.raises(DataTypeError, match=r"one of its variables, .*open_dataset"):
        mixture().fit(FILES[-1])
    FILES.pop().close()
    with pytest.raises(DataError, match=r"is it closed\? .*open_dataset"):
        mixture().fit(variable)


@pytest.mark.filterwarnings("ignore:Duplicate dimension names")
def test_a_dimension_that_comes_twice():
    data = xr.DataArray(np.corrcoef(ROWS[:9]), dims=("n", "n"), name="r")
    for given in (data, data.to_dataset()):
        with pytest.raises(DataError, match=r"a dimension twice, \('n', 'n'\)"):
            mixture().fit(given)


def test_a_group_of_groups_says_which_there_are(tmp_path):
    labelled_group(tmp_path)
    with pytest.raises(StoreNotFoundError, match=r"it holds the groups \['deep'\]"):
        mixture().fit(tmp_path / "g")


class OnDevice:
    """An array that does not become one of NumPy's unless it is asked to, as those of CuPy."""

    def __init__(self, values):
        self.values, self.shape, self.ndim = values, values.shape, values.ndim

    def __array__(self, *args, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


def test_chunks_on_a_device_say_how_they_come_off():
    lazy = da.map_blocks(OnDevice, da.from_array(ROWS, chunks=(200, 2)), meta=ROWS[:0])
    with pytest.raises(DataTypeError, match=r"OnDevice, .*chunk\.get\(\)"):
        mixture().fit(lazy)
    taken = lazy.map_blocks(lambda chunk: chunk.values, meta=ROWS[:0])
    assert mixture().fit(taken).result_.n_rows == 600


def test_chunks_that_hold_no_numbers_are_told():
    text = da.from_array(ROWS, chunks=(200, 2)).map_blocks(
        lambda chunk: chunk.astype(str), dtype="f8", meta=ROWS[:0]
    )
    with pytest.raises(DataTypeError, match=r"chunks of the data are <U.*astype\(float\)"):
        mixture().fit(text)
    with pytest.raises(DataTypeError, match=r"chunks of the data are <U.*astype\(float\)"):
        mixture().fit(ROWS).predict(text).compute()


def test_query_planning_of_arrays_is_refused_by_name():
    code = (
        "import numpy as np, xarray as xr, dask.array as da, daskem\n"
        "rows = da.from_array(np.zeros((9, 2)))\n"
        "for data in rows, xr.DataArray(rows, dims=('n', 'm')).to_dataset('m'):\n"
        "    try: daskem.GaussianMixture(2).fit(data)\n"
        "    except daskem.errors.DataTypeError as error: assert 'query planning' in str(error)\n"
        "    else: raise SystemExit('it was fitted')"
    )
    planned = {**os.environ, "DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=planned)


# Masks, and what is declared to be missing.

SPOILT = ROWS.copy()
SPOILT[:40] = -999


def table_with_na():
    frame = PANDAS.convert_dtypes()
    frame.loc[:39, "a"] = pd.NA
    return frame


MISSING = {
    "masked": lambda: np.ma.masked_equal(SPOILT, -999),
    "dask": lambda: da.ma.masked_equal(da.from_array(SPOILT, chunks=(200, 2)), -999),
    "dask that does not say so": lambda: da.from_array(SPOILT, chunks=(200, 2)).map_blocks(
        lambda x: np.ma.masked_equal(x, -999), meta=np.empty((0, 0))
    ),
    "xarray": lambda: xr.DataArray(
        da.ma.masked_equal(da.from_array(SPOILT, chunks=(200, 2)), -999), dims=("n", "m")
    ),
    "variables": lambda: xr.Dataset(
        {
            v: ("n", da.ma.masked_equal(da.from_array(SPOILT[:, i], chunks=200), -999))
            for i, v in enumerate("ab")
        }
    ),
    "declared": lambda: xr.DataArray(SPOILT, dims=("n", "m"), attrs={"_FillValue": -999.0}),
    "declared, lazily": lambda: xr.Dataset(
        {v: ("n", SPOILT[:, i], {"missing_value": -999}) for i, v in enumerate("ab")}
    ).chunk(n=200),
    "pandas": table_with_na,
    "objects": lambda: np.where(SPOILT == -999, None, SPOILT),
    "polars": of(
        "polars",
        lambda pl: pl.DataFrame(
            {
                v: np.where(SPOILT[:, i] == -999, None, SPOILT[:, i]).tolist()
                for i, v in enumerate("ab")
            }
        ),
    ),
    "pyarrow": of(
        "pyarrow",
        lambda pa: pa.table(
            {v: pa.array(SPOILT[:, i], mask=SPOILT[:, i] == -999) for i, v in enumerate("ab")}
        ),
    ),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_declared_missing_is_missing(name):
    data, model = MISSING[name](), mixture()
    model.fit(data, missing="omit")
    assert model.result_.n_rows == 560
    labels = np.asarray(model.predict(data))
    assert (labels[:40] == -1).all()
    assert (labels[40:] >= 0).all()
    assert np.abs(model.means_).max() < 7
    with pytest.raises(DataError, match=r"NaN at .*masked"):
        mixture().fit(data)


PACKED = {"_FillValue": np.int16(-32768), "scale_factor": 0.01}


@pytest.mark.parametrize("attrs", [PACKED, {"missing_value": -1}, {"add_offset": 5.0}])
def test_packed_integers_are_refused_wherever_they_are(attrs, tmp_path):
    values = RNG.integers(0, 900, (200, 2)).astype("i2")
    labelled = xr.DataArray(values, dims=("n", "m"), attrs=attrs, name="t")
    twice = xr.Dataset({v: ("n", values[:, i], attrs) for i, v in enumerate("ab")})
    bare = zarr.create_array(
        tmp_path / "t", data=values, attributes={k: float(v) for k, v in attrs.items()}
    )
    for data in (labelled, labelled.chunk(n=99), twice, bare):
        with pytest.raises(DataError, match=r"packed values .*decode"):
            mixture().fit(data, missing="omit")


@pytest.mark.parametrize("attrs", [PACKED, {"add_offset": 5.0}])
def test_packed_weights_are_refused_as_packed_data_are(attrs):
    data = dataset().assign(area=("n", np.arange(600, dtype="i2"), attrs))
    for packed in (data["area"], data["area"].chunk(n=99), "area"):
        with pytest.raises(DataError, match=r"sample_weight stores packed values .*decode"):
            mixture().fit(data, features=["a", "b"], sample_weight=packed)


def test_weights_that_are_declared_missing_are_no_numbers():
    weights = xr.DataArray(np.r_[1e20, np.ones(599)], dims="n", attrs={"_FillValue": 1e20})
    with pytest.raises(DataError, match=r"sample_weight nan at .*row 0"):
        mixture().fit(dataset(), sample_weight=weights)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_and_its_array_have_the_same_missing_values(zarr_format, tmp_path):
    data = xr.DataArray(ROWS, dims=("n", "m"), name="t").where(ROWS[:, :1] > 0)
    data.to_dataset().to_zarr(
        tmp_path / "g",
        zarr_format=zarr_format,
        encoding={"t": {"_FillValue": 1e20}},
        consolidated=False,
    )
    group = xr.open_zarr(tmp_path / "g", consolidated=False)["t"]
    of_group = mixture().fit(group, missing="omit")
    of_array = mixture().fit(tmp_path / "g" / "t", missing="omit")
    np.testing.assert_array_equal(of_group.means_, of_array.means_)


# Tables.


def test_columns_that_are_no_numbers_are_named():
    words = r"'station' \(.*features=\['a', 'b'\]"
    data = PANDAS.assign(station="KNMI")
    with pytest.raises(DataTypeError, match=words):
        mixture().fit(data)
    assert mixture().fit(data, features=["a", "b"]).result_.notes == ()
    with pytest.raises(DataTypeError, match="'station'"):
        mixture().fit(PANDAS.assign(station=["1"] * 600).astype({"station": object}))


def test_columns_of_a_dask_table_that_are_no_numbers_are_named():
    dd = pytest.importorskip("dask.dataframe")
    data = dd.from_pandas(PANDAS.assign(station="KNMI"), npartitions=3)
    with pytest.raises(DataTypeError, match=r"'station' \(.*features=\['a', 'b'\]"):
        mixture().fit(data)


def test_variables_that_are_no_numbers_are_named():
    data = in_time().assign(when=lambda d: d.n + np.timedelta64(1, "D"), name=("n", ["x"] * 600))
    words = r"'when' \(datetime64.*'name' \(.*features=\['a', 'b'\].*days since a reference"
    with pytest.raises(DataTypeError, match=words):
        mixture().fit(data)


def test_names_of_columns_are_not_lost_in_a_stream_of_arrow():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": ROWS[:, 0], "b": 2 * ROWS[:, 1]})
    model = mixture().fit(Stream(table))
    other = Stream(table.select(["b", "a"]))
    np.testing.assert_array_equal(model.predict(other), model.predict(table))
    one = mixture().fit(Stream(pa.chunked_array([ROWS[:, 0]])))
    np.testing.assert_array_equal(one.means_, mixture().fit(PANDAS[["a"]]).means_)
    with pytest.raises(DataTypeError, match=r"'name' \(.*features=\['a', 'b'\]"):
        mixture().fit(Stream(table.append_column("name", pa.array(["x"] * 600))))


def test_integers_that_numpy_has_not():
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({"a": ROWS[:, 0], "b": np.arange(600)})
    wide = table.with_columns(pl.col("b").cast(pl.Int128))
    np.testing.assert_array_equal(mixture().fit(wide).means_, mixture().fit(table).means_)


def test_a_note_says_which_columns_are_the_features():
    (note,) = mixture().fit(PANDAS.assign(number=np.arange(600))).result_.notes
    assert "a, b, number" in note


@pytest.mark.parametrize("make", [lambda d: d, lambda d: xr.Dataset.from_dataframe(d)])
def test_weights_by_name(make):
    area = np.linspace(0.1, 2, 600)
    data, bare = make(PANDAS.assign(area=area)), mixture().fit(ROWS, sample_weight=area)
    model = mixture().fit(data, sample_weight="area")
    np.testing.assert_array_equal(model.means_, bare.means_)
    assert model.score(data, sample_weight="area") == bare.score(ROWS, sample_weight=area)
    with pytest.raises(DataError, match="no 'volume'"):
        mixture().fit(data, sample_weight="volume")


def test_weights_by_name_need_names():
    with pytest.raises(DataError, match="names a column or variable"):
        mixture().fit(ROWS, sample_weight="area")


def test_weights_of_a_dask_table():
    frame = pytest.importorskip("dask.dataframe")
    data = frame.from_pandas(PANDAS.assign(w=np.linspace(0.1, 2, 600)), npartitions=3)
    one = mixture().fit(data[["a", "b"]], sample_weight=data["w"])
    other = mixture().fit(data, sample_weight="w")
    np.testing.assert_array_equal(one.means_, other.means_)


def test_weights_of_pandas_are_in_the_order_of_the_rows():
    weights = pd.Series(np.linspace(0.1, 2, 600))
    shuffled = weights.sample(frac=1, random_state=0)
    one, other = (mixture().fit(PANDAS, sample_weight=w) for w in (weights, shuffled))
    np.testing.assert_array_equal(one.means_, other.means_)
    with pytest.raises(DataError, match=r"another index than the rows: 1 of .* to_numpy"):
        mixture().fit(PANDAS, sample_weight=weights.drop(3))


@pytest.mark.parametrize("wrap", [lambda w: w.to_dataset(name="w"), lambda w: dask.delayed(w)])
def test_weights_that_are_no_array(wrap):
    data = dataset()
    with pytest.raises(DataTypeError):
        mixture().fit(data, sample_weight=wrap(xr.ones_like(data.a)))


def test_the_advice_for_weights_with_other_coordinates_works():
    data = dataset().assign_coords(n=np.linspace(-60.1, 60.3, 600))
    weights = xr.ones_like(data.a).assign_coords(n=data.n.astype("f4"))
    with pytest.raises(DataError, match=r"assign_coords\(n=data\['n'\]\)"):
        mixture().fit(data, sample_weight=weights)
    mixture().fit(data, sample_weight=weights.assign_coords(n=data["n"]))


# Names of dimensions.


def test_dimensions_and_coordinates_called_component_stay():
    data = xr.Dataset(
        {v: (("lat", "component"), ROWS[:, i].reshape(30, 20)) for i, v in enumerate("ts")}
    )
    shares = mixture().fit(data).predict_proba(data)
    assert shares.dims == ("lat", "component", "mixture_component")
    assert shares.sum("mixture_component").dims == ("lat", "component")
    zonal = dataset().assign_coords(component="zonal")
    assert mixture().fit(zonal).predict_proba(zonal)["component"].item() == "zonal"


def test_names_of_answers_that_are_taken_too():
    names = {"lat": "mixture_component", "lon": "component"}
    data = xr.Dataset({v: (names.values(), ROWS[:, i].reshape(30, 20)) for i, v in enumerate("ts")})
    shares = mixture().fit(data).predict_proba(data)
    assert shares.dims == (*names.values(), "mixture_mixture_component")
    both = dataset().assign_coords(component=1, mixture_component=2)
    shares = mixture().fit(both).predict_proba(both)
    assert (shares["component"].item(), shares["mixture_component"].item()) == (1, 2)


@pytest.mark.parametrize("dim", ["feature", "variable", "component"])
def test_rows_along_a_dimension_of_any_name(dim, expected):
    data = dataset().rename(n=dim)
    model = mixture().fit(data)
    np.testing.assert_array_equal(model.means_, expected[0])
    assert model.predict(data).dims == (dim,)
    one = mixture().fit(data["a"])
    assert one.means_.shape == (2, 1)
    assert one.predict(data["a"]).dims == (dim,)


def test_a_single_point_of_a_dataset():
    data = dataset()
    model = mixture().fit(data)
    assert model.predict(data.isel(n=7)).item() == model.predict(data)[7].item()
    assert model.predict_proba(data.isel(n=7)).dims == ("component",)


def test_a_dataset_of_coordinates_only():
    coords = {v: ("n", ROWS[:, i]) for i, v in enumerate("ts")}
    with pytest.raises(DataError, match=r"no data variables .*\['t', 's'\]"):
        mixture().fit(xr.Dataset(coords=coords))


# Files.


@pytest.mark.parametrize(
    ("name", "first", "words"),
    [
        ("a.nc", b"CDF\x01", r"xarray\.open_dataset"),
        ("b", b"\x89HDF\r\n\x1a\n", r"xarray\.open_dataset"),
        ("c.parquet", b"PAR1", "read_parquet"),
        ("d.csv", b"1,2", "read_csv"),
        ("e.npy", b"\x93NUMPY", r"numpy\.load"),
        ("f.tif", b"II*\x00", "rioxarray"),
        ("g.npz", b"PK\x03\x04", r"numpy\.load\(.*\['name'\]"),
        ("h.zip", b"PK\x03\x04", "ZipStore"),
    ],
)
def test_files_that_are_no_stores_say_how_they_are_opened(tmp_path, name, first, words):
    (tmp_path / name).write_bytes(first + b"\x00" * 40)
    with pytest.raises(StoreNotFoundError, match=rf"no zarr store at .*{name}.*{words}"):
        mixture().fit(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("a.nc", "", r"open_mfdataset\('.*/\*\.nc'\)"),
        ("a.nc", "*.nc", r"open_mfdataset\('.*/\*\.nc'\)"),
        ("part.0.parquet", "", r"read_parquet\('[^*]*'\)"),
        ("what", "", r"only a folder with \['what'\]$"),
        ("what", "../nowhere", r": there is no /.*/nowhere$"),
    ],
)
def test_several_files_say_how_they_are_opened_together(tmp_path, name, asked, words):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(StoreNotFoundError, match=words):
        mixture().fit(tmp_path / asked)


def test_no_package_is_imported_that_the_data_do_not_come_from():
    code = (
        "import sys, numpy as np, daskem;"
        "daskem.GaussianMixture(2).fit(np.random.default_rng(0).normal(size=(99, 2)));"
        "new = {name.split('.')[0] for name in sys.modules};"
        "assert not new & {'polars', 'astropy'}"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


# Clusters that are not what they were.


def test_fits_inside_tasks_end_where_there_is_one_thread(tmp_path):
    def job(k):
        model = daskem.GaussianMixture(k, random_state=0)
        data = da.from_array(ROWS, chunks=(200, 2))
        best = daskem.select(data, [k], random_state=0, tol=0.1).best
        assert best.predict(data).compute().max() == k - 1
        return model.fit(data).score(data)

    with cluster.scheduler(tmp_path) as file, cluster.workers(file, 1, 1, "--no-nanny"):
        with Client(scheduler_file=str(file)) as client:
            found = [f.result(timeout=180) for f in [client.submit(job, k) for k in (1, 2)]]
            persisted = da.from_array(ROWS, chunks=(200, 2)).persist()
            assert mixture().fit(persisted).converged_
        assert found[0] < found[1]
    for attempt in (mixture().fit, mixture().fit(ROWS).predict):
        with pytest.raises(ClusterError, match="3 pieces of the data were persisted"):
            attempt(persisted)


def test_an_asynchronous_client_is_not_waited_for(tmp_path):
    data = da.from_array(ROWS, chunks=(200, 2))

    def submitted(data):
        return daskem.submit(daskem.Mixture(daskem.Gaussian()), data, 2)

    async def inside(file):
        async with Client(scheduler_file=str(file), asynchronous=True):
            model = mixture().fit(ROWS)
            assert model.predict(ROWS).shape == (600,)
            for attempt in (model.fit, model.predict, submitted):
                with pytest.raises(ClusterError, match=r"asyncio\.to_thread"):
                    attempt(data)

    with cluster.scheduler(tmp_path) as file:
        asyncio.run(inside(file))


def test_the_advice_for_an_asynchronous_client_works(expected):
    data = da.from_array(ROWS, chunks=(200, 2))

    async def inside():
        local = {"processes": False, "n_workers": 1, "threads_per_worker": 1}
        async with Client(asynchronous=True, dashboard_address="127.0.0.1:0", **local):
            model = await asyncio.to_thread(mixture().fit, data)
            labels = await asyncio.to_thread(lambda: model.predict(data).compute())
            return model.means_, labels, await asyncio.to_thread(model.score, data)

    means, labels, score = asyncio.run(inside())
    np.testing.assert_allclose(means, expected[0], atol=1e-2)
    np.testing.assert_array_equal(labels, expected[1])
    assert score == mixture().fit(data).score(data)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_schedulers_of_dask(scheduler, expected):
    with dask.config.set(scheduler=scheduler):
        model = mixture().fit(da.from_array(ROWS, chunks=(200, 2)))
    np.testing.assert_allclose(model.means_, expected[0], atol=1e-2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_forked_after_a_fit_fits_too():
    code = (
        "import multiprocessing, numpy as np, dask.array as da, daskem\n"
        "x = da.from_array(np.random.default_rng(0).normal(size=(90, 2)), chunks=(30, 2))\n"
        "def job(k): return daskem.GaussianMixture(1, tol=0.1).fit(x).lower_bound_\n"
        "first = job(0)\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    assert pool.map_async(job, [1]).get(60) == [first]"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


# The command line.


def test_weights_and_netcdf_on_the_command_line(tmp_path, capsys):
    data = dataset().assign_coords(lat=("n", np.linspace(-80, 80, 600)))
    data.to_netcdf(tmp_path / "a.nc", engine="scipy")
    options = ["-k", "2", "--random-state", "0", "--features", "a,b"]
    command = ["fit", str(tmp_path / "a.nc"), *options, "--sample-weight", "cos(lat)"]
    assert main([*command, "--out", str(tmp_path / "model")]) == 0
    by_hand = mixture().fit(data.chunk(), sample_weight=np.cos(np.deg2rad(data.lat)))
    loaded = daskem.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.params["means"], by_hand.means_)
    assert main([*command, "--out", str(tmp_path / "nowhere" / "model")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*command[:-1], "cos(lat) + open", "--out", str(tmp_path / "m")]) == 2
    assert "no 'open'" in capsys.readouterr().err


@pytest.mark.parametrize(("units", "one"), [("degrees_north", np.pi / 180), ("radians", 1.0)])
def test_weights_of_angles_follow_their_units(units, one):
    lat = xr.DataArray(np.linspace(-1.5, 1.5, 7), dims="n", attrs={"units": units})
    found = weights("2 * cos(lat) ** 2 - sin(lat)", xr.Dataset(coords={"lat": lat}))
    angles = lat.to_numpy() * one
    np.testing.assert_allclose(found, 2 * np.cos(angles) ** 2 - np.sin(angles), rtol=1e-14)
