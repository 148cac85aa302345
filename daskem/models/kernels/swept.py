"""What the kernels share that leave the sweep over a block to others than NumPy.

Sweeps add up moments, or write what they say of rows; here it becomes statistics and tiles.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import Statistics, add_all
from daskem.models.kernels.arguments import Sums, Task
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Weighted
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.kernels.tiles import Tiles, spans, tile_width
from daskem.models.views import Tile


class Swept(NamedTuple):
    """What the sweeps of both forms have made of some rows of a block, each of some of these.

    Attributes
    ----------
    product : Sums or None
    centred : list of Statistics
        One of each candidate; none where the product form took all rows, or none was asked for.
    careful : ndarray of bool, (row,)
        Which rows the centred form took.
    """

    product: Sums | None
    centred: list[Statistics]
    careful: np.ndarray


@dataclass(frozen=True, eq=False)
class SweptKernel(ABC):
    """A kernel, as `daskem.models.kernels.protocol.Kernel` says.

    Attributes
    ----------
    plain : TiledKernel
        The same with NumPy.
    product : ProductForm
        Its form.
    terms : Terms
        Second-order features of its distributions.
    """

    plain: TiledKernel
    product: ProductForm
    terms: Terms

    @abstractmethod
    def swept(self, block: Weighted, span: slice, task: Task) -> Swept:
        """Do a task, which tells of the rows of a span, in the form that is accurate for each.

        Raises
        ------
        KernelError
            If this process has not what it needs.
        """

    def e_step(self, block: Weighted) -> list[Statistics]:
        return self._sums(block, Task.of())

    def hard(self, block: Weighted, labels: np.ndarray) -> Statistics:
        return self._known(block, Task.of(labels=labels))

    def soft(self, block: Weighted, responsibilities: np.ndarray) -> Statistics:
        return self._known(block, Task.of(shares=responsibilities))

    def posterior(self, block: Weighted) -> Iterator[Tile]:
        width = self._width(block)
        out = np.empty((len(self.product.natural), min(width, len(block))))
        log_prob = np.empty(out.shape[1])
        for span in spans(len(block), width):
            with one_blas_thread():
                swept = self.swept(block, span, Task.of(out=out, log_prob=log_prob))
                self._add_base(block[span], swept, log_prob)
            n = span.stop - span.start
            yield Tile(span, log_prob[:n], out[:, :n])

    def log_densities(self, block: Weighted) -> np.ndarray:
        out = np.empty((len(self.product.natural), len(block)))
        swept = self.swept(block, slice(0, len(block)), Task.of(out=out))
        self._add_base(block, swept, out)
        return out

    def check_width(self, rows: np.ndarray) -> None:
        """Raise ValueError unless rows have as many features as the params."""
        d, n_statistics = rows.shape[1], self.product.natural.shape[1]
        if self.product.n_statistics(d) != n_statistics:
            raise ValueError(f"mismatch: rows of {d} features, params with {n_statistics} numbers")

    def _sums(self, block: Weighted, task: Task) -> list[Statistics]:
        """Statistics of each candidate."""
        swept, parts = self.swept(block, slice(0, len(block)), task), []
        if swept.product is not None:
            parts.append(self._of_product(block, swept.product, swept.careful))
        if swept.centred:
            parts.append(swept.centred)
        total: list[Statistics] = add_all(parts)
        return total

    def _known(self, block: Weighted, task: Task) -> Statistics:
        """Statistics of the only candidate, without the part of a likelihood that they have."""
        (statistics,) = self._sums(block, task)
        return {name: sums for name, sums in statistics.items() if name != "log_likelihood"}

    def _of_product(self, block: Weighted, made: Sums, careful: np.ndarray) -> list[Statistics]:
        """Statistics of the rows that the product form took."""
        family = self.product.family
        common = family.common(np.empty((block.rows.shape[1], 0)), None)  # of no rows
        if made.squares.size:
            common = made.squares[np.triu_indices(len(made.squares))]
        elif self._has_base(block):
            for _, x, weights in self._tiles(block[~careful] if careful.any() else block):
                common = common + family.common(x, weights)
        statistics = self.product.statistics(made.moments, common)
        return more_likely(statistics, made.log_likelihoods)

    def _add_base(self, block: Weighted, swept: Swept, out: np.ndarray) -> None:
        """Add what the log-densities of all components have besides, which the centred form has."""
        if not self._has_base(block):
            return
        for span, x, _ in self._tiles(block):
            out[..., span] += np.where(swept.careful[span], 0.0, self.product.log_base(x, 0))

    def _has_base(self, block: Weighted) -> bool:
        """Whether there is such a part: it is a number, 0, where there is none."""
        return isinstance(self.product.log_base(np.empty((block.rows.shape[1], 0)), 0), np.ndarray)

    def _width(self, block: Weighted) -> int:
        """How many rows are looked at together where NumPy or a reader follows."""
        n_components, n_statistics = self.product.natural.shape
        return tile_width(n_statistics, n_components, block.rows.shape[1])

    def _tiles(self, block: Weighted) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """The rows of a block as NumPy takes them, (feature, row), and their weights."""
        tiles = Tiles(block.rows, self.plain.frame, self._width(block))
        for span in tiles:
            yield span, tiles[span], None if block.weights is None else block.weights[span]


def more_likely(statistics: list[Statistics], log_likelihoods: np.ndarray) -> list[Statistics]:
    """The same, with so much more likelihood."""
    return [
        {**sums, "log_likelihood": sums["log_likelihood"] + more}
        for sums, more in zip(statistics, log_likelihoods, strict=True)
    ]
