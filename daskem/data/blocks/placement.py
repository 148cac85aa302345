"""Which cluster blocks are summed on, and rows in this machine's memory brought to it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import dask.array as da
import numpy as np
from dask.utils import format_bytes
from distributed import Client, Future

from daskem.data.blocks.dask import DaskBlocks
from daskem.data.blocks.local import LocalBlocks
from daskem.data.blocks.protocol import Blocks
from daskem.data.cluster.openness import tell_if_open
from daskem.data.cluster.resources import machines
from daskem.data.cluster.waiting import check_workers

# Where a cluster begins to be worth the journey.
_LEAST_BYTES = 2**26


def place(blocks: Blocks, client: Client | None) -> Blocks:
    """`blocks` on the cluster of `client`, where they are worth it and it has the room."""
    if client is None:
        return blocks
    tell_if_open(client)
    if not isinstance(blocks, LocalBlocks):
        check_workers(client)
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
    check_workers(client)
    arrays = [blocks.rows, *blocks.along.values()]
    cut = [np.split(array, blocks.bounds[1:-1]) for array in arrays]
    # In one call: scattering in a loop races with itself.
    futures = client.scatter([part for parts in cut for part in parts], hash=False)
    n = blocks.n_chunks
    rows, *riders = (_array(futures[i * n : (i + 1) * n], parts) for i, parts in enumerate(cut))
    return DaskBlocks(
        rows,
        dict(zip(blocks.along, riders, strict=True)),
        blocks.omit,
        about_input=blocks.notes,
        edges=blocks.edges,
        client=client,
    )


def _array(futures: Sequence[Future], parts: Sequence[np.ndarray]) -> da.Array:
    """The parts of an array in the memory of the workers as its chunks."""
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
