"""Recipes: what makes the chunks of a partition, cut out of the graph of an input.

A recipe is the part of that graph which nobody else needs. It is opaque to the scheduler, and a
task runs through it, chunk by chunk: what fails is tried again, named, and given up in time.
"""

import math
import operator
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.typing import Key

from daskem.data.blocks.ahead import Reading, ahead, in_time
from daskem.data.blocks.block import Block
from daskem.data.blocks.joining import Omit, Part, joined, part
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.retries import patiently
from daskem.data.blocks.sequences import Edges, edges_between
from daskem.data.cluster.graph import GraphNode, Task, TaskRef, evaluated, keys_of, node, nodes_of


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
            return f"{chunk.place} of {self.origin} (task {_name(key)})"

        reading.begins(place)
        return patiently(lambda: evaluated(self.tasks[key], values), place)


@dataclass(frozen=True)
class Common:
    """What a task does that several partitions need: tried again, named and given up as reads are.

    Attributes
    ----------
    task : GraphNode
    needs : sequence of Key
        What it depends on, in the order in which the values are given.
    place : str
        What errors call it.
    patience : float
        Seconds after which it is given up.
    """

    task: GraphNode
    needs: Sequence[Key]
    place: str
    patience: float

    def __call__(self, *values: object) -> Any:
        known = dict(zip(self.needs, values, strict=True))

        def place() -> str:
            return self.place

        def make() -> Any:
            return patiently(lambda: evaluated(self.task, known), place)

        return in_time(make, place, self.patience)


class Cut(NamedTuple):
    """The graph of an input, divided among partitions.

    Attributes
    ----------
    recipes : list of Recipe
        One for each partition.
    shared : dict
        The tasks that several partitions need, or that lie in the memory of the cluster, with
        all that they depend on. They stay tasks of the scheduler's own, computed once.
    """

    recipes: list[Recipe]
    shared: dict[Key, GraphNode]


def chunks_of(
    array: da.Array, along: Mapping[str, da.Array], edges: Edges | None = None
) -> list[Chunk]:
    """The chunks of rows (..., feature), and of what rides along with them, in their order.

    The `edges` of sequences are in the chunks that have them; see `DaskBlocks`.
    """
    rows, known = keys_of(array), not np.isnan(array.shape).any()
    riders = {name: keys_of(values) for name, values in along.items()}
    starts = [np.cumsum([0, *lengths]) for lengths in array.chunks[:-1]]
    chunks = []
    for i, index in enumerate(np.ndindex(*array.numblocks[:-1])):
        offset = tuple(int(s[j]) for s, j in zip(starts, index, strict=True)) if known else None
        within = None if offset is None else _edges_of(array, edges, index, offset[0])
        keys = {name: of_rider[i] for name, of_rider in riders.items()}
        chunks.append(Chunk(rows[i], keys, index, i, offset, within))
    return chunks


def _edges_of(
    array: da.Array, edges: Edges | None, index: tuple[int, ...], first: int
) -> Edges | None:
    """The edges of the sequences in a chunk, which begins at `first` on the first axis."""
    if edges is None:
        return None
    start = first * math.prod(array.shape[1:-1])
    lengths = zip(array.chunks[:-1], index, strict=True)
    return edges_between(edges, start, start + math.prod(of_axis[i] for of_axis, i in lengths))


def cut(
    arrays: Sequence[da.Array],
    parts: Sequence[Sequence[Chunk]],
    omit: Omit,
    origin: str,
    patience: float,
    sealed: bool = False,
) -> Cut:
    """Divide the graph of rows and what rides along, `arrays`, among partitions of their chunks.

    If `sealed`, the scheduler need not open what is made of shared tasks; see `node`.
    """
    graph: dict[Key, Any] = {}
    for array in arrays:
        graph.update(array.__dask_optimize__(array.__dask_graph__(), keys_of(array)))
    nodes = nodes_of(graph)
    shared = _shared(nodes, parts)
    private = {key: task for key, task in nodes.items() if key not in shared}
    extent = None if np.isnan(arrays[0].shape).any() else arrays[0].shape[:-1]
    recipes = []
    for chunks in parts:
        keys = [key for chunk in chunks for key in chunk.keys]
        tasks = {key: private[key] for key in _order(private, keys)}
        names = {*keys, *(name for task in tasks.values() for name in task.dependencies)}
        outside = sorted(names - set(tasks), key=str)
        recipes.append(Recipe(chunks, extent, omit, tasks, outside, origin, patience))
    needed = _needed(nodes, shared, (chunk for chunks in parts for chunk in chunks))
    for key, chunk in needed.items():
        place = f"task {_name(key)}, which {chunk.place} of {origin} and other chunks need,"
        needs = sorted(shared[key].dependencies, key=str)
        work = node(key, Common(shared[key], needs, place, patience), sealed)
        shared[key] = Task(key, operator.call, work, *map(TaskRef, needs))
    return Cut(recipes, shared)


def _shared(
    graph: Mapping[Key, GraphNode], parts: Sequence[Sequence[Chunk]]
) -> dict[Key, GraphNode]:
    """The tasks that are no partition's own."""
    shared: dict[Key, GraphNode] = {}
    owners: dict[Key, int] = {}
    stack = [(key, p) for p, chunks in enumerate(parts) for chunk in chunks for key in chunk.keys]
    while stack:
        key, p = stack.pop()
        if key not in graph or key in shared or owners.get(key) == p:
            continue
        task = graph[key]
        if key in owners or any(name not in graph for name in task.dependencies):
            shared.update({name: graph[name] for name in _order(graph, [key])})
        else:
            owners[key] = p
            stack += [(name, p) for name in task.dependencies]
    return shared


def _needed(
    graph: Mapping[Key, GraphNode], shared: Mapping[Key, GraphNode], chunks: Iterable[Chunk]
) -> dict[Key, Chunk]:
    """The shared tasks that do something, and the first of the chunks that needs each of them."""
    first: dict[Key, Chunk] = {}
    for chunk in chunks:
        stack = chunk.keys
        while stack:
            key = stack.pop()
            if key in graph and key not in first:
                first[key] = chunk
                stack += graph[key].dependencies
    return {key: chunk for key, chunk in first.items() if isinstance(shared.get(key), Task)}


def first_block(recipe: Recipe, shared: Sequence[object]) -> Block:
    """The block of a recipe that has one chunk."""
    with closing(recipe.blocks(shared)) as blocks:
        return next(blocks)


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


def _name(key: Key) -> Key:
    """What errors call a task."""
    return key[0] if isinstance(key, tuple) else key
