"""Blocks of a Dask array: one task for each chunk, then a tree of fixed shape."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import distributed  # noqa: F401  (its import resets its section of dask.config)
import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.core import flatten
from dask.delayed import Delayed

from daskem.blocks.block import Block
from daskem.statistics import FAN_IN, add_all


@dataclass(frozen=True, eq=False)
class DaskBlocks:
    """The chunks of an array whose last axis is the features, in one chunk.

    Attributes
    ----------
    array : dask Array, (..., feature)
        The axes before the last one are samples; they are flattened inside each chunk.
    weights : dask Array, (...), or None
        Chunked like the samples of `array`.
    """

    array: da.Array
    weights: da.Array | None = None

    @property
    def n_features(self) -> int:
        return int(self.array.shape[-1])

    @property
    def n_chunks(self) -> int:
        return int(np.prod(self.array.numblocks))

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``, on the current client or else the local threads.

        Each task loads its chunk, computes and returns the statistics only. `args` travel once,
        as the value of a task of their own, which the scheduler can always make again.
        """
        token = uuid.uuid4().hex
        theta = f"theta-{token}"
        leaves = self._leaves(f, Delayed(theta, {theta: DataNode(theta, args)}), f"{name}-{token}")
        keys = list(flatten(leaves.__dask_keys__()))
        graph = dict(leaves.__dask_optimize__(leaves.__dask_graph__(), keys))
        root = _plant_tree(graph, keys, f"reduce-{token}")
        # theta may well be larger than what distributed likes to see in a graph.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "10 GiB"}):
            return Delayed(root, graph).compute()

    def _leaves(self, f: Callable[..., Any], theta: Delayed, name: str) -> da.Array:
        inputs = [self.array]
        if self.weights is not None:
            inputs.append(self.weights[..., None])
        return da.map_blocks(
            _evaluate,
            *inputs,
            f=f,
            theta=theta,
            starts=self._starts(),
            grid=self.array.numblocks[:-1],
            name=name,
            drop_axis=self.array.ndim - 1,
            dtype=object,
            meta=np.empty((0,) * (self.array.ndim - 1), dtype=object),
        )

    def _starts(self) -> np.ndarray | None:
        """Position of the first row of each chunk, in the order of the chunks."""
        sizes = np.ones(1)
        for lengths in self.array.chunks[:-1]:
            sizes = np.multiply.outer(sizes, lengths).ravel()
        if not np.isfinite(sizes).all():
            return None
        return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)


def _evaluate(
    rows: np.ndarray,
    *weights: np.ndarray,
    f: Callable[..., Any],
    theta: tuple[Any, ...],
    starts: np.ndarray | None,
    grid: tuple[int, ...],
    block_id: tuple[int, ...] = (),
) -> Any:
    number = int(np.ravel_multi_index(block_id, grid))
    block = Block(
        np.asarray(rows).reshape(-1, rows.shape[-1]),
        np.asarray(weights[0], dtype=np.float64).reshape(-1) if weights else None,
        tuple(block_id),
        number,
        -1 if starts is None else int(starts[number]),
    )
    return f(block, *theta)


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
