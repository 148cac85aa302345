"""What a person calls: select, and a selection that is submitted to a scheduler."""

import os
from collections.abc import Hashable, Iterable, Sequence

from daskem.core.settings import RandomState
from daskem.core.signatures import helpful
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.fitting.algorithms import Algorithm
from daskem.running.coordinator import a_client, last_of, running, submitted
from daskem.running.handle import Handle
from daskem.running.progress import Progress
from daskem.selection.preparing import prepare_selection
from daskem.selection.search import Models
from daskem.selection.selection import Selection


@helpful
def select(
    data: Data,
    n_components: Iterable[int] = range(1, 11),
    covariance_type: str | Sequence[str] = "full",
    *,
    models: Models | None = None,
    criterion: str = "bic",
    n_init: int = 5,
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
) -> Selection:
    """Choose among mixtures by a criterion, all of them fitted in the same reads of the data.

    Restarts compete on the sample of the survey, each by itself. The best three of every model and
    number of components ride the same passes. A run is dropped when another one of its kind is
    predicted to end better; the best candidate is followed until it ends as a fit would, and the
    passes end when no other one can still overtake it. What the others had reached by then is in
    the table. Where a mixture turns out less likely than one with fewer components, these are split
    and go on as a further restart of it.

    Printed, a selection says how clear the choice is. Evidence (in the words of Kass and Raftery
    1995, for the BIC) is what is left of the lead once the restarts of both candidates are
    allowed to differ as much as they do, since another seed might choose otherwise:
    `table["spread"]` is how far the third best restart is behind the best one, in units of the
    criterion. A maximum so rare that no restart has found it is beyond that.

    Parameters
    ----------
    data : array-like, (..., feature)
        As `daskem.fit` takes it.
    n_components : iterable of int
    covariance_type : {"full", "tied", "diag", "spherical"} or sequence of them
    models : dict of str to Mixture or HiddenMarkov, optional
        What to choose among instead of Gaussians, by name, such as
        ``{"poisson": Mixture(Poisson())}``. Chains and mixtures may compete: which one wins says
        whether the order of the rows tells anything.
    criterion : {"bic", "aic", "icl", "heldout"}
        Schwarz (1978); Akaike (1974); BIC plus twice the entropy of the responsibilities, which
        favours components that do not overlap (Biernacki, Celeux and Govaert 2000), for one
        more read; -2 log-likelihood of a tenth of the rows, which are not fitted. Lower is
        better.
    n_init : int
        Restarts for each candidate; they cost no reads. Fewer than three do not tell how far
        restarts differ; three are enough for candidates that the sample shows to lose.
    sample_weight, along, lengths, sequence_dim, features, sample_dims, feature_dim, missing,
    missing_chunks, strict, init_params, algorithm, tol, max_passes, max_seconds, random_state,
    cache, kernel, checkpoint, progress
        As `daskem.fit` takes them.

    Returns
    -------
    Selection

    Raises
    ------
    DataError, ParameterError
        As `daskem.fit`.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(600, 2)) + np.repeat([[0], [9]], 300, axis=0)
    >>> daskem.select(rows, range(1, 4), random_state=0).best.n_components
    2
    """
    task = prepare_selection(
        data,
        n_components,
        covariance_type,
        models=models,
        criterion=criterion,
        n_init=n_init,
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
    with running(task, progress) as selections:
        # The caller, past this function and what makes it helpful.
        return last_of(selections, stacklevel=4)


@helpful
def submit_selection(
    data: Data,
    n_components: Iterable[int] = range(1, 11),
    covariance_type: str | Sequence[str] = "full",
    *,
    models: Models | None = None,
    criterion: str = "bic",
    n_init: int = 5,
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
    init_params: str = "k-means++",
    algorithm: str | Algorithm = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: RandomState = None,
    cache: str = "auto",
    kernel: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> Handle[Selection]:
    """Start a selection on the scheduler of the current client, and return at once.

    It goes on when this process ends; `daskem.attach` finds it from another one.

    Parameters
    ----------
    name : str, optional
        To find the selection by; one is made up if there is none.
    data, n_components, ...
        As `daskem.select` takes them.

    Raises
    ------
    ClusterError
        If there is no client, or its scheduler cannot run the selection; says why.
    """
    client = a_client()
    task = prepare_selection(
        data,
        n_components,
        covariance_type,
        models=models,
        criterion=criterion,
        n_init=n_init,
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
    return submitted(task, client, name)
