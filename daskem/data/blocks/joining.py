"""From chunks to blocks: flat rows without gaps, and small chunks together."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from daskem.core.rows import some_rows
from daskem.data.blocks.block import WEIGHT, Block
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.plain import plain, plain_numbers
from daskem.data.blocks.sequences import Edges, edges_of_lengths
from daskem.errors import DataError

# Numbers in a block, 4 MiB in double precision; larger chunks are blocks of their own. What a block
# costs besides its rows (a kernel is set up, threads take turns) is about a millisecond, more than
# it takes to compute a small chunk.
BLOCK_SIZE = 2**19
# Riders of a type of their own; the others keep what they come with.
DTYPES = {WEIGHT: np.dtype(np.float64)}


# Which rows are left out: those that have any NaN, those that have nothing else, or none.
Omit = Literal["any", "all", "none"]


class Part(NamedTuple):
    """The rows (sample, feature) of one chunk, their riders and edges, and where they come from."""

    piece: Piece
    rows: np.ndarray
    along: Mapping[str, np.ndarray]
    edges: np.ndarray | None


def part(
    piece: Piece,
    rows: np.ndarray,
    along: Mapping[str, np.ndarray],
    edges: Edges | None = None,
) -> Part:
    """Flatten a chunk of rows (..., feature), and its riders (..., *own axes)."""
    # What comes off the network may lie at odd addresses, where NumPy adds in another order.
    rows = np.require(plain_numbers(rows), None, ["C", "A"])
    flat, n_axes = rows.reshape(-1, rows.shape[-1]), rows.ndim - 1
    riders = {name: _flat(name, values, n_axes) for name, values in along.items()}
    for name, values in riders.items():
        if len(values) != len(flat):
            raise DataError(
                f"chunk {piece.chunk} has {len(flat)} rows, but {name} has {len(values)} "
                "there; chunk them alike"
            )
    return Part(piece, flat, riders, None if edges is None else np.asarray(edges))


def joined(parts: Iterable[Part], omit: Omit) -> Iterator[Block]:
    """Blocks of neighbouring parts, as many as fit into `BLOCK_SIZE`, without what is omitted."""
    group: list[Part] = []
    size = 0
    for chunk in parts:
        size += chunk.rows.size
        if group and size > BLOCK_SIZE:
            yield _block(group, omit)
            group, size = [], chunk.rows.size
        group.append(chunk)
    if group:
        yield _block(group, omit)


def _block(group: Sequence[Part], omit: Omit) -> Block:
    pieces = tuple(chunk.piece for chunk in group)
    rows = _concatenated([chunk.rows for chunk in group])
    along = {name: _concatenated([chunk.along[name] for chunk in group]) for name in group[0].along}
    lengths = [np.diff(chunk.edges) for chunk in group if chunk.edges is not None]
    edges = edges_of_lengths(np.concatenate(lengths)) if lengths else None
    kept = None if rows.dtype.kind != "f" else _kept(rows, omit)
    if kept is None or kept.all():
        return Block(rows, along=along, pieces=pieces, edges=edges)
    along = {name: some_rows(values, kept) for name, values in along.items()}
    return Block(
        some_rows(rows, kept), along=along, pieces=pieces, taken=(kept,), edges=edges, kept=kept
    )


def _kept(rows: np.ndarray, omit: Omit) -> np.ndarray | None:
    """Which rows are not left out, bool (sample,); None for all."""
    if omit == "none":
        return None
    absent = np.isnan(rows)
    return ~(absent.any(axis=1) if omit == "any" else absent.all(axis=1))


def _flat(name: str, values: np.ndarray, n_axes: int) -> np.ndarray:
    values = np.require(plain(values), DTYPES.get(name), ["C", "A"])
    return values.reshape(math.prod(values.shape[:n_axes]), *values.shape[n_axes:])


def _concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
