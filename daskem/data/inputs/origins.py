"""What errors call the data: where they are stored."""

import os

import xarray as xr
import zarr
from zarr.abc.store import Store

from daskem.core.addresses import hidden
from daskem.data.inputs.sources.zarr_stores import is_address


def origin(data: object) -> str:
    """The address of the store that data come from, without secrets, as far as they know it."""
    found = ""
    if is_address(data):
        found = hidden(os.fspath(data))
    elif isinstance(data, zarr.Array | zarr.Group):
        found = hidden(str(data.store_path))
    elif isinstance(data, Store):
        found = hidden(str(data))
    elif isinstance(data, xr.Dataset | xr.DataArray):
        found = hidden(str(data.encoding.get("source", "")))
    return found or "the data"
