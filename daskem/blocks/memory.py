"""What fits into memory: a chunk into a worker, or all of the data into the cluster."""

from collections.abc import Sequence

import dask.array as da
import numpy as np
from dask.utils import format_bytes

from daskem.blocks.machines import machines
from daskem.errors import ChunkTooLargeError

# What a worker needs besides its chunks: the interpreter with its libraries, and the tiles.
OVERHEAD = 200 * 2**20
# The share of all memory that the data may fill and still leave room for everything else; Dask
# begins to move data to disk at 0.6.
ROOM = 0.4
CACHES = ("auto", "memory", "none")


def check_fits(array: da.Array) -> None:
    """Raise ChunkTooLargeError if a worker has no room for the largest chunk and the next one."""
    largest = tuple(int(np.nanargmax(np.nan_to_num(lengths))) for lengths in array.chunks)
    shape = [lengths[i] for lengths, i in zip(array.chunks, largest, strict=True)]
    size = float(np.prod(np.nan_to_num(shape))) * array.dtype.itemsize
    most = (min(machines().limits, default=np.inf) - OVERHEAD) / 2
    if size <= most:
        return
    rows = int(np.prod(shape[:-1]) * most / size / 2)
    raise ChunkTooLargeError(
        f"chunk {largest[:-1]} holds {' x '.join(map(str, shape))} numbers, "
        f"{format_bytes(int(size))}, and the smallest worker has "
        f"{format_bytes(min(machines().limits))} of memory, where two chunks should fit with "
        f"{format_bytes(OVERHEAD)} to spare. Open or write the data in chunks of at most "
        f"{max(rows, 1):,} rows, or give the workers more memory"
    )


def choose_cache(cache: str, arrays: Sequence[da.Array], in_memory: bool) -> tuple[bool, list[str]]:
    """Whether to keep the data in memory between passes, and a note that says why."""
    if in_memory or cache == "none":
        return False, []
    size = sum(array.nbytes for array in arrays)
    if np.isnan(size):
        text = "the size of the data is unknown"
        return cache == "memory", [_NOTES[cache == "memory"].format(text)]
    found = machines()
    text = (
        f"they take {format_bytes(int(size))}, and there is room for "
        f"{format_bytes(int(ROOM * sum(found.limits)))} on {found.name}"
    )
    keep = cache == "memory" or size <= ROOM * sum(found.limits)
    return keep, [_NOTES[keep].format(text)]


_NOTES = {
    True: "cache: the chunks are kept in memory from the first pass on ({})",
    False: "cache: the chunks are read again in every pass ({})",
}
