"""Files that are no zarr store, told by their first bytes or their names, and how to open them."""

import os
from collections.abc import Sequence

from daskem.core.addresses import hidden

_XARRAY = "open it with xarray.open_dataset({path!r}, chunks={{}}) and pass that"
_RASTER = "open it with rioxarray.open_rasterio({path!r}, masked=True, chunks=True)"
_TABLE = "read it with dask.dataframe.{reader}({path!r}) and pass that"
# First bytes, what the file is, and how it is opened.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "netCDF or HDF5", _XARRAY),
    (b"CDF\x01", "netCDF", _XARRAY),
    (b"CDF\x02", "netCDF", _XARRAY),
    (b"CDF\x05", "netCDF", _XARRAY),
    (b"GRIB", "GRIB", "open it with xarray.open_dataset({path!r}, engine='cfgrib', chunks={{}})"),
    (b"II*\x00", "TIFF", _RASTER),
    (b"MM\x00*", "TIFF", _RASTER),
    (b"PAR1", "Parquet", _TABLE.replace("{reader}", "read_parquet")),
    (b"ARROW1", "Arrow", "read it with pyarrow.feather.read_table({path!r}) and pass that"),
    (b"\x93NUMPY", "NumPy", "pass numpy.load({path!r}, mmap_mode='r')"),
    (b"SIMPLE  =", "FITS", "read it with astropy.table.Table.read({path!r}) and pass that"),
)
_NAMES = {
    ".nc": ("netCDF", _XARRAY),
    ".nc4": ("netCDF", _XARRAY),
    ".h5": ("netCDF or HDF5", _XARRAY),
    ".parquet": ("Parquet", _TABLE.replace("{reader}", "read_parquet")),
    ".csv": ("CSV", _TABLE.replace("{reader}", "read_csv")),
    ".txt": ("text", _TABLE.replace("{reader}", "read_csv")),
    ".npz": ("NumPy", "pass one of its arrays, numpy.load({path!r})['name']"),
    ".xlsx": ("Excel", "read it with pandas.read_excel({path!r}) and pass that"),
}
# What many other files begin with as well, whose names say more.
_ZIP = (b"PK\x03\x04", "zip", "if it is zarr in a zip, pass zarr.storage.ZipStore({path!r})")
# How many files of a kind are opened together.
_TOGETHER = {
    "netCDF": "open them together, as with xarray.open_mfdataset({path!r})",
    "netCDF or HDF5": "open them together, as with xarray.open_mfdataset({path!r})",
    "Parquet": "read it with dask.dataframe.read_parquet({path!r})",
    "CSV": "read them together, as with dask.dataframe.read_csv({path!r})",
}


def is_netcdf(path: str) -> bool:
    """Whether there is a file at `path` that xarray opens as netCDF."""
    return os.path.isfile(path) and "netCDF" in _kind_of(path)[0]


def about(path: str) -> str:
    """What the file at `path` is, and how to open it; empty if nobody knows."""
    if "*" in path:
        return about_several(path, [path])
    what, how = _kind_of(path)
    if what:
        return f": that is {what}; {how.format(path=hidden(path))}"
    # Whoever runs in another folder than they think sees it by the whole path.
    return "" if "://" in path or os.path.exists(path) else f": there is no {os.path.abspath(path)}"


def about_several(path: str, names: Sequence[str]) -> str:
    """How the files of a folder, or those that a pattern stands for, are opened together."""
    for name in names:
        how = _TOGETHER.get(_kind_of(name)[0], "")
        # A folder is a table; other files are found by their pattern.
        pattern = path if "*" in path or "read_parquet" in how else f"{path}/*{_ending(name)}"
        if how:
            return f": {how.format(path=hidden(pattern))}"
    return ""


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _kind_of(path: str) -> tuple[str, str]:
    first = b""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            first = file.read(16)
    known = next((kind for kind in _MAGIC if first.startswith(kind[0])), None)
    if known is None and _ending(path) in _NAMES:
        return _NAMES[_ending(path)]
    _, what, how = known or (_ZIP if first.startswith(_ZIP[0]) else (b"", "", ""))
    return what, how
