"""From rows back to one answer for each row: at once for NumPy arrays, lazily for Dask arrays."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np

from daskem.blocks.block import Block, Piece


def map_rows(
    array: np.ndarray | da.Array,
    f: Callable[..., np.ndarray],
    *args: Any,
    dtype: Any = np.float64,
    columns: int | None = None,
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
    name : str
        Of the tasks on the dashboard.
    """
    if isinstance(array, np.ndarray):
        answers = _answer(array, f=f, theta=args, block_id=(0,) * array.ndim)
        return answers if columns is not None else answers[..., 0]
    # An axis of one column goes last: a map that drops an axis is not fused with the load.
    answers = da.map_blocks(
        _answer,
        array,
        f=f,
        theta=dask.delayed(args, traverse=False, pure=False),
        token=f"{name}-{dask.base.tokenize(array.name, f, args)}",
        chunks=(*array.chunks[:-1], (columns or 1,)),
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype=dtype),
    )
    return answers if columns is not None else answers[..., 0]


def _answer(
    rows: np.ndarray,
    f: Callable[..., np.ndarray],
    theta: tuple[Any, ...],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    flat = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    answers = f(Block(flat, None, (Piece(tuple(block_id[:-1]), 0, rows.shape[:-1]),)), *theta)
    return answers.reshape(*rows.shape[:-1], *(answers.shape[1:] or (1,)))
