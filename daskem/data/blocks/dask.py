"""Blocks of a Dask array: one task for each partition, then a tree of fixed shape."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from time import monotonic
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.typing import Key
from distributed import Client, KilledWorker

from daskem.core.brief import Brief
from daskem.data.blocks.ahead import read_timeout
from daskem.data.blocks.block import Block
from daskem.data.blocks.joining import Omit
from daskem.data.blocks.partitions import (
    Args,
    Outline,
    Result,
    partitions_of,
    row_bytes,
)
from daskem.data.blocks.parts import Call, Parts, delayed
from daskem.data.blocks.poison import one_by_one
from daskem.data.blocks.recipes import Recipe, chunks_of, cut
from daskem.data.blocks.sequences import Edges, longest_sequence
from daskem.data.blocks.tasks import loading, subtree, subtrees, together
from daskem.data.blocks.watch import Watch, counting, unwatched
from daskem.data.cluster.asking import foreign
from daskem.data.cluster.graph import (
    Delayed,
    GraphNode,
    bind,
    current_client,
)
from daskem.data.cluster.lost_workers import reached
from daskem.data.cluster.memory import check_fits, choose_cache
from daskem.data.cluster.resources import machines
from daskem.data.cluster.tree import flat_sum, tree_sum
from daskem.data.cluster.waiting import check_workers

# Arguments and recipes may well be larger than what distributed likes to see in a graph.
LARGE = {"distributed.admin.large-graph-warning-threshold": "10 GiB"}


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
    omit : {"any", "all", "none"}
        Which rows to leave out: those that have any NaN, or nothing else.
    cache : {"auto", "memory", "none"}
        Whether to keep the loaded chunks in the memory of the workers from the first pass on;
        "auto" does so if they fit with room.
    about_input : tuple of str
        What had to be done to the input, and how to do without.
    edges : ndarray of int, (sequence + 1,), range or None
        Rows that are never parted, see `Block`. Chunks end where a sequence ends, and only the
        first axis has several; or they have all of the last axis, and that is a sequence (range).
    client : distributed Client or None
        Of the cluster to compute on; None for what Dask computes on by default.
    span : slice
        Which of the partitions to sum over.
    origin : str
        What errors call the data.
    watch : callable
        Who is told how far a sum has come.
    patience : float
        Seconds after which a read is given up.
    """

    array: da.Array
    along: Mapping[str, da.Array] = field(default_factory=dict)
    omit: Omit = "none"
    cache: str = "none"
    about_input: tuple[str, ...] = ()
    edges: Edges | None = None
    client: Client | None = None
    span: slice = field(default_factory=lambda: slice(None))
    origin: str = "the data"
    watch: Watch = unwatched
    patience: float = field(default_factory=read_timeout)

    def __getstate__(self) -> dict[str, Any]:
        """What travels: no client, nothing that lives on its cluster, and nobody who watches."""
        cleared = {"client": None, "watch": unwatched}
        return {f.name: getattr(self, f.name) for f in fields(self)} | cleared

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
        with dask.config.set(LARGE), reached(self.client):
            call, parts = Call(f, args, name, source), self._partitions
            try:
                began = monotonic()
                total = self._sum(call, parts)
                parts.bundles.learn(name, monotonic() - began, total)
                return total
            except KilledWorker:
                return self._one_by_one(call)

    def _sum(self, call: Call, parts: Parts) -> Any:
        tasks = f"{call.name}-{uuid.uuid4().hex}"
        client = self.client
        flat = None if client is None else together(call, parts, self.span, tasks, client)
        n = len(parts.sources[self.span]) if flat is None else len(flat.keys)
        with counting(call.name, tasks, n, self.watch):
            spare = parts.spare(partial(self._again, call), tasks, n)
            if client is not None and flat is not None:
                return flat_sum(flat, client, parts.sealed, spare)
            sums = subtrees(call, parts, self.span, tasks)
            return tree_sum(sums, client, parts.sealed, spare)

    def _one_by_one(self, call: Call) -> Any:
        """The same sum once workers have died: one partition at a time, and read again."""
        # What was to be kept in memory died with the workers.
        vars(self)["_partitions"] = parts = self._partitions.unloaded or self._partitions

        def alone(recipe: Recipe) -> Any:
            return tree_sum(self._anew(call, parts, [recipe]), self.client, parts.sealed)

        return one_by_one(parts.recipes[self.span], alone, call.name, self.origin, self._sizes)

    def _again(self, call: Call, number: int) -> Delayed:
        """One of the subtrees, of nothing that lies on workers already but what is shared."""
        parts = self._partitions.unloaded or self._partitions
        return next(self._anew(call, parts, parts.recipes[self.span][subtree(number)]))

    def _anew(self, call: Call, parts: Parts, recipes: Sequence[Recipe]) -> Iterator[Delayed]:
        sources = [delayed(recipe, parts.sealed) for recipe in recipes]
        fresh = replace(parts, sources=sources, recipes=recipes)
        return subtrees(call, fresh, slice(None), f"{call.name}-{uuid.uuid4().hex}")

    def watched(self, watch: Watch) -> "DaskBlocks":
        same = replace(self, watch=watch)
        if "_partitions" in vars(self):  # They stay where they lie on the cluster.
            vars(same)["_partitions"] = self._partitions
        return same

    def unomitted(self) -> "DaskBlocks":
        return replace(self, omit="none")

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
    def _partitions(self) -> Parts:
        """The partitions, where they live from the first pass to the last."""
        client = self.client or current_client()
        if client is not None and self.client is None:
            check_workers(client)
        workers = machines(self.client)
        longest = 1 if self.edges is None else longest_sequence(self.edges)
        check_fits(self.array, self._row_bytes, workers, longest)
        sealed = client is not None and foreign(client) is not None
        chunks = chunks_of(self.array, self.along, self.edges)
        parts = [[chunks[i] for i in numbers] for numbers in partitions_of(self._sizes)]
        how = self.omit, self.origin, self.patience, sealed
        recipes, shared = cut(self._arrays, parts, *how)
        shared = self._computed_once(recipes, shared)
        sources = self._persist([delayed(recipe, sealed) for recipe in recipes])
        made = Parts(sources, recipes, shared, sealed=sealed)
        keep, notes = choose_cache(self.cache, self._arrays, made.in_memory, workers)
        made = replace(made, notes=notes)
        return self._loaded(made) if keep else made

    @property
    def _arrays(self) -> list[da.Array]:
        return [self.array, *self.along.values()]

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

    def _loaded(self, parts: Parts) -> Parts:
        """The same partitions, with the blocks themselves in the memory of the workers."""
        loaded = self._persist(list(loading(parts)))
        return replace(parts, sources=loaded, recipes=(), shared={}, unloaded=parts)

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
