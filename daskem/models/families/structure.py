"""The contract of a structure of covariances, on one screen."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import Parameter
from daskem.models.kernels.terms import Terms


class Narrow(NamedTuple):
    """How many directions of each component are at a floor, (component,).

    Those of the record, which bound the likelihood, and those of rounding, which do not.
    """

    recorded: np.ndarray
    rounding: np.ndarray


class Structure(ABC):
    """One of the structures of `covariances`, whose words are used here; d features.

    Attributes
    ----------
    declared : Parameter
        Dims and support of the covariances.
    cross_moments : bool
        Whether `frame` wants the covariance of the data, rather than their variances.
    pooled : bool
        Whether all components share one covariance, and so one scatter.
    correlated : bool
        Whether features depend on one another, given the component.
    terms : Terms
        What the quadratics are.
    """

    declared: ClassVar[Parameter]
    terms: ClassVar[Terms]
    cross_moments: ClassVar[bool] = False
    pooled: ClassVar[bool] = False
    correlated: ClassVar[bool] = False

    @abstractmethod
    def frame(self, mean: np.ndarray, measured: np.ndarray) -> Frame:
        """The frame that suits the mean and the covariance, or the variances, of the data."""

    @abstractmethod
    def n_quadratics(self, d: int) -> int:
        """How many quadratics a row has."""

    @abstractmethod
    def quadratics(self, z: np.ndarray, out: np.ndarray) -> None:
        """Write those of rows (feature, row) into `out`, (quadratic, row)."""

    @abstractmethod
    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        """Their sums over rows (..., feature, row) with responsibilities (..., row), (...,
        quadratic).
        """

    @abstractmethod
    def factor(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        """L of each component, (component, feature, feature), (component, feature or 1)."""

    @abstractmethod
    def inverse(self, factors: np.ndarray) -> np.ndarray:
        """R = L^-1 of each component."""

    def root(self, covariances: np.ndarray, n_components: int) -> np.ndarray:
        """R of each component, (component, feature, feature), (component, feature or 1)."""
        return self.inverse(self.factor(covariances, n_components))

    @abstractmethod
    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """``R u`` of rows (..., feature, row), by the roots of as many components."""

    @abstractmethod
    def solve(self, factor: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The same by L."""

    @abstractmethod
    def whiteners(self, root: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """R, times the matrix of a frame, (component, feature, feature)."""

    @abstractmethod
    def log_det(self, root: np.ndarray, d: int) -> np.ndarray:
        """``log |det R|``, (component,)."""

    @abstractmethod
    def trace(self, root: np.ndarray, d: int) -> np.ndarray:
        """Trace of the precision, (component,)."""

    @abstractmethod
    def precision(self, root: np.ndarray) -> np.ndarray:
        """``R^T R``, in the shape of R."""

    @abstractmethod
    def magnitudes(self, precision: np.ndarray, s: np.ndarray) -> np.ndarray:
        """``sum_ij |P_ij| s_i s_j`` of each component, (component,); `s` (component, feature)."""

    @abstractmethod
    def sharpness(self, precision: np.ndarray) -> np.ndarray:
        """A bound, within sqrt(feature), on the largest eigenvalue of each, (component,)."""

    @abstractmethod
    def quadratic(self, precision: np.ndarray) -> np.ndarray:
        """Coefficients of the quadratics in the log-density, (component, quadratic)."""

    @abstractmethod
    def linear(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Precision times mean, (component, feature)."""

    @abstractmethod
    def covariances(
        self, scatter: np.ndarray, counts: np.ndarray, pseudo: float, d: int
    ) -> np.ndarray:
        """Mean of the scatter and of `pseudo` rows of unit covariance."""

    @abstractmethod
    def floored(self, new: np.ndarray, old: np.ndarray, frame: Frame) -> np.ndarray:
        """The covariances that maximise the expected log-likelihood above the floors of `frame`.

        `new` do so if there are no floors. `old`, which are above theirs, remain allowed, so that
        the objective does not fall.
        """

    @abstractmethod
    def allowed(self, covariances: np.ndarray, frame: Frame) -> np.ndarray:
        """The nearest covariances above the floors."""

    @abstractmethod
    def fewest(self, d: int) -> int:
        """Rows of a component, at least, that make its covariance definite."""

    @abstractmethod
    def narrow(self, covariances: np.ndarray, frame: Frame) -> Narrow:
        """The directions in which components are as narrow as a floor of `frame`."""

    @abstractmethod
    def total(self, covariances: np.ndarray, means: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The covariance of the whole mixture, as of one component."""

    @abstractmethod
    def transform(self, covariances: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """Covariances of ``linear @ z``."""

    # Of z that is seen through a view, `view @ z`, of fewer features: see `Frame.seen`.

    @abstractmethod
    def seen(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        """Covariances of ``view @ z``."""

    @abstractmethod
    def regression(self, covariances: np.ndarray, view: np.ndarray) -> np.ndarray:
        """B with E[z - m | view @ z] = B view (z - m), (component or 1, feature, seen)."""

    @abstractmethod
    def lifted(self, second: np.ndarray, regression: np.ndarray) -> np.ndarray:
        """The quadratics of B u, of those of u; summed over rows, both (component, quadratic)."""

    @abstractmethod
    def unseen(
        self, covariances: np.ndarray, view: np.ndarray, regression: np.ndarray
    ) -> np.ndarray:
        """The quadratics of Cov[z | view @ z], (component or 1, quadratic)."""

    @abstractmethod
    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        """The quadratics of sums of z z^T, (component, feature, feature)."""

    def separate(self, squares: np.ndarray) -> np.ndarray:
        """The quadratics of vectors along each feature with these squares, (.., feature) to
        (.., feature, quadratic).
        """
        d = squares.shape[-1]
        return squares[..., None] * self.of_vectors(np.eye(d))

    @abstractmethod
    def expand(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """The same covariances as full matrices, (component, feature, feature)."""

    @abstractmethod
    def variances(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Their diagonals, (component, feature)."""

    def of_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """The quadratics of each vector, (component, feature) to (component, quadratic)."""
        out = np.empty((self.n_quadratics(vectors.shape[1]), len(vectors)))
        self.quadratics(np.ascontiguousarray(vectors.T), out)
        return out.T

    def pool(self, values: np.ndarray) -> np.ndarray:
        """Values of the components (component, ...), or their sum where these share one."""
        return values.sum(axis=0, keepdims=True) if self.pooled else values
