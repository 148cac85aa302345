"""From the lengths of sequences to their edges, and to chunks that part none of them."""

from typing import NamedTuple

import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.blocks.sequences import Edges, edges_of_lengths
from daskem.data.inputs.arrays import Array
from daskem.data.inputs.kinds import Lengths
from daskem.data.inputs.names import Rows
from daskem.errors import DataError

# Chunks that a note writes out.
_SHOWN = 6
_CUT = (
    "the rows are cut to chunks that end where a sequence ends, {} instead of {}; data that are "
    "read often are better written in such chunks"
)
# Bytes of a chunk of several sequences that are gathered, at most.
_MOST_GATHERED = 2**27
_GATHERED = (
    "the sequences lie in chunks of {}, and are gathered into chunks of {} in every pass, which "
    "holds all chunks along a sequence at a time; data that are read often are better written so"
)


class Cut(NamedTuple):
    """Rows that are cut nowhere but where a sequence ends, and what had to be done for that."""

    array: Array
    edges: Edges | None
    notes: tuple[str, ...]


def cut(array: Array, lengths: Lengths | None) -> Cut:
    """Rows (..., feature) and the sequences of these lengths, if there are any."""
    edges = None if lengths is None else edges_of(lengths, array.shape[:-1])
    if edges is None or not isinstance(array, da.Array):
        return Cut(array, edges, ())
    if isinstance(edges, range) and edges.step == array.shape[-2]:
        whole, notes = with_whole_sequences(array)
        return Cut(whole, edges, notes)
    known = np.asarray(edges)
    chunked, notes = cut_at_sequences(array, known)
    return Cut(chunked, known, notes)


def lengths_of(rows: Rows, lengths: Lengths | None) -> Lengths | None:
    """The lengths of sequences that are given, or that of the dimension that they lie along.

    A name is that of the lengths, a variable of its own dimension (CF's contiguous ragged arrays),
    or that of identifiers of the rows, which are sorted by them.

    Raises
    ------
    DataError
        If both are there, or the rows are not sorted.
    """
    dim = rows.features.sequence_dim
    if dim is None:
        return _named(lengths, rows) if isinstance(lengths, str) else lengths
    if lengths is not None:
        raise DataError(
            f"sequence_dim={dim!r} and lengths both say which rows are a sequence; pass one of them"
        )
    return int(rows.array.shape[-2])


def _named(name: str, rows: Rows) -> np.ndarray:
    """The lengths of that name, or those of the runs of identifiers of that name."""
    values = rows.beside[name]
    numbers = np.asarray(values)
    return numbers if _are_counts(values, rows) else _runs(name, numbers.ravel())


def _are_counts(values: object, rows: Rows) -> bool:
    """Whether they are lengths of sequences, rather than identifiers of rows."""
    if not isinstance(values, xr.DataArray):
        return False
    return values.dims != rows.dims or "sample_dimension" in values.attrs


def identifiers(rows: Rows, lengths: Lengths | None, edges: Edges) -> np.ndarray | None:
    """What the sequences are called, (sequence,), where `lengths` names identifiers of the rows."""
    if not isinstance(lengths, str) or _are_counts(rows.beside[lengths], rows):
        return None
    return np.asarray(rows.beside[lengths]).ravel()[np.asarray(edges)[:-1]]


def _runs(name: str, ids: np.ndarray) -> np.ndarray:
    """How many rows have the same identifier, one after the other, (sequence,).

    Raises
    ------
    DataError
        If a row has none, or the rows are not sorted by them.
    """
    from pandas import isna

    missing = np.flatnonzero(isna(ids))
    if len(missing):
        raise DataError(
            f"{name!r} is missing in row {missing[0]:,}; each row needs that of its sequence"
        )
    ids = ids.astype(str) if ids.dtype.kind == "O" else ids
    starts = np.flatnonzero(ids[1:] != ids[:-1]) + 1
    starts = np.concatenate([[0], starts])
    _, first = np.unique(ids[starts], return_index=True)
    if len(first) < len(starts):
        again = starts[np.setdiff1d(np.arange(len(starts)), first)[0]]
        raise DataError(
            f"the rows are not sorted by {name!r}: {ids[again]} is there again in row {again:,}, "
            f"after other values; sort them by {name!r}, and in time within each"
        )
    return np.diff(starts, append=len(ids))


