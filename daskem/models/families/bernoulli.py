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

    Parameters
    ----------
    prior_rows : float, default 0
        Imaginary rows, each the mean of the whole data set, that every component gets besides its
        own: a conjugate prior, so that a value that none of its rows has is not impossible.

    Notes
    -----
    Parameters: ``probabilities`` (component, feature).
    """

    mean = "probabilities"
    support = PROBABILITY
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
