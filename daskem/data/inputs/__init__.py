"""The one door: anything that holds rows -> opened -> `Rows`, labels aside -> blocks.

`sources` open every kind of container; `arrays` and `columns` make one array, once, and `rows` put
its `names` aside; `blocks` cut it, with its `riders` and sequences. Nothing is read, and nobody
inside asks again what the data were.
"""

from daskem.data.inputs.blocks import as_blocks
from daskem.data.inputs.sources import opened_source
from daskem.data.inputs.sources.zarr_stores import address, member, open_zarr

__all__ = ["address", "as_blocks", "member", "open_zarr", "opened_source"]
