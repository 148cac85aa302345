"""From rows back to one answer for each row: at once for NumPy arrays, lazily for Dask arrays."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np

from daskem.blocks.block import Block


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
        return _answer(array, f=f, theta=args, block_id=(0,) * array.ndim)
    shape = {} if columns is None else {"chunks": (*array.chunks[:-1], (columns,))}
    return da.map_blocks(
        _answer,
        array,
        f=f,
        theta=dask.delayed(args, traverse=False, pure=False),
        token=f"{name}-{dask.base.tokenize(array.name, f, args)}",
        drop_axis=array.ndim - 1 if columns is None else None,
        dtype=dtype,
        meta=np.empty((0,) * (array.ndim - (columns is None)), dtype=dtype),
        **shape,
    )


def _answer(
    rows: np.ndarray,
    f: Callable[..., np.ndarray],
    theta: tuple[Any, ...],
    block_id: tuple[int, ...] = (),
) -> np.ndarray:
    block = Block(np.asarray(rows).reshape(-1, rows.shape[-1]), None, tuple(block_id[:-1]), 0, -1)
    answers = f(block, *theta)
    return answers.reshape(*rows.shape[:-1], *answers.shape[1:])
