"""What families share whose features are independent and whose one parameter is the mean.

Their sufficient statistics are 1 and x itself, so that they differ in nothing but the natural
parameters of a mean, the base measure and how to draw.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from daskem.core.frames import Frame, identity, in_units_of_the_data
from daskem.core.numerics import EPS
from daskem.core.parameters import DataParams, Parameter, Params, Support
from daskem.core.settings import number
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.kernels.gapped import Gapped
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Survey

# A mean on the edge of its range gives what it rules out this probability, rather than zero.
LEAST = 1e-300
# Rows of the mean of all data that hold a component off an edge where a fit begins: as much as rows
# that are drawn leave open; 4 were as good.
SOFT = 1.0


@dataclass(frozen=True, kw_only=True)
class MeanFamily(ABC):
    """K products of one-parameter distributions with mean (component, feature).

    Parameters
    ----------
    prior_rows : float, default 0
        Imaginary rows of weight 1, each the mean of the whole data set, that every component gets
        besides its own: a conjugate prior, so that a value that none of its rows has is not
        impossible. The M step maximises the penalised likelihood exactly.

    Notes
    -----
    Subclasses say how the mean is called (`mean`), and its `support`; they add `natural`, `valid`
    and `domain`, `log_base` if there is one, and `sample` if they can draw.
    Statistics: ``counts`` sum r, ``first`` sum r x.
    """

    prior_rows: float = 0.0

    mean: ClassVar[str]
    support: ClassVar[Support]
    terms: ClassVar[Terms] = Terms.LINEAR

    def __post_init__(self) -> None:
        if not number("prior_rows", self.prior_rows, 0) < np.inf:
            raise ParameterError("prior_rows=inf should be a number >= 0, and finite")

    @abstractmethod
    def natural(self, params: Params) -> np.ndarray:
        """Coefficients of 1 and x in the log-density, (component, 1 + feature)."""

    def log_base(self, x: np.ndarray) -> np.ndarray | None:
        """What the log-density of each value has besides, (feature, row); None for nothing."""
        return None

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {self.mean: Parameter(("component", "feature"), self.support)}

    @property
    def edges(self) -> np.ndarray:
        """The least mean and the largest one, (2,); infinite for none."""
        return self.support.from_free(np.array([-np.inf, np.inf]))

    def at(self, centres: np.ndarray) -> Params:
        """Components with their mean at `centres`, (component, feature)."""
        return Params({self.mean: centres})

    # Coordinates: those of the data, as a mean has no others; the frame knows that of all rows.

    cross_moments = False

    def frame(self, survey: Survey) -> Frame:
        return in_units_of_the_data(np.clip(survey.mean, *self.edges))

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        return Params(params)

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        return DataParams(params)

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        return params[self.mean]

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        means = [Means(self, self.natural(params)) for params in candidates]
        return TiledKernel(ProductForm(means, offsets))

    # Of rows that lack values: see `Marginals` in `daskem.models.families.protocol`.

    def marginal(
        self, params: Params, frame: Frame | None, observed: np.ndarray
    ) -> "MarginalMeans":
        marginal = Params({**params, self.mean: params[self.mean][:, observed]})
        return MarginalMeans(marginal, params[self.mean], observed)

    by_pattern = False

    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        means = [
            Gapped(Means(self, self.natural(p)), self._of_zero(p), partial(self._expected, p))
            for p in candidates
        ]
        return TiledKernel(ProductForm(means, offsets))

    def _of_zero(self, params: Params) -> np.ndarray:
        """The log-density of 0 of each feature alone, (component, feature)."""
        mean = params[self.mean]
        alone = self.natural(Params({self.mean: mean.reshape(-1, 1)}))
        log_base = self.log_base(np.zeros((mean.shape[1], 1)))
        return alone[:, 0].reshape(mean.shape) + (0.0 if log_base is None else log_base[:, 0])

    def _expected(self, params: Params, absent: np.ndarray) -> Statistics:
        return {"first": absent * params[self.mean]}

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, (component,)."""
        natural = np.abs(self.natural(params))
        return natural[:, 0] + (natural[:, 1:] * params[self.mean]).sum(axis=1)

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        counts, first = statistics["counts"][:, None], statistics["first"]
        present = counts > EPS * counts.sum()
        if self.prior_rows > 0:
            overall = (frame or identity(first.shape[1])).mean
            counts, first = counts + self.prior_rows, first + self.prior_rows * overall
        # Rounding may carry a sum of responsibilities a little past their total.
        mean = np.minimum(first / np.where(present, counts, 1.0), self.edges[1])
        return Params({self.mean: np.where(present, mean, params[self.mean])})

    def log_prior(self, params: Params, weight: float, frame: Frame | None) -> float:
        """Log-density of the prior of `prior_rows`, 0 where all means are those of all data."""
        if self.prior_rows == 0:
            return 0.0
        overall = (frame or identity(params[self.mean].shape[1])).mean
        apart = self.natural(params) - self.natural(Params({self.mean: overall[None]}))
        return float(self.prior_rows * (apart @ np.append(1.0, overall)).sum())

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        """The same, no nearer to an edge than rows on it are with a row of all data among them."""
        if frame is None:
            return params
        counts = counts[:, None]
        shares = np.where(counts > 0, counts / (counts + SOFT), 1.0)
        least, most = (shares * edge + (1 - shares) * frame.mean for edge in self.edges)
        return Params({**params, self.mean: np.clip(params[self.mean], least, most)})


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


@dataclass(frozen=True, eq=False)
class MarginalMeans:
    """The components of a `MeanFamily` as some features see them: these tell nothing of others."""

    params: Params
    means: np.ndarray
    observed: np.ndarray

    frame = None

    def completed(self, statistics: Statistics) -> Statistics:
        first = statistics["counts"][:, None] * self.means
        first[:, self.observed] = statistics["first"]
        return {**statistics, "first": first}

    def expected(self, rows: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        return responsibilities.T @ self.means
