"""Workers that keep a sum waiting: which they are, and how it is summed without them.

Nobody is blamed: a worker that is stopped, or cut off, or slow, is left to itself, and what it is
at is done by others as well, under other keys. Dask gives one up that has been silent for five to
ten minutes ("distributed.scheduler.worker-ttl"), and one that is slow never.
"""

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from dask.typing import Key
from distributed import Client, Future

from daskem.data.cluster.asking import SilentError, asked
from daskem.data.cluster.graph import Delayed

# Seconds without a sign of life from a worker, while others give one: theirs come every half
# second, and every five from a thousand workers. Some tasks let a worker give none for a while.
_SILENT = 15.0
# Seconds in which a worker answers a question, unless it is silent.
_ANSWER = 20.0
# Seconds that the last tasks of a sum get in any case.
_LEAST = 10.0


class Spare(NamedTuple):
    """How a part of a sum is made once more, of nothing that lies on workers already if possible.

    Attributes
    ----------
    subtree : callable
        The sum over some partitions, by its number, under other keys.
    tasks : str
        What the scheduler calls the tasks of the partitions.
    of : int
        How many of these there are.
    late : set of str
        The workers that have kept the last sum waiting: the next one looks at once whether they are
        still there and silent, and keeps this up to date.
    held : list of Future
        Of sums that are over, which are not let go of yet.
    """

    subtree: Callable[[int], Delayed]
    tasks: str
    of: int
    late: set[str]
    held: list[Future]


class Siblings:
    """The tasks of a sum that are at work, and since when they are the same.

    They are late once all of them are with workers that are silent, or nothing happens beside such;
    or once others have nothing to do for as long as all the rest of the sum has taken, as so long
    it may take to do them again.
    """

    def __init__(self, spare: Spare) -> None:
        self._spare = spare
        self._began = self._changed = monotonic()
        self._left: set[tuple[str, Key]] = set()

    def late(self, client: Client) -> set[str]:
        """The addresses of the workers that they are late on."""
        quiet, working = silent(client), asked(client, client.processing)
        left = {(worker, key) for worker, keys in working.items() for key in keys if self._is(key)}
        now = monotonic()
        if left != self._left:
            self._left, self._changed = left, now
        waited, before = now - self._changed, self._changed - self._began
        where = {worker for worker, _ in left}
        if quiet and (where <= quiet or waited >= _SILENT):
            return quiet
        # Who has nothing to do would have what waits, if anything did.
        nothing_waits = not all(working.values()) and 2 * len(left) <= self._spare.of
        return where if nothing_waits and waited >= max(before, _LEAST) else set()

    def _is(self, key: Key) -> bool:
        return isinstance(key, tuple) and key[0] == self._spare.tasks


def silent(client: Client) -> set[str]:
    """The addresses of workers that have given no sign of life for a while."""
    rpc: Any = client.scheduler
    workers = asked(client, lambda: rpc.identity(n_workers=-1))["workers"]
    latest = max((worker["last_seen"] for worker in workers.values()), default=0.0)
    return {a for a, worker in workers.items() if latest - worker["last_seen"] > _SILENT}


def of_each_worker(client: Client, f: Callable[..., Any], *args: object) -> Mapping[str, Any]:
    """What ``f(*args)`` returns on each of the workers, by address; or the error that it ends by.

    Workers that do not answer are not among them.
    """
    for _ in range(2):  # Who has just been stopped is silent by the second time.
        workers = list(set(asked(client, client.nthreads)) - silent(client))
        question = partial(client.run, f, *args, workers=workers, on_error="return")
        try:
            return {} if not workers else asked(client, question, _ANSWER)
        except SilentError:
            continue
    return {}
