"""Where the loop runs: in the process that calls `fit`."""

import inspect
import numbers
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daskem.algorithms import EM
from daskem.blocks import Survey, as_blocks, survey
from daskem.errors import ConvergenceWarning, DataError, ParameterError
from daskem.fitting import Run, Stop, passes
from daskem.labels import unlabel
from daskem.parameters import Params, check, sizes
from daskem.result import Result
from daskem.starts import SEEDERS, begin

Start = Mapping[str, np.ndarray]


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
        Dimension of a DataArray that holds the features. Default: ``"feature"``, else the last.
    n_init : int
        Starts for each number of components. All runs share every read of the data.
    init_params : {"k-means++", "random_from_data"}
        How rows of a sample are chosen to start components around.
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
    """
    stop = Stop(_at_least("tol", tol, 0), _at_least("max_iter", max_iter, 1))
    rng = _generator(random_state)
    array, features = unlabel(data, feature_dim)
    blocks = as_blocks(array, unlabel(sample_weight)[0])
    seen = blocks.sum(
        survey,
        getattr(model, "valid", np.isfinite),
        int(rng.integers(2**63)),
        getattr(model, "cross_moments", False),
        name="survey",
    )
    _check_usable(seen, model)
    if hasattr(model, "given"):
        model = model.given(seen.mean, seen.spread)
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    given = [start] if start is None or isinstance(start, Mapping) else start
    pairs = [(k, own) for k in counts for own in given for _ in range(n_init)]
    how = EM() if algorithm is None else algorithm
    runs = [
        Run(model, how, how.start(_begin(model, seen, k, own, init_params, child)))
        for (k, own), child in zip(pairs, rng.spawn(len(pairs)), strict=True)
    ]
    for stand in passes(runs, blocks, stop):
        yield Result(stand, blocks.n_features, seen.weight, features)


def fit(*args: Any, **options: Any) -> Result:
    """Fit a model to all of the data, however large.

    Takes the parameters of `daskem.iterate`, and returns the last `Result` that it yields.

    Warns
    -----
    ConvergenceWarning
        If the best run did not converge.
    """
    (result,) = deque(iterate(*args, **options), maxlen=1)
    if not result.converged:
        warnings.warn(result.status.value, ConvergenceWarning, stacklevel=2)
    return result


fit.__signature__ = inspect.signature(iterate).replace(return_annotation=Result)  # type: ignore[attr-defined]


def _begin(
    model: Any,
    seen: Survey,
    n_components: int | None,
    given: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params to start from, in the coordinates of the model."""
    declared = getattr(model, "parameters", None)
    if declared is None:
        if given is None:
            raise ParameterError(
                f"{type(model).__name__} declares no parameters, so it needs some to start from: "
                "pass start={...}"
            )
        return dict(given)
    given = dict(given or {})
    if set(given) >= set(declared):
        began = {}
    elif n_components is None or not hasattr(model, "from_labels"):
        missing = sorted(set(declared) - set(given))
        raise ParameterError(f"pass n_components, or start with {missing} in it")
    else:
        k = _at_least("n_components", n_components, 1)
        if init_params not in SEEDERS:
            raise ParameterError(f"init_params={init_params!r} is not one of {list(SEEDERS)}")
        began = begin(model, seen.sample, seen.sample_weights, k, rng, init_params)
    given = check({name: p for name, p in declared.items() if name in given}, given)
    forth = getattr(model, "to_frame", dict)
    params = {**began, **forth(given)}
    lengths = sizes(declared, params)
    expected = {"feature": len(seen.origin), "component": n_components}
    for dim, wanted in expected.items():
        if dim in lengths and wanted is not None and lengths[dim] != wanted:
            raise ParameterError(
                f"the start has {lengths[dim]} along {dim!r}, but there should be {wanted}"
            )
    return params


def _check_usable(seen: Survey, model: Any) -> None:
    if seen.bad is not None:
        raise DataError(
            f"Input X contains {seen.bad}; expected {getattr(model, 'domain', 'finite numbers')}. "
            "Drop or fill such rows first"
        )
    if not seen.n_rows:
        raise DataError("the data have no rows: every chunk is empty")
    if not seen.weight > 0:
        raise DataError("every sample_weight is zero")


def _at_least(name: str, value: Any, least: int) -> Any:
    if not isinstance(value, numbers.Real) or not float(value) >= least:
        raise ParameterError(f"{name}={value!r} should be a number >= {least}")
    return value


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.RandomState):
        return np.random.Generator(seed._bit_generator)
    return np.random.default_rng(seed)
