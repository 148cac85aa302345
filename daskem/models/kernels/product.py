"""The kernel of every exponential family: an E step is two matrix products.

    features    (statistic, row)       = T(x)
    log_joint   (component, row)       = natural(params) @ features   (+ log_base(x))
    moments     (component, statistic) = responsibilities @ features.T

Rows lie on the last, contiguous axis, so that whatever runs over components is vectorised over
rows. Candidates (several params of one family) stack their `natural` rows: the features of a
tile are computed once for all of them, and the products only grow taller.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from daskem.core.parameters import Params


class ExponentialFamily(Protocol):
    """What the kernel needs of a family with log p(x) = natural . T(x) + log_base(x)."""

    def n_statistics(self, n_features: int) -> int:
        """Rows of `features`; the first one is the constant 1."""

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write T(x) (statistic, row) of `x` (feature, row) into `out`."""

    def natural(self, params: Params) -> np.ndarray:
        """Natural parameters (component, statistic), the log-normaliser in column 0."""

    def log_base(self, x: np.ndarray, params: Params) -> np.ndarray | float:
        """The term of the log-density that all components share, (row,)."""

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> np.ndarray | float:
        """The weighted sum over rows of what `log_base` needs to know of them."""

    def statistics(self, moments: np.ndarray, common: np.ndarray | float, params: Params) -> dict:
        """Moments (component, statistic) of a block as sufficient statistics that add.

        Its entry ``log_likelihood`` is the sum of `log_base` over the rows.
        """


class ProductKernel:
    """The two products of a tile, for any number of candidates.

    Parameters
    ----------
    family : ExponentialFamily
    candidates : sequence of Params
    offsets : sequence of ndarray, (component,)
        What is added to the log-density of each component: the log of its weight.
    n_features, width : int
        Features of a row, and rows of the largest tile.
    """

    def __init__(
        self,
        family: ExponentialFamily,
        candidates: Sequence[Params],
        offsets: Sequence[np.ndarray],
        n_features: int,
        width: int,
    ) -> None:
        self.family = family
        self.candidates = candidates
        naturals = [family.natural(params) for params in candidates]
        self._bounds = np.cumsum([0, *map(len, naturals)])
        self._natural = np.concatenate(naturals)
        self._natural[:, 0] += np.concatenate(offsets)
        self._moments = np.zeros_like(self._natural)
        self._tile_moments = np.empty_like(self._natural)
        self._features = np.empty((family.n_statistics(n_features), width))
        self._log_joint = np.empty((len(self._natural), width))
        self._common = family.common(np.empty((n_features, 0)), None)

    def log_joint(self, x: np.ndarray) -> np.ndarray:
        """Offset plus log-density (component, row) of a tile (feature, row), but for `log_base`."""
        features = self._features[:, : x.shape[1]]
        self.family.features(x, features)
        return np.matmul(self._natural, features, out=self._log_joint[:, : x.shape[1]])

    def log_base(self, x: np.ndarray, candidate: int = 0) -> np.ndarray | float:
        """The rest of the log-density of a candidate, (row,)."""
        return self.family.log_base(x, self.candidates[candidate])

    def accumulate(
        self, x: np.ndarray, responsibilities: np.ndarray, weights: np.ndarray | None
    ) -> None:
        """Add the moments of the tile that `log_joint` saw last."""
        features = self._features[:, : x.shape[1]]
        self._moments += np.matmul(responsibilities, features.T, out=self._tile_moments)
        self._common = self._common + self.family.common(x, weights)

    def statistics(self) -> list[dict]:
        """Sufficient statistics of all tiles so far, one dict for each candidate."""
        return [
            self.family.statistics(self._moments[low:high], self._common, params)
            for params, low, high in zip(
                self.candidates, self._bounds[:-1], self._bounds[1:], strict=True
            )
        ]
