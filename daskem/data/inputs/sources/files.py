"""Files that are no zarr store, told by their first bytes or their names, and how to open them."""

import os

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
    (b"PK\x03\x04", "zip", "if it is zarr in a zip, pass zarr.storage.ZipStore({path!r})"),
    (b"SIMPLE  =", "FITS", "read it with astropy.table.Table.read({path!r}) and pass that"),
)
_NAMES = {
    ".nc": ("netCDF", _XARRAY),
    ".nc4": ("netCDF", _XARRAY),
    ".h5": ("netCDF or HDF5", _XARRAY),
    ".parquet": ("Parquet", _TABLE.replace("{reader}", "read_parquet")),
    ".csv": ("CSV", _TABLE.replace("{reader}", "read_csv")),
    ".txt": ("text", _TABLE.replace("{reader}", "read_csv")),
}


def is_netcdf(path: str) -> bool:
    """Whether there is a file at `path` that xarray opens as netCDF."""
    return os.path.isfile(path) and "netCDF" in _told(path)[0]


def about(path: str) -> str:
    """What the file at `path` is, and how to open it; empty if nobody knows."""
    what, how = _told(path)
    return f": that is {what}; {how.format(path=hidden(path))}" if what else ""


def _told(path: str) -> tuple[str, str]:
    first = b""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            first = file.read(16)
    for magic, what, how in _MAGIC:
        if first.startswith(magic):
            return what, how
    return _NAMES.get(os.path.splitext(path)[1].lower(), ("", ""))
