"""The one door: whatever holds rows becomes an array with labels put aside. Nothing is read."""

from daskem.data.inputs.arrays import as_array, as_blocks, features_in_one_chunk
from daskem.data.inputs.stores import address, is_labelled, open_labelled, open_zarr

__all__ = [
    "address",
    "as_array",
    "as_blocks",
    "features_in_one_chunk",
    "is_labelled",
    "open_labelled",
    "open_zarr",
]
