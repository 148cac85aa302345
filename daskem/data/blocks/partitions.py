"""Partitions: consecutive chunks, which are one task of a pass.

A task for every chunk would spend more time in the scheduler than at work, once chunks are small
and many. A partition travels as a recipe, of which one task makes block after block, adding up as
it goes.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, TypeVarTuple

import dask.array as da
import numpy as np

from daskem.core.statistics import TreeSum
from daskem.data.blocks.block import Block
from daskem.data.blocks.joining import DTYPES
from daskem.data.blocks.recipes import Recipe

# The sizes of partitions depend on the data alone: the shape of the tree, and with it the last bit
# of the result, must not depend on the cluster.
# At least so many where there are as many chunks, for the workers of a cluster to share.
_FEWEST = 64
# So many are enough for work of no more bytes in each: a task costs scheduler and worker some 2 ms.
_ENOUGH, _FEW_BYTES = 32, 2**22
# No more work than this in one, so that little is lost with a worker.
_BYTES = 2**28
# No more partitions than this, or a scheduler has no time for them.
_MOST = 2**15
# What opening, decoding and scheduling a chunk costs, in bytes that could be read meanwhile.
_CHUNK_BYTES = 2**20

Result = TypeVar("Result")
Args = TypeVarTuple("Args")


def partitions_of(n_bytes: np.ndarray) -> list[range]:
    """Cut chunks of these sizes (NaN where unknown) into partitions of about equal work."""
    costs = np.nan_to_num(n_bytes) + _CHUNK_BYTES
    total, known = costs.sum(), not np.isnan(n_bytes).any()
    size = max(min(total / _FEWEST, _BYTES), total / _MOST)
    if known:
        size = max(size, min(total / _ENOUGH, _FEW_BYTES))
    middles = np.cumsum(costs) - costs / 2
    edges = np.flatnonzero(np.diff(middles // size)) + 1
    return [range(a, b) for a, b in zip([0, *edges], [*edges, len(costs)], strict=True)]


def row_bytes(rows: np.ndarray | da.Array, along: Mapping[str, np.ndarray | da.Array]) -> int:
    """Bytes of one of the rows (..., feature), with what rides along (..., *own axes)."""
    n_axes = rows.ndim - 1
    riders = (
        math.prod(values.shape[n_axes:]) * DTYPES.get(name, values.dtype).itemsize
        for name, values in along.items()
    )
    return rows.shape[-1] * rows.dtype.itemsize + sum(riders)


@dataclass(frozen=True)
class Outline:
    """How much there is to read in a pass; NaN where chunks are of unknown length.

    Attributes
    ----------
    n_rows, n_bytes : float
    chunk_bytes : float
        Of the largest chunk.
    n_chunks, n_partitions : int
    """

    n_rows: float
    n_bytes: float
    chunk_bytes: float
    n_chunks: int
    n_partitions: int

    @classmethod
    def of(cls, n_rows: float, sizes: np.ndarray) -> "Outline":
        """The outline of chunks of these sizes, in bytes."""
        n_partitions = len(partitions_of(sizes))
        return cls(n_rows, float(sizes.sum()), float(sizes.max()), len(sizes), n_partitions)


@dataclass(frozen=True)
class Loaded:
    """The blocks of a partition that are kept in memory from one pass to the next."""

    kept: Sequence[Block]

    def blocks(self, shared: Sequence[object]) -> Generator[Block]:
        yield from self.kept


def load(recipe: Recipe, *shared: object) -> Loaded:
    """Make all blocks of a partition at once."""
    return Loaded(list(recipe.blocks(shared)))


def run(
    f: Callable[[Block, *Args], Result],
    args: tuple[*Args],
    source: Recipe | Loaded,
    *shared: object,
) -> Result:
    """The tree sum of ``f(block, *args)`` over a partition."""
    tree: TreeSum[Result] = TreeSum()
    with closing(source.blocks(shared)) as blocks:
        for block in blocks:
            tree.push(f(block, *args))
    return tree.total()


def run_each(
    f: Callable[[Block, *Args], Result],
    args: tuple[*Args],
    lengths: Sequence[int],
    *values: Any,
) -> list[Result]:
    """The sums over several partitions: `run` of so many of the values for each."""
    rest = iter(values)
    return [run(f, args, *islice(rest, length)) for length in lengths]
