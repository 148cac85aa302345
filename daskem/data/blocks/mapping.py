"""From rows back to one answer for each row: at once for NumPy arrays, lazily for Dask arrays."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from dask.sizeof import sizeof

from daskem.data.blocks.block import Piece
from daskem.data.blocks.dask import LARGE
from daskem.data.blocks.joining import joined, part

_LARGE_BYTES = 2**20


def map_rows(
    array: np.ndarray | da.Array,
    f: Callable[..., np.ndarray],
    *args: Any,
    dtype: Any = np.float64,
    columns: int | None = None,
    fill: float | None = None,
    name: str = "predict",
) -> np.ndarray | da.Array:
    """Answers (...,) or (..., column) for rows (..., feature).

    Parameters
    ----------
    array : ndarray or dask Array, (..., feature)
        With the features in one chunk.
    f : callable
        ``(block, *args) -> ndarray, (sample,) or (sample, column)``.
    dtype, columns
        Of the answers; `columns` is None where there is one number for each row.
    fill : number, optional
        The answer for rows with a NaN, which `f` does not see then.
    name : str
        Of the tasks on the dashboard.
    """
    if isinstance(array, np.ndarray):
        answers = _answer(array, f=f, theta=args, fill=fill, block_id=(0,) * array.ndim)
        return answers if columns is not None else answers[..., 0]
    # An axis of one column goes last: a map that drops an axis is not fused with the load.
    answers = da.map_blocks(
        _answer,
        array,
        f=f,
        theta=_delayed(args),
        fill=fill,
        token=f"{name}-{dask.base.tokenize(array.name, f, args, fill)}",
        chunks=(*array.chunks[:-1], (columns or 1,)),
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype=dtype),
    )
    return answers if columns is not None else answers[..., 0]


def _delayed(args: tuple[Any, ...]) -> Delayed:
    """`args` as one task, which lies on the cluster already if it is large.

    Otherwise it would be part of the graph that the user computes, and distributed would warn of
    its size.
    """
    theta = dask.delayed(args, traverse=False, pure=False)
    if sizeof(args) > _LARGE_BYTES:
        with dask.config.set(LARGE):
            (theta,) = dask.persist(theta)
    return theta


def _answer(
    rows: np.ndarray,
    f: Callable[..., np.ndarray],
    theta: tuple[Any, ...],
    fill: float | None,
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    piece = Piece(tuple(block_id[:-1]), 0, rows.shape[:-1])
    (block,) = joined([part(piece, rows)], omit=fill is not None)
    answers = f(block, *theta)
    if block.kept is not None:
        found = answers
        answers = np.full((len(piece), *found.shape[1:]), fill, dtype=found.dtype)
        answers[block.kept] = found
    return answers.reshape(*rows.shape[:-1], *(answers.shape[1:] or (1,)))
