"""The kernel in machine code, of what `TiledKernel` computes with NumPy: same sums, same contract.

Nothing here is imported that needs numba before there is a sweep to do.
"""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import Statistics, add_all
from daskem.errors import KernelError
from daskem.models.kernels.guard import LIMIT
from daskem.models.kernels.passed import Natural, Rows, Sums, Task, even
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.kernels.tiles import Tiles, tile_width
from daskem.models.protocol import Block, Tile

# Bytes of the features and the joint log-densities of a tile: what the fastest cache nearly holds.
_CACHE = 2**16
# Rows of a tile, at least and at most.
_FEWEST_ROWS, _MOST_ROWS = 72, 264


def installed() -> bool:
    """Whether there is a numba in this process; it is not imported for that."""
    return importlib.util.find_spec("numba") is not None


def lacking_numba(where: str) -> KernelError:
    """What to raise where the compiled kernel is to be used, and cannot be made."""
    return KernelError(
        f"kernel='compiled' needs numba, and there is none {where}: pip install 'daskem[fast]' "
        "there, or kernel='numpy'"
    )


def compiled(kernel: Kernel, terms: Terms) -> Kernel:
    """The same in machine code, of a family whose features are `terms`; one of its own stays."""
    if isinstance(kernel, TiledKernel) and isinstance(kernel.form, ProductForm):
        return CompiledKernel(kernel, kernel.form, terms)
    return kernel


