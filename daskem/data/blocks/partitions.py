"""Partitions: consecutive chunks, which are one task of a pass.

A task for every chunk would spend more time in the scheduler than at work, once chunks are small
and many. A partition travels as a *recipe*: the part of the input's graph that nobody else needs,
which one task runs through, chunk by chunk, adding up as it goes.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, TypeVarTuple

import dask.array as da
import numpy as np
from dask.typing import Key

from daskem.core.statistics import TreeSum
from daskem.data.blocks.ahead import Reading, ahead
from daskem.data.blocks.block import Block
from daskem.data.blocks.joining import DTYPES, Omit, Part, joined, part
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.retries import patiently
from daskem.data.blocks.sequences import Edges
from daskem.data.cluster.graph import GraphNode, evaluated

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
class Chunk:
    """Where a chunk comes from: the keys of its tasks, and its place in the input.

    Attributes
    ----------
    rows : key
    along : mapping of str to key
        Of what rides along with the rows.
    index, number, offset
        As in `Piece`.
    edges : ndarray, range or None
        Of the sequences in it.
    """

    rows: Key
    along: Mapping[str, Key]
    index: tuple[int, ...]
    number: int
    offset: tuple[int, ...] | None = None
    edges: Edges | None = None

    @property
    def keys(self) -> list[Key]:
        return [self.rows, *self.along.values()]

    @property
    def place(self) -> str:
        """Which chunk it is, in words, and where it begins if that is known."""
        index = self.index[0] if len(self.index) == 1 else self.index
        if self.offset is None:
            return f"chunk {index}"
        first = self.offset[0] if len(self.offset) == 1 else self.offset
        return f"chunk {index}, from row {first} on,"

    def part(self, values: Mapping[Key, np.ndarray], extent: tuple[int, ...] | None) -> Part:
        """The rows of the chunk, given the values of its keys."""
        rows = values[self.rows]
        along = {name: values[key] for name, key in self.along.items()}
        piece = Piece(self.index, self.number, np.shape(rows)[:-1], self.offset, extent)
        return part(piece, rows, along, self.edges)


@dataclass(frozen=True)
class Recipe:
    """What makes the chunks of a partition; opaque to the scheduler.

    Attributes
    ----------
    chunks : sequence of Chunk
    extent : tuple of int, or None
        Length of the input along its axes of samples.
    omit : {"any", "all", "none"}
        Which rows to leave out: those that have any NaN, or nothing else.
    tasks : mapping
        The tasks that only this partition needs, by key.
    shared : sequence
        Keys of what it needs besides, which are tasks of the scheduler's own.
    origin : str
        What errors call the data.
    patience : float
        Seconds after which a read is given up.
    """

    chunks: Sequence[Chunk]
    extent: tuple[int, ...] | None
    omit: Omit
    tasks: Mapping[Key, GraphNode]
    shared: Sequence[Key]
    origin: str = "the data"
    patience: float = math.inf

    def blocks(self, shared: Sequence[object]) -> Generator[Block]:
        """Make one block after the other, given the values of `shared`."""
        reading = Reading()
        blocks = joined(self._parts(shared, reading), self.omit)
        return ahead(blocks, reading, self.patience)

    def _parts(self, shared: Sequence[object], reading: Reading) -> Iterator[Part]:
        values: dict[Key, Any] = dict(zip(self.shared, shared, strict=True))
        orders = [_order(self.tasks, chunk.keys) for chunk in self.chunks]
        last = {key: i for i, order in enumerate(orders) for key in order}
        for i, (chunk, order) in enumerate(zip(self.chunks, orders, strict=True)):
            for key in order:
                if key not in values:
                    values[key] = self._made(key, values, chunk, reading)
            made = {key: values[key] for key in chunk.keys}
            for key in order:
                if last[key] == i:
                    del values[key]
            yield chunk.part(made, self.extent)

    def _made(self, key: Key, values: Mapping[Key, Any], chunk: Chunk, reading: Reading) -> Any:
        """The value of a task for a chunk, given those that it depends on."""

        def place() -> str:
            name = key[0] if isinstance(key, tuple) else key
            return f"{chunk.place} of {self.origin} (task {name})"

        reading.begins(place)
        return patiently(lambda: evaluated(self.tasks[key], values), place)


@dataclass(frozen=True)
class Loaded:
    """The blocks of a partition that are kept in memory from one pass to the next."""

    kept: Sequence[Block]

    def blocks(self, shared: Sequence[object]) -> Generator[Block]:
        yield from self.kept


def load(recipe: Recipe, *shared: object) -> Loaded:
    """Make all blocks of a partition at once."""
    return Loaded(list(recipe.blocks(shared)))


def _order(tasks: Mapping[Key, GraphNode], keys: Sequence[Key]) -> list[Key]:
    """The tasks behind `keys`, dependencies first."""
    order: dict[Key, None] = {}
    stack = [(key, False) for key in keys]
    while stack:
        key, ready = stack.pop()
        if key in order or key not in tasks:
            continue
        if ready:
            order[key] = None
        else:
            stack += [(key, True), *((name, False) for name in tasks[key].dependencies)]
    return list(order)


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


def cut(
    graph: Mapping[Key, GraphNode],
    parts: Sequence[Sequence[Chunk]],
    extent: tuple[int, ...] | None,
    omit: Omit,
    origin: str = "the data",
    patience: float = math.inf,
) -> tuple[list[Recipe], dict[Key, GraphNode]]:
    """Divide the graph of an input among partitions.

    Returns
    -------
    recipes : list of Recipe
        One for each of `parts`.
    shared : dict
        The tasks that several partitions need, or that lie in the memory of the cluster, with
        all that they depend on. They stay tasks of the scheduler's own, computed once.
    """
    shared: dict[Key, GraphNode] = {}
    owners: dict[Key, int] = {}
    stack = [(key, p) for p, chunks in enumerate(parts) for chunk in chunks for key in chunk.keys]
    while stack:
        key, p = stack.pop()
        if key not in graph or key in shared or owners.get(key) == p:
            continue
        task = graph[key]
        if key in owners or any(name not in graph for name in task.dependencies):
            shared.update(_behind(graph, key))
        else:
            owners[key] = p
            stack += [(name, p) for name in task.dependencies]
    private = {key: task for key, task in graph.items() if key not in shared}
    recipes = []
    for chunks in parts:
        keys = [key for chunk in chunks for key in chunk.keys]
        tasks = {key: private[key] for key in _order(private, keys)}
        names = {*keys, *(name for task in tasks.values() for name in task.dependencies)}
        outside = sorted(names - set(tasks), key=str)
        recipes.append(Recipe(chunks, extent, omit, tasks, outside, origin, patience))
    return recipes, shared


def _behind(graph: Mapping[Key, GraphNode], key: Key) -> dict[Key, GraphNode]:
    return {name: graph[name] for name in _order(graph, [key])}
