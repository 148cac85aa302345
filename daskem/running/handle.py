"""The caller's side: sending a fit to the scheduler, and a handle on what runs there."""

import contextlib
import sys
import time
import uuid
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Generic

from distributed import Client

from daskem.core.addresses import shown as shown_address
from daskem.data.cluster import (
    SILENCE,
    SLOW,
    SilentError,
    address_of,
    asked,
    foreign,
    seceded,
    told_without_workers,
)
from daskem.errors import (
    DaskemError,
    NoWorkersWarning,
    SchedulerError,
    SchedulerLostError,
)
from daskem.fitting.record import Status
from daskem.results.listings import History, ending
from daskem.results.tables import Table
from daskem.running.calls import begin, fetch, halt, reserve, watch
from daskem.running.end_warnings import kept, told
from daskem.running.jobs import PATIENCE, Stand, dumps, loads
from daskem.running.progress import Line, Progress, shown
from daskem.running.task import OutcomeT, Task

# How to go on without the scheduler.
_RESUME = "; daskem.resume({}, data) goes on from the last checkpoint of this one"
_FIT_AGAIN = ": fit again, or start from the params of the last result you have"
# Seconds that a question gets at least, however little time one has for the answer.
_LEAST = 1.0
# Seconds that a look at a handle may take.
_LOOK = 5.0
# More passes than any fit makes.
_ALL = sys.maxsize


class Handle(Generic[OutcomeT]):
    """A fit on the scheduler, which runs whether or not anybody holds a handle on it.

    Iterating over it yields the outcome so far, whenever there is a newer one: a `Result` of a fit,
    a `Selection` of a selection.

    Attributes
    ----------
    name : str
        What `daskem.attach` finds it by.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        checkpoint: str | None = None,
        line: Line | None = None,
    ) -> None:
        self.name, self._number = name, 0
        self._client, self._checkpoint, self._line = client, checkpoint, line or Line(None)

    @property
    def status(self) -> Status:
        """How the best run stands or ended."""
        return self._watch().status

    @property
    def history(self) -> History:
        """Every pass of the best run so far."""
        return History(self._watch().history)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it is known to have come.

        Raises
        ------
        SchedulerLostError
            If the scheduler is lost: at once if the connection is, after 30 seconds of silence
            otherwise.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        stand, left = None, deadline - time.monotonic()
        while stand is None or (not stand.ended and left > 0):
            # Only the end is news: every answer costs the scheduler some of the time of a pass.
            passes, patience = (-1, 0.0) if stand is None else (_ALL, min(left, PATIENCE))
            try:
                stand = self._watch(passes, patience, min(left, patience + SILENCE))
            except SilentError:
                if left < SILENCE:
                    return False
                raise
            left = deadline - time.monotonic()
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
            What ended the fit, as `daskem.fit` would have raised it: with the result of the last
            complete pass, ``error.result``.
        StoppedError
            If it was stopped before its first pass ended.
        SchedulerLostError
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
        self._ask(SILENCE, halt)
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
        known = ", ".join(f"{word} {value}" for word, value in self._facts().items() if value != "")
        return f"<fit {self.name!r}: {known}>"

    def _repr_html_(self) -> str:
        return Table.of([{"fit": self.name, **self._facts()}]).html()

    def _facts(self) -> dict[str, Any]:
        """How it stands, as cells."""
        try:
            stand = self._watch(seconds=_LOOK)
        except DaskemError as error:
            return {"status": f"unknown, {error!s:.60}"}
        return {**ending(stand.status.name, stand.history), "on": address_of(self._client)}

    def _watch(
        self, passes: int = -1, patience: float = 0.0, seconds: float | None = None
    ) -> Stand:
        """How the fit stands, as `watch` says it, in so many seconds."""
        seconds = patience + SILENCE if seconds is None else max(seconds, _LEAST)
        stand: Stand = self._ask(seconds, watch, passes, patience)
        self._checkpoint, self._number = stand.checkpoint or self._checkpoint, stand.number
        if patience and not (stand.ended or stand.workers or stand.passes > passes):
            warnings.warn(
                told_without_workers(address_of(self._client)), NoWorkersWarning, stacklevel=2
            )
        return stand

    def _fetch(self) -> tuple[int, OutcomeT]:
        passes, outcome = loads(self._ask(SLOW, fetch))
        if isinstance(outcome, Exception):
            raise outcome
        return passes, outcome

    def _ask(self, seconds: float, function: Callable[..., Awaitable[Any]], *args: object) -> Any:
        try:
            return _ask(self._client, seconds, function, self.name, self._number, *args)
        except SchedulerLostError as error:
            after = (
                _FIT_AGAIN
                if self._checkpoint is None
                else _RESUME.format(shown_address(self._checkpoint))
            )
            message = f"{error}. If it has died, its fits are lost{after}"
            raise type(error)(message) from error.__cause__


def _ask(
    client: Client, seconds: float, function: Callable[..., Awaitable[Any]], *args: object
) -> Any:
    """What an async function says on the scheduler, in so many seconds."""
    answer = asked(client, lambda: client.run_on_scheduler(function, *args), seconds)
    if isinstance(answer, DaskemError):
        raise answer
    return answer


def _tell(line: Line, stand: Stand) -> None:
    line.passed(stand.passes, stand.history, stand.status)
    line.sign(stand.doing)


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
    name, checkpoint = name or f"fit-{uuid.uuid4().hex[:8]}", task.checkpoint
    del task
    handle: Handle[OutcomeT] = Handle(name, client, checkpoint, line)
    refusal = foreign(client)
    if refusal is not None:
        raise SchedulerError(refusal)
    handle._number = handle._ask(SILENCE, reserve, client.id)
    with stopping(handle):
        refusal = handle._ask(SLOW, begin, payload, keep)
        if refusal is not None:
            raise SchedulerError(refusal)
    return handle


@contextlib.contextmanager
def stopping(handle: Handle[Any]) -> Iterator[None]:
    """Whatever goes wrong meanwhile here, Ctrl-C included, also ends the fit there."""
    try:
        yield
    except SchedulerLostError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            kept(error, None)
        with contextlib.suppress(DaskemError):
            handle.stop()
            if isinstance(error, KeyboardInterrupt):
                kept(error, handle.last())
        raise
