"""Where the loop runs: on the scheduler if it can, else in the calling process."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from distributed import Client

from daskem.data.blocks.local import LocalBlocks
from daskem.data.cluster import check_synchronous, current_client, seceded
from daskem.errors import ClusterError, SchedulerError
from daskem.running.end_warnings import kept, told
from daskem.running.handle import Handle, send, stopping
from daskem.running.jobs import with_result
from daskem.running.progress import Line, Progress, followed, shown
from daskem.running.task import OutcomeT, Task


@contextmanager
def running(task: Task[OutcomeT], progress: Progress = False) -> Iterator[Iterable[OutcomeT]]:
    """Run a task on the scheduler, or here; whatever interrupts the caller stops it.

    A line says how far it has come, where `progress` wants one.
    """
    with shown(progress) as line:
        try:
            handle: Handle[OutcomeT] | None = _sent(task, line)
        except SchedulerError as reason:
            handle, why = None, str(reason)
        # Outside of the except: what goes wrong in a fit here has nothing to do with why it is
        # here.
        if handle is None:
            task = task.watched(line.sign) if line.is_live else task
            yield followed(task.results(f"here: {why}"), line)
            return
        # Tracebacks keep the frames that they went through, and with them chunks on the cluster.
        del task
        with seceded(), stopping(handle):
            yield handle


def _sent(task: Task[OutcomeT], line: Line) -> Handle[OutcomeT]:
    if isinstance(task.blocks, LocalBlocks):
        raise SchedulerError("the data are in the memory of this process")
    if task.blocks.client is None:
        raise SchedulerError("no distributed client")
    return send(task, task.blocks.client, None, keep=False, line=line)


def submitted(task: Task[OutcomeT], client: Client, name: str | None) -> Handle[OutcomeT]:
    """A handle on a task that outlives this process, on the scheduler of a client."""
    # What the task has on the cluster stays there until the scheduler has claimed it.
    task = task.on(client)
    return send(task, client, name, keep=True)


def a_client() -> Client:
    """The current client, or ClusterError."""
    check_synchronous()
    client = current_client()
    if client is None:
        raise ClusterError(
            "submit needs a cluster, and there is no distributed client: make one, as in "
            "Client(scheduler_file=...), or use fit"
        )
    return client


def _exhausted(results: Iterable[OutcomeT]) -> OutcomeT:
    """The last of the results; what comes in between, an interrupt too, has the one before it."""
    last: OutcomeT | None = None
    try:
        for last in results:  # noqa: B007
            pass
    except KeyboardInterrupt as interrupt:
        kept(interrupt, None if last is None else last.stopped())
        raise
    except Exception as error:
        with_result(error, last)
        raise
    assert last is not None
    return last


def last_of(results: Iterable[OutcomeT], stacklevel: int) -> OutcomeT:
    """The last of the results, with a warning unless converged."""
    last = results.last() if isinstance(results, Handle) else _exhausted(results)
    told(last, stacklevel)
    return last
