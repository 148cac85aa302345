"""Gaussian mixtures, with scikit-learn's names."""

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from daskem.core.numerics import inverse
from daskem.core.settings import RandomState, whole
from daskem.data.inputs.kinds import Data, Riders, Values
from daskem.estimators.manners import Estimator
from daskem.fitting.algorithms import Algorithm
from daskem.models import Mixture
from daskem.models.asking import demand
from daskem.models.families import Gaussian
from daskem.models.families.protocol import Ellipses
from daskem.results.result import Result
from daskem.running.progress import Progress


class GaussianMixture(Estimator):
    """Gaussian mixture for arrays of any size.

    NumPy arrays in give NumPy arrays out, Dask arrays lazy Dask arrays, DataArrays labelled
    DataArrays, lazy where they are chunked.

    Parameters
    ----------
    n_components : int, default 1
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
    tol : float, optional
        Converged when the predicted remaining gain in log-likelihood, in nats per row, is below
        this (scikit-learn's is a change per iteration). Default: p / 200 N for p free parameters
        and N rows, a hundredth of what the data can resolve.
    reg_covar : float, default 0
        Prior on the covariances, relative to the covariance of the data and so free of units; see
        `daskem.Gaussian` (scikit-learn's is an absolute variance). 0 for none.
    resolution : "auto", float or sequence of float, default "auto"
        The step of the grid on which each feature is recorded, in its units: no component is
        narrower. "auto" finds it in the data; see `daskem.Gaussian`.
    max_iter : int, default 200
        Most passes over the data.
    n_init : int, default 1
        Starts, which share every pass; the best is kept.
    init_params : {"k-means++", "random_from_data", "k-means||"}
        As `daskem.fit`.
    algorithm : {"auto", "em", "squarem", "anderson", "candidates"} or Algorithm
        How to climb, see `daskem.fit`; ``"em"`` makes scikit-learn's iterations.
    max_seconds : float, optional
        Most seconds of passes.
    cache : {"auto", "memory", "none"}
        As `daskem.fit`.
    kernel : {"auto", "compiled", "numpy", "cupy"}
        As `daskem.fit`.
    weights_init, means_init, precisions_init : array-like, optional
        Parameters to start from; (component,), (component, feature), and the inverse of the
        covariances in their shape. Any that are left out come from `init_params`. Where one is
        given, components keep its order; else they are numbered by size, 0 the largest.
    random_state : int, Generator or RandomState, optional
    progress : {"auto", True, False}
        Whether a line says how far the fit has come, as `daskem.fit`.

    Attributes
    ----------
    weights_ : ndarray, (component,)
    means_ : ndarray, (component, feature)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (component, feature, feature), (feature, feature), (component, feature) or (component,)
        for the four covariance types.
    converged_ : bool
    n_iter_ : int
        Passes.
    lower_bound_ : float
        Mean log-likelihood per row in the last pass, nats.
    lower_bounds_ : list of float
        The same for every pass.
    n_features_in_ : int
    result_ : Result
        Everything else: history, events, runs, table, dataset.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(600, 1)) + np.repeat([[1], [9]], 300, axis=0)
    >>> model = daskem.GaussianMixture(2, random_state=0).fit(rows)
    >>> np.sort(model.means_.ravel()).round().tolist()
    [1.0, 9.0]

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, section 9.2.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float | None = None,
        reg_covar: float = 0.0,
        resolution: str | float | Sequence[float] = "auto",
        max_iter: int = 200,
        n_init: int = 1,
        init_params: str = "k-means++",
        algorithm: str | Algorithm = "auto",
        max_seconds: float | None = None,
        cache: str = "auto",
        kernel: str = "auto",
        weights_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        precisions_init: npt.ArrayLike | None = None,
        random_state: RandomState = None,
        progress: Progress = "auto",
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.resolution = resolution
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.algorithm = algorithm
        self.max_seconds = max_seconds
        self.cache = cache
        self.kernel = kernel
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: Data,
        y: object = None,
        *,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        features: Sequence[Hashable] | None = None,
        sample_dims: Sequence[Hashable] | None = None,
        feature_dim: Hashable | None = None,
        missing: str = "raise",
        missing_chunks: str = "raise",
        strict: bool = False,
    ) -> "GaussianMixture":
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like, (..., feature)
            As `daskem.fit` takes it.
        y : ignored
        sample_weight, along, features, sample_dims, feature_dim, missing, missing_chunks, strict
            As `daskem.fit` takes them.

        Raises
        ------
        DataError, ParameterError
            As `daskem.fit`.
        """
        family = Gaussian(self.covariance_type, self.reg_covar, self.resolution)
        self.result_ = self._run(
            Mixture(family),
            X,
            whole("max_iter", self.max_iter),
            kernel=self.kernel,
            start=self._start(),
            sample_weight=sample_weight,
            along=along,
            features=features,
            sample_dims=sample_dims,
            feature_dim=feature_dim,
            missing=missing,
            missing_chunks=missing_chunks,
            strict=strict,
        )
        self._publish(self.result_)
        return self

    def fit_predict(self, X: Data, y: object = None, **options: Any) -> Any:
        """Fit, and the most probable component of each row; takes the parameters of `fit`."""
        return self.fit(X, y, **options).predict(X)

    def predict(self, X: Data) -> Any:
        """The most probable component of each row, (...), int; -1 where a row is missing."""
        return self._fitted.predict(X)

    def predict_proba(self, X: Data) -> Any:
        """Responsibilities of the components for each row, (..., component)."""
        return self._fitted.predict_proba(X)

    def impute(self, X: Data) -> Any:
        """The rows of `X`, (..., feature), with what is expected of the values that they lack."""
        return self._fitted.impute(X)

    def score_samples(self, X: Data) -> Any:
        """log p(x) of each row, (...), nats."""
        return self._fitted.score_samples(X)

    def score(self, X: Data, y: object = None, sample_weight: Values | None = None) -> float:
        """Mean log p(x) per row, nats."""
        return self._fitted.score(X, sample_weight)

    def bic(self, X: Data, sample_weight: Values | None = None) -> float:
        """Bayesian information criterion on `X`; lower is better."""
        return self._fitted.bic(X, sample_weight)

    def aic(self, X: Data, sample_weight: Values | None = None) -> float:
        """Akaike information criterion on `X`; lower is better."""
        return self._fitted.aic(X, sample_weight)

    def _start(self) -> dict[str, np.ndarray]:
        start = {"weights": self.weights_init, "means": self.means_init}
        if self.precisions_init is not None:
            precisions = np.asarray(self.precisions_init, dtype=np.float64)
            start["covariances"] = _inverse(precisions, self.covariance_type)
        return {name: np.asarray(value) for name, value in start.items() if value is not None}

    @cached_property
    def precisions_cholesky_(self) -> np.ndarray:
        """Factors of the precisions, made when they are asked for: they cost as much as a pass."""
        if self.covariance_type not in ("full", "tied"):
            return np.sqrt(self.precisions_)
        upper = _precision_factors(self._fitted)
        return upper[0] if self.covariance_type == "tied" else upper

    @property
    def precisions_(self) -> np.ndarray:
        """The inverses of the covariances."""
        if self.covariance_type not in ("full", "tied"):
            return 1 / self.covariances_
        upper = self.precisions_cholesky_
        return upper @ upper.swapaxes(-1, -2)

    def _publish(self, result: Result) -> None:
        params = result.params
        self.weights_, self.means_ = params["weights"], params["means"]
        self.covariances_ = params["covariances"]
        self.__dict__.pop("precisions_cholesky_", None)
        self.lower_bound_ = result.log_likelihood
        self.lower_bounds_ = [p.log_likelihood for p in result.history]


def _precision_factors(result: Result) -> np.ndarray:
    """Upper triangular U with precision = U U^T, (component, feature, feature)."""
    model = demand(result.model, Mixture, "precisions")
    family = demand(model.family, Ellipses, "precisions")
    assert model.frame is not None
    return family.precision_factors(result.best.framed, model.frame)


def _inverse(matrices: np.ndarray, covariance_type: str) -> np.ndarray:
    return inverse(matrices) if covariance_type in ("full", "tied") else 1 / matrices
