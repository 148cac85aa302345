"""Who computes, and with how much memory: what a plan, a cache and a refusal need to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from dask.system import CPU_COUNT
from distributed import Client
from distributed.system import MEMORY_LIMIT

from daskem.data.cluster.graph import current_client

# The share of free memory that data may fill and still leave room for everything else; Dask begins
# to move data to disk when 0.6 of all memory is in use.
_SHARE = 0.5


@dataclass(frozen=True)
class Machines:
    """The workers of a cluster, or the threads of this machine as one worker.

    Attributes
    ----------
    limits, used : sequence of int
        Bytes that each worker may use, and that it uses now.
    threads : sequence of int
        Tasks that each runs at a time.
    local : bool
    """

    limits: Sequence[int]
    used: Sequence[int]
    threads: Sequence[int]
    local: bool

    @property
    def room(self) -> int:
        """Bytes of data that can be held besides."""
        return int(_SHARE * (sum(self.limits) - sum(self.used)))

    def __str__(self) -> str:
        return "this machine" if self.local else f"{len(self.limits)} workers"


def machines(client: Client | None = None) -> Machines:
    """What a client computes on, or else what Dask would compute on now."""
    client = client or current_client()
    if client is None:
        free = psutil.virtual_memory().available
        return Machines([MEMORY_LIMIT], [max(MEMORY_LIMIT - free, 0)], [CPU_COUNT], True)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return Machines(
        # A worker without a limit says 0.
        [worker["memory_limit"] or MEMORY_LIMIT for worker in workers],
        [worker["metrics"]["memory"] for worker in workers],
        [worker["nthreads"] for worker in workers],
        False,
    )
