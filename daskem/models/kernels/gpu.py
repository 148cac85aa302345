"""The kernel on a GPU, by CuPy, of what `TiledKernel` computes with NumPy: same contract.

Nothing here is imported that needs CuPy before there is a sweep to do.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskem.core.statistics import Statistics
from daskem.models.kernels.arguments import Natural, Task
from daskem.models.kernels.backends import CUPY, lacking, present
from daskem.models.kernels.guard import LIMIT
from daskem.models.kernels.protocol import Weighted
from daskem.models.kernels.swept import Swept, SweptKernel
from daskem.models.kernels.terms import Terms


@dataclass(frozen=True, eq=False)
class GpuKernel(SweptKernel):
    """A kernel whose sweeps are on a GPU, but for rows that need the careful form."""

    @cached_property
    def natural(self) -> Natural:
        """The product form as its sweep takes it."""
        guard, bounds = self.plain.guard, self.product.bounds.astype(np.int64)
        most = np.inf if guard is None else LIMIT / guard.sharpness
        pooled = guard is not None and self.terms is Terms.LINEAR
        return Natural(self.product.natural, bounds, int(self.terms), float(most), pooled)

    def swept(self, block: Weighted, span: slice, task: Task) -> Swept:
        if not present(CUPY):
            raise lacking(CUPY, "in this process")
        from daskem.models.kernels.device.sweep import sweep

        self.check_width(block.rows)
        weights = None if block.weights is None else block.weights[span]
        made = sweep(block.rows[span], weights, self.plain.frame, self.natural, task)
        some = np.flatnonzero(made.careful)
        parts = self._with_numpy(block[span.start + some], task, some) if len(some) else []
        return Swept(made, parts, made.careful)

    def _with_numpy(self, part: Weighted, task: Task, some: np.ndarray) -> list[Statistics]:
        """Do the same task for some of the rows, which are a block of their own."""
        if task.out.size:
            self._write(part, task, some)
            return []
        if len(task.labels):
            parts = [self.plain.hard(part, task.labels[some])]
        elif task.shares.size:
            parts = [self.plain.soft(part, task.shares[:, some])]
        else:
            return self.plain.e_step(part)
        return [{**sums, "log_likelihood": 0.0} for sums in parts]

    def _write(self, part: Weighted, task: Task, some: np.ndarray) -> None:
        """Write what NumPy says of some of the rows."""
        if len(task.log_prob):
            for tile in self.plain.posterior(part):
                task.out[:, some[tile.span]] = tile.responsibilities
                task.log_prob[some[tile.span]] = tile.log_prob
        else:
            task.out[:, some] = self.plain.log_densities(part)
