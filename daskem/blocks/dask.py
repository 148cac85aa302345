"""Blocks of a Dask array: one task for each partition, then a tree of fixed shape."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import distributed  # noqa: F401  (its import resets its section of dask.config)
import numpy as np
from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.core import flatten
from dask.delayed import Delayed

from daskem.blocks.partitions import Chunk, Recipe, cut, run, runs_of_chunks
from daskem.statistics import FAN_IN, add_all

# theta and recipes may well be larger than what distributed likes to see in a graph.
LARGE = {"distributed.admin.large-graph-warning-threshold": "10 GiB"}


@dataclass(frozen=True, eq=False)
class DaskBlocks:
    """The chunks of an array whose last axis is the features, in one chunk.

    Attributes
    ----------
    array : dask Array, (..., feature)
        The axes before the last one are samples; they are flattened inside each chunk.
    weights : dask Array, (...), or None
        Chunked like the samples of `array`.
    notes : tuple of str
        What had to be done to the input, and how to do without.
    """

    array: da.Array
    weights: da.Array | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        return int(self.array.shape[-1])

    @property
    def n_chunks(self) -> int:
        return int(np.prod(self.array.numblocks))

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``, on the current client or else the local threads.

        Each task loads its chunks, computes and returns the statistics only. `args` travel once,
        as the value of a task of their own, which the scheduler can always make again.
        """
        token = uuid.uuid4().hex
        recipes, shared, needs = self._partitions
        graph: dict[Any, Any] = {f"theta-{token}": DataNode(f"theta-{token}", args), **shared}
        keys = [(f"{name}-{token}", i) for i in range(len(recipes))]
        for key, recipe, names in zip(keys, recipes, needs, strict=True):
            graph.update(recipe.dask)
            graph[key] = Task(
                key,
                run,
                TaskRef(recipe.key),
                f,
                TaskRef(f"theta-{token}"),
                *map(TaskRef, names),
            )
        root = _plant_tree(graph, keys, f"reduce-{token}")
        with dask.config.set(LARGE):
            return Delayed(root, graph).compute()

    @cached_property
    def _partitions(self) -> tuple[tuple[Delayed, ...], dict[Any, GraphNode], list[Any]]:
        """Recipes, where they live from the first pass to the last, and what they share."""
        arrays = [self.array] if self.weights is None else [self.array, self.weights]
        graph: dict[Any, Any] = {}
        for array in arrays:
            keys = list(flatten(array.__dask_keys__()))
            graph.update(array.__dask_optimize__(array.__dask_graph__(), keys))
        recipes, shared = cut(convert_legacy_graph(graph), self._parts())
        with dask.config.set(LARGE):
            kept = dask.persist(*map(_delayed, recipes), traverse=False)
        return kept, shared, [recipe.shared for recipe in recipes]

    def _parts(self) -> list[list[Chunk]]:
        """The chunks of each partition, in the order of the input."""
        grid = self.array.numblocks[:-1]
        rows = list(flatten(self.array.__dask_keys__()))
        weights = [None] * len(rows)
        if self.weights is not None:
            weights = list(flatten(self.weights.__dask_keys__()))
        sizes = np.ones(1)
        for lengths in self.array.chunks[:-1]:
            sizes = np.multiply.outer(sizes, lengths).ravel()
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        # From the first chunk of unknown length on, nobody knows where a chunk begins.
        starts = np.nan_to_num(starts, nan=-1).astype(np.int64)
        chunks = [
            Chunk(rows[i], weights[i], index, i, int(starts[i]))
            for i, index in enumerate(np.ndindex(*grid))
        ]
        row_bytes = self.n_features * self.array.dtype.itemsize
        return [[chunks[i] for i in run] for run in runs_of_chunks((sizes * row_bytes).tolist())]


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
