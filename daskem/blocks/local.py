"""Blocks of an array in this machine's memory (or a memmap), on its own threads."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from daskem.blocks.block import Block
from daskem.blocks.partitions import runs_of_chunks
from daskem.statistics import TreeSum

_CHUNK_BYTES = 2**22
_FEWEST_ROWS = 2**14


@dataclass(frozen=True, eq=False)
class LocalBlocks:
    """Rows (sample, feature) in chunks whose size depends on nothing but their number of features.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    weights : ndarray, (sample,), or None
    notes : tuple of str
        Nothing has to be done to arrays in memory.
    """

    rows: np.ndarray
    weights: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        return self.rows.shape[1]

    @property
    def n_chunks(self) -> int:
        return max(1, -(-len(self.rows) // self.chunk_rows))

    @property
    def chunk_rows(self) -> int:
        return max(_FEWEST_ROWS, _CHUNK_BYTES // (8 * max(self.n_features, 1)))

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``; `name` is for dashboards, which this has none of."""
        tree, parts = TreeSum(), self._parts()
        if len(parts) == 1:
            return self._part(parts[0], f, args)
        with ThreadPoolExecutor(CPU_COUNT) as pool:
            pending: deque[Future[Any]] = deque()
            for part in parts:
                pending.append(pool.submit(self._part, part, f, args))
                if len(pending) > 2 * CPU_COUNT:
                    tree.push(pending.popleft().result())
            for future in pending:
                tree.push(future.result())
        return tree.total()

    def _parts(self) -> list[range]:
        starts = np.arange(self.n_chunks) * self.chunk_rows
        lengths = np.minimum(self.chunk_rows, len(self.rows) - starts)
        return runs_of_chunks((lengths * self.n_features * self.rows.itemsize).tolist())

    def _part(self, part: range, f: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        tree = TreeSum()
        for number in part:
            tree.push(f(self._block(number), *args))
        return tree.total()

    def _block(self, number: int) -> Block:
        start = number * self.chunk_rows
        here = slice(start, start + self.chunk_rows)
        weights = None if self.weights is None else np.require(self.weights[here], None, ["C", "A"])
        return Block(
            np.require(self.rows[here], None, ["C", "A"]), weights, (number,), number, start
        )
