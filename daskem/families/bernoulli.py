"""Presence and absence: independent Bernoulli features, given the component."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskem.families.exponential import ProductKernel
from daskem.numerics import EPS
from daskem.parameters import PROBABILITY, Parameter, Params

# A probability of 0 gives an observation of 1 this log-probability, rather than minus infinity.
_LEAST = 1e-300


@dataclass(frozen=True)
class Bernoulli:
    """K products of Bernoulli distributions (latent class analysis).

    log p(x | k) = sum_j x_j log p_kj + (1 - x_j) log(1 - p_kj)

    Notes
    -----
    Parameters: ``probabilities`` (component, feature). Statistics: ``counts`` sum r,
    ``first`` sum r x.
    """

    parameters: ClassVar = {"probabilities": Parameter(("component", "feature"), PROBABILITY)}

    domain = "zeros and ones"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return (rows == 0) | (rows == 1)

    def n_statistics(self, n_features: int) -> int:
        return 1 + n_features

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1:] = x

    def natural(self, params: Params) -> np.ndarray:
        p = params["probabilities"]
        log_one, log_zero = np.log(np.maximum([p, 1 - p], _LEAST))
        return np.column_stack([log_zero.sum(axis=1), log_one - log_zero])

    def log_base(self, x: np.ndarray, params: Params) -> float:
        return 0.0

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> float:
        return 0.0

    def statistics(
        self, moments: np.ndarray, common: np.ndarray | float, params: Params
    ) -> dict[str, Any]:
        return {"log_likelihood": common, "counts": moments[:, 0], "first": moments[:, 1:]}

    def around(self, centres: np.ndarray) -> Params:
        """Components with their mean at `centres` (component, feature)."""
        return {"probabilities": centres}

    def kernel(self, *args: Any) -> ProductKernel:
        return ProductKernel(self, *args)

    def m_step(self, statistics: dict[str, Any], params: Params) -> Params:
        counts = statistics["counts"][:, None]
        present = counts > EPS * counts.sum()
        # Rounding may carry a sum of responsibilities past their total.
        p = np.clip(statistics["first"] / np.where(present, counts, 1.0), 0.0, 1.0)
        return {"probabilities": np.where(present, p, params["probabilities"])}

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        p = params["probabilities"][components]
        return (rng.random(p.shape) < p).astype(np.float64)
