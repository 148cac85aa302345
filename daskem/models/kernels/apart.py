"""Two forms at once: the product form of all candidates, but the careful one of the sharp ones.

A narrow component of one candidate need not make those of all others slow.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from daskem.core.statistics import Statistics
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Form
from daskem.models.kernels.tiles import narrowed


class SharpApart:
    """A form of several candidates, see `daskem.models.kernels.protocol.Form`.

    Parameters
    ----------
    product : ProductForm
        Of all candidates.
    careful : Form
        Of some of them.
    numbers : sequence of int
        Which.
    """

    def __init__(self, product: ProductForm, careful: Form, numbers: Sequence[int]) -> None:
        self.product, self.careful, self.numbers = product, careful, numbers
        spans = list(pairwise(product.bounds.tolist()))
        # The components of these, among those of all.
        self.components = np.concatenate([np.arange(*spans[i]) for i in numbers])

    @property
    def bounds(self) -> np.ndarray:
        return self.product.bounds

    def n_statistics(self, n_features: int) -> int:
        return self.product.n_statistics(n_features)

    def log_base(self, x: np.ndarray, candidate: int) -> np.ndarray | float:
        if candidate in self.numbers:
            return self.careful.log_base(x, self.numbers.index(candidate))
        return self.product.log_base(x, candidate)

    def sums(self, n_features: int, width: int) -> "SharpApartSums":
        return SharpApartSums(self, n_features, width)


class SharpApartSums:
    """The sums of both."""

    def __init__(self, form: SharpApart, n_features: int, width: int) -> None:
        self._form = form
        self._product = form.product.sums(n_features, width)
        self._careful = form.careful.sums(n_features, width)
        self._joint = np.empty((len(form.components), width))

    def features(self, x: np.ndarray) -> np.ndarray:
        self._of_careful = self._careful.features(x)
        return self._product.features(x)

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        self._product.log_joint(features, out)
        joint = narrowed(self._joint, out.shape[1])
        out[self._form.components] = self._careful.log_joint(self._of_careful, joint)
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        self._product.add(x, features, responsibilities, weights)
        of_careful = responsibilities[self._form.components]
        self._careful.add(x, self._of_careful, of_careful, weights)

    def statistics(self) -> list[Statistics]:
        statistics = self._product.statistics()
        for i, own in zip(self._form.numbers, self._careful.statistics(), strict=True):
            statistics[i] = own
        return statistics
