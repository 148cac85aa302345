"""Where the loop runs: in the process that calls `fit`."""

import inspect
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daskem.algorithms import EM
from daskem.blocks import as_blocks
from daskem.errors import ConvergenceWarning, ModelError
from daskem.fitting import Run, Stop, passes
from daskem.labels import align_weights, unlabel
from daskem.parameters import number, whole
from daskem.result import Result
from daskem.starts import Start, best_start, sampled, surveyed


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
    algorithm: Any = None,
    tol: float = 1e-4,
    max_iter: int = 200,
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
    init_params : {"k-means++", "random_from_data", "k-means||"}
        How rows of a sample are chosen to start components around, before the best of several
        choices is fitted to the sample. The last one reads the data three times more, for
        components too rare to be in a uniform sample.
    algorithm : object, default EM()
    tol : float
        A run has converged when what is left to gain, in nats per row, is predicted to be below
        this twice in a row (Aitken's extrapolation; scikit-learn's `tol` is a change per
        iteration, which may be small far from the optimum).
    max_iter : int
        Most passes over the data.
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
    stop = Stop(number("tol", tol, 0), whole("max_iter", max_iter))
    rng = _generator(random_state)
    array, features = unlabel(data, feature_dim)
    blocks = as_blocks(array, align_weights(sample_weight, data, features))
    seed = int(rng.integers(2**63))
    model, seen = surveyed(model, blocks, seed)
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    seen = sampled(blocks, seen, init_params, counts, seed, rng)
    given = [start] if start is None or isinstance(start, Mapping) else start
    pairs = [
        (k, own)
        for k in counts
        for own in given
        for _ in range(1 if _is_whole(own, model) else whole("n_init", n_init))
    ]
    how = EM() if algorithm is None else algorithm
    runs = []
    for (k, own), child in zip(pairs, rng.integers(2**63, size=len(pairs)), strict=True):
        params = best_start(model, seen, k, own, init_params, np.random.default_rng(child), how)
        runs.append(Run(model, how, how.start(params)))
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
