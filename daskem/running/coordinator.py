"""The door, and where the loop runs: on the scheduler if it can, else in the calling process."""

import warnings
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from distributed import Client

from daskem.core.parameters import number, whole
from daskem.core.signatures import check_call, sign
from daskem.data.blocks import Survey, current_client, place, spread
from daskem.data.blocks.local import LocalBlocks
from daskem.data.inputs import as_blocks
from daskem.data.inputs.labels import Features, align_weights
from daskem.data.inputs.rows import as_rows
from daskem.errors import (
    ClusterError,
    ConvergenceWarning,
    ModelError,
    ParameterError,
    SchedulerError,
)
from daskem.fitting.algorithms import check_algorithm, choose
from daskem.fitting.loop import Run, Stop, passes
from daskem.fitting.starts.begin import Start, sampled, surveyed
from daskem.fitting.starts.competition import best_start
from daskem.fitting.starts.seeding import SEEDERS
from daskem.results.result import Result
from daskem.running import Handle, send, stopping


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
    algorithm : str or object with start, ask and tell
    stop : Stop
    seed : int
        Of all that is drawn: the sample and the starts.
    features : Features
        What to call the features in the results.
    notes : tuple of str
        What had to be done to the data at the door.
    missing : {"raise", "omit"}
    """

    model: Any
    blocks: Any
    starts: Sequence[tuple[int | None, Start | None]]
    init_params: str
    algorithm: Any
    stop: Stop
    seed: int
    features: Features
    notes: tuple[str, ...]
    missing: str

    def on(self, client: Client | None) -> "Fit":
        """The same fit, on the cluster of `client`; without one it can be pickled."""
        return replace(self, blocks=replace(self.blocks, client=client))

    def results(self, coordinator: str) -> Iterator[Result]:
        """Survey the data, start, and make one pass after the other; all runs after each."""
        rng = np.random.default_rng(self.seed)
        seed = int(rng.integers(2**63))
        model, seen = surveyed(self.model, self.blocks, seed, self.features.names)
        counts = [k for k, _ in self.starts]
        seen = sampled(self.blocks, seen, self.init_params, counts, seed, rng)
        children = rng.integers(2**63, size=len(self.starts))
        runs = []
        for (k, given), child in zip(self.starts, children, strict=True):
            draw = np.random.default_rng(child)
            draft = best_start(model, seen, k, given, self.init_params, draw)
            how, why = choose(self.algorithm, model, draft.params, self.blocks.n_features)
            runs.append(Run(model, how, draft.start(how), choice=why))
        for stand in passes(runs, self.blocks, self.stop):
            yield self.result(stand, seen, coordinator)

    def result(self, runs: Sequence[Run], seen: Survey, coordinator: str) -> Result:
        """What `runs` have found in the data of a survey."""
        n, notes = seen.n_missing, list(self.notes)
        if n:
            notes.append(f"{n:,} of {n + seen.n_rows:,} rows have a NaN and were left out")
        return Result(
            runs,
            self.blocks.n_features,
            seen.weight,
            self.features,
            (*notes, *self.blocks.notes),
            coordinator,
            self.missing,
        )


def prepare(
    model: Any,
    data: Any,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Any = None,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    missing: str = "raise",
    n_init: int = 1,
    init_params: str = "k-means++",
    algorithm: Any = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
    cache: str = "auto",
) -> Fit:
    """Check what can be checked without reading the data, in the process that has them.

    Parameters
    ----------
    model : Mixture, or any object with ``e_step(block, params)`` and ``m_step(statistics, params)``
    data : array-like, (..., feature)
        Dataset, whose variables are features; DataArray; NumPy array or memmap; Dask array; path
        or URL of a zarr store, zarr array or group; DataFrame of pandas or Dask. Dask arrays
        are read on the current client if there is one, and else on the local threads.
    n_components : int or sequence of int, optional
        How many components to start a mixture with; several are fitted side by side.
    start : dict or sequence of dict, optional
        Params to start from, in the units of the data; one run for each. Some of a mixture's
        params may be left out: `n_components` then says how to find the rest.
    sample_weight : array-like, (...), optional
        How many times each row counts. A DataArray broadcasts by the names of its dims.
    features : sequence of str, optional
        The variables of a Dataset, arrays of a zarr group, columns of a DataFrame or coordinates
        of a DataArray that are used, in this order. Default: all.
    sample_dims : sequence of str, optional
        Dimensions that number the rows, for xarray objects. Others become columns; along those
        that it lacks a variable is repeated. Default: all but `feature_dim`.
    feature_dim : str, optional
        Where a single dimension holds features, its name. Default: ``"feature"`` or
        ``"variable"``; else, in a DataArray of two dimensions, the last.
    missing : {"raise", "omit"}
        Whether rows with a NaN are an error, or left out. Predictions of the result do the same:
        rows that are left out are NaN there, and -1 among labels.
    n_init : int
        Starts for each number of components. All runs share every read of the data.
    init_params : {"k-means++", "random_from_data", "k-means||"}
        How rows of a sample are chosen to start components around, before the best of several
        choices is fitted to the sample. The last one reads the data three times more, for
        components too rare to be in a uniform sample.
    algorithm : {"auto", "em", "squarem", "anderson", "candidates"} or object
        How to climb; ``"auto"`` chooses by the model and the size of a row, and `Run.choice`
        says why. A model that declares no ``parameters`` gets plain EM.
    tol : float, optional
        A run has converged when what is left to gain, in nats per row, is predicted to be below
        this twice in a row. Default: p / 200 N for p free parameters and N rows, a hundredth of
        what the data can resolve, but no less than 1e-6. (scikit-learn's `tol`, 1e-3, is the
        change in one iteration, which may be small far from the optimum.)
    max_passes : int
        Most passes over the data.
    max_seconds : float, optional
        Most seconds of passes; looked at between them.
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
    check_algorithm(algorithm, model)
    if init_params not in SEEDERS:
        raise ParameterError(f"init_params={init_params!r} is not one of {list(SEEDERS)}")
    stop = Stop(
        None if tol is None else number("tol", tol, 0),
        whole("max_passes", max_passes),
        np.inf if max_seconds is None else number("max_seconds", max_seconds, 0),
    )
    rows = as_rows(data, features, sample_dims, feature_dim)
    weights = align_weights(sample_weight, rows)
    blocks = place(as_blocks(rows.array, weights, missing, cache), current_client())
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    given = [start] if start is None or isinstance(start, Mapping) else start
    starts = [
        (k, own)
        for k in counts
        for own in given
        for _ in range(1 if _is_whole(own, model) else whole("n_init", n_init))
    ]
    seed = int(_generator(random_state).integers(2**63))
    return Fit(
        model,
        blocks,
        starts,
        init_params,
        algorithm,
        stop,
        seed,
        rows.features,
        rows.notes,
        missing,
    )


def iterate(*args: Any, **options: Any) -> Iterator[Result]:
    """Fit a model, one pass over the data at a time.

    Yields
    ------
    Result
        All runs as they stand after each pass.
    """
    check_call(iterate, args, options)
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
    check_call(fit, args, options)
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
    check_call(prepare, args, options, "submit")
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


for _verb in (iterate, fit):
    sign(_verb, prepare)


def _is_whole(start: Start | None, model: Any) -> bool:
    """Whether a start leaves nothing to chance, so that one run from it is enough."""
    return start is not None and set(start) >= set(getattr(model, "parameters", start))


def _generator(seed: Any) -> np.random.Generator:
    if isinstance(seed, np.random.RandomState):
        return np.random.Generator(seed._bit_generator)
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"random_state={seed!r} should be a whole number >= 0, a Generator or a RandomState"
        ) from error
