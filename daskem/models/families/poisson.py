"""Counts: independent Poisson features, given the component."""

from dataclasses import dataclass

import numpy as np

from daskem.core.numerics import log_factorial
from daskem.core.parameters import NON_NEGATIVE, Params
from daskem.models.families.independent import LEAST, MeanFamily
from daskem.models.families.registry import register


@register
@dataclass(frozen=True)
class Poisson(MeanFamily):
    """K products of Poisson distributions.

    log p(x | k) = sum_j x_j log rate_kj - rate_kj - log x_j!

    Parameters
    ----------
    prior_rows : float, default 0
        Imaginary rows, each the mean of the whole data set, that every component gets besides its
        own: a conjugate prior, so that a value that none of its rows has is not impossible.

    Notes
    -----
    Parameters: ``rates`` (component, feature), events per row.
    """

    mean = "rates"
    support = NON_NEGATIVE
    domain = "whole numbers >= 0"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.isfinite(rows) & (rows >= 0) & (rows == np.floor(rows))

    def natural(self, params: Params) -> np.ndarray:
        rates = params["rates"]
        return np.column_stack([-rates.sum(axis=1), np.log(np.maximum(rates, LEAST))])

    def log_base(self, x: np.ndarray) -> np.ndarray:
        return -log_factorial(x)

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        return rng.poisson(params["rates"][components]).astype(np.float64)
