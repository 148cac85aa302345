"""Blocks of an array in this machine's memory (or a memmap), on its own threads."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from daskem.core.statistics import TreeSum
from daskem.data.blocks.block import Piece
from daskem.data.blocks.joining import BLOCK_SIZE, Part, joined, part
from daskem.data.blocks.partitions import Outline, runs_of_chunks

_FEWEST_ROWS = 2**14


@dataclass(frozen=True, eq=False)
class LocalBlocks:
    """Rows (sample, feature) in chunks whose size depends on nothing but their number of features.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    weights : ndarray, (sample,), or None
    omit : bool
        Whether to leave out rows with a NaN.
    notes : tuple of str
        What had to be done to the input, and how to do without.
    span : slice
        Which of the partitions to sum over.
    """

    rows: np.ndarray
    weights: np.ndarray | None = None
    omit: bool = False
    notes: tuple[str, ...] = ()
    span: slice = field(default_factory=lambda: slice(None))

    client: None = None

    @property
    def n_features(self) -> int:
        return self.rows.shape[1]

    def partition(self, number: int) -> "LocalBlocks":
        return replace(self, span=slice(number, number + 1))

    def held(self) -> list[Any]:
        return []

    @property
    def n_chunks(self) -> int:
        return max(1, -(-len(self.rows) // self.chunk_rows))

    @property
    def chunk_rows(self) -> int:
        return max(_FEWEST_ROWS, BLOCK_SIZE // max(self.n_features, 1))

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``; `name` is for dashboards, which this has none of."""
        tree, parts = TreeSum(), self._parts()
        if len(parts) == 1:
            return self._part(parts[0], f, args)
        pool = ThreadPoolExecutor(CPU_COUNT)
        try:
            pending: deque[Future[Any]] = deque()
            for numbers in parts:
                pending.append(pool.submit(self._part, numbers, f, args))
                if len(pending) > 2 * CPU_COUNT:
                    tree.push(pending.popleft().result())
            for future in pending:
                tree.push(future.result())
        finally:
            pool.shutdown(cancel_futures=True)
        return tree.total()

    @property
    def outline(self) -> Outline:
        return Outline.of(len(self.rows), self._sizes())

    def _parts(self) -> list[range]:
        return runs_of_chunks(self._sizes())[self.span]

    def _sizes(self) -> np.ndarray:
        """Bytes of every chunk."""
        starts = np.arange(self.n_chunks) * self.chunk_rows
        lengths = np.minimum(self.chunk_rows, len(self.rows) - starts)
        return lengths * self.n_features * self.rows.itemsize

    def _part(self, numbers: range, f: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        tree = TreeSum()
        for block in joined(self._chunks(numbers), self.omit):
            tree.push(f(block, *args))
        return tree.total()

    def _chunks(self, numbers: range) -> Iterator[Part]:
        for number in numbers:
            start = number * self.chunk_rows
            here = slice(start, start + self.chunk_rows)
            rows = self.rows[here]
            piece = Piece((number,), number, (len(rows),), (start,), (len(self.rows),))
            yield part(piece, rows, None if self.weights is None else self.weights[here])
