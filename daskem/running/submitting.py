"""What a person calls for a fit that outlives the process: submit starts it, attach finds it."""

import os
from collections.abc import Hashable, Sequence
from typing import Any

from distributed import Client

from daskem.core.settings import RandomState
from daskem.core.signatures import helpful
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.errors import ClusterError
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.starts.start_params import Start
from daskem.models.protocol import Model
from daskem.results.result import Result
from daskem.running.coordinator import a_client, submitted
from daskem.running.handle import Handle
from daskem.running.preparing import prepare


@helpful
def submit(
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
    name: str | None = None,
) -> Handle[Result]:
    """Start a fit on the scheduler of the current client, and return at once.

    It goes on when this process ends; `daskem.attach` finds it from another one.

    Parameters
    ----------
    name : str, optional
        To find the fit by; one is made up if there is none.
    model, data, n_components, ...
        As `daskem.fit` takes them.

    Raises
    ------
    ClusterError
        If there is no client, or its scheduler cannot run the fit; says why.
    """
    client = a_client()
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
    return submitted(prepared, client, name)


def attach(name: str) -> Handle[Any]:
    """A handle on a fit that `daskem.submit` has started, from this process or any other.

    Parameters
    ----------
    name : str

    Raises
    ------
    ParameterError
        If the scheduler of the current client has no such fit; lists those that it has.
    ClusterError
        If there is no client.
    """
    try:
        client = Client.current()
    except ValueError as error:
        raise ClusterError(
            "there is no distributed client; make one first: Client(scheduler_file=...)"
        ) from error
    handle: Handle[Any] = Handle(name, client)
    handle._watch()
    return handle
