"""The scheduler's side: each fit in a thread of its own, with a client of its own, found by name.

What is called of it, see `calls`, is called on the event loop of the scheduler;
nothing that takes long may happen there. A job is told what to do and says how it stands on that
loop only, so none of its attributes needs a lock.
"""

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client, Scheduler
from distributed.protocol.pickle import dumps, loads

from daskem.data.blocks import Sign
from daskem.errors import StoppedError
from daskem.fitting.record import Pass, Status
from daskem.running.scheduler import (
    ended_of,
    hold,
    knows,
    n_workers,
    own_security,
    release,
)
from daskem.running.task import Outcome, Task

# Seconds until futures that the caller has just made are known to the scheduler: they travel on
# another connection.
_ARRIVAL = 10.0
# Seconds between two looks at whether a job that is to stop has submitted something since.
_NUDGE = 0.1
# Seconds of one wait for news: shorter than what proxies and firewalls call idle.
PATIENCE = 10.0


@dataclass(frozen=True)
class Stand:
    """How a job stands: passes made, whether it has ended, where it is written, what it is at."""

    number: int
    passes: int
    ended: bool
    workers: int
    checkpoint: str | None
    status: Status
    history: tuple[Pass, ...]
    doing: Sign


class Job:
    """One fit on the scheduler.

    Attributes
    ----------
    owner : str or None
        The client that must not go away before the job has ended.
    passes : int
    result : Outcome or None
        After the last complete pass.
    error : Exception or None
        What ended the job.
    number : int
        Among the jobs of a scheduler, from 1 on: names may be used again.
    n_bytes : int
        Of its last result, once it has ended.
    started, stopping, ended, fetched : bool
    client : str or None
        The id of its own client.
    keys : list of keys, or None
        What it needs of what lies on the cluster already; None until it is loaded.
    checkpoint : str or None
        Where it is written down.
    doing : Sign
        What it is at, as its thread says.
    """

    def __init__(self, name: str, owner: str | None, scheduler: Scheduler) -> None:
        self.name, self.owner, self.scheduler = name, owner, scheduler
        self.number = self.passes = self.n_bytes = 0
        self.result: Outcome | None = None
        self.error: Exception | None = None
        self.started = self.stopping = self.ended = self.fetched = False
        self.client: str | None = None
        self.keys: list[Any] | None = None
        self.checkpoint: str | None = None
        self.doing = Sign("", 0, 0)
        self._newest: Outcome | None = None  # Of the thread alone.
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._stopper: asyncio.Task[None] | None = None

    # On the event loop.

    async def start(self, payload: bytes) -> str | None:
        """Start the thread; returns when the job holds all that it needs, or why it cannot."""
        self.started = True
        threading.Thread(target=self._run, args=(payload,), name=self.name, daemon=True).start()
        while self.keys is None and not self.ended:
            await self._news.wait()
        if self.keys is None:
            return f"the scheduler cannot load the fit ({self.error!r:.300})"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hold(self.keys), _ARRIVAL)
        return None

    async def _hold(self, keys: list[Any]) -> None:
        """Claim the caller's futures, whose own messages may still be on their way."""
        while not (self.ended or knows(self.scheduler, keys)):
            await asyncio.sleep(_NUDGE)
        if not self.ended and self.client is not None:
            hold(self.scheduler, self.client, keys)

    async def wait(self, passes: int, patience: float) -> None:
        """Until there are more passes than `passes`, or the job has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self.passes <= passes and not self.ended:
                    await self._news.wait()

    def stop(self) -> None:
        if self.ended or self.stopping:
            return
        self.stopping = True
        if self.started:
            self._stopper = asyncio.ensure_future(self._abandon())
        else:
            self._hear({"ended": True, "error": _too_early()})

    async def _abandon(self) -> None:
        # What the thread submits while it is not yet aware must go as well.
        while not self.ended:
            self._release("the fit was stopped")
            await asyncio.sleep(_NUDGE)

    def _release(self, reason: str) -> None:
        """Let go of everything that the job has on the cluster; whoever waits for it is told."""
        if self.client is not None:
            release(self.scheduler, self.client, reason)

    def _hear(self, news: Mapping[str, Any]) -> None:
        if news.get("ended"):
            self._release("the fit has ended")
        for name, value in news.items():
            setattr(self, name, value)
        self.passes += "result" in news and not self.ended
        self._news.set()
        self._news = asyncio.Event()

    def stand(self) -> Stand:
        history = () if self.result is None else tuple(self.result.history)
        return Stand(
            self.number,
            self.passes,
            self.ended,
            n_workers(self.scheduler),
            self.checkpoint,
            self._status(),
            history,
            self._doing(),
        )

    def _doing(self) -> Sign:
        now = self.doing
        return now._replace(done=ended_of(self.scheduler, now.tasks)) if now.tasks else now

    def _see(self, sign: Sign) -> None:
        """Of the thread, which need not wait for the event loop."""
        self.doing = sign

    def _status(self) -> Status:
        if not self.ended:
            return Status.RUNNING
        if self.error is None and self.result is not None:
            return self.result.status
        return Status.STOPPED if isinstance(self.error, StoppedError) else Status.FAILED

    # In the thread.

    def _tell(self, **news: object) -> None:
        with contextlib.suppress(RuntimeError):  # the scheduler has closed its loop
            self._loop.call_soon_threadsafe(self._hear, news)

    def _run(self, payload: bytes) -> None:
        last: dict[str, Any] = {}
        try:
            with Client(
                self.scheduler.address,
                security=own_security(self.scheduler),
                set_as_default=False,
                direct_to_workers=True,
                name=f"daskem-{self.name}",
            ) as client:
                last = self._fit(loads(payload).on(client).watched(self._see), client)
        except BaseException as error:
            last = {"error": _portable(error)}
        finally:
            self._tell(**last, n_bytes=len(dumps(self._newest)), ended=True)

    def _fit(self, task: Task[Outcome], client: Client) -> dict[str, Any]:
        """Run the task; what is to be known of the job when it has ended."""
        keys = list(task.blocks.keys_on_cluster())
        self._tell(client=client.id, keys=keys, checkpoint=task.checkpoint)
        result = None
        try:
            results = task.results(f"on the scheduler {self.scheduler.address}")
            while not self.stopping and (newest := next(results, None)) is not None:
                result = self._newest = newest
                self._tell(result=result)
        except Exception:
            if not self.stopping:
                raise
        if not self.stopping:
            return {}
        return {"error": _too_early()} if result is None else {"result": result.stopped()}


def _too_early() -> StoppedError:
    return StoppedError("the fit was stopped before its first pass was complete")


def with_result(error: Exception, result: Outcome | None) -> Exception:
    """`error` with the result of the last complete pass, for whoever catches it."""
    vars(error)["result"] = result
    return error


def _portable(error: BaseException) -> Exception:
    """`error` as it can travel: pickled, with its traceback as a note, and free of its frames."""
    where = "".join(traceback.format_exception(error))
    try:
        copied = loads(dumps(error))
    except Exception:
        copied = None
    if not isinstance(copied, Exception):
        copied = RuntimeError(f"the fit was ended by {error!r:.1000}")
    copied.add_note(f"On the scheduler:\n{where}")
    return copied
