"""Blocks of a Dask array: one task for each partition, then a tree of fixed shape."""

import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.typing import Key
from distributed import Client

from daskem.core.brief import Brief
from daskem.core.statistics import FAN_IN
from daskem.data.blocks.block import Block
from daskem.data.blocks.graph import (
    DataNode,
    Delayed,
    GraphNode,
    Task,
    TaskRef,
    bind,
    keys_of,
    nodes_of,
)
from daskem.data.blocks.memory import check_fits, choose_cache
from daskem.data.blocks.partitions import (
    Args,
    Chunk,
    Outline,
    Recipe,
    Result,
    cut,
    load,
    partitions_of,
    row_bytes,
    run,
)
from daskem.data.blocks.reached import reached
from daskem.data.blocks.resources import machines
from daskem.data.blocks.sequences import edges_between
from daskem.data.blocks.tree import plant_tree, tree_sum
from daskem.data.blocks.watch import Watch, counting, unwatched

# Arguments and recipes may well be larger than what distributed likes to see in a graph.
LARGE = {"distributed.admin.large-graph-warning-threshold": "10 GiB"}
# The graph of a pass is sent in pieces of this many partitions, whose sums are whole subtrees.
_AT_ONCE = FAN_IN**2


@dataclass(frozen=True, eq=False, repr=False)
class DaskBlocks(Brief):
    """The chunks of an array whose last axis is the features, in one chunk.

    Attributes
    ----------
    array : dask Array, (..., feature)
        The axes before the last one are samples; they are flattened inside each chunk.
    along : mapping of str to dask Array, (..., *own axes)
        What rides along with the rows, the weights among it: chunked like the samples of `array`,
        with own axes in one chunk.
    omit : bool
        Whether to leave out rows with a NaN.
    cache : {"auto", "memory", "none"}
        Whether to keep the loaded chunks in the memory of the workers from the first pass on;
        "auto" does so if they fit with room.
    about_input : tuple of str
        What had to be done to the input, and how to do without.
    edges : ndarray of int, (sequence + 1,), or None
        Rows that are never parted, see `Block`. Chunks end where a sequence ends, and only the
        first axis has several.
    client : distributed Client or None
        Of the cluster to compute on; None for what Dask computes on by default.
    span : slice
        Which of the partitions to sum over.
    watch : callable
        Who is told how far a sum has come.
    """

    array: da.Array
    along: Mapping[str, da.Array] = field(default_factory=dict)
    omit: bool = False
    cache: str = "none"
    about_input: tuple[str, ...] = ()
    edges: np.ndarray | None = None
    client: Client | None = None
    span: slice = field(default_factory=lambda: slice(None))
    watch: Watch = unwatched

    def __getstate__(self) -> dict[str, Any]:
        """What travels: no client, nothing that lives on its cluster, and nobody who watches."""
        here = {"client": None, "watch": unwatched}
        return {f.name: getattr(self, f.name) for f in fields(self)} | here

    @property
    def n_features(self) -> int:
        return int(self.array.shape[-1])

    @property
    def n_chunks(self) -> int:
        return int(np.prod(self.array.numblocks))

    @property
    def outline(self) -> Outline:
        return Outline.of(float(np.prod(self.array.shape[:-1])), self._sizes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the data are read; says more after the first pass."""
        planned = vars(self).get("_partitions")
        return self.about_input if planned is None else (*self.about_input, *planned.notes)

    def sum(
        self, f: Callable[[Block, *Args], Result], *args: *Args, name: str = "sum", source: str = ""
    ) -> Result:
        """The tree sum of ``f(block, *args)``.

        Each task loads its chunks, computes and returns the sum only. `args` travel once, as the
        value of a task of their own, which the scheduler can always make again.
        """
        token = uuid.uuid4().hex
        shared_args, tasks = f"{source or f'{name}-args'}-{token}", f"{name}-{token}"
        with dask.config.set(LARGE), reached(self.client):
            parts = self._partitions
            chosen = list(zip(parts.sources, parts.needs, strict=True))[self.span]
            with counting(name, tasks, len(chosen), self.watch):
                return tree_sum(self._subtrees(chosen, f, args, shared_args, tasks), self.client)

    def _subtrees(
        self,
        chosen: Sequence[tuple[Delayed, Sequence[Key]]],
        f: Callable[..., Any],
        args: tuple[Any, ...],
        shared_args: str,
        tasks: str,
    ) -> Iterator[Delayed]:
        """The sums over `_AT_ONCE` of the chosen partitions each."""
        parts = self._partitions
        for first in range(0, len(chosen), _AT_ONCE):
            graph: dict[Key, Any] = {shared_args: DataNode(shared_args, args), **parts.shared}
            keys: list[Key] = []
            for i, (partition, names) in enumerate(chosen[first : first + _AT_ONCE], first):
                key = (tasks, i)
                graph.update(partition.dask)
                needs = map(TaskRef, names)
                graph[key] = Task(key, run, TaskRef(partition.key), f, TaskRef(shared_args), *needs)
                keys.append(key)
            yield Delayed(plant_tree(graph, keys), graph)

    def watched(self, watch: Watch) -> "DaskBlocks":
        same = replace(self, watch=watch)
        # Partitions that lie on the cluster stay there.
        vars(same).update({k: v for k, v in vars(self).items() if k == "_partitions"})
        return same

    def unomitted(self) -> "DaskBlocks":
        return replace(self, omit=False)

    def partition(self, number: int) -> "DaskBlocks":
        return replace(self, span=slice(number, number + 1))

    def keys_on_cluster(self) -> list[Key]:
        """Make the client hold what lies on the cluster already, and return the keys of that."""
        return bind(self._arrays, self.client)

    def _persist(self, lazy: Sequence[Delayed]) -> tuple[Delayed, ...]:
        """The same, to be made at once and kept."""
        with dask.config.set(LARGE), reached(self.client):
            if self.client is None:
                return dask.persist(*lazy, traverse=False)
            return tuple(self.client.persist(list(lazy)))

    @cached_property
    def _partitions(self) -> "_Partitions":
        """The partitions, where they live from the first pass to the last."""
        workers = machines(self.client)
        check_fits(self.array, self._row_bytes, workers)
        graph: dict[Key, Any] = {}
        for array in self._arrays:
            graph.update(array.__dask_optimize__(array.__dask_graph__(), keys_of(array)))
        extent = self.array.shape[:-1] if self._known else None
        recipes, shared = cut(nodes_of(graph), self._chunks(), extent, self.omit)
        shared = self._computed_once(recipes, shared)
        parts = _Partitions(self._persist([*map(_delayed, recipes)]), recipes, shared)
        keep, notes = choose_cache(self.cache, self._arrays, parts.in_memory, workers)
        return replace(self._loaded(parts) if keep else parts, notes=notes)

    @property
    def _arrays(self) -> list[da.Array]:
        return [self.array, *self.along.values()]

    @property
    def _known(self) -> bool:
        """Whether the lengths of all chunks are known."""
        return not np.isnan(self.array.shape).any()

    def _computed_once(
        self, recipes: Sequence[Recipe], shared: dict[Key, GraphNode]
    ) -> dict[Key, GraphNode]:
        """`shared`, with what most partitions need (``x.mean()``) kept from pass to pass.

        What only neighbours share, a chunk that was cut, is as large as the data: it is made anew.
        """
        counts = Counter(key for recipe in recipes for key in recipe.shared if key in shared)
        common = [key for key, n in counts.items() if 2 * n > len(recipes)]
        if not common:
            return shared
        kept = self._persist([Delayed(key, shared) for key in common])
        return shared | {key: node for one in kept for key, node in one.dask.items()}

    def _loaded(self, parts: "_Partitions") -> "_Partitions":
        """The same partitions, with the blocks themselves in the memory of the workers."""
        token, lazy = uuid.uuid4().hex, []
        for i, (source, recipe) in enumerate(zip(parts.sources, parts.recipes, strict=True)):
            key = (f"load-{token}", i)
            task = Task(key, load, TaskRef(source.key), *map(TaskRef, recipe.shared))
            lazy.append(Delayed(key, {**source.dask, **parts.shared, key: task}))
        return _Partitions(self._persist(lazy))

    def _chunks(self) -> list[list[Chunk]]:
        """The chunks of each partition, in the order of the input."""
        rows, known = keys_of(self.array), self._known
        along = {name: keys_of(array) for name, array in self.along.items()}
        starts = [np.cumsum([0, *lengths]) for lengths in self.array.chunks[:-1]]
        chunks = []
        for i, index in enumerate(np.ndindex(*self.array.numblocks[:-1])):
            offset = tuple(int(s[j]) for s, j in zip(starts, index, strict=True)) if known else None
            edges = None if offset is None else self._edges_of(index[0], offset[0])
            riders = {name: keys[i] for name, keys in along.items()}
            chunks.append(Chunk(rows[i], riders, index, i, offset, edges))
        return [[chunks[i] for i in numbers] for numbers in partitions_of(self._sizes)]

    def _edges_of(self, number: int, first: int) -> np.ndarray | None:
        """The edges of the sequences in the chunk `number` of that axis, whose first is `first`."""
        if self.edges is None:
            return None
        inner = math.prod(self.array.shape[1:-1])
        stop = first + self.array.chunks[0][number]
        return edges_between(self.edges, first * inner, stop * inner)

    @property
    def _row_bytes(self) -> int:
        return row_bytes(self.array, self.along)

    @property
    def _sizes(self) -> np.ndarray:
        """Bytes of every chunk, in the order of the input; NaN where nobody knows."""
        n_rows = np.ones(1)
        for lengths in self.array.chunks[:-1]:
            n_rows = np.multiply.outer(n_rows, lengths).ravel()
        return n_rows * self._row_bytes


@dataclass(frozen=True)
class _Partitions:
    """What a pass is made of.

    Attributes
    ----------
    sources : sequence of Delayed
        Recipe or loaded blocks of each partition.
    recipes : sequence of Recipe
        Empty where the blocks are loaded.
    shared : dict
        The tasks that recipes share, with all that they depend on.
    notes : sequence of str
    """

    sources: Sequence[Delayed]
    recipes: Sequence[Recipe] = ()
    shared: dict[Key, GraphNode] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def needs(self) -> list[Sequence[Key]]:
        """Keys of the shared tasks that each source needs."""
        return [recipe.shared for recipe in self.recipes] or [()] * len(self.sources)

    @property
    def in_memory(self) -> bool:
        """Whether there is nothing to read or to compute."""
        tasks = (task for recipe in self.recipes for task in recipe.tasks.values())
        return all(isinstance(task, DataNode) for task in tasks)


def _delayed(recipe: Recipe) -> Delayed:
    key = f"partition-{uuid.uuid4().hex}"
    return Delayed(key, {key: DataNode(key, recipe)})
