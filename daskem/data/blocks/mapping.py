"""From rows back to one answer for each row: at once for NumPy arrays, lazily for Dask arrays.

Lazy answers are Dask's to compute, by whatever scheduler. What they are made of is read as in a
pass: each chunk by a recipe of its own, of which a task makes a block.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import dask
import dask.array as da
import numpy as np
from dask.sizeof import sizeof
from dask.typing import Key
from distributed import futures_of
from numpy.typing import DTypeLike

from daskem.data.blocks.ahead import read_timeout
from daskem.data.blocks.block import Block
from daskem.data.blocks.dask import LARGE
from daskem.data.blocks.joining import Omit, joined, part
from daskem.data.blocks.partitions import Args
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.recipes import Recipe, chunks_of, cut, first_block
from daskem.data.blocks.sequences import Edges
from daskem.data.cluster.graph import ArrayValuesDep, Delayed, Task, TaskRef

# Arguments of more bytes than this lie on the cluster before anybody computes answers.
_LARGE_BYTES = 2**20


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
    origin: str = "the data",
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
    origin : str
        What errors call the data.
    """
    call = (f, args, fill)
    if isinstance(array, np.ndarray):
        piece = Piece((0,) * (array.ndim - 1), 0, array.shape[:-1])
        riders = cast(Mapping[str, np.ndarray], along or {})
        (block,) = joined([part(piece, array, riders, edges)], omit)
        answers = _answer(block, call)
        return answers if columns is not None else answers[..., 0]
    blocks = _blocks(array, cast(Mapping[str, da.Array], along or {}), edges, omit, origin)
    # As `name`, since `token` means nothing in some versions of Dask and warns in others.
    token = dask.base.tokenize(blocks.name, call, dtype, columns)
    answers = da.map_blocks(
        _answer,
        blocks,
        call=_delayed(call),
        name=f"{name}-{token}",
        chunks=(*array.chunks[:-1], (columns or 1,)),
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype=dtype),
    )
    return answers if columns is not None else answers[..., 0]


def _blocks(
    array: da.Array,
    along: Mapping[str, da.Array],
    edges: Edges | None,
    omit: Omit,
    origin: str,
) -> da.Array:
    """An array whose chunks are the blocks of those of `array`; the same for whatever is asked."""
    arrays, how = [array, *along.values()], (omit, origin, read_timeout())
    riders = {name: values.name for name, values in along.items()}
    name = f"block-{dask.base.tokenize(array.name, riders, edges, how)}"
    recipes, shared = cut(arrays, [[chunk] for chunk in chunks_of(array, along, edges)], *how)
    # What lies on a cluster stays there for as long as somebody has the answers.
    graph = {**shared, **{future.key: future for future in futures_of(arrays)}}
    numbered = {(*recipe.chunks[0].index, 0): recipe for recipe in recipes}
    axes = tuple(range(array.ndim))
    # As a map of Dask's own it is one task with what is made of the block.
    return da.blockwise(
        first_block,
        axes,
        ArrayValuesDep(array.chunks, numbered),
        axes,
        *_beside(f"{name}-beside", numbered, graph, array.chunks),
        name=name,
        align_arrays=False,
        meta=np.empty((0,) * array.ndim),
    )


def _beside(
    name: str,
    recipes: Mapping[tuple[int, ...], Recipe],
    graph: dict[Key, Any],
    chunks: tuple[tuple[int, ...], ...],
) -> tuple[Delayed | da.Array, tuple[int, ...] | None]:
    """What recipes need of a graph besides, as an argument of a map, and its axes.

    All of them have the same task for it if they need the same, as the store that they read.
    """
    needs = {tuple(recipe.shared) for recipe in recipes.values()}
    if len(needs) == 1:
        return Delayed(name, {**graph, name: Task(name, _listed, *map(TaskRef, *needs))}), None
    keys = {(name, *index): recipe.shared for index, recipe in recipes.items()}
    own = {key: Task(key, _listed, *map(TaskRef, names)) for key, names in keys.items()}
    return da.Array({**graph, **own}, name, chunks, dtype=float), tuple(range(len(chunks)))


def _listed(*values: object) -> Sequence[object]:
    return values


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
    block: Block, call: tuple[Callable[..., np.ndarray], tuple[Any, ...], float]
) -> np.ndarray:
    (f, args, fill), (piece,) = call, block.pieces
    answers = f(block, *args)
    if block.kept is not None:
        filled = np.full((len(piece), *answers.shape[1:]), fill, dtype=answers.dtype)
        filled[block.kept] = answers
        answers = filled
    return answers.reshape(*piece.shape, *(answers.shape[1:] or (1,)))
