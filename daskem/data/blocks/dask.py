"""Blocks of a Dask array: one task for each partition, then a tree of fixed shape."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import dask
import dask.array as da
import distributed  # its import resets its section of dask.config
import numpy as np
from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.core import flatten
from dask.delayed import Delayed
from distributed import CancelledError, Client, KilledWorker
from distributed.client import ClosedClientError

from daskem.core.statistics import FAN_IN, TreeSum, add_all
from daskem.data.blocks.memory import check_fits, choose_cache
from daskem.data.blocks.partitions import Chunk, Outline, Recipe, cut, load, run, runs_of_chunks
from daskem.data.blocks.resources import current_client, machines
from daskem.errors import ClusterError

# theta and recipes may well be larger than what distributed likes to see in a graph.
LARGE = {"distributed.admin.large-graph-warning-threshold": "10 GiB"}
# The graph of a pass is sent in pieces of this many partitions.
_AT_ONCE = FAN_IN**2
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
    client : distributed Client or None
        Of the cluster to compute on; None for what Dask computes on by default.
    span : slice
        Which of the partitions to sum over.
    """

    array: da.Array
    weights: da.Array | None = None
    omit: bool = False
    cache: str = "none"
    about_input: tuple[str, ...] = ()
    client: Client | None = None
    span: slice = field(default_factory=lambda: slice(None))

    def __getstate__(self) -> dict[str, Any]:
        """What travels: no client, and nothing that lives on its cluster."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"client": None}

    @property
    def n_features(self) -> int:
        return int(self.array.shape[-1])

    @property
    def n_chunks(self) -> int:
        return int(np.prod(self.array.numblocks))

    @property
    def outline(self) -> Outline:
        sizes = self._chunk_rows() * self._row_bytes
        return Outline.of(float(np.prod(self.array.shape[:-1])), sizes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the data are read; says more after the first pass."""
        planned = vars(self).get("_partitions")
        return self.about_input if planned is None else (*self.about_input, *planned.notes)

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``.

        Each task loads its chunks, computes and returns the statistics only. `args` travel once,
        as the value of a task of their own, which the scheduler can always make again.
        """
        with dask.config.set(LARGE), self._reached():
            return _tree_sum(self._subtrees(f, args, name), self.client)

    def _subtrees(self, f: Callable[..., Any], args: Any, name: str) -> Iterator[Delayed]:
        """The sums over `_AT_ONCE` partitions each."""
        token = uuid.uuid4().hex
        theta = f"{_MAKERS.get(name, f'{name}-args')}-{token}"
        parts = self._partitions
        chosen = list(zip(parts.sources, parts.needs, strict=True))[self.span]
        for first in range(0, len(chosen), _AT_ONCE):
            graph: dict[Any, Any] = {theta: DataNode(theta, args), **parts.shared}
            keys = []
            for i, (source, names) in enumerate(chosen[first : first + _AT_ONCE], first):
                key = (f"{name}-{token}", i)
                graph.update(source.dask)
                needs = map(TaskRef, names)
                graph[key] = Task(key, run, TaskRef(source.key), f, TaskRef(theta), *needs)
                keys.append(key)
            yield Delayed(_plant_tree(graph, keys), graph)

    def partition(self, number: int) -> "DaskBlocks":
        return replace(self, span=slice(number, number + 1))

    def held(self) -> list[Any]:
        """Make the client hold what lies on the cluster already, and return the keys of that."""
        arrays = [self.array] if self.weights is None else [self.array, self.weights]
        futures = distributed.futures_of(arrays)
        for future in futures:
            future.bind_client(self.client)
        return list({future.key for future in futures})

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Say what it means that workers or the cluster are lost, which Dask leaves to guess."""
        try:
            if self.client is not None and self.client.status in ("closing", "closed"):
                raise ClosedClientError("the client was closed")
            yield
        except KilledWorker as error:
            raise ClusterError(
                f"one worker after the other died of the same task ({error!s:.200}). Most likely "
                "a chunk does not fit in their memory: write the data in smaller ones (what is "
                "rechunked is read as it is stored), or give workers more memory"
            ) from error
        except (ClosedClientError, CancelledError) as error:
            if self.client is None:
                raise
            raise ClusterError(
                f"what the fit had on the cluster is lost ({error!r:.200}): the client was closed, "
                "the cluster restarted, or the only worker with a piece of persisted or scattered "
                "data died. Fit again, from the last result if you have one"
            ) from error

    def _persist(self, lazy: Sequence[Delayed]) -> tuple[Delayed, ...]:
        """The same, to be made at once and kept."""
        with dask.config.set(LARGE), self._reached():
            if self.client is None:
                return dask.persist(*lazy, traverse=False)
            return tuple(self.client.persist(list(lazy)))

    @cached_property
    def _partitions(self) -> "_Partitions":
        """The partitions, where they live from the first pass to the last."""
        found = machines(self.client)
        check_fits(self.array, found)
        arrays = [self.array] if self.weights is None else [self.array, self.weights]
        graph: dict[Any, Any] = {}
        for array in arrays:
            keys = list(flatten(array.__dask_keys__()))
            graph.update(array.__dask_optimize__(array.__dask_graph__(), keys))
        known = not np.isnan(self.array.shape).any()
        extent = self.array.shape[:-1] if known else None
        recipes, shared = cut(convert_legacy_graph(graph), self._parts(known), extent, self.omit)
        shared = self._computed_once(recipes, shared)
        parts = _Partitions(self._persist([*map(_delayed, recipes)]), recipes, shared)
        keep, notes = choose_cache(self.cache, arrays, parts.in_memory, found)
        return replace(self._loaded(parts) if keep else parts, notes=notes)

    def _computed_once(
        self, recipes: Sequence[Recipe], shared: dict[Any, GraphNode]
    ) -> dict[Any, GraphNode]:
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

    def _parts(self, known: bool) -> list[list[Chunk]]:
        """The chunks of each partition, in the order of the input."""
        rows = list(flatten(self.array.__dask_keys__()))
        weights = [None] * len(rows)
        if self.weights is not None:
            weights = list(flatten(self.weights.__dask_keys__()))
        starts = [np.cumsum([0, *lengths]) for lengths in self.array.chunks[:-1]]
        chunks = []
        for i, index in enumerate(np.ndindex(*self.array.numblocks[:-1])):
            offset = tuple(int(s[j]) for s, j in zip(starts, index, strict=True)) if known else None
            chunks.append(Chunk(rows[i], weights[i], index, i, offset))
        sizes = self._chunk_rows() * self._row_bytes
        return [[chunks[i] for i in run] for run in runs_of_chunks(sizes)]

    @property
    def _row_bytes(self) -> int:
        weight = 0 if self.weights is None else 8
        return self.n_features * self.array.dtype.itemsize + weight

    def _chunk_rows(self) -> np.ndarray:
        """Rows of every chunk, in the order of the input; NaN where nobody knows."""
        sizes = np.ones(1)
        for lengths in self.array.chunks[:-1]:
            sizes = np.multiply.outer(sizes, lengths).ravel()
        return sizes


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
    shared: dict[Any, GraphNode] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def needs(self) -> list[Sequence[Any]]:
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


