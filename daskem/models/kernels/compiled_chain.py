"""Chains in machine code, of what `Chains` computes with NumPy."""

from dataclasses import dataclass

import numpy as np

from daskem.models.kernels.arguments import readable
from daskem.models.kernels.backends import COMPILED, lacking, present
from daskem.models.kernels.chain import LEAST, MOST, Chains, Smoothed


@dataclass(frozen=True, eq=False)
class CompiledChains(Chains):
    """Chains whose recursions are machine code, made by numba."""

    def __post_init__(self) -> None:
        if not present(COMPILED):
            raise lacking(COMPILED, "in this process")

    def smooth(self, initial: np.ndarray, transitions: np.ndarray, counts: np.ndarray) -> Smoothed:
        from daskem.models.kernels.machine import chains

        k, n = self.log_density.shape
        steps, lanes, moves = chains.Steps.of(k, n), chains.Lanes.of(k), np.empty((k, k))
        known = (self._edges, self.order, readable(counts, np.float64))
        params = (readable(initial, np.float64), readable(transitions, np.float64))
        chains.smooth(self._log_density, *known, *params, (LEAST, MOST), steps, lanes, moves)
        return Smoothed(steps.log_prob[0, :n], steps.a[:, :n], moves)

    def decode(self, initial: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from daskem.models.kernels.machine import chains

        with np.errstate(divide="ignore"):
            pi, a = (readable(np.log(v), np.float64) for v in (initial, transitions))
        best, n = np.empty_like(self._log_density), self.edges[-1]
        states, log_prob = np.empty(n, np.int64), np.empty(len(self.edges) - 1)
        chains.decode(self._log_density, self._edges, pi, a, best, states, log_prob)
        return states.astype(np.intp, copy=False), log_prob

    # Of one type always, as machine code is made for the types of its arguments.

    @property
    def _log_density(self) -> np.ndarray:
        return readable(self.log_density, np.float64)

    @property
    def _edges(self) -> np.ndarray:
        return readable(self.edges, np.int64)
