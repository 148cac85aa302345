"""From rows back to one answer for each row: at once for NumPy arrays, lazily for Dask arrays."""

import math
from collections.abc import Callable, Mapping
from itertools import chain, count, islice
from typing import Any, NamedTuple, cast

import dask
import dask.array as da
import numpy as np
from dask.sizeof import sizeof
from numpy.typing import DTypeLike

from daskem.data.blocks.block import Block
from daskem.data.blocks.dask import LARGE
from daskem.data.blocks.joining import Omit, joined, part
from daskem.data.blocks.partitions import Args
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.plain import plain_numbers
from daskem.data.blocks.sequences import Edges, edges_between
from daskem.data.cluster.graph import Delayed

# Arguments of more bytes than this lie on the cluster before anybody computes answers.
_LARGE_BYTES = 2**20


class _Sequences(NamedTuple):
    """Rows that are never parted, and where the chunks of the first axis begin and end."""

    edges: Edges
    bounds: np.ndarray

    def of_chunk(self, number: int, n_rows: int) -> Edges:
        start = int(self.bounds[number])
        return edges_between(self.edges, start, start + n_rows)


class _Ridden(NamedTuple):
    """A chunk of rows (..., feature), and of what rides along with it (..., *own axes)."""

    rows: np.ndarray
    along: Mapping[str, np.ndarray]


def map_rows(
    array: np.ndarray | da.Array,
    f: Callable[[Block, *Args], np.ndarray],
    *args: *Args,
    along: Mapping[str, np.ndarray | da.Array] | None = None,
    edges: Edges | None = None,
    dtype: DTypeLike = np.float64,
    columns: int | None = None,
    fill: float = np.nan,
    omit: Omit = "none",
    name: str = "predict",
) -> np.ndarray | da.Array:
    """Answers (...,) or (..., column) for rows (..., feature).

    Parameters
    ----------
    array : ndarray or dask Array, (..., feature)
        With the features in one chunk.
    f : callable
        ``(block, *args) -> ndarray, (sample,) or (sample, column)``.
    along : mapping of str to ndarray or dask Array, (..., *own axes), optional
        What rides along with the rows, chunked like them.
    edges : ndarray of int, (sequence + 1,), or range, optional
        Rows that are never parted, and their chunks, as in `DaskBlocks`.
    dtype, columns
        Of the answers; `columns` is None where there is one number for each row.
    fill : number
        The answer for rows that are left out.
    omit : {"any", "all", "none"}
        Which ones `f` does not see: those that have any NaN, or nothing else.
    name : str
        Of the tasks on the dashboard.
    """
    sequences = None
    if edges is not None:
        ends = np.cumsum(array.chunks[0]) if isinstance(array, da.Array) else [len(array)]
        bounds = math.prod(array.shape[1:-1]) * np.array([0, *ends])
        sequences = _Sequences(edges, bounds)
    if isinstance(array, np.ndarray):
        chunk = _Ridden(array, cast(Mapping[str, np.ndarray], along or {}))
        shared = (f, args, fill, omit, sequences)
        answers = _answer(chunk, shared, block_id=(0,) * array.ndim)
        return answers if columns is not None else answers[..., 0]
    chunks = _ridden(array, cast(Mapping[str, da.Array], along or {}))
    # An axis of one column goes last: a map that drops an axis is not fused with the load.
    # As `name`, since `token` means nothing in some versions of Dask and warns in others.
    token = dask.base.tokenize(chunks.name, f, args, fill, omit, sequences, dtype, columns)
    answers = da.map_blocks(
        _answer,
        chunks,
        shared=_delayed((f, args, fill, omit, sequences)),
        name=f"{name}-{token}",
        chunks=(*array.chunks[:-1], (columns or 1,)),
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype=dtype),
    )
    return answers if columns is not None else answers[..., 0]


def _ridden(array: da.Array, along: Mapping[str, da.Array]) -> da.Array:
    """An array whose chunks are those of `array` with what rides along with them."""
    axes, numbers = tuple(range(array.ndim - 1)), count(array.ndim)
    # Every rider has its own axes, which are none of the answer's and in one chunk.
    own_axes = {name: islice(numbers, a.ndim - len(axes)) for name, a in along.items()}
    return da.blockwise(
        _ride,
        range(array.ndim),
        array,
        range(array.ndim),
        *chain.from_iterable((a, (*axes, *own_axes[name])) for name, a in along.items()),
        names=tuple(along),
        concatenate=True,
        align_arrays=False,
        token="rows",
        meta=array._meta,
    )


def _ride(rows: np.ndarray, *riders: np.ndarray, names: tuple[str, ...]) -> _Ridden:
    return _Ridden(plain_numbers(rows), dict(zip(names, riders, strict=True)))


def _delayed(args: tuple[Any, ...]) -> Delayed:
    """`args` as one task, which lies on the cluster already if it is large.

    Otherwise it would be part of the graph that the user computes, and distributed would warn of
    its size.
    """
    task = dask.delayed(args, traverse=False, pure=False)
    if sizeof(args) > _LARGE_BYTES:
        with dask.config.set(LARGE):
            (task,) = dask.persist(task)
    return task


def _answer(
    chunk: _Ridden,
    shared: tuple[Callable[..., np.ndarray], tuple[Any, ...], float, Omit, _Sequences | None],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    (f, args, fill, omit, sequences), shape = shared, chunk.rows.shape[:-1]
    piece = Piece(tuple(block_id[:-1]), 0, shape)
    edges = None if sequences is None else sequences.of_chunk(block_id[0], len(piece))
    (block,) = joined([part(piece, chunk.rows, chunk.along, edges)], omit)
    answers = f(block, *args)
    if block.kept is not None:
        filled = np.full((len(piece), *answers.shape[1:]), fill, dtype=answers.dtype)
        filled[block.kept] = answers
        answers = filled
    return answers.reshape(*shape, *(answers.shape[1:] or (1,)))
