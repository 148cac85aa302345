"""Where the loop runs: in the process that calls `fit`."""

import inspect
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daskem.algorithms import choose
from daskem.blocks import as_blocks
from daskem.errors import ConvergenceWarning, ModelError
from daskem.fitting import Run, Stop, passes
from daskem.labels import align_weights, unlabel
from daskem.parameters import number, whole
from daskem.result import Result
from daskem.starts import Start, begin, surveyed


def iterate(
    model: Any,
    data: Any,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Any = None,
    feature_dim: str | None = None,
    n_init: int = 1,
    init_params: str = "k-means++",
    algorithm: Any = "auto",
    tol: float | None = None,
    max_iter: int = 200,
    max_seconds: float | None = None,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> Iterator[Result]:
    """Fit a model, one pass over the data at a time.

    Parameters
    ----------
    model : Mixture, or any object with ``e_step(block, params)`` and ``m_step(statistics, params)``
    data : array-like, (..., feature)
        NumPy array or memmap, Dask array, zarr array or path, DataArray, DataFrame. Dask arrays
        are read once for each pass, on the current client if there is one and else on the local
        threads, and never held in memory.
    n_components : int or sequence of int, optional
        How many components to start a mixture with; several are fitted side by side.
    start : dict or sequence of dict, optional
        Params to start from, in the units of the data; one run for each. Some of a mixture's
        params may be left out: `n_components` then says how to find the rest.
    sample_weight : array-like, (...), optional
        How many times each row counts.
    feature_dim : str, optional
        Dimension of a DataArray that holds the features. Default: ``"feature"`` or
        ``"variable"``, else the last of two.
    n_init : int
        Starts for each number of components. All runs share every read of the data.
    init_params : {"k-means++", "random_from_data"}
        How rows of a sample are chosen to start components around.
    algorithm : {"auto", "em", "squarem", "anderson", "candidates"} or object
        How to climb; ``"auto"`` chooses by the model and the size of a row, and `Run.choice`
        says why. A model that declares no ``parameters`` gets plain EM.
    tol : float, optional
        A run has converged when what is left to gain, in nats per row, is predicted to be below
        this twice in a row. Default: p / 200 N for p free parameters and N rows, a hundredth of
        what the data can resolve. (scikit-learn's `tol`, 1e-3, is the change in one iteration,
        which may be small far from the optimum.)
    max_iter : int
        Most passes over the data.
    max_seconds : float, optional
        Most seconds of passes; looked at between them.
    random_state : int, Generator or RandomState, optional
        Of the sample and the starts.

    Yields
    ------
    Result
        All runs as they stand after each pass.

    Raises
    ------
    DataError
        If the data cannot be used; says which chunk, row and column.
    ParameterError
        If a setting or a start does not suit the model or the data.
    ModelError
        If `model` is not one, or breaks its contract.
    """
    if isinstance(model, type) or not (hasattr(model, "e_step") and hasattr(model, "m_step")):
        raise ModelError(
            f"{model!r:.80} has no e_step and m_step. A family goes into a mixture, as in "
            "daskem.Mixture(daskem.Poisson()); an estimator has a fit(X) of its own"
        )
    stop = Stop(
        None if tol is None else number("tol", tol, 0),
        whole("max_iter", max_iter),
        np.inf if max_seconds is None else number("max_seconds", max_seconds, 0),
    )
    rng = _generator(random_state)
    array, features = unlabel(data, feature_dim)
    blocks = as_blocks(array, align_weights(sample_weight, data, features))
    model, seen = surveyed(model, blocks, seed=int(rng.integers(2**63)))
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    given = [start] if start is None or isinstance(start, Mapping) else start
    pairs = [
        (k, own)
        for k in counts
        for own in given
        for _ in range(1 if _is_whole(own, model) else whole("n_init", n_init))
    ]
    runs = []
    for (k, own), child in zip(pairs, rng.integers(2**63, size=len(pairs)), strict=True):
        params = begin(model, seen, k, own, init_params, np.random.default_rng(child))
        how, choice = choose(algorithm, model, params, blocks.n_features)
        runs.append(Run(model, how, how.start(params), choice=choice))
    for stand in passes(runs, blocks, stop):
        yield Result(stand, blocks.n_features, seen.weight, features, blocks.notes)


def fit(*args: Any, **options: Any) -> Result:
    """Fit a model to all of the data, however large.

    Takes the parameters of `daskem.iterate`, and returns the last `Result` that it yields.

    Warns
    -----
    ConvergenceWarning
        If the best run did not converge.
    """
    return last_of(iterate(*args, **options))


def last_of(results: Iterator[Result]) -> Result:
    """Exhaust `results`, and warn the caller of the caller if the last one did not converge."""
    (result,) = deque(results, maxlen=1)
    if not result.converged:
        warnings.warn(result.status.value, ConvergenceWarning, stacklevel=3)
    return result


fit.__signature__ = inspect.signature(iterate).replace(return_annotation=Result)  # type: ignore[attr-defined]


def _is_whole(start: Start | None, model: Any) -> bool:
    """Whether a start leaves nothing to chance, so that one run from it is enough."""
    return start is not None and set(start) >= set(getattr(model, "parameters", start))


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.RandomState):
        return np.random.Generator(seed._bit_generator)
    return np.random.default_rng(seed)
