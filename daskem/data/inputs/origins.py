"""What errors call the data: where they are stored."""

import os

import xarray as xr
import zarr
from zarr.abc.store import Store

from daskem.core.addresses import hidden
from daskem.data.inputs.sources.zarr_stores import is_address


def origin(data: object) -> str:
    """The address of the store that data come from, without secrets, as far as they know it."""
    address = ""
    if is_address(data):
        address = hidden(os.fspath(data))
    elif isinstance(data, zarr.Array | zarr.Group):
        address = hidden(str(data.store_path))
    elif isinstance(data, Store):
        address = hidden(str(data))
    elif isinstance(data, xr.Dataset | xr.DataArray):
        address = hidden(str(data.encoding.get("source", "")))
    return address or "the data"
