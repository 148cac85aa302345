"""Sequences: rows that belong together, in their order, and are never parted.

A sequence is ``rows[edges[i]:edges[i + 1]]`` for ascending `edges`, which count the rows before
any are omitted. Where all have the same length, a `range` says so and needs no memory.
"""

import numpy as np

Edges = np.ndarray | range


def observed_lengths(edges: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """How many rows of every sequence are left, (sequence,), where `kept` tells which rows are."""
    if kept is None or len(edges) == 1:
        return np.diff(edges)
    return np.add.reduceat(kept, edges[:-1], dtype=np.int64)


def longest_sequence(edges: Edges) -> int:
    """How many rows the longest sequence has."""
    return edges.step if isinstance(edges, range) else int(np.diff(edges).max(initial=1))


def whole_sequences(lengths: np.ndarray, indices: np.ndarray) -> np.ndarray | None:
    """Which sequences of these lengths the rows at `indices` are, one after the other.

    None if they are not whole sequences, each with its rows in their order.
    """
    sequence_of_row = np.repeat(np.arange(len(lengths)), lengths)[indices]
    sequences = sequence_of_row[np.flatnonzero(np.diff(sequence_of_row, prepend=-1))]
    starts = np.cumsum(lengths) - lengths
    whole = _ranges(starts[sequences], lengths[sequences])
    return sequences if np.array_equal(indices, whole) else None


def chosen_sequences(
    edges: np.ndarray, kept: np.ndarray | None, sequences: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """`edges` and `kept` of some of the sequences."""
    lengths = np.diff(edges)[sequences]
    rows = None if kept is None else kept[_ranges(edges[:-1][sequences], lengths)]
    return edges_of_lengths(lengths), rows


def joined_sequences(
    edges: tuple[np.ndarray, np.ndarray], kept: tuple[np.ndarray | None, np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray | None]:
    """`edges` and `kept` of the sequences of two blocks."""
    both = edges_of_lengths(np.concatenate([np.diff(one) for one in edges]))
    if kept[0] is None and kept[1] is None:
        return both, None
    filled = [
        np.ones(ends[-1], dtype=bool) if rows is None else rows
        for ends, rows in zip(edges, kept, strict=True)
    ]
    return both, np.concatenate(filled)


def edges_of_lengths(lengths: np.ndarray) -> np.ndarray:
    """`edges`, (sequence + 1,), of sequences of these lengths."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def edges_between(edges: Edges, start: int, stop: int) -> Edges:
    """The edges of the sequences from row `start` to row `stop`, which are two of them."""
    if isinstance(edges, range):
        return range(0, stop - start + 1, edges.step)
    first, last = np.searchsorted(edges, [start, stop])
    return edges[first : last + 1] - start


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers from every start on, as many as the length says, one range after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())
