"""The guard of the product form: it tells where the careful one is needed, or is faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Form

# The largest kappa at which logits in product form are accurate: their error is about EPS * kappa,
# 1e-8 here, and so is that of the responsibilities.
LIMIT = 1e8
# With more statistics of a row than this times what the careful form holds of it, a number for each
# component and feature, the products are low and long, and wait for memory: measured for 20 to 784
# features, the careful form is faster from about 8 features for each component on.
_LONG = 4


class Sharp(Protocol):
    """The components of one candidate, of which no precision has a larger eigenvalue."""

    @property
    def sharpness(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Guard:
    """Which form is accurate for a tile, by kappa = max |z|^2 * sharpness.

    Attributes
    ----------
    product : ProductForm
        The fast one, as a rule.
    centred : Form
        The careful one, which is accurate in any case.
    candidates : sequence of Sharp
    """

    product: ProductForm
    centred: Form
    candidates: Sequence[Sharp]

    @cached_property
    def sharpness(self) -> float:
        """The largest eigenvalue of any precision, or a bound on it."""
        return max(candidate.sharpness for candidate in self.candidates)

    def usual(self, n_features: int) -> Form:
        """The faster form, which depends on nothing but the sizes of the model."""
        n_components, n_statistics = self.product.bounds[-1], self.product.n_statistics(n_features)
        return self.centred if n_statistics > _LONG * n_components * n_features else self.product

    def form(self, z: np.ndarray) -> Form:
        """The form for a tile (feature, row)."""
        if self.usual(len(z)) is self.centred:
            return self.centred
        reach = np.maximum(z.max(axis=1), -z.min(axis=1))
        return self.product if reach @ reach * self.sharpness <= LIMIT else self.centred
