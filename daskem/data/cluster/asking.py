"""Questions to a scheduler, which may be dead or frozen: each has an answer or a named error."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from platform import python_version
from time import monotonic
from typing import Any

from dask.utils import format_time
from distributed import Client
from distributed.client import CancelledError as FutureCancelledError
from distributed.client import ClosedClientError

from daskem.errors import ClusterError, SchedulerLostError

# Seconds of silence after which a scheduler counts as lost: Dask's own patience with a connection.
SILENCE = 30.0
# Seconds until an answer where much travels, or much is imported first.
SLOW = 300.0
# Seconds between two looks at whether the connection is there.
_LOOK = 0.1
_GONE = (OSError, ClosedClientError, CancelledError, FutureCancelledError)
_CLOSED = (
    "the client is closed, by somebody here or as its scheduler is gone: a fit that was submitted "
    "goes on where the scheduler lives, and daskem.attach(name) finds it; any other was stopped"
)
_LOST = "the scheduler at {} cannot be reached any more ({})"


class SilentError(SchedulerLostError):
    """The scheduler has not answered in time."""


def asked(
    client: Client, question: Callable[[], Awaitable[Any] | Any], seconds: float = SILENCE
) -> Any:
    """What a method of the client says, which is called without arguments, in so many seconds.

    Raises
    ------
    SchedulerLostError
        At once where the connection is gone, else when time is over.
    ClusterError
        If the client is closed.
    """
    if client.status == "closed":
        raise ClusterError(_CLOSED)
    try:
        # On the loop of the client, where its methods return what can be waited for.
        return client.sync(_answer, client, question, seconds)
    except SilentError:
        why = f"no answer in {format_time(seconds)}"
        raise SilentError(_LOST.format(address_of(client), why)) from None
    except _GONE as error:
        why = f"{error!r:.200}"
        raise SchedulerLostError(_LOST.format(address_of(client), why)) from error


def address_of(client: Client) -> str:
    """The address of the scheduler, in words where the client has lost it."""
    return "(closed)" if client.scheduler is None else str(client.scheduler.address)


def foreign(client: Client) -> str | None:
    """Why the scheduler cannot open what daskem of this process has made; None if it can."""
    # What `client.get_versions` asks first; it goes on to ask every worker, also one that hangs.
    rpc: Any = client.scheduler
    remote = asked(client, rpc.versions)["host"]["python"]
    # The micro version has no code of its own.
    theirs, ours = (".".join(python.split(".")[:2]) for python in (remote, python_version()))
    if theirs != ours:
        return f"the scheduler runs Python {theirs}, this process {ours}"

    # A function inside a function travels by value: it needs no daskem to be unpickled. Importing
    # takes seconds, which the event loop cannot spare.
    async def version() -> str:
        import asyncio
        import importlib

        return str((await asyncio.to_thread(importlib.import_module, "daskem")).__version__)

    try:
        remote = asked(client, lambda: client.run_on_scheduler(version), SLOW)
    except ClusterError:
        raise
    except ImportError as error:
        return f"the scheduler cannot import daskem ({error})"
    except Exception as error:
        return f"the scheduler runs no fits ({error!r:.200})"
    local = sys.modules["daskem"].__version__
    return None if remote == local else f"the scheduler has daskem {remote}, this process {local}"


async def _answer(client: Client, question: Callable[[], Awaitable[Any]], seconds: float) -> Any:
    if client.status != "running":
        raise ConnectionError(f"the client is {client.status}")
    answer = asyncio.ensure_future(question())
    deadline = monotonic() + seconds
    try:
        while not answer.done() and client.status == "running":
            left = deadline - monotonic()
            if left <= 0:
                raise SilentError
            await asyncio.wait([answer], timeout=min(left, _LOOK))
        if not answer.done():
            raise ConnectionError("the connection was lost")
        return answer.result()
    finally:
        answer.cancel()
