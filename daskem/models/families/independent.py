"""What families share whose features are independent and whose one parameter is the mean.

Their sufficient statistics are 1 and x itself, so that they differ in nothing but the natural
parameters of a mean, the base measure and how to draw.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import EPS
from daskem.core.parameters import Parameter, Params, Support
from daskem.core.statistics import Statistics
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel

# A mean on the edge of its range gives what it rules out this probability, rather than zero.
LEAST = 1e-300


class MeanFamily(ABC):
    """K products of one-parameter distributions with mean (component, feature).

    Subclasses say how the mean is called (`mean`), its `support` and its `largest` value; they add
    `natural`, `valid` and `domain`, `log_base` if there is one, and `sample` if they can draw.
    Statistics: ``counts`` sum r, ``first`` sum r x.
    """

    mean: ClassVar[str]
    support: ClassVar[Support]
    largest: ClassVar[float] = np.inf
    terms: ClassVar[Terms] = Terms.LINEAR

    @abstractmethod
    def natural(self, params: Params) -> np.ndarray:
        """Coefficients of 1 and x in the log-density, (component, 1 + feature)."""

    def log_base(self, x: np.ndarray) -> np.ndarray | None:
        """What the log-density of each value has besides, (feature, row); None for nothing."""
        return None

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {self.mean: Parameter(("component", "feature"), self.support)}

    def at(self, centres: np.ndarray) -> Params:
        """Components with their mean at `centres`, (component, feature)."""
        return Params({self.mean: centres})

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        return params[self.mean]

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        means = [Means(self, self.natural(params)) for params in candidates]
        return TiledKernel(ProductForm(means, offsets), frame)

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, (component,)."""
        natural = np.abs(self.natural(params))
        return natural[:, 0] + (natural[:, 1:] * params[self.mean]).sum(axis=1)

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        counts = statistics["counts"][:, None]
        present = counts > EPS * counts.sum()
        # Rounding may carry a sum of responsibilities a little past their total.
        mean = np.minimum(statistics["first"] / np.where(present, counts, 1.0), self.largest)
        return Params({self.mean: np.where(present, mean, params[self.mean])})


@dataclass(frozen=True, eq=False)
class Means:
    """The components of a `MeanFamily` as its kernel sees them: T(x) = (1, x)."""

    family: MeanFamily
    natural: np.ndarray

    def log_base(self, x: np.ndarray) -> np.ndarray | float:
        log_base = self.family.log_base(x)
        return 0.0 if log_base is None else log_base.sum(axis=0)

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> Statistics:
        return {"log_likelihood": common, "counts": moments[:, 0], "first": moments[:, 1:]}

    def n_statistics(self, n_features: int) -> int:
        return 1 + n_features

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1:] = x

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> float:
        log_base = self.family.log_base(x)
        if log_base is None:
            return 0.0
        return float(log_base.sum() if weights is None else (log_base @ weights).sum())
