"""The caller's side: sending a fit to the scheduler, and a handle on what runs there."""

import contextlib
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Generic

from distributed import Client
from distributed.client import CancelledError as FutureCancelledError
from distributed.client import ClosedClientError

from daskem.data.blocks import check_workers, seceded
from daskem.errors import ClusterError, DaskemError, SchedulerError
from daskem.fitting.record import Status
from daskem.results.listings import History, ending
from daskem.results.tables import Table
from daskem.running.calls import begin, fetch, halt, reserve, watch
from daskem.running.ending import kept, told
from daskem.running.jobs import PATIENCE, Stand, dumps, loads
from daskem.running.progress import Line, Progress, shown
from daskem.running.task import OutcomeT, Task

_LOST = (OSError, ClosedClientError, CancelledError, FutureCancelledError)


class Handle(Generic[OutcomeT]):
    """A fit on the scheduler, which runs whether or not anybody holds a handle on it.

    Iterating over it yields the outcome so far, whenever there is a newer one: a `Result` of a fit,
    a `Selection` of a selection.

    Attributes
    ----------
    name : str
        What `daskem.attach` finds it by.
    """

    def __init__(self, name: str, client: Client, line: Line | None = None) -> None:
        self.name = name
        self._client, self._line = client, line or Line(None)

    @property
    def status(self) -> Status:
        """How the best run stands or ended."""
        return self._watch().status

    @property
    def history(self) -> History:
        """Every pass of the best run so far."""
        return History(self._watch().history)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it has come.

        Raises
        ------
        ClusterError
            If the scheduler is lost.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        stand = self._watch()
        while not stand.ended and (left := deadline - time.monotonic()) > 0:
            stand = self._watch(stand.passes, min(left, PATIENCE))
        return stand.ended

    def result(self, progress: Progress = "auto") -> OutcomeT:
        """Wait for the end; the last result. An interrupt ends the waiting, and not the fit.

        Parameters
        ----------
        progress : {"auto", True, False}
            As `daskem.fit` takes it.

        Warns
        -----
        ConvergenceWarning
            If the best run did not converge.

        Raises
        ------
        DataError, ModelError, ...
            What ended the fit, as `daskem.fit` would have raised it.
        StoppedError
            If it was stopped before its first pass ended.
        ClusterError
            If the scheduler is lost.
        """
        with seceded(), shown(progress) as line:
            last = self._last(line)
        told(last, stacklevel=2)
        return last

    def last(self) -> OutcomeT:
        """The same without a warning, for who has another line of progress, and warns himself."""
        return self._last(self._line)

    def _last(self, line: Line) -> OutcomeT:
        if not line.is_live:
            self.wait()
            return self._fetch()[1]
        stand = self._watch()
        while not stand.ended:
            _tell(line, stand)
            stand = self._watch(stand.passes, line.patience)
        passes, last = self._fetch()
        line.passed(passes, last.history, last.status)
        return last

    def stop(self) -> None:
        """End the fit; the pass in progress is abandoned, and `result` is that of the last one."""
        self._ask(halt)
        self.wait()

    def __iter__(self) -> Iterator[OutcomeT]:
        yielded, ended = 0, False
        while not ended:
            stand = self._watch(yielded, self._line.patience if self._line.is_live else PATIENCE)
            ended = stand.ended
            _tell(self._line, stand)
            if ended or stand.passes > yielded:
                self._line.clear()
                passes, result = self._fetch()
                if passes > yielded or result.status is Status.STOPPED:
                    yield result
                yielded = passes

    def __repr__(self) -> str:
        return f"<fit {self.name!r}: {', '.join(f'{k} {v}' for k, v in self._told().items())}>"

    def _repr_html_(self) -> str:
        return Table.of([{"fit": self.name, **self._told()}]).html()

    def _told(self) -> dict[str, Any]:
        """How it stands, as cells."""
        try:
            stand = self._watch()
        except DaskemError as error:
            return {"status": f"unknown, {error!s:.60}"}
        where = self._client.scheduler_info()["address"]
        return {**ending(stand.status.name, stand.history), "on": where}

    def _watch(self, passes: int = -1, patience: float = 0.0) -> Stand:
        return self._ask(watch, passes, patience)

    def _fetch(self) -> tuple[int, OutcomeT]:
        passes, outcome = loads(self._ask(fetch))
        if isinstance(outcome, Exception):
            raise outcome
        return passes, outcome

    def _ask(self, function: Any, *args: Any) -> Any:
        return ask(self._client, function, self.name, *args)


def _tell(line: Line, stand: Stand) -> None:
    line.passed(stand.passes, stand.history, stand.status)
    line.sign(stand.doing)


def ask(client: Client, function: Any, *args: Any) -> Any:
    """What an async function says on the scheduler, while that can be reached."""
    if client.status == "closed":
        raise ClusterError(
            "the client is closed: a fit that was submitted goes on, and daskem.attach(name) finds "
            "it; any other was stopped"
        )
    try:
        answer = client.run_on_scheduler(function, *args)
    except _LOST as error:
        raise ClusterError(
            f"the scheduler cannot be reached any more ({error!r:.200}). If it has died, its fits "
            "are lost: fit again, or start from the params of the last result you have"
        ) from error
    if isinstance(answer, DaskemError):
        raise answer
    return answer


def send(
    task: Task[OutcomeT],
    client: Client,
    name: str | None,
    keep: bool,
    line: Line | None = None,
) -> Handle[OutcomeT]:
    """Start a task on the scheduler; to `keep` it is to let it outlive the client.

    Raises
    ------
    SchedulerError
        If the scheduler cannot run it; says why.
    """
    try:
        payload = dumps(task)
    except Exception as error:
        raise SchedulerError(f"the fit cannot be pickled ({error!r:.200})") from error
    del task
    handle: Handle[OutcomeT] = Handle(name or f"fit-{uuid.uuid4().hex[:8]}", client, line)
    _check_scheduler(client)
    check_workers(client)
    handle._ask(reserve, client.id)
    with stopping(handle):
        refusal = handle._ask(begin, payload, keep)
        if refusal is not None:
            raise SchedulerError(refusal)
    return handle


def _check_scheduler(client: Client) -> None:
    """Raise SchedulerError unless the scheduler has this daskem."""

    # A function inside a function travels by value: it needs no daskem to be unpickled. Importing
    # takes seconds, which the event loop cannot spare.
    async def version() -> str:
        import asyncio
        import importlib

        return (await asyncio.to_thread(importlib.import_module, "daskem")).__version__

    try:
        theirs = ask(client, version)
    except ClusterError:
        raise
    except ImportError as error:
        raise SchedulerError(f"the scheduler cannot import daskem ({error})") from error
    except Exception as error:
        raise SchedulerError(f"the scheduler runs no fits ({error!r:.200})") from error
    ours = sys.modules["daskem"].__version__
    if theirs != ours:
        raise SchedulerError(f"the scheduler has daskem {theirs}, this process {ours}")


@contextlib.contextmanager
def stopping(handle: Handle[Any]) -> Iterator[None]:
    """Whatever goes wrong meanwhile here, Ctrl-C included, also ends the fit there."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            kept(error, None)
        with contextlib.suppress(DaskemError):
            handle.stop()
            if isinstance(error, KeyboardInterrupt):
                kept(error, handle.last())
        raise


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
