"""The door, and where the loop runs: on the scheduler if it can, else in the calling process."""

import inspect
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from distributed import Client

from daskem.algorithms import EM
from daskem.blocks import as_blocks, current_client, place, spread
from daskem.blocks.local import LocalBlocks
from daskem.errors import ClusterError, ConvergenceWarning, ModelError, SchedulerError
from daskem.fitting import Run, Stop, passes
from daskem.labels import Features, align_weights, unlabel
from daskem.parameters import number, whole
from daskem.remote import Handle, send, stopping
from daskem.result import Result
from daskem.starts import Start, best_start, sampled, surveyed


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit that is ready to run, in any process: everything checked, nothing read, no label left.

    Attributes
    ----------
    model : object with e_step and m_step
    blocks : LocalBlocks or DaskBlocks
    starts : sequence of (int or None, dict or None)
        For each run how many components, and what is known of its params.
    init_params : str
    algorithm : object with start, ask and tell
    stop : Stop
    seed : int
        Of all that is drawn: the sample and the starts.
    features : Features
        What to call the features in the results.
    """

    model: Any
    blocks: Any
    starts: Sequence[tuple[int | None, Start | None]]
    init_params: str
    algorithm: Any
    stop: Stop
    seed: int
    features: Features

    def on(self, client: Client | None) -> "Fit":
        """The same fit, on the cluster of `client`; without one it can be pickled."""
        return replace(self, blocks=replace(self.blocks, client=client))

    def results(self, coordinator: str) -> Iterator[Result]:
        """Survey the data, start, and make one pass after the other; all runs after each."""
        rng = np.random.default_rng(self.seed)
        seed = int(rng.integers(2**63))
        model, seen = surveyed(self.model, self.blocks, seed)
        counts = [k for k, _ in self.starts]
        seen = sampled(self.blocks, seen, self.init_params, counts, seed, rng)
        runs = []
        for (k, given), child in zip(
            self.starts, rng.integers(2**63, size=len(self.starts)), strict=True
        ):
            draw = np.random.default_rng(child)
            params = best_start(model, seen, k, given, self.init_params, draw, self.algorithm)
            runs.append(Run(model, self.algorithm, self.algorithm.start(params)))
        for stand in passes(runs, self.blocks, self.stop):
            yield Result(
                stand,
                self.blocks.n_features,
                seen.weight,
                self.features,
                self.blocks.notes,
                coordinator,
            )


def prepare(
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
    cache: str = "auto",
) -> Fit:
    """Check what can be checked without reading the data, in the process that has them.

    Parameters
    ----------
    model : Mixture, or any object with ``e_step(block, params)`` and ``m_step(statistics, params)``
    data : array-like, (..., feature)
        NumPy array or memmap, Dask array, zarr array or path, DataArray, DataFrame. Dask arrays
        are read on the current client if there is one, and else on the local threads.
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
    cache : {"auto", "memory", "none"}
        Whether the chunks of a Dask array stay in the memory of the workers once they are read;
        "auto" keeps them if they fit with room. `Result.notes` says what was done and why.

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
    array, features = unlabel(data, feature_dim)
    blocks = place(
        as_blocks(array, align_weights(sample_weight, data, features), cache=cache),
        current_client(),
    )
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    given = [start] if start is None or isinstance(start, Mapping) else start
    starts = [
        (k, own)
        for k in counts
        for own in given
        for _ in range(1 if _is_whole(own, model) else whole("n_init", n_init))
    ]
    how = EM() if algorithm is None else algorithm
    seed = int(_generator(random_state).integers(2**63))
    return Fit(model, blocks, starts, init_params, how, stop, seed, features)


def iterate(*args: Any, **options: Any) -> Iterator[Result]:
    """Fit a model, one pass over the data at a time.

    Yields
    ------
    Result
        All runs as they stand after each pass.
    """
    return prepare(*args, **options).results("here: iterate runs where it is called")


def fit(*args: Any, **options: Any) -> Result:
    """Fit a model to all of the data, however large.

    Returns
    -------
    Result
        The last that `daskem.iterate` would yield.

    Warns
    -----
    ConvergenceWarning
        If the best run did not converge.
    """
    with running(prepare(*args, **options)) as run:
        return last_of(run)


def submit(*args: Any, name: str | None = None, **options: Any) -> Handle:
    """Start a fit on the scheduler of the current client, and return at once.

    It goes on when this process ends; `daskem.attach` finds it from another one.

    Parameters
    ----------
    name : str, optional
        To find the fit by; one is made up if there is none.
    **options
        As `daskem.fit`.

    Raises
    ------
    ClusterError
        If there is no client, or its scheduler cannot run the fit; says why.
    """
    client = current_client()
    if client is None:
        raise ClusterError(
            "submit needs a cluster, and there is no distributed client: make one, as in "
            "Client(scheduler_file=...), or use fit"
        )
    ready = prepare(*args, **options)
    if isinstance(ready.blocks, LocalBlocks):
        ready = replace(ready, blocks=spread(ready.blocks, client))
    return send(ready, client, name, keep=True)


@contextmanager
def running(fit: Fit) -> Iterator[Iterable[Result]]:
    """Run a prepared fit on the scheduler, or here; whatever interrupts the caller stops it."""
    try:
        handle = _sent(fit)
    except SchedulerError as reason:
        yield fit.results(f"here: {reason}")
        return
    # Tracebacks keep the frames that they went through, and with them chunks on the cluster.
    del fit
    with stopping(handle):
        yield handle


def _sent(fit: Fit) -> Handle:
    if isinstance(fit.blocks, LocalBlocks):
        raise SchedulerError("the data are in the memory of this process")
    if fit.blocks.client is None:
        raise SchedulerError("no distributed client")
    return send(fit, fit.blocks.client, None, keep=False)


def last_of(run: Iterable[Result]) -> Result:
    """The last of the results, with a warning to the caller of the caller unless converged."""
    (result,) = [run.result()] if isinstance(run, Handle) else deque(run, maxlen=1)
    if not result.converged:
        warnings.warn(result.status.value, ConvergenceWarning, stacklevel=3)
    return result


def _like_prepare(function: Any) -> None:
    """Give `function` the parameters and errors of `prepare`, for help() and completion."""
    parameters = inspect.signature(prepare).parameters.values()
    returns = inspect.signature(function).return_annotation
    function.__signature__ = inspect.Signature(list(parameters), return_annotation=returns)
    shared = (inspect.getdoc(prepare) or "").partition("\n\n")[2]
    summary, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    function.__doc__ = "\n\n".join([summary, shared, rest])


for _verb in (iterate, fit):
    _like_prepare(_verb)


def _is_whole(start: Start | None, model: Any) -> bool:
    """Whether a start leaves nothing to chance, so that one run from it is enough."""
    return start is not None and set(start) >= set(getattr(model, "parameters", start))


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.RandomState):
        return np.random.Generator(seed._bit_generator)
    return np.random.default_rng(seed)
