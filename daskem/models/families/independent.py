"""What families share whose features are independent and whose one parameter is the mean.

Their sufficient statistics are 1 and x itself, so that they differ in nothing but the natural
parameters of a mean, the base measure and how to draw.
"""

from typing import Any, ClassVar

import numpy as np

from daskem.core.numerics import EPS
from daskem.core.parameters import Parameter, Params, Support
from daskem.models.kernels.product import ProductKernel

# A mean on the edge of its range gives what it rules out this probability, rather than zero.
LEAST = 1e-300


class MeanFamily:
    """K products of one-parameter distributions with mean (component, feature).

    Subclasses say how the mean is called (`mean`), its `support` and its `largest` value, and
    add ``natural``, ``log_base``, ``common``, ``valid``, ``domain`` and ``sample``.
    Statistics: ``counts`` sum r, ``first`` sum r x.
    """

    mean: ClassVar[str]
    support: ClassVar[Support]
    largest: ClassVar[float] = np.inf

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {self.mean: Parameter(("component", "feature"), self.support)}

    def around(self, centres: np.ndarray) -> Params:
        """Components with their mean at `centres` (component, feature)."""
        return Params({self.mean: centres})

    def n_statistics(self, n_features: int) -> int:
        return 1 + n_features

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1:] = x

    def kernel(self, *args: Any) -> ProductKernel:
        return ProductKernel(self, *args)  # type: ignore[arg-type]

    def statistics(
        self, moments: np.ndarray, common: np.ndarray | float, params: Params
    ) -> dict[str, Any]:
        return {"log_likelihood": common, "counts": moments[:, 0], "first": moments[:, 1:]}

    def m_step(self, statistics: dict[str, Any], params: Params) -> Params:
        counts = statistics["counts"][:, None]
        present = counts > EPS * counts.sum()
        # Rounding may carry a sum of responsibilities a little past their total.
        mean = np.minimum(statistics["first"] / np.where(present, counts, 1.0), self.largest)
        return Params({self.mean: np.where(present, mean, params[self.mean])})
