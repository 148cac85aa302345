"""The kernel in machine code, of what `TiledKernel` computes with NumPy: same sums, same contract.

Nothing here is imported that needs numba before there is a sweep to do.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskem.models.kernels.arguments import Natural, Normals, Rows, Task, even, writable
from daskem.models.kernels.backends import COMPILED, lacking, present
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.guard import LIMIT
from daskem.models.kernels.protocol import Weighted
from daskem.models.kernels.swept import Swept, SweptKernel, more_likely
from daskem.models.kernels.terms import Terms

# Features, from which on z z^T, and the centred form where it is the usual one, are left to BLAS.
MANY = 64


@dataclass(frozen=True, eq=False)
class CompiledKernel(SweptKernel):
    """A kernel whose sweeps are machine code, made by numba.

    Attributes
    ----------
    centred : CentredForm or None
        That of the guard of `plain`.
    """

    centred: CentredForm | None

    @cached_property
    def _natural(self) -> Natural:
        """The product form as its sweep takes it."""
        natural = writable(even(self.product.natural))
        bounds = self.product.bounds.astype(np.int64)
        if self.centred is None or self.plain.guard is None:
            return Natural(natural, bounds, int(self.terms), np.inf, False)
        d = self.centred.candidates[0].means.shape[1]
        pooled = self.terms is Terms.LINEAR and d <= MANY
        most = LIMIT / self.plain.guard.sharpness
        return Natural(natural, bounds, int(self.terms), float(most), pooled)

    @cached_property
    def _normals(self) -> Normals:
        """The centred form as its sweep takes it."""
        assert self.centred is not None
        return Normals.of(self.centred)

    def swept(self, block: Weighted, span: slice, task: Task) -> Swept:
        if not present(COMPILED):
            raise lacking(COMPILED, "in this process")
        from daskem.models.kernels.machine import product

        self.check_width(block.rows)
        # What is said of a row does not depend on how often it counts.
        weights = None if task.out.size or block.weights is None else block.weights[span]
        rows = Rows.of(block.rows[span], weights, self.plain.frame, self._natural.width)
        made, careful = None, np.ones(rows.n_tiles, bool)
        if self.plain.usual(rows.d) is self.product:
            made = product.sweep(rows, self._natural, task)
            careful = made.careful
        parts, of_rows = [], np.zeros(rows.n, bool)
        if made is None or careful.any():
            from daskem.models.kernels.machine import centred

            assert self.centred is not None
            log_likelihoods, *moments = centred.sweep(rows, self._normals, task, careful)
            parts = more_likely(self.centred.statistics(*moments), log_likelihoods)
            of_rows = np.repeat(careful, rows.width)[: rows.n]
        return Swept(made, parts, of_rows)
