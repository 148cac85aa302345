"""What fits into memory: a chunk into a worker, or all of the data into the cluster."""

from collections.abc import Sequence

import dask.array as da
import numpy as np
from dask.utils import format_bytes

from daskem.data.cluster.resources import Machines
from daskem.errors import ChunkTooLargeError

# What a worker needs besides its chunks: the interpreter with its libraries, and the tiles.
OVERHEAD = 200 * 2**20
CACHES = ("auto", "memory", "none")


def check_fits(array: da.Array, row_bytes: int, machines: Machines, longest: int = 1) -> None:
    """Raise ChunkTooLargeError if a worker has no room for the largest chunk and the next one.

    So many rows, at most, belong together: the longest sequence, which no chunk parts.
    """
    largest = tuple(int(np.argmax(np.nan_to_num(lengths))) for lengths in array.chunks)
    shape = [lengths[i] for lengths, i in zip(array.chunks, largest, strict=True)]
    n_rows = float(np.prod(np.nan_to_num(shape[:-1])))
    size = n_rows * row_bytes
    least = min(machines.limits, default=np.inf)
    most = (least - OVERHEAD) / 2
    if size <= most:
        return
    fewer = max(int(n_rows * most / size / 2), 1)
    raise ChunkTooLargeError(
        f"chunk {largest[:-1]} holds {' x '.join(map(str, shape))} numbers, "
        f"{format_bytes(int(size))}, and the smallest worker has {format_bytes(int(least))} of "
        f"memory, where two chunks should fit with {format_bytes(OVERHEAD)} to spare. "
        f"{_advice(fewer, longest)}, or give the workers more memory"
    )


def _advice(fewer: int, longest: int) -> str:
    """How to have chunks of so many rows, where so many belong together."""
    if longest == 1:
        return f"Open or write the data in chunks of at most {fewer:,} rows"
    reason = f"No sequence is parted, and the longest has {longest:,} rows: "
    if longest > fewer:
        return f"{reason}cut it into sequences of at most {fewer:,} rows, as where it pauses"
    n = fewer // longest
    whole = "one sequence" if n == 1 else f"at most {n:,} such sequences"
    return f"{reason}open or write the data in chunks of {whole}"


def choose_cache(
    cache: str, arrays: Sequence[da.Array], in_memory: bool, machines: Machines
) -> tuple[bool, list[str]]:
    """Whether to keep the data in memory between passes, and a note that says why."""
    if in_memory or cache == "none":
        return False, []
    size = sum(array.nbytes for array in arrays)
    keep = cache == "memory" or size <= machines.room
    amount = "an unknown number of bytes" if np.isnan(size) else format_bytes(int(size))
    done = "kept in memory from the first pass on" if keep else "read again in every pass"
    room = format_bytes(machines.room)
    why = f"they take {amount}, and there is room for {room} on {machines}"
    return keep, [f"cache: the chunks are {done} ({why})"]
