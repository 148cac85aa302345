"""The one door: anything that holds rows -> opened -> `Rows`, labels aside -> blocks.

`stores` open what has an address; `arrays` and `columns` make one array of it, once, and `rows` put
its `names` aside; `blocks` cut it, with its `riders` and sequences. Nothing is read, and nobody
inside asks again what the data were.
"""

from daskem.data.inputs.blocks import as_blocks
from daskem.data.inputs.stores import address, is_labelled, open_labelled, open_zarr

__all__ = ["address", "as_blocks", "is_labelled", "open_labelled", "open_zarr"]