def edges_of(lengths: Lengths, shape: tuple[float, ...]) -> Edges:
    """Where sequences of these lengths begin and end among rows of this shape, (sequence + 1,).

    A range, where `lengths` is the one number that all have.

    Raises
    ------
    DataError
        If `lengths` are not positive whole numbers, or are not those of all the rows.
    """
    if np.isnan(shape).any():
        raise DataError(
            "the rows are in chunks of unknown length, and nobody knows where a sequence ends; "
            "call array.compute_chunk_sizes() first"
        )
    given = np.asarray(lengths)
    if given.ndim == 0 and given.dtype.kind in "iu":
        return _alike(int(given), int(np.prod(shape)))
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise DataError(
            f"lengths are {given.dtype} {given.shape}; one whole number for each sequence"
        )
    wrong = np.flatnonzero(given < 1)
    if len(wrong):
        raise DataError(
            f"lengths[{wrong[0]}] is {given[wrong[0]]}; every sequence has one row or more"
        )
    edges = edges_of_lengths(given)
    n_rows = int(np.prod(shape))
    if edges[-1] != n_rows:
        raise DataError(
            f"the lengths of {len(given):,} sequences add to {edges[-1]:,} rows, and the data have "
            f"{n_rows:,}"
        )
    return edges


def _alike(length: int, n_rows: int) -> range:
    """The edges of sequences of one length."""
    if length < 1 or n_rows % length:
        raise DataError(
            f"the data have {n_rows:,} rows, which are no sequences of {length:,} rows each; pass "
            "lengths=[...], the rows of each of them"
        )
    return range(0, n_rows + 1, length)


def with_whole_sequences(array: da.Array) -> tuple[da.Array, tuple[str, ...]]:
    """The same rows with all of the last axis of the samples in each chunk, and what that took.

    The other axes are cut anew, where chunks would be larger than `_MOST_GATHERED` else.
    """
    axis = array.ndim - 2
    if array.numblocks[axis] == 1:
        return array, ()
    largest = [max(lengths) for lengths in array.chunks]
    largest[axis] = array.shape[axis]
    fits = np.prod(largest, dtype=float) * array.dtype.itemsize <= _MOST_GATHERED
    others = {} if fits else dict.fromkeys(range(axis), "auto")
    # Shuffles by workers among themselves are no tasks, of which partitions are made.
    whole = array.rechunk({**others, axis: -1}, block_size_limit=_MOST_GATHERED, method="tasks")
    return whole, (_GATHERED.format(_shown(array.chunks), _shown(whole.chunks)),)


def cut_at_sequences(array: da.Array, edges: np.ndarray) -> tuple[da.Array, tuple[str, ...]]:
    """The same rows in chunks that part no sequence, and what had to be done for that.

    Only the first axis is cut, so that the rows of a chunk follow one another in the input.
    """
    inner = int(np.prod(array.shape[1:-1]))
    # Where the first axis can be cut, and where it is cut now.
    possible = edges[edges % inner == 0] // inner
    now = edges_of_lengths(np.array(array.chunks[0]))
    bounds = np.unique(possible[np.searchsorted(possible, now)])
    whole = [(length,) for length in array.shape[1:-1]]
    chunks = (tuple(np.diff(bounds).tolist()), *whole, array.chunks[-1])
    if chunks == array.chunks:
        return array, ()
    return array.rechunk(chunks), (_CUT.format(_shown(chunks), _shown(array.chunks)),)


def _shown(chunks: tuple[tuple[int, ...], ...]) -> str:
    """The chunks of the sample axes in words."""
    axes = [
        f"({', '.join(map(str, lengths[:_SHOWN]))}, ... {len(lengths):,} in all)"
        if len(lengths) > _SHOWN
        else str(lengths)
        for lengths in chunks[:-1]
    ]
    return " x ".join(axes)
