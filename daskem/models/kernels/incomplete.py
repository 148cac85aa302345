"""The kernel of rows that lack values: each takes part with what it has, missing at random.

    log p(x_o) = log sum_k weight_k p(x_o | k)        moments_k = sum w r_k E[T(z) | x_o, k]

A block without gaps is computed as ever, and so are the rows of a block that have none. Of the
others there are two ways to make parts, which the family has: by pattern, by which values they
have, as each pattern is complete rows of the marginal of the components (`families.weighted`);
or all together, where features know nothing of one another (`gapped`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.rows import Chosen, some_rows
from daskem.core.statistics import Statistics, add
from daskem.models.kernels.protocol import Kernel, Weighted
from daskem.models.kernels.tiles import spans
from daskem.models.views import Tile

# Rows whose answers are put back in their order at a time: what is held of them is small beside a
# block, and a usual pattern still has many of them.
_AT_ONCE = 2**14

Completed = Callable[[list[Statistics]], list[Statistics]]


@dataclass(frozen=True, eq=False)
class Seen:
    """Some of the rows of a block, and of their features; see `Weighted`."""

    rows: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Chosen) -> "Seen":
        weights = None if self.weights is None else some_rows(self.weights, chosen)
        return Seen(some_rows(self.rows, chosen), weights)


class Part(NamedTuple):
    """Rows of a block that one kernel computes.

    Attributes
    ----------
    places : slice or ndarray of int, (row,)
        Which rows of the block they are.
    rows : Weighted
        As the kernel sees them.
    kernel : Kernel
    completed : callable
        Its statistics, one for each candidate, as those of all features.
    """

    places: slice | np.ndarray
    rows: Weighted
    kernel: Kernel
    completed: Completed


@dataclass(frozen=True, eq=False)
class IncompleteKernel:
    """A kernel, as `daskem.models.kernels.protocol.Kernel` says, of rows that may have NaN.

    Attributes
    ----------
    complete : Kernel
        Of rows without.
    apart : callable
        ``rows -> parts``, of rows each of which has some NaN.
    """

    complete: Kernel
    apart: Callable[[Seen], Iterable[Part]]

    def e_step(self, block: Weighted) -> list[Statistics]:
        return self._sums(block, lambda part: part.kernel.e_step(part.rows))

    def hard(self, block: Weighted, labels: np.ndarray) -> Statistics:
        return self._sums(block, lambda part: [part.kernel.hard(part.rows, labels[part.places])])[0]

    def soft(self, block: Weighted, responsibilities: np.ndarray) -> Statistics:
        def of_part(part: Part) -> list[Statistics]:
            return [part.kernel.soft(part.rows, responsibilities[:, part.places])]

        return self._sums(block, of_part)[0]

    def posterior(self, block: Weighted) -> Iterator[Tile]:
        if is_complete(block.rows):
            yield from self.complete.posterior(block)
            return
        seen = Seen(block.rows, block.weights)
        for span in spans(len(block), _AT_ONCE):
            some = seen[span]
            log_prob, shares = np.empty(len(some)), np.empty((0, len(some)))
            with one_blas_thread():
                for part in self._parts(some):
                    for tile in part.kernel.posterior(part.rows):
                        if not len(shares):
                            shares = np.empty((len(tile.responsibilities), len(some)))
                        rows = np.arange(len(some))[part.places][tile.span]
                        log_prob[rows], shares[:, rows] = tile.log_prob, tile.responsibilities
            yield Tile(span, log_prob, shares)

    def log_densities(self, block: Weighted) -> np.ndarray:
        if is_complete(block.rows):
            return self.complete.log_densities(block)
        out = np.empty((0, len(block)))
        for part in self._parts(block):
            densities = part.kernel.log_densities(part.rows)
            if not len(out):
                out = np.empty((len(densities), len(block)))
            out[:, part.places] = densities
        return out

    def _sums(
        self, block: Weighted, of_part: Callable[[Part], list[Statistics]]
    ) -> list[Statistics]:
        """The sum of `of_part` over the parts of a block, one for each candidate."""
        # One after the other: of many patterns not all kernels are held at a time.
        each = (part.completed(of_part(part)) for part in self._parts(block))
        return reduce(add, each)

    def _parts(self, block: Weighted) -> Iterator[Part]:
        if is_complete(block.rows):
            yield Part(slice(None), block, self.complete, as_they_are)
            return
        gaps = np.isnan(block.rows).any(axis=1)
        whole, lacking = np.flatnonzero(~gaps), np.flatnonzero(gaps)
        rows = Seen(block.rows, block.weights)
        if len(whole):
            yield Part(whole, rows[whole], self.complete, as_they_are)
        for part in self.apart(rows[lacking]):
            yield part._replace(places=lacking[part.places])


def is_complete(rows: np.ndarray) -> bool:
    """Whether no value is NaN."""
    return rows.dtype.kind != "f" or not np.isnan(rows).any()


def as_they_are(statistics: list[Statistics]) -> list[Statistics]:
    return statistics


def patterns(rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What rows (sample, feature) may have, `observed` (feature,), and which rows have just that.

    Complete rows come first; those of a pattern are in their order.
    """
    absent = np.isnan(rows)
    bits = np.packbits(absent, axis=1)
    codes = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), np.uint8)
    codes[:, : bits.shape[1]] = bits
    words = codes.view(">u8").astype(np.uint64)
    order = np.lexsort(words.T[::-1])
    new = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    for index in np.split(order, np.flatnonzero(new) + 1):
        yield ~absent[index[0]], index
