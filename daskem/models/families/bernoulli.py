"""Presence and absence: independent Bernoulli features, given the component."""

from dataclasses import dataclass

import numpy as np

from daskem.core.parameters import PROBABILITY, Params
from daskem.models.families.independent import LEAST, MeanFamily
from daskem.models.families.registry import register


@register
@dataclass(frozen=True)
class Bernoulli(MeanFamily):
    """K products of Bernoulli distributions (latent class analysis).

    log p(x | k) = sum_j x_j log p_kj + (1 - x_j) log(1 - p_kj)

    Notes
    -----
    Parameters: ``probabilities`` (component, feature).
    """

    mean = "probabilities"
    support = PROBABILITY
    largest = 1.0
    domain = "zeros and ones"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return (rows == 0) | (rows == 1)

    def natural(self, params: Params) -> np.ndarray:
        p = params["probabilities"]
        log_one, log_zero = np.log(np.maximum([p, 1 - p], LEAST))
        return np.column_stack([log_zero.sum(axis=1), log_one - log_zero])

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        p = params["probabilities"][components]
        return (rng.random(p.shape) < p).astype(np.float64)
