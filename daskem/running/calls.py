"""What a client asks of the scheduler about its fits, by `Client.run_on_scheduler`.

A fit is meant by its name and its number, 0 for whichever has the name now. All of it runs on the
event loop of the scheduler. What was asked wrongly is an answer there, which
the client raises: an error would leave a traceback in the log of the scheduler.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from distributed import Scheduler
from distributed.protocol.pickle import dumps

from daskem.errors import DaskemError
from daskem.running.jobs import PATIENCE, Job, Stand, with_result
from daskem.running.roster import jobs_of

P = ParamSpec("P")
T = TypeVar("T")


def _answering(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T | DaskemError]]:
    """`function`, which returns the errors of daskem that it would raise."""

    @functools.wraps(function)
    async def answered(*args: P.args, **options: P.kwargs) -> T | DaskemError:
        try:
            return await function(*args, **options)
        except DaskemError as refusal:
            return refusal

    return answered


@_answering
async def reserve(name: str, number: int, owner: str, dask_scheduler: Scheduler) -> int:
    """Take `name` for a fit that `owner` is about to send; returns its number."""
    job = Job(name, owner, dask_scheduler)
    jobs_of(dask_scheduler).add(job)
    return job.number


@_answering
async def begin(
    name: str, number: int, payload: bytes, keep: bool, dask_scheduler: Scheduler
) -> str | None:
    """Start the fit; to `keep` it is to let it outlive its owner. Returns why it cannot start."""
    job = jobs_of(dask_scheduler).find(name, number)
    if job.stopping:
        return "it was stopped"
    refusal = await job.start(payload)
    if refusal is not None:
        del jobs_of(dask_scheduler).by_name[name]
    elif keep:
        job.owner = None
    return refusal


@_answering
async def watch(
    name: str, number: int, passes: int, patience: float, dask_scheduler: Scheduler
) -> Stand:
    """How a job stands, once it has made more than `passes` passes or `patience` is over."""
    job = jobs_of(dask_scheduler).find(name, number)
    await job.wait(passes, min(patience, PATIENCE))
    return job.stand()


@_answering
async def fetch(name: str, number: int, dask_scheduler: Scheduler) -> bytes:
    """Pickled: the passes a job has made, and its last result or the error that ended it."""
    job = jobs_of(dask_scheduler).find(name, number)
    outcome = job.result if job.error is None else with_result(job.error, job.result)
    content = await asyncio.to_thread(dumps, (job.passes, outcome))
    job.fetched = job.ended
    return content


@_answering
async def halt(name: str, number: int, dask_scheduler: Scheduler) -> None:
    """Make a job stop; its pass is abandoned."""
    jobs_of(dask_scheduler).find(name, number).stop()
