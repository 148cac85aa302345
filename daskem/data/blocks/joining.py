"""From chunks to blocks: flat rows without gaps, and small chunks together.

What a block costs besides its rows (a kernel is set up, threads take turns) is about a
millisecond, more than it takes to compute a small chunk.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from daskem.data.blocks.block import Block, Piece
from daskem.errors import DataError

# Numbers in a block, 4 MiB in double precision. Larger chunks are blocks of their own.
BLOCK_SIZE = 2**19


class Part(NamedTuple):
    """The rows (sample, feature) of one chunk, their weights, and where they come from."""

    piece: Piece
    rows: np.ndarray
    weights: np.ndarray | None


def part(piece: Piece, rows: Any, weights: Any = None) -> Part:
    """Flatten a chunk of rows (..., feature) and weights (...)."""
    # What comes off the network may lie at odd addresses, where NumPy adds in another order.
    flat = np.require(rows, None, ["C", "A"]).reshape(-1, np.shape(rows)[-1])
    if weights is not None:
        weights = np.require(weights, np.float64, ["C", "A"]).reshape(-1)
        if len(weights) != len(flat):
            raise DataError(
                f"chunk {piece.chunk} has {len(flat)} rows, but sample_weight has {len(weights)} "
                "numbers there; chunk them alike"
            )
    return Part(piece, flat, weights)


def joined(parts: Iterable[Part], omit: bool) -> Iterator[Block]:
    """Blocks of neighbouring parts, as many as fit into `BLOCK_SIZE`; without NaN if `omit`."""
    group: list[Part] = []
    size = 0
    for own in parts:
        size += own.rows.size
        if group and size > BLOCK_SIZE:
            yield _block(group, omit)
            group, size = [], own.rows.size
        group.append(own)
    if group:
        yield _block(group, omit)


def _block(group: Sequence[Part], omit: bool) -> Block:
    pieces, all_rows, all_weights = zip(*group, strict=True)
    rows = _concatenated(all_rows)
    weights = None if all_weights[0] is None else _concatenated(all_weights)
    kept = ~np.isnan(rows).any(axis=1) if omit and rows.dtype.kind == "f" else None
    if kept is None or kept.all():
        return Block(rows, weights, pieces)
    return Block(rows[kept], None if weights is None else weights[kept], pieces, kept)


def _concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
