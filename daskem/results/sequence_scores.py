"""From one number for each row to one for each sequence: at once, or lazily, chunk by chunk."""

from collections.abc import Mapping
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.blocks.sequences import Edges, edges_between
from daskem.data.inputs.names import Rows, free


def summed(values: np.ndarray | da.Array, edges: Edges) -> np.ndarray | da.Array:
    """The sum over each sequence, (sequence,); NaN for one of which all values are.

    Parameters
    ----------
    values : ndarray or dask Array, (...)
        Of each row, in chunks that end where a sequence ends.
    edges : ndarray of int, (sequence + 1,), or range
        Where sequences begin and end among the flattened rows.
    """
    if isinstance(values, np.ndarray):
        return _sums(values, np.asarray(edges))
    if isinstance(edges, range) and edges.step == values.shape[-1]:
        # Each chunk has all of the sequences that it has, whatever its other axes are.
        last = values.ndim - 1
        whole = da.map_blocks(_along_last, values, drop_axis=last, dtype=values.dtype)
        return whole.ravel()
    inner = int(np.prod(values.shape[1:]))
    bounds = inner * np.cumsum([0, *values.chunks[0]])
    parts = []
    for block, start, stop in zip(
        values.to_delayed().ravel(), bounds[:-1], bounds[1:], strict=True
    ):
        local_edges = np.asarray(edges_between(edges, int(start), int(stop)))
        lazy = dask.delayed(_sums)(block, local_edges)
        parts.append(da.from_delayed(lazy, (len(local_edges) - 1,), values.dtype))
    return da.concatenate(parts)


def labelled_scores(
    scores: np.ndarray | da.Array,
    rows: Rows,
    identifiers: np.ndarray | None,
    name: str,
    attrs: Mapping[str, Any],
) -> Any:
    """One number for each sequence, along a dimension of their own where the rows have labels, with
    the `identifiers` (sequence,) of sequences that have some.
    """
    if rows.labels is None:
        if identifiers is None or rows.table is None or rows.table.index is None:
            return scores
        from pandas import Series

        return Series(scores, identifiers, name=name)
    dim = free("sequence", {*rows.dims, *rows.labels.variables})
    coords = {} if identifiers is None else {dim: identifiers}
    about = {**rows.labels.attrs, **attrs}
    return xr.DataArray(scores, coords, (dim,), name, about)


def _along_last(values: np.ndarray) -> np.ndarray:
    """The same of an array (..., step), each row of which is a sequence."""
    n = values.shape[-1]
    return _sums(values, np.arange(0, values.size + 1, n)).reshape(values.shape[:-1])


def _sums(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    flat, starts = values.ravel(), edges[:-1]
    present = ~np.isnan(flat)
    sums = np.add.reduceat(np.where(present, flat, 0.0), starts)
    return np.where(np.logical_or.reduceat(present, starts), sums, np.nan)
