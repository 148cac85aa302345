"""What errors call the data: where they are stored."""

from typing import Any

import xarray as xr
import zarr

from daskem.core.addresses import shown
from daskem.data.inputs.sources.stores import is_address


def origin(data: Any) -> str:
    """The address of the store that data come from, without secrets, as far as they know it."""
    found = ""
    if is_address(data):
        found = shown(data)
    elif isinstance(data, zarr.Array | zarr.Group):
        found = shown(str(data.store_path))
    elif isinstance(data, xr.Dataset | xr.DataArray):
        found = shown(str(data.encoding.get("source", "")))
    return found or "the data"
