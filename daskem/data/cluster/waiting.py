"""Waiting for workers and for what they compute, never without an end."""

import warnings
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any, NamedTuple

import dask
from dask.utils import format_time, parse_timedelta
from distributed import Client, Future

from daskem.data.cluster.asking import address_of, asked
from daskem.data.cluster.graph import NoWorkerError, current_client, seceded
from daskem.errors import NoWorkersError, NoWorkersWarning

# Seconds that a cluster without workers gets before a fit begins on it.
_WAIT = 5.0
# Seconds between two looks at whether there are workers, while one waits for a result.
_LOOK = 5.0
# And at which of several futures are done, which costs nobody anything.
_BLINK = 0.02
# Dask's own setting for how long tasks wait for a first worker; where nobody has set it, as long
# as Dask waits for a worker that has gone silent.
_SETTING, _LIMIT = "distributed.scheduler.no-workers-timeout", "5 minutes"
_NONE = "the cluster at {} has no workers"
_REMEDY = (
    "Interrupting the kernel of a notebook also ends the worker processes of a LocalCluster: close "
    "it and make another, or cluster.scale(...). If workers are on their way, call "
    "client.wait_for_workers(1) first"
)


class Attempt(NamedTuple):
    """A value on its way: what becomes of that of several futures."""

    futures: Sequence[Future]
    value: Callable[[Sequence[Any]], Any]


def check_workers(client: Client) -> None:
    """Wait a few seconds for a worker; NoWorkersError if none comes, nor is made on demand."""
    if asked(client, client.nthreads) or _adapts(client):
        return
    try:
        client.wait_for_workers(1, timeout=_WAIT)
    except TimeoutError as error:
        raise NoWorkersError(
            f"{_NONE.format(address_of(client))}, and none came in {_WAIT:.0f} seconds. {_REMEDY}"
        ) from error


def tell_without_workers(stacklevel: int) -> None:
    """Warn if what is going to be computed on the current client waits for its first worker."""
    client = current_client()
    if client is not None and not asked(client, client.nthreads) and not _adapts(client):
        warnings.warn(
            told_without_workers(address_of(client)), NoWorkersWarning, stacklevel=stacklevel + 1
        )


def told_without_workers(address: str) -> str:
    return f"{_NONE.format(address)}: what it is to compute waits until one comes"


def awaited(attempts: Sequence[Attempt], client: Client, look: Callable[[], None]) -> Any:
    """The value of whichever attempt is done first: all have the same.

    Every few seconds `look` is called, which may add to them.

    Warns
    -----
    NoWorkersWarning
        If it waits because there are no workers any more.

    Raises
    ------
    NoWorkersError
        If none come for as long as Dask's setting says.
    """
    limit = parse_timedelta(dask.config.get(_SETTING, None) or _LIMIT)
    since = None
    with seceded():
        while True:
            try:
                return _first(attempts, client, min(_LOOK, limit))
            except NoWorkerError as error:
                raise _too_long(client, error.timeout) from error
            except TimeoutError:
                for future in (f for attempt in attempts for f in attempt.futures):
                    if future.status == "error":  # Which is its own.
                        return future.result()
            if asked(client, client.nthreads):
                since = None
                look()
            elif since is None:
                since = monotonic()
                warnings.warn(told_without_workers(address_of(client)), NoWorkersWarning, 2)
            elif monotonic() - since >= limit:
                raise _too_long(client, limit)


def _first(attempts: Sequence[Attempt], client: Client, seconds: float) -> Any:
    """The value of the last one of those that are done: who has that of others may be silent."""
    if len(attempts) == 1:
        return _value(attempts[0], client, seconds)
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        if done := [attempt for attempt in attempts if all(f.done() for f in attempt.futures)]:
            return _value(done[-1], client, seconds)
        sleep(_BLINK)
    raise TimeoutError


def _value(attempt: Attempt, client: Client, seconds: float) -> Any:
    """Once it is done, in so many seconds."""
    if len(attempt.futures) == 1:
        return attempt.value([attempt.futures[0].result(timeout=seconds)])
    futures = list(attempt.futures)
    # On the loop of the client, where its methods return what can be waited for.
    return attempt.value(client.sync(client.gather, futures, callback_timeout=seconds))


def _too_long(client: Client, limit: float) -> NoWorkersError:
    return NoWorkersError(
        f"{_NONE.format(address_of(client))} any more, and none came in {format_time(limit)} "
        f"(Dask's setting {_SETTING}, where it is set). {_REMEDY}, and fit again or resume"
    )


def _adapts(client: Client) -> bool:
    """Whether the cluster makes workers when there is something to do."""
    return getattr(client.cluster, "_adaptive", None) is not None
