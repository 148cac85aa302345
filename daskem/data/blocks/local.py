"""Blocks of an array in this machine's memory (or a memmap), on its own threads."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from dask.system import CPU_COUNT
from dask.typing import Key

from daskem.core.brief import Brief
from daskem.core.statistics import TreeSum
from daskem.data.blocks.block import Block
from daskem.data.blocks.joining import BLOCK_SIZE, Omit, Part, joined, part
from daskem.data.blocks.partitions import Args, Outline, Result, partitions_of, row_bytes
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.sequences import edges_between
from daskem.data.blocks.watch import Sign, Watch, unwatched

# Of a chunk, so that what it costs besides its rows is little where these are long.
_FEWEST_ROWS = 2**14


@dataclass(frozen=True, eq=False, repr=False)
class LocalBlocks(Brief):
    """Rows (sample, feature) in chunks whose size depends on nothing but features and sequences.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    along : mapping of str to ndarray, (sample, ...)
        What rides along with the rows, the weights among it.
    omit : {"any", "all", "none"}
        Which rows to leave out: those that have any NaN, or nothing else.
    notes : tuple of str
        What had to be done to the input, and how to do without.
    edges : ndarray of int, (sequence + 1,), or None
        Rows that are never parted; see `Block`.
    span : slice
        Which of the partitions to sum over.
    watch : callable
        Who is told how far a sum has come.
    """

    rows: np.ndarray
    along: Mapping[str, np.ndarray] = field(default_factory=dict)
    omit: Omit = "none"
    notes: tuple[str, ...] = ()
    edges: np.ndarray | None = None
    span: slice = field(default_factory=lambda: slice(None))
    watch: Watch = unwatched

    client: None = None

    @property
    def n_features(self) -> int:
        return self.rows.shape[1]

    @property
    def outline(self) -> Outline:
        return Outline.of(len(self.rows), self._sizes)

    def watched(self, watch: Watch) -> "LocalBlocks":
        return replace(self, watch=watch)

    def unomitted(self) -> "LocalBlocks":
        return replace(self, omit="none")

    def partition(self, number: int) -> "LocalBlocks":
        return replace(self, span=slice(number, number + 1))

    def keys_on_cluster(self) -> list[Key]:
        return []

    @property
    def chunk_rows(self) -> int:
        """Rows of every chunk but the last, where there are no sequences."""
        return max(_FEWEST_ROWS, BLOCK_SIZE // max(self.n_features, 1))

    @property
    def n_chunks(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def bounds(self) -> np.ndarray:
        """Where chunks begin, and where the last one ends, (chunk + 1,); never in a sequence."""
        n = len(self.rows)
        bounds = np.array([*range(0, max(n, 1), self.chunk_rows), n])
        if self.edges is None:
            return bounds
        return np.unique(self.edges[np.searchsorted(self.edges, bounds)])

    def sum(
        self, f: Callable[[Block, *Args], Result], *args: *Args, name: str = "sum", source: str = ""
    ) -> Result:
        """The tree sum of ``f(block, *args)``; names are for dashboards, which this has none of."""
        tree: TreeSum[Result] = TreeSum()
        partitions = self._partitions
        self.watch(Sign(name, 0, len(partitions)))
        if len(partitions) == 1:
            return self._partition_sum(partitions[0], f, args)
        pool = ThreadPoolExecutor(CPU_COUNT)
        try:
            pending: deque[Future[Result]] = deque()
            for number, numbers in enumerate(partitions, 1):
                pending.append(pool.submit(self._partition_sum, numbers, f, args))
                if len(pending) > 2 * CPU_COUNT:
                    tree.push(pending.popleft().result())
                    self.watch(Sign(name, number - len(pending), len(partitions)))
            for number, future in enumerate(pending, len(partitions) - len(pending) + 1):
                tree.push(future.result())
                self.watch(Sign(name, number, len(partitions)))
        finally:
            pool.shutdown(cancel_futures=True)
        return tree.total()

    @cached_property
    def _partitions(self) -> list[range]:
        return partitions_of(self._sizes)[self.span]

    @property
    def _sizes(self) -> np.ndarray:
        """Bytes of every chunk."""
        return np.diff(self.bounds) * row_bytes(self.rows, self.along)

    def _partition_sum(
        self, numbers: range, f: Callable[..., Result], args: tuple[Any, ...]
    ) -> Result:
        tree: TreeSum[Result] = TreeSum()
        for block in joined(map(self._chunk, numbers), self.omit):
            tree.push(f(block, *args))
        return tree.total()

    def _chunk(self, number: int) -> Part:
        start, stop = (int(i) for i in self.bounds[number : number + 2])
        piece = Piece((number,), number, (stop - start,), (start,), (len(self.rows),))
        along = {name: values[start:stop] for name, values in self.along.items()}
        edges = None if self.edges is None else edges_between(self.edges, start, stop)
        return part(piece, self.rows[start:stop], along, edges)