def _plant_tree(graph: dict[Any, Any], keys: list[Any]) -> Any:
    """Add to `graph` the tree sum of `keys` by groups of neighbours, and return its root."""
    name, level = _name(), 0
    while len(keys) > 1 or level == 0:
        groups = [keys[i : i + FAN_IN] for i in range(0, len(keys), FAN_IN)]
        keys = [(name, level, i) for i in range(len(groups))]
        for key, group in zip(keys, groups, strict=True):
            graph[key] = Task(key, _add_all, *map(TaskRef, group))
        level += 1
    return keys[0]


def _name() -> str:
    return f"reduce-{uuid.uuid4().hex}"


def _tree_sum(subtrees: Iterable[Delayed], client: Client | None) -> Any:
    """The sum of `subtrees`, which `client`, or else what Dask computes on by default, makes."""
    client = client or current_client()
    if client is None:
        tree = TreeSum()
        for part in dask.compute(*subtrees, traverse=False):
            tree.push(part)
        return tree.total()
    # Workers begin with the first one while the scheduler still takes in the others, each of
    # which comes after those before it (a generation of its own).
    level = [client.compute(one, fifo_timeout=0) for one in subtrees]
    held = list(level)
    try:
        while len(level) > 1:
            groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [client.submit(_add_all, *group, key=_name()) for group in groups]
            held += level
        return level[0].result()
    finally:
        # Else whoever keeps the traceback of a failure keeps the rest of the pass going.
        for future in held:
            future.release()


def _add_all(*parts: Any) -> Any:
    return add_all(parts)
