"""The form of every exponential family: an E step is two matrix products.

    features    (statistic, row)       = T(x)
    log_joint   (component, row)       = natural @ features   (+ log_base(x))
    moments     (component, statistic) = responsibilities @ features.T

Rows lie on the last, contiguous axis, so that whatever runs over components is vectorised over
rows. Candidates stack their `natural` rows: the features of a tile are computed once for all of
them, and the products only grow taller.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np

from daskem.core.statistics import Statistics
from daskem.models.kernels.tiles import narrowed


class Exponential(Protocol):
    """K distributions of one exponential family: log p(x) = natural . T(x) + log_base(x)."""

    @property
    def natural(self) -> np.ndarray:
        """Natural parameters (component, statistic), the log-normaliser in column 0."""

    def log_base(self, x: np.ndarray) -> np.ndarray | float:
        """The term of the log-density that all components share, (row,)."""

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> Statistics:
        """Moments (component, statistic) of a block as sufficient statistics that add.

        Its entry ``log_likelihood`` is the sum of `log_base` over the rows.
        """

    # The same for all candidates of a family.

    def n_statistics(self, n_features: int) -> int:
        """Rows of `features`; the first one is the constant 1."""

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write T(x) (statistic, row) of `x` (feature, row) into `out`."""

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> np.ndarray | float:
        """The weighted sum over rows of what `log_base` needs to know of them."""


class ProductForm:
    """The two products of a tile, for any number of candidates.

    Parameters
    ----------
    candidates : sequence of Exponential
        As many as there are offsets; or one, of the components of all, where these share nothing.
    offsets : sequence of ndarray, (component,)
        What is added to the log-density of each component: the log of its weight.
    """

    def __init__(self, candidates: Sequence[Exponential], offsets: Sequence[np.ndarray]) -> None:
        self.candidates = candidates
        self.family = candidates[0]
        self.offsets = offsets
        self.bounds = np.cumsum([0, *map(len, offsets)])

    @cached_property
    def natural(self) -> np.ndarray:
        """Natural parameters of all candidates, (component, statistic), with the offsets."""
        natural = np.concatenate([candidate.natural for candidate in self.candidates])
        natural[:, 0] += np.concatenate(self.offsets)
        return natural

    def n_statistics(self, n_features: int) -> int:
        return self.family.n_statistics(n_features)

    def log_base(self, x: np.ndarray, candidate: int) -> np.ndarray | float:
        return self.candidates[candidate % len(self.candidates)].log_base(x)

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> list[Statistics]:
        """Moments of all components, and what may follow them, as those of each candidate."""
        spans = [slice(*ends) for ends in pairwise(self.bounds.tolist())]
        if len(self.candidates) == len(spans):
            pairs = zip(self.candidates, spans, strict=True)
            return [candidate.statistics(moments[span], common) for candidate, span in pairs]
        sums = self.family.statistics(moments[: self.bounds[-1]], common)
        scalars = {name: s for name, s in sums.items() if np.ndim(s) == 0}
        arrays = [(name, s) for name, s in sums.items() if name not in scalars]
        return [{**scalars, **{name: s[span] for name, s in arrays}} for span in spans]

    def sums(self, n_features: int, width: int) -> "ProductSums":
        return ProductSums(self, n_features, width)


class ProductSums:
    """The moments of the tiles of one sweep, and the features of one tile."""

    def __init__(self, form: ProductForm, n_features: int, width: int) -> None:
        self._form = form
        shape = int(form.bounds[-1]), form.n_statistics(n_features)
        self._features = np.empty((shape[1], width))
        # Known responsibilities need no natural parameters.
        self._moments, self._tile_moments = np.zeros(shape), np.empty(shape)
        self._common = form.family.common(np.empty((n_features, 0)), None)

    def features(self, x: np.ndarray) -> np.ndarray:
        features = narrowed(self._features, x.shape[1])
        self._form.family.features(x, features)
        return features

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.matmul(self._form.natural, features, out=out)

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        # Where the result is small, `matmul` keeps the interpreter's lock, and other threads wait.
        self._moments += np.dot(responsibilities, features.T, out=self._tile_moments)
        self._common = self._common + self._form.family.common(x, weights)

    def statistics(self) -> list[Statistics]:
        return self._form.statistics(self._moments, self._common)
