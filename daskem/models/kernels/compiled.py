"""The kernel in machine code, of what `TiledKernel` computes with NumPy: same sums, same contract.

Nothing here is imported that needs numba before there is a sweep to do.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import Statistics, add_all
from daskem.errors import KernelError
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.compiled_arguments import (
    Moments,
    Natural,
    Normals,
    Rows,
    Sums,
    Task,
    even,
)
from daskem.models.kernels.guard import LIMIT
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.kernels.tiles import Tiles, tile_width
from daskem.models.protocol import Block, Tile

# Features, from which on z z^T, and the centred form where it is the usual one, are left to BLAS.
_MANY = 64


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
    """The same in machine code, of a family whose features are `terms`.

    A kernel of a family's own stays what it is, and so does one whose work is large products.
    """
    if not isinstance(kernel, TiledKernel) or not isinstance(kernel.form, ProductForm):
        return kernel
    guard = kernel.guard
    if guard is None:
        return CompiledKernel(kernel, kernel.form, None, terms)
    if not isinstance(guard.centred, CentredForm):
        return kernel
    d = guard.centred.candidates[0].means.shape[1]
    left = guard.usual(d) is guard.centred and d > _MANY
    return kernel if left else CompiledKernel(kernel, kernel.form, guard.centred, terms)


class Swept(NamedTuple):
    """What the sweeps of both forms have made of a block, each of some of the tiles.

    Attributes
    ----------
    product : Sums or None
    centred : Moments or None
    careful : ndarray of bool, (sample,)
        Which rows the centred form took.
    """

    product: Sums | None
    centred: Moments | None
    careful: np.ndarray


@dataclass(frozen=True, eq=False)
class CompiledKernel:
    """A kernel, as `daskem.models.kernels.protocol.Kernel` says.

    Attributes
    ----------
    plain : TiledKernel
        The same with NumPy.
    product : ProductForm
        Its form.
    centred : CentredForm or None
        That of its guard.
    terms : Terms
        Second-order features of its distributions.
    """

    plain: TiledKernel
    product: ProductForm
    centred: CentredForm | None
    terms: Terms

    def e_step(self, block: Block) -> list[Statistics]:
        return self._sums(block, Task.of())

    def hard(self, block: Block, labels: np.ndarray) -> Statistics:
        return self._known(block, Task.of(labels=labels))

    def soft(self, block: Block, responsibilities: np.ndarray) -> Statistics:
        return self._known(block, Task.of(shares=responsibilities))

    def posterior(self, block: Block) -> Iterator[Tile]:
        for span, out, log_prob in self._written(block, normalised=True):
            yield Tile(span, log_prob, out)

    def log_densities(self, block: Block) -> Iterator[tuple[slice, np.ndarray]]:
        for span, out, _ in self._written(block, normalised=False):
            yield span, out.copy()

    @cached_property
    def _natural(self) -> Natural:
        """The product form as its sweep takes it."""
        natural, bounds = even(self.product.natural), self.product.bounds.astype(np.int64)
        if self.centred is None or self.plain.guard is None:
            return Natural(natural, bounds, int(self.terms), np.inf, False)
        d = self.centred.candidates[0].means.shape[1]
        pooled = self.terms is Terms.LINEAR and d <= _MANY
        most = LIMIT / self.plain.guard.sharpness
        return Natural(natural, bounds, int(self.terms), float(most), pooled)

    @cached_property
    def _normals(self) -> Normals:
        """The centred form as its sweep takes it."""
        assert self.centred is not None
        return Normals.of(self.centred)

    def _swept(self, rows: np.ndarray, weights: np.ndarray | None, task: Task) -> Swept:
        """Do a task for all rows, in the form that is accurate for each tile."""
        if not installed():
            raise lacking_numba("in this process")
        from daskem.models.kernels.machine import product

        d, n_statistics = rows.shape[1], self.product.natural.shape[1]
        if self.product.n_statistics(d) != n_statistics:
            raise ValueError(f"mismatch: rows of {d} features, params with {n_statistics} numbers")
        width = self._natural.width
        told, made, taken = Rows.of(rows, weights, self.plain.frame, width), None, None
        careful = np.ones(told.n_tiles, bool)
        if self.plain.usual(d) is self.product:
            made = product.sweep(told, self._natural, task)
            careful = made.careful
        if made is None or careful.any():
            from daskem.models.kernels.machine import centred

            taken = centred.sweep(told, self._normals, task, careful)
        return Swept(made, taken, np.repeat(careful, width)[: len(rows)])

    def _sums(self, block: Block, task: Task) -> list[Statistics]:
        """Statistics of each candidate."""
        swept, parts = self._swept(block.rows, block.weights, task), []
        if swept.product is not None:
            parts.append(self._of_product(block, swept.product, swept.careful))
        if swept.centred is not None:
            assert self.centred is not None
            log_likelihoods, *moments = swept.centred
            parts.append(_with(self.centred.statistics(*moments), log_likelihoods))
        total: list[Statistics] = add_all(parts)
        return total

    def _known(self, block: Block, task: Task) -> Statistics:
        """Statistics of the only candidate, without the part of a likelihood that they have."""
        (found,) = self._sums(block, task)
        return {name: sums for name, sums in found.items() if name != "log_likelihood"}

    def _of_product(self, block: Block, made: Sums, careful: np.ndarray) -> list[Statistics]:
        """Statistics of the rows that the product form took."""
        bounds, family = self.product.bounds, self.product.family
        common = family.common(np.empty((block.rows.shape[1], 0)), None)  # of no rows
        if self._natural.pooled:
            common = made.squares[np.triu_indices(len(made.squares))]
        elif self._has_base(block):
            for _, x, weights in self._tiles(block[~careful] if careful.any() else block):
                common = common + family.common(x, weights)
        statistics = [
            candidate.statistics(made.moments[low:high], common)
            for candidate, low, high in zip(
                self.product.candidates, bounds[:-1], bounds[1:], strict=True
            )
        ]
        return _with(statistics, made.log_likelihoods)

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
                # What is said of a row does not depend on how often it counts.
                swept = self._swept(block.rows[span], None, Task.of(out=out, log_prob=log_prob))
                if self._has_base(block):
                    self._add_base(block[span], swept, log_prob if normalised else out)
            n = span.stop - span.start
            yield span, out[:, :n], log_prob[:n]

    def _add_base(self, block: Block, swept: Swept, out: np.ndarray) -> None:
        """Add what the log-densities of all components have besides, which the centred form has."""
        for span, x, _ in self._tiles(block):
            out[..., span] += np.where(swept.careful[span], 0.0, self.product.log_base(x, 0))

    def _has_base(self, block: Block) -> bool:
        """Whether there is such a part: it is a number, 0, where there is none."""
        return isinstance(self.product.log_base(np.empty((block.rows.shape[1], 0)), 0), np.ndarray)

    def _tiles(self, block: Block) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """The rows of a block as NumPy takes them, (feature, row), and their weights."""
        n_components, n_statistics = self.product.natural.shape
        width = tile_width(n_statistics, n_components, block.rows.shape[1])
        tiles = Tiles(block.rows, self.plain.frame, width)
        for span in tiles:
            yield span, tiles[span], None if block.weights is None else block.weights[span]


def _with(statistics: list[Statistics], log_likelihoods: np.ndarray) -> list[Statistics]:
    """The same, with so much more likelihood."""
    return [
        {**sums, "log_likelihood": sums["log_likelihood"] + more}
        for sums, more in zip(statistics, log_likelihoods, strict=True)
    ]