def rows_of_a_tile(n_statistics: int, n_components: int, n_features: int) -> int:
    """They depend on the sizes of the model alone: an odd number of eights, which no two rows of a
    buffer that are near each other then share a place in a cache for.
    """
    fitting = _CACHE // (8 * (n_statistics + n_components + n_features))
    return min(max(fitting // 16 * 16 + 8, _FEWEST_ROWS), _MOST_ROWS)


@dataclass(frozen=True, eq=False)
class CompiledKernel:
    """A kernel, as `daskem.models.kernels.protocol.Kernel` says.

    Attributes
    ----------
    plain : TiledKernel
        The same with NumPy, which computes what machine code does not.
    product : ProductForm
        Its form.
    terms : Terms
        Second-order features of its distributions.
    """

    plain: TiledKernel
    product: ProductForm
    terms: Terms

    def e_step(self, block: Block) -> list[Statistics]:
        return self._sums(block, {}, lambda rows, span: self._careful.e_step(rows))

    def hard(self, block: Block, labels: np.ndarray) -> Statistics:
        own = {"labels": labels}
        return self._known(block, own, lambda rows, span: self._careful.hard(rows, labels[span]))

    def soft(self, block: Block, responsibilities: np.ndarray) -> Statistics:
        r = responsibilities
        return self._known(
            block, {"shares": r}, lambda rows, span: self._careful.soft(rows, r[:, span])
        )

    def posterior(self, block: Block) -> Iterator[Tile]:
        for span, out, log_prob in self._written(block, normalised=True):
            yield Tile(span, log_prob, out)

    def log_densities(self, block: Block) -> Iterator[tuple[slice, np.ndarray]]:
        for span, out, _ in self._written(block, normalised=False):
            yield span, out.copy()

    @cached_property
    def _careful(self) -> TiledKernel:
        """What takes the tiles for which the product form is not accurate."""
        guard = self.plain.guard
        return self.plain if guard is None else replace(self.plain, form=guard.centred, guard=None)

    @cached_property
    def _natural(self) -> Natural:
        """The product form as its sweep takes it."""
        guard, bounds = self.plain.guard, self.product.bounds.astype(np.int64)
        most = np.inf if guard is None else LIMIT / guard.sharpness
        return Natural(even(self.product.natural), bounds, int(self.terms), float(most))

    def _sums(
        self,
        block: Block,
        known: dict[str, np.ndarray],
        careful: Callable[[Block, slice], list[Statistics]],
    ) -> list[Statistics]:
        """Statistics of each candidate; `careful` makes them of the rows that the sweep leaves."""
        parts, made, width = [], *self._swept(block, known)
        if made is not None:
            parts.append(self._product_statistics(block, made, width))
        left = [slice(0, len(block))] if made is None else _spans(made.careful, width, len(block))
        parts += [careful(block[span], span) for span in left]
        total: list[Statistics] = add_all(parts)
        return total

    def _known(
        self,
        block: Block,
        known: dict[str, np.ndarray],
        careful: Callable[[Block, slice], Statistics],
    ) -> Statistics:
        """Statistics of the only candidate, without the part of a likelihood."""
        (found,) = self._sums(
            block, known, lambda rows, span: [{"log_likelihood": 0.0, **careful(rows, span)}]
        )
        return {name: sums for name, sums in found.items() if name != "log_likelihood"}

    def _swept(self, block: Block, asked: dict[str, np.ndarray]) -> tuple[Sums | None, int]:
        """What a sweep in machine code made, and the rows of a tile; None if it is not to sweep."""
        if not installed():
            raise lacking_numba("in this process")
        from daskem.models.kernels.machine.product import sweep

        d, (n_components, n_statistics) = block.rows.shape[1], self.product.natural.shape
        if self.product.n_statistics(d) != n_statistics:
            raise ValueError(f"mismatch: rows of {d} features, params with {n_statistics} numbers")
        width = rows_of_a_tile(n_statistics, n_components, d)
        if self.plain.usual(d) is not self.product:
            return None, width
        # What is said of a row does not depend on how often it counts.
        weights = None if "out" in asked else block.weights
        rows = Rows.of(block.rows, weights, self.plain.frame, width)
        return sweep(rows, self._natural, Task.of(**asked)), width

    def _product_statistics(self, block: Block, made: Sums, width: int) -> list[Statistics]:
        """Of the rows that the sweep took."""
        left, bounds = np.repeat(made.careful, width)[: len(block)], self.product.bounds
        common = self.product.family.common(np.empty((block.rows.shape[1], 0)), None)
        if self.terms is Terms.LINEAR:
            for _, x, weights in self._tiles(block[~left] if left.any() else block):
                common = common + self.product.family.common(x, weights)
        found = []
        for c, candidate in enumerate(self.product.candidates):
            moments = made.moments[bounds[c] : bounds[c + 1]]
            statistics = candidate.statistics(moments, common)
            log_likelihood = statistics["log_likelihood"] + made.log_likelihoods[c]
            found.append({**statistics, "log_likelihood": log_likelihood})
        return found

    def _written(
        self, block: Block, normalised: bool
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Joint log-densities, or responsibilities and log p(x), of some rows at a time."""
        n_components, n_statistics = self.product.natural.shape
        width = tile_width(n_statistics, n_components, block.rows.shape[1])
        out = np.empty((n_components, min(width, len(block))))
        log_prob = np.empty(out.shape[1] if normalised else 0)
        for first in range(0, len(block), width):
            span = slice(first, min(first + width, len(block)))
            with one_blas_thread():
                self._write(block[span], out, log_prob)
            n = span.stop - span.start
            yield span, out[:, :n], log_prob[:n]

    def _write(self, block: Block, out: np.ndarray, log_prob: np.ndarray) -> None:
        made, width = self._swept(block, {"out": out, "log_prob": log_prob})
        n = len(block)
        left = [slice(0, n)] if made is None else _spans(made.careful, width, n)
        for span in left:
            if len(log_prob):
                for part, log_p, r in self._careful.posterior(block[span]):
                    here = slice(span.start + part.start, span.start + part.stop)
                    out[:, here], log_prob[here] = r, log_p
            else:
                for part, joint in self._careful.log_densities(block[span]):
                    out[:, span.start + part.start : span.start + part.stop] = joint
        if self.terms is Terms.LINEAR and made is not None:
            taken = ~np.repeat(made.careful, width)[:n]
            target = log_prob if len(log_prob) else out
            for span, x, _ in self._tiles(block):
                target[..., span] += np.where(taken[span], self.product.log_base(x, 0), 0.0)

    def _tiles(self, block: Block) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """The rows of a block as NumPy takes them, (feature, row), and their weights."""
        n_components, n_statistics = self.product.natural.shape
        width = tile_width(n_statistics, n_components, block.rows.shape[1])
        tiles = Tiles(block.rows, self.plain.frame, width)
        for span in tiles:
            yield span, tiles[span], None if block.weights is None else block.weights[span]


def _spans(careful: np.ndarray, width: int, n: int) -> list[slice]:
    """The runs of rows of the tiles that are left."""
    edges = np.flatnonzero(np.diff([0, *careful, 0])).reshape(-1, 2) * width
    return [slice(int(start), min(int(stop), n)) for start, stop in edges]
