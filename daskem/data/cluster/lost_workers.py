"""What it means that workers or the cluster are lost, which Dask leaves to guess."""

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import CancelledError, Client, KilledWorker
from distributed.client import ClosedClientError

from daskem.data.cluster.asking import address_of
from daskem.errors import ClusterError, SchedulerLostError


@contextmanager
def reached(client: Client | None) -> Iterator[None]:
    """Raise ClusterError where a computation on the cluster of `client` is lost; says why."""
    try:
        if client is not None and client.status in ("closing", "closed"):
            raise ClosedClientError("the client was closed")
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"one worker after the other died of what many chunks need ({error!s:.200}). Most "
            "likely it does not fit in their memory: give workers more"
        ) from error
    except (ClosedClientError, CancelledError) as error:
        if client is None:
            raise
        if client.status == "connecting":
            raise SchedulerLostError(
                f"the scheduler at {address_of(client)} was lost during a pass "
                f"({error!r:.200}): fit again, or resume from a checkpoint"
            ) from error
        raise ClusterError(
            f"what the fit had on the cluster is lost ({error!r:.200}): the client was closed, "
            "the cluster restarted, or the only worker with a piece of persisted or scattered "
            "data died. Fit again, from the last result if you have one"
        ) from error
