"""Hidden Markov models, with hmmlearn's names."""

import os
from collections.abc import Hashable, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from daskem.core.settings import RandomState, whole
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.estimators.manners import Estimator
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.starts.first_read import domain
from daskem.models.asking import demand
from daskem.models.families import Gaussian
from daskem.models.families.protocol import Ellipses
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.protocol import Sequential
from daskem.results import predictions
from daskem.results.result import Result
from daskem.running.progress import Progress


class GaussianHMM(Estimator):
    """Hidden Markov model with Gaussian states, for sequences in arrays of any size.

    From the same start, with ``resolution=0, algorithm="em"``, the same iterations give the numbers
    of hmmlearn without its priors (``covars_prior=0``). As there, `lengths` has the rows of each
    sequence, and without it all rows are one; of labelled data ``sequence_dim="time"`` says more.

    Parameters
    ----------
    n_components : int, default 1
        States.
    covariance_type : {"diag", "full", "tied", "spherical"}, default "diag"
    n_iter : int, default 200
        Most passes over the data.
    tol, reg_covar, resolution, n_init, init_params, algorithm, max_seconds, cache, kernel, progress
        As `GaussianMixture` takes them; `algorithm` is how to climb (hmmlearn's is a decoder).
    startprob_init, transmat_init, means_init, covars_init : array-like, optional
        Parameters to start from; (state,), (state, state), (state, feature), and covariances in the
        shape of `covariance_type`. Any that are left out come from `init_params`. States keep the
        order of what is given; else 0 is the one in which most steps of a long sequence are.
    random_state : int, Generator or RandomState, optional

    Attributes
    ----------
    startprob_ : ndarray, (state,)
    transmat_ : ndarray, (state, state)
        Probabilities of going from the first to the second.
    means_ : ndarray, (state, feature)
    covars_ : ndarray, (state, feature, feature)
        For every covariance type, as in hmmlearn.
    converged_ : bool
    n_iter_ : int
        Passes.
    n_features_in_ : int
    result_ : Result
        Everything else: history, events, runs, table, dataset.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> states = np.repeat([0, 1, 0, 1], [60, 40, 80, 50])
    >>> rows = rng.normal(size=(230, 1)) + 6 * states[:, None]
    >>> model = daskem.GaussianHMM(2, random_state=0).fit(rows)
    >>> np.sort(model.means_.ravel()).round().tolist()
    [0.0, 6.0]
    >>> np.flatnonzero(np.diff(model.predict(rows))).tolist()  # the last steps before a change
    [59, 99, 179]

    References
    ----------
    Rabiner (1989), A tutorial on hidden Markov models, Proc. IEEE 77.
    """

    def __init__(
        self,
        n_components: int = 1,
        covariance_type: str = "diag",
        *,
        n_iter: int = 200,
        tol: float | None = None,
        reg_covar: float = 0.0,
        resolution: str | float | Sequence[float] = "auto",
        n_init: int = 1,
        init_params: str = "k-means++",
        algorithm: str | Algorithm = "auto",
        max_seconds: float | None = None,
        cache: str = "auto",
        kernel: str = "auto",
        startprob_init: npt.ArrayLike | None = None,
        transmat_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        covars_init: npt.ArrayLike | None = None,
        random_state: RandomState = None,
        progress: Progress = "auto",
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.n_iter = n_iter
        self.tol = tol
        self.reg_covar = reg_covar
        self.resolution = resolution
        self.n_init = n_init
        self.init_params = init_params
        self.algorithm = algorithm
        self.max_seconds = max_seconds
        self.cache = cache
        self.kernel = kernel
        self.startprob_init = startprob_init
        self.transmat_init = transmat_init
        self.means_init = means_init
        self.covars_init = covars_init
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: Data,
        lengths: Lengths | None = None,
        *,
        sequence_dim: Hashable | None = None,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        features: Sequence[Hashable] | None = None,
        sample_dims: Sequence[Hashable] | None = None,
        feature_dim: Hashable | None = None,
        missing: str = "raise",
        missing_chunks: str = "raise",
        strict: bool = False,
    ) -> "GaussianHMM":
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like, (..., feature)
            As `daskem.fit` takes it.
        lengths : sequence of int, or int, optional
            Rows of each sequence. Default: all rows are one, but those of labelled data and stores.
        sequence_dim, sample_weight, along, features, sample_dims, feature_dim, missing,
        missing_chunks, strict
            As `daskem.fit` takes them.

        Raises
        ------
        DataError, ParameterError
            As `daskem.fit`.
        """
        family = Gaussian(self.covariance_type, self.reg_covar, self.resolution)
        self.result_ = self._run(
            HiddenMarkov(family),
            X,
            whole("n_iter", self.n_iter),
            kernel=self.kernel,
            start=self._start(),
            lengths=lengths if sequence_dim is not None else _or_all(X, lengths),
            sequence_dim=sequence_dim,
            sample_weight=sample_weight,
            along=along,
            features=features,
            sample_dims=sample_dims,
            feature_dim=feature_dim,
            missing=missing,
            missing_chunks=missing_chunks,
            strict=strict,
        )
        params = self.result_.params
        self.startprob_, self.transmat_ = params["initial"], params["transitions"]
        self.means_, self.covars_ = params["means"], _whole_covariances(self.result_)
        return self

    def predict(self, X: Data, lengths: Lengths | None = None) -> Any:
        """The states of the most probable path of each sequence, (...), int."""
        return self._fitted.predict(X, lengths=_or_all(X, lengths))

    def predict_proba(self, X: Data, lengths: Lengths | None = None) -> Any:
        """Probability of each state, given all of the sequence, (..., state)."""
        return self._fitted.predict_proba(X, lengths=_or_all(X, lengths))

    def impute(self, X: Data, lengths: Lengths | None = None) -> Any:
        """The rows of `X`, (..., feature), with what is expected of the values that they lack."""
        return self._fitted.impute(X, lengths=_or_all(X, lengths))

    def decode(self, X: Data, lengths: Lengths | None = None) -> tuple[float, Any]:
        """log p(x, path) of the most probable paths, summed, and their states, as `predict`.

        The first takes a pass over the data, at once.
        """
        lengths, result = _or_all(X, lengths), self._fitted
        model_domain = domain(result.model, result.features.names)
        model = demand(result.model, Sequential, "decoding")
        args = (predictions.path_log_prob, model_domain, model, result.best.framed)
        blocks = result.blocks(X, lengths=lengths)
        log_prob = blocks.sum(predictions.checked, *args, name="decode")
        return log_prob, result.predict(X, lengths=lengths)

    def score(
        self, X: Data, lengths: Lengths | None = None, *, sample_weight: Values | None = None
    ) -> float:
        """log p(x) of all sequences together, in nats, as in hmmlearn; `result_` has the mean."""
        mean, n = self._fitted.total(X, sample_weight, lengths=_or_all(X, lengths))
        return mean * n

    def bic(self, X: Data, lengths: Lengths | None = None) -> float:
        """Bayesian information criterion on `X`; lower is better."""
        return self._fitted.bic(X, lengths=_or_all(X, lengths))

    def aic(self, X: Data, lengths: Lengths | None = None) -> float:
        """Akaike information criterion on `X`; lower is better."""
        return self._fitted.aic(X, lengths=_or_all(X, lengths))

    def _start(self) -> dict[str, np.ndarray]:
        start = {
            "initial": self.startprob_init,
            "transitions": self.transmat_init,
            "means": self.means_init,
            "covariances": self.covars_init,
        }
        return {name: np.asarray(value) for name, value in start.items() if value is not None}


def _or_all(X: Data, lengths: Lengths | None) -> Lengths | None:
    """The lengths that are given, or that of all rows, where these have one order."""
    elsewhere = isinstance(X, str | os.PathLike | xr.Dataset | xr.DataArray)
    if lengths is not None or elsewhere or not isinstance(X, Sized):
        return lengths
    return [len(X)]


def _whole_covariances(result: Result) -> np.ndarray:
    """(state, feature, feature), whatever the structure."""
    model = demand(result.model, HiddenMarkov, "covariances")
    return demand(model.family, Ellipses, "covariances").covariances(result.params)
