"""Counts: independent Poisson features, given the component."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from daskem.families.exponential import ProductKernel
from daskem.numerics import EPS, log_factorial
from daskem.parameters import NON_NEGATIVE, Parameter, Params

# A rate of 0 gives every positive count this log-probability, rather than minus infinity.
_LEAST_RATE = 1e-300


@dataclass(frozen=True)
class Poisson:
    """K products of Poisson distributions.

    log p(x | k) = sum_j x_j log rate_kj - rate_kj - log x_j!

    Notes
    -----
    Parameters: ``rates`` (component, feature), events per row. Statistics: ``counts`` sum r,
    ``first`` sum r x.
    """

    parameters: ClassVar = {"rates": Parameter(("component", "feature"), NON_NEGATIVE)}

    domain = "whole numbers >= 0"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.isfinite(rows) & (rows >= 0) & (rows == np.floor(rows))

    def n_statistics(self, n_features: int) -> int:
        return 1 + n_features

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1:] = x

    def natural(self, params: Params) -> np.ndarray:
        rates = params["rates"]
        return np.column_stack([-rates.sum(axis=1), np.log(np.maximum(rates, _LEAST_RATE))])

    def log_base(self, x: np.ndarray, params: Params) -> np.ndarray:
        return -log_factorial(x).sum(axis=0)

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> float:
        log_base = -log_factorial(x)
        return float(log_base.sum() if weights is None else (log_base @ weights).sum())

    def statistics(
        self, moments: np.ndarray, common: np.ndarray | float, params: Params
    ) -> dict[str, Any]:
        return {"log_likelihood": common, "counts": moments[:, 0], "first": moments[:, 1:]}

    def around(self, centres: np.ndarray) -> Params:
        """Components with their mean at `centres` (component, feature)."""
        return {"rates": centres}

    def kernel(self, *args: Any) -> ProductKernel:
        return ProductKernel(self, *args)

    def m_step(self, statistics: dict[str, Any], params: Params) -> Params:
        counts = statistics["counts"][:, None]
        present = counts > EPS * counts.sum()
        rates = statistics["first"] / np.where(present, counts, 1.0)
        return {"rates": np.where(present, rates, params["rates"])}

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        return rng.poisson(params["rates"][components]).astype(np.float64)
