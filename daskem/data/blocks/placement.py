"""Which cluster blocks are summed on, and rows in this machine's memory brought to it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
from dask.utils import format_bytes
from distributed import Client

from daskem.data.blocks.dask import DaskBlocks
from daskem.data.blocks.local import LocalBlocks
from daskem.data.blocks.protocol import Blocks
from daskem.data.blocks.resources import machines

# Where a cluster begins to be worth the journey.
_LEAST_BYTES = 2**26


def place(blocks: Blocks, client: Client | None) -> Blocks:
    """`blocks` on the cluster of `client`, where they are worth it and it has the room."""
    if client is None:
        return blocks
    if not isinstance(blocks, LocalBlocks):
        return moved(blocks, client)
    n_bytes = blocks.rows.nbytes
    if n_bytes < _LEAST_BYTES or _is_memmap(blocks.rows):
        return blocks
    room = machines(client).room
    if n_bytes > room:
        note = (
            f"the {format_bytes(n_bytes)} of data stayed in this process: the cluster has room for "
            f"{format_bytes(int(room))}. Write them to zarr, or add workers"
        )
        return replace(blocks, notes=(*blocks.notes, note))
    return scattered(blocks, client)


def moved(blocks: Blocks, client: Client) -> Blocks:
    """The same blocks on the cluster of a client, in any case."""
    if isinstance(blocks, DaskBlocks):
        return replace(blocks, client=client)
    assert isinstance(blocks, LocalBlocks)
    return scattered(blocks, client)


def scattered(blocks: LocalBlocks, client: Client) -> DaskBlocks:
    """The same chunks in the memory of the workers, so that sums have the same bits."""
    n = blocks.chunk_rows
    starts = range(0, max(len(blocks.rows), 1), n)
    parts = [blocks.rows[i : i + n] for i in starts]
    weights = [] if blocks.weights is None else [blocks.weights[i : i + n] for i in starts]
    # In one call: scattering in a loop races with itself.
    futures = client.scatter([*parts, *weights], hash=False)
    rows = _array(futures[: len(parts)], parts)
    return DaskBlocks(
        rows,
        _array(futures[len(parts) :], weights) if weights else None,
        blocks.omit,
        about_input=blocks.notes,
        client=client,
    )


def _array(futures: Sequence[Any], parts: Sequence[np.ndarray]) -> da.Array:
    name = f"rows-{uuid.uuid4().hex}"
    inner = parts[0].shape[1:]
    graph = {(name, i, *(0 for _ in inner)): future for i, future in enumerate(futures)}
    chunks = (tuple(len(part) for part in parts), *((size,) for size in inner))
    return da.Array(graph, name, chunks, dtype=parts[0].dtype)


def _is_memmap(array: np.ndarray | None) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False
