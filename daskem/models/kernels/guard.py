"""The guard of the product form: it tells where the careful one is needed, or is faster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from daskem.models.kernels.apart import SharpApart
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
    """The components of one candidate, or of all, of which no precision has a larger eigenvalue."""

    @property
    def sharpness(self) -> np.ndarray: ...  # (component,), or (1,) where all share one


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
    of_some : callable, optional
        The careful form of some candidates, given their numbers; without it, of all or none.
    """

    product: ProductForm
    centred: Form
    candidates: Sequence[Sharp]
    of_some: Callable[[list[int]], Form] | None = None
    _mixed: dict[tuple[int, ...], Form] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def sharpness(self) -> float:
        """The largest eigenvalue of any precision, or a bound on it."""
        return float(self._sharpness.max())

    @cached_property
    def _sharpness(self) -> np.ndarray:
        """The same of each candidate, (candidate,)."""
        each, starts = [c.sharpness for c in self.candidates], self.product.bounds[:-1]
        if len(each) == len(starts):
            return np.array([of_one.max() for of_one in each])
        return np.maximum.reduceat(each[0], starts)

    def usual(self, n_features: int) -> Form:
        """The faster form, which depends on nothing but the sizes of the model."""
        n_components, n_statistics = self.product.bounds[-1], self.product.n_statistics(n_features)
        return self.centred if n_statistics > _LONG * n_components * n_features else self.product

    def form(self, z: np.ndarray) -> Form:
        """The form for a tile (feature, row)."""
        if self.usual(len(z)) is self.centred:
            return self.centred
        reach = np.maximum(z.max(axis=1), -z.min(axis=1))
        square = reach @ reach
        if square * self.sharpness <= LIMIT:
            return self.product
        return self._apart(np.flatnonzero(square * self._sharpness > LIMIT).tolist())

    def _apart(self, sharp: list[int]) -> Form:
        """The careful form of some candidates; of all of them where it is most of the work."""
        bounds, key = self.product.bounds, tuple(sharp)
        n_careful = sum(int(bounds[i + 1] - bounds[i]) for i in sharp)
        if self.of_some is None or not 0 < 2 * n_careful <= bounds[-1]:
            return self.centred
        # One object for all tiles of all threads: it is what their sums are found by.
        form = self._mixed.get(key)
        if form is None:
            made = SharpApart(self.product, self.of_some(sharp), sharp)
            form = self._mixed.setdefault(key, made)
        return form
