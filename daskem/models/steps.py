"""The steps of sequences: which rows they have, and how many are looked at together."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from daskem.errors import DataError
from daskem.models.kernels.incomplete import Seen
from daskem.models.kernels.protocol import Kernel, Weighted
from daskem.models.known import only_known
from daskem.models.views import Block


class Steps(NamedTuple):
    """The steps of the sequences of some rows that have any; some of their rows may be missing.

    Attributes
    ----------
    span : slice
        Which rows of a block they are.
    edges : ndarray of int, (sequence + 1,)
    kept : slice or ndarray of bool, (step,)
        Which steps those rows are.
    counts : ndarray, (sequence,)
        How many times each counts.
    """

    span: slice
    edges: np.ndarray
    kept: slice | np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, block: Block) -> "Steps":
        """Those of a block; one whose rows are in no sequence has none of them in common.

        Raises
        ------
        DataError
            If the rows of a sequence have different weights.
        """
        edges = np.arange(len(block) + 1) if block.edges is None else block.edges
        kept: slice | np.ndarray = slice(None)
        if block.kept is not None and block.edges is not None:
            edges, kept = _with_rows(edges, block.kept)
        counts = np.ones(len(edges) - 1)
        if block.weights is not None:
            counts = _weights(edges, kept, block.weights)
        return cls(slice(0, len(block)), edges, kept, counts)

    def runs(self, most: int) -> Iterator["Steps"]:
        """Whole sequences, one after the other: as many as have `most` steps together, or one."""
        if len(self.counts) < 2 or self.edges[-1] <= most:
            yield self
            return
        first, row = 0, self.span.start
        while first < len(self.counts):
            fitting = int(np.searchsorted(self.edges, self.edges[first] + most, "right")) - 1
            last = max(fitting, first + 1)
            edges = self.edges[first : last + 1]
            steps, kept, n = slice(edges[0], edges[-1]), self.kept, int(edges[-1] - edges[0])
            if isinstance(kept, np.ndarray):
                kept = kept[steps]
                n = int(np.count_nonzero(kept))
            yield Steps(slice(row, row + n), edges - edges[0], kept, self.counts[first:last])
            first, row = last, row + n

    def rows(self, block: Weighted) -> Seen:
        """The rows of the block, as a kernel sees them."""
        return Seen(block.rows, block.weights)[self.span]

    def log_density(self, kernel: Kernel, block: Weighted, labels: np.ndarray | None) -> np.ndarray:
        """Of every step in every state, (state, step); 0 where nothing was observed, and none in
        all states but the one that a row is known to be in, by the labels of the block.
        """
        of_rows = kernel.log_densities(self.rows(block))
        if labels is not None:
            of_rows = only_known(of_rows, labels[self.span])
        if isinstance(self.kept, slice):
            return of_rows
        log_density = np.zeros((len(of_rows), self.edges[-1]))
        log_density[:, self.kept] = of_rows
        return log_density

    def each_sequence(self, values: np.ndarray) -> np.ndarray:
        """The sum of the values of its steps, (step,), for each sequence, (sequence,)."""
        return np.add.reduceat(values, self.edges[:-1]) if len(self.counts) else np.empty(0)


def _with_rows(edges: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`edges` and `kept` of the sequences that have rows: of others nothing is known."""
    if len(edges) == 1:
        return edges, kept
    some, lengths = np.logical_or.reduceat(kept, edges[:-1]), np.diff(edges)
    return np.concatenate([[0], np.cumsum(lengths[some])]), kept[np.repeat(some, lengths)]


def _weights(edges: np.ndarray, kept: slice | np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weight that all rows of a sequence have, (sequence,)."""
    of_steps = np.full(edges[-1], np.nan)
    of_steps[kept] = weights
    if not len(starts := edges[:-1]):
        return np.empty(0)
    most, least = np.fmax.reduceat(of_steps, starts), np.fmin.reduceat(of_steps, starts)
    if differing := np.flatnonzero(most > least).tolist():
        first = differing[0]
        raise DataError(
            f"the rows of a sequence have weights from {least[first]:.6g} to {most[first]:.6g}; "
            f"give all rows of a sequence the same"
        )
    return most
