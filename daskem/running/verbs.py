"""What a person calls: fit and iterate, each of which prepares a fit and runs it."""

import os
from collections.abc import Hashable, Iterator, Sequence

from daskem.core.settings import RandomState
from daskem.core.signatures import helpful
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.starts.start_params import Start
from daskem.models.protocol import Model
from daskem.results.result import Result
from daskem.running.coordinator import last_of, running
from daskem.running.preparing import prepare
from daskem.running.progress import Progress


@helpful
def fit(
    model: Model,
    data: Data,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    sequence_dim: Hashable | None = None,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    missing: str = "raise",
    missing_chunks: str = "raise",
    strict: bool = False,
    n_init: int = 1,
    init_params: str = "k-means++",
    algorithm: str | Algorithm = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: RandomState = None,
    cache: str = "auto",
    kernel: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress = "auto",
) -> Result:
    """Fit a model to all of the data, however large.

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
        params may be left out: `n_components` then says how to find the rest. The components of
        the result have the order of the start, if it says something of each; else 0 is the
        largest.
    sample_weight : array-like, (...), optional
        How many times each row counts. A DataArray broadcasts by the names of its dims.
    along : mapping of str to array-like, (..., *own axes), optional
        Other arrays that belong to the rows, which the model finds in ``block.along``: what it
        names in its ``needs``, such as the noise of each row. A DataArray broadcasts by the names
        of its dims, and may have others of its own, which go last. To mixtures and hidden Markov
        models ``component`` says which component, or state, a row is of, -1 or NaN for unknown:
        it has probability 0 in the others, which are numbered as these labels are.
    lengths : sequence of int, int or str, optional
        Rows of each sequence, in their order, for a model of sequences such as `HiddenMarkov`, or
        the one number that all have; ``[len(data)]`` for a single one. A name is that of a
        variable with the lengths (CF's ragged arrays, ``"rowsize"``), or of a column with an
        identifier for each row, by which the rows are sorted. No sequence is ever parted: chunks
        are cut where one ends.
    sequence_dim : str, optional
        For xarray objects, in the place of `lengths`: the dimension along which rows follow one
        another, such as ``"time"``. All others that number the rows number the sequences. The
        result knows it, and looks for it in what it predicts. Sequences in several chunks are
        gathered in every pass, and `Result.notes` says so.
    features : sequence of str, optional
        The variables of a Dataset, arrays of a zarr group, columns of a DataFrame or coordinates
        of a DataArray that are used, in this order. Default: all.
    sample_dims : sequence of str, optional
        Dimensions that number the rows, for xarray objects. Others become columns; along those
        that it lacks a variable is repeated. Default: all but `feature_dim`.
    feature_dim : str, optional
        Where a single dimension holds features, its name. Default: ``"feature"`` or
        ``"variable"``; else, in a DataArray of two dimensions, the last.
    missing : {"raise", "omit", "model"}
        Whether rows with a NaN are an error, left out, or take part with the values that they have:
        the likelihood is that of these (missing at random: what they are, and no more, may tell
        which others are missing). Predictions of the result do the same: rows that are left out,
        as those without any value are, are NaN there, and -1 among labels.
    missing_chunks : {"raise", "fill"}
        Whether it is an error that a zarr store lacks chunks of the data, or the fill value that is
        read in their place is meant.
    strict : bool
        Whether it is an error, and not a note, that the workers of the cluster compute different
        last bits, as processors or libraries differ: the same fit might then end with others.
    n_init : int
        Starts for each number of components. All runs share every read of the data; one that is
        behind another, and predicted to stay there, is dropped.
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
    kernel : {"auto", "compiled", "numpy", "cupy"}
        How E steps are computed, and what is said of rows: in machine code, by numba (``pip install
        "daskem[fast]"``), with NumPy, or on a GPU, by CuPy. The sums differ in their last digits.
        "auto" compiles where numba is installed and the fit is large, as it takes some seconds the
        first time; it never takes a GPU. `Result.kernel` says what was done.
    checkpoint : path or URL, optional
        A folder to write down how the fit stands, after the starts and after every pass, for
        `daskem.resume` to go on from; the last two are kept. On a cluster the scheduler writes
        it: a path is one of its machine. There must be no checkpoints of another fit.
    progress : {"auto", True, False}
        Whether a line says how far the fit has come: where it is, what is left to gain, rows per
        second. "auto" shows it in terminals and notebooks. With tqdm installed it is a bar.

    Returns
    -------
    Result
        The last that `daskem.iterate` would yield.

    Warns
    -----
    ConvergenceWarning
        If the best run did not converge.

    Raises
    ------
    DataError
        If the data cannot be used; says which chunk, row and column.
    ParameterError
        If a setting or a start does not suit the model or the data.
    ModelError
        If `model` is not one, or breaks its contract.
    KernelError
        If what the kernel needs that was asked for is not here, or not on a worker: numba, or
        CuPy and a GPU.
    MixedClusterError
        If the workers compute different last bits, and `strict` does not have that.
    CheckpointError
        If nothing can be written at `checkpoint`, or another fit writes there.
    Exception
        Whatever else ends the fit on the way. All of them have the result of the last complete
        pass, ``error.result``, which is None before the first one.
    KeyboardInterrupt
        Of an interrupted fit, with what its passes have found so far as ``result``, or None.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> counts = np.concatenate([rng.poisson(2.0, (400, 1)), rng.poisson(20.0, (600, 1))])
    >>> result = daskem.fit(daskem.Mixture(daskem.Poisson()), counts, 2, random_state=0)
    >>> np.sort(result.params["weights"]).round(1).tolist()
    [0.4, 0.6]
    """
    prepared = prepare(
        model,
        data,
        n_components,
        start=start,
        sample_weight=sample_weight,
        along=along,
        lengths=lengths,
        sequence_dim=sequence_dim,
        features=features,
        sample_dims=sample_dims,
        feature_dim=feature_dim,
        missing=missing,
        missing_chunks=missing_chunks,
        strict=strict,
        n_init=n_init,
        init_params=init_params,
        algorithm=algorithm,
        tol=tol,
        max_passes=max_passes,
        max_seconds=max_seconds,
        random_state=random_state,
        cache=cache,
        kernel=kernel,
        checkpoint=checkpoint,
    )
    with running(prepared, progress) as results:
        # The caller, past this function and what makes it helpful.
        return last_of(results, stacklevel=4)


@helpful
def iterate(
    model: Model,
    data: Data,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    sequence_dim: Hashable | None = None,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    missing: str = "raise",
    missing_chunks: str = "raise",
    strict: bool = False,
    n_init: int = 1,
    init_params: str = "k-means++",
    algorithm: str | Algorithm = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: RandomState = None,
    cache: str = "auto",
    kernel: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Iterator[Result]:
    """Fit a model, one pass over the data at a time. It takes the parameters of `daskem.fit`.

    Yields
    ------
    Result
        All runs as they stand after each pass.
    """
    prepared = prepare(
        model,
        data,
        n_components,
        start=start,
        sample_weight=sample_weight,
        along=along,
        lengths=lengths,
        sequence_dim=sequence_dim,
        features=features,
        sample_dims=sample_dims,
        feature_dim=feature_dim,
        missing=missing,
        missing_chunks=missing_chunks,
        strict=strict,
        n_init=n_init,
        init_params=init_params,
        algorithm=algorithm,
        tol=tol,
        max_passes=max_passes,
        max_seconds=max_seconds,
        random_state=random_state,
        cache=cache,
        kernel=kernel,
        checkpoint=checkpoint,
    )
    return prepared.results("here: iterate runs where it is called")
