"""What is refused by name at the door, each with the way out."""

import os
from collections.abc import Callable
from typing import Any

import dask.array as da
from dask.array.core import Array as PlainArray
from dask.base import is_dask_collection
from scipy.sparse import issparse

from daskem.data.inputs.sources.protocol import Names, kind
from daskem.errors import DataTypeError

_SPARSE = (
    "sparse data are not supported: a Gaussian row has no zeros to skip. Use data.toarray() or "
    "data.todense() if it fits in memory (of a Dask array, array.map_blocks(lambda chunk: "
    "chunk.todense())), or dimension reduction first"
)

_FILE = (
    "an open file holds several arrays: pass one of its variables, file['name'], or what "
    "xarray.open_dataset(path, chunks={}) makes of the file"
)


def _is_sparse(data: object) -> bool:
    inside = data._meta if isinstance(data, PlainArray) else data
    return issparse(inside) or kind("sparse", "SparseArray")(inside)


def _is_open_file(data: object) -> bool:
    files = (("h5py", "Group"), ("netCDF4", "Dataset"), ("h5netcdf", "Group"))
    return any(kind(module, name)(data) for module, name in files)


def _is_planned(data: object) -> bool:
    return isinstance(data, da.Array) and not isinstance(data, PlainArray)


def _is_list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda data: isinstance(data, list | tuple) and any(map(holds, data[:9]))


def _is_labelled(data: object) -> bool:
    tables = ("pandas", "DataFrame", "Series"), ("polars", "DataFrame", "Series")
    arrays = ("xarray", "Dataset", "DataArray", "Variable"), ("pyarrow", "Table", "Array")
    units = ("pint", "Quantity"), ("astropy.units", "Quantity")
    return any(kind(*one)(data) for one in (*tables, *arrays, *units))


def _is_path(data: object) -> bool:
    return isinstance(data, str | os.PathLike)


def _is_mapping(data: object) -> bool:
    return isinstance(data, dict)


def _is_groups(data: object) -> bool:
    pandas = ("pandas.core.groupby.groupby", "BaseGroupBy")
    dask = ("dask.dataframe.dask_expr._groupby", "GroupBy", "SeriesGroupBy")
    return any(kind(*one)(data) for one in (pandas, dask, ("xarray.core.groupby", "GroupBy")))


def _is_windows(data: object) -> bool:
    pandas = ("pandas.core.window.rolling", "BaseWindow")
    rolling, weighted = "xarray.computation.rolling", "xarray.computation.weighted"
    xarray = (rolling, "Rolling", "Coarsen"), (weighted, "Weighted")
    return any(kind(*one)(data) for one in (pandas, *xarray))


REFUSED: tuple[tuple[Callable[[object], bool], str], ...] = (
    (_is_sparse, _SPARSE),
    (
        _is_planned,
        "Dask's query planning of arrays is not supported yet; set array.query-planning to False "
        "(DASK_ARRAY__QUERY_PLANNING=False) before dask.array is imported",
    ),
    (kind("polars", "LazyFrame"), "a polars LazyFrame has no rows yet: pass data.collect()"),
    (
        kind("xarray", "DataTree"),
        "a DataTree holds several Datasets: pass the one of a node, data.to_dataset() or "
        "data['node'].to_dataset()",
    ),
    (
        kind("dask.delayed", "Delayed"),
        "nobody knows the shape of a Delayed: pass dask.array.from_delayed(data, shape=..., "
        "dtype=...)",
    ),
    (
        kind("distributed", "Future"),
        "a Future is no array: pass future.result(), or dask.array.from_delayed("
        "dask.delayed(future), shape=..., dtype=...)",
    ),
    (_is_open_file, _FILE),
    (kind("dask.bag", "Bag"), "a bag has no columns: pass data.to_dataframe()"),
    (
        kind("pyarrow.dataset", "Dataset"),
        "a dataset of pyarrow is not read yet: pass data.to_table(), or use dask.dataframe",
    ),
    (kind("pyarrow", "RecordBatchReader"), "a reader is no table yet: pass data.read_all()"),
    (
        _is_list_of(is_dask_collection),
        "a list of Dask collections would be computed into memory: join them first, for instance "
        "with dask.array.stack(data, axis=-1) where each is a feature",
    ),
    (
        _is_list_of(_is_labelled),
        "a list has no names for rows and features: join what it holds first, with xarray.concat "
        "or pandas.concat, with axis=1 where each is a feature, or make a Dataset of it",
    ),
    (
        _is_list_of(_is_path),
        "a list of paths is no data: open them together, as with xarray.open_mfdataset, or pass "
        "one zarr store",
    ),
    (
        kind("fsspec.mapping", "FSMap"),
        "a mapping of fsspec is no store yet: pass its URL, or "
        "zarr.storage.FsspecStore.from_mapper(data)",
    ),
    (
        _is_list_of(_is_mapping),
        "a list of dicts is no table yet: pass pandas.DataFrame(data)",
    ),
    (_is_mapping, "a dict has no order of rows: pass pandas.DataFrame(data) or xarray.Dataset"),
    (
        kind("astropy.coordinates", "SkyCoord", "BaseCoordinateFrame"),
        "angles on a sphere are no features as they are, since 359 degrees lie beside 1: pass "
        "their unit vectors, data.cartesian.xyz.value.T, or columns of your own choice, as in "
        "numpy.column_stack([data.spherical.lon.deg, data.spherical.lat.deg])",
    ),
    (
        kind("astropy.coordinates", "BaseRepresentation"),
        "coordinates are no rows yet: pass data.to_cartesian().xyz.value.T",
    ),
    (
        kind("astropy.time", "Time", "TimeDelta"),
        "times are no numbers yet: pass days as a column, data.jd[:, None]",
    ),
    (_is_groups, "groups are not rows: fit each group, or what they were made of"),
    (
        _is_windows,
        "windows are not rows: fit what they are reduced to, as with .mean(), or what they were "
        "made of",
    ),
)


def because(words: str) -> Callable[[Any, Names], Any]:
    """How to open what is refused."""

    def refuse(data: Any, names: Names) -> Any:
        raise DataTypeError(words)

    return refuse
