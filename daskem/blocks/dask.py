"""Blocks of a Dask array: one task for each partition, then a tree of fixed shape."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import distributed  # noqa: F401  (its import resets its section of dask.config)
import numpy as np
from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.core import flatten
from dask.delayed import Delayed

from daskem.blocks.memory import check_fits, choose_cache
from daskem.blocks.partitions import Chunk, Recipe, cut, load, run, runs_of_chunks
from daskem.statistics import FAN_IN, add_all

# theta and recipes may well be larger than what distributed likes to see in a graph.
LARGE = {"distributed.admin.large-graph-warning-threshold": "10 GiB"}
# On the dashboard, what travels to the partitions is named after what made it.
_MAKERS = {"e-step": "m-step"}


@dataclass(frozen=True, eq=False)
class DaskBlocks:
    """The chunks of an array whose last axis is the features, in one chunk.

    Attributes
    ----------
    array : dask Array, (..., feature)
        The axes before the last one are samples; they are flattened inside each chunk.
    weights : dask Array, (...), or None
        Chunked like the samples of `array`.
    omit : bool
        Whether to leave out rows with a NaN.
    cache : {"auto", "memory", "none"}
        Whether to keep the loaded chunks in the memory of the workers from the first pass on;
        "auto" does so if they fit with room.
    about_input : tuple of str
        What had to be done to the input, and how to do without.
    """

    array: da.Array
    weights: da.Array | None = None
    omit: bool = False
    cache: str = "none"
    about_input: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        return int(self.array.shape[-1])

    @property
    def n_chunks(self) -> int:
        return int(np.prod(self.array.numblocks))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the data are read; says more after the first pass."""
        planned = vars(self).get("_partitions")
        return self.about_input if planned is None else (*self.about_input, *planned.notes)

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``, on the current client or else the local threads.

        Each task loads its chunks, computes and returns the statistics only. `args` travel once,
        as the value of a task of their own, which the scheduler can always make again.
        """
        token = uuid.uuid4().hex
        parts = self._partitions
        theta = f"{_MAKERS.get(name, f'{name}-args')}-{token}"
        graph: dict[Any, Any] = {theta: DataNode(theta, args), **parts.shared}
        keys = [(f"{name}-{token}", i) for i in range(len(parts.sources))]
        for key, source, names in zip(keys, parts.sources, parts.needs, strict=True):
            graph.update(source.dask)
            needs = map(TaskRef, names)
            graph[key] = Task(key, run, TaskRef(source.key), f, TaskRef(theta), *needs)
        root = _plant_tree(graph, keys, f"reduce-{token}")
        with dask.config.set(LARGE):
            return Delayed(root, graph).compute()

    @cached_property
    def _partitions(self) -> "_Partitions":
        """The partitions, where they live from the first pass to the last."""
        check_fits(self.array)
        arrays = [self.array] if self.weights is None else [self.array, self.weights]
        graph: dict[Any, Any] = {}
        for array in arrays:
            keys = list(flatten(array.__dask_keys__()))
            graph.update(array.__dask_optimize__(array.__dask_graph__(), keys))
        known = not np.isnan(self.array.shape).any()
        extent = self.array.shape[:-1] if known else None
        recipes, shared = cut(convert_legacy_graph(graph), self._parts(known), extent, self.omit)
        with dask.config.set(LARGE):
            kept = dask.persist(*map(_delayed, recipes), traverse=False)
        found = _Partitions(kept, [recipe.shared for recipe in recipes], shared)
        tasks = [task for recipe in recipes for task in recipe.tasks.values()]
        in_memory = all(isinstance(task, DataNode) for task in tasks)
        keep, why = choose_cache(self.cache, arrays, in_memory)
        found = found.loaded() if keep else found
        found.notes.extend(why)
        return found

    def _parts(self, known: bool) -> list[list[Chunk]]:
        """The chunks of each partition, in the order of the input."""
        rows = list(flatten(self.array.__dask_keys__()))
        weights = [None] * len(rows)
        if self.weights is not None:
            weights = list(flatten(self.weights.__dask_keys__()))
        sizes = np.ones(1)
        for lengths in self.array.chunks[:-1]:
            sizes = np.multiply.outer(sizes, lengths).ravel()
        starts = [np.cumsum([0, *lengths]) for lengths in self.array.chunks[:-1]]
        chunks = []
        for i, index in enumerate(np.ndindex(*self.array.numblocks[:-1])):
            offset = tuple(int(s[j]) for s, j in zip(starts, index, strict=True)) if known else None
            chunks.append(Chunk(rows[i], weights[i], index, i, offset))
        row_bytes = self.n_features * self.array.dtype.itemsize
        return [[chunks[i] for i in run] for run in runs_of_chunks((sizes * row_bytes).tolist())]


@dataclass(frozen=True)
class _Partitions:
    """What a pass is made of.

    Attributes
    ----------
    sources : sequence of Delayed
        Recipe or loaded blocks of each partition.
    needs : sequence of list
        Keys of the shared tasks that each of them needs.
    shared : dict
        Those tasks, with all that they depend on.
    """

    sources: tuple[Delayed, ...]
    needs: list[Any]
    shared: dict[Any, GraphNode]
    notes: list[str] = field(default_factory=list)

    def loaded(self) -> "_Partitions":
        """The same, with the blocks themselves in the memory of the workers."""
        lazy = []
        for i, (source, names) in enumerate(zip(self.sources, self.needs, strict=True)):
            key = (f"load-{uuid.uuid4().hex}", i)
            task = Task(key, load, TaskRef(source.key), *map(TaskRef, names))
            lazy.append(Delayed(key, {**source.dask, **self.shared, key: task}))
        with dask.config.set(LARGE):
            return _Partitions(dask.persist(*lazy, traverse=False), [()] * len(lazy), {})


def _delayed(recipe: Recipe) -> Delayed:
    key = f"partition-{uuid.uuid4().hex}"
    return Delayed(key, {key: DataNode(key, recipe)})


def _plant_tree(graph: dict[Any, Any], keys: list[Any], name: str) -> Any:
    """Add to `graph` the tree sum of `keys` by groups of neighbours, and return its root."""
    level = 0
    while len(keys) > 1 or level == 0:
        groups = [keys[i : i + FAN_IN] for i in range(0, len(keys), FAN_IN)]
        keys = [(name, level, i) for i in range(len(groups))]
        for key, group in zip(keys, groups, strict=True):
            graph[key] = Task(key, _add_all, *map(TaskRef, group))
        level += 1
    return keys[0]


def _add_all(*parts: Any) -> Any:
    return add_all(parts)
