"""Who computes, and with how much memory: what a plan, a cache and a refusal need to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from dask.base import get_scheduler
from dask.system import CPU_COUNT
from distributed import Client
from distributed.system import MEMORY_LIMIT


@dataclass(frozen=True)
class Machines:
    """The workers of a cluster, or the threads of this machine as one worker.

    Attributes
    ----------
    limits : sequence of int
        Bytes that each worker may use; for this machine, those that are free.
    threads : sequence of int
        Tasks that each runs at a time.
    local : bool
    """

    limits: Sequence[int]
    threads: Sequence[int]
    local: bool

    @property
    def name(self) -> str:
        return "this machine" if self.local else f"{len(self.limits)} workers"


def current_client() -> Client | None:
    """The client on which Dask would compute now."""
    client = getattr(get_scheduler(), "__self__", None)
    return client if isinstance(client, Client) else None


def machines() -> Machines:
    """What Dask would compute on now."""
    client = current_client()
    if client is None:
        return Machines([min(MEMORY_LIMIT, psutil.virtual_memory().available)], [CPU_COUNT], True)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return Machines(
        # A worker without a limit says 0.
        [worker["memory_limit"] or MEMORY_LIMIT for worker in workers],
        [worker["nthreads"] for worker in workers],
        False,
    )
