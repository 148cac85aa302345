"""Bundles: partitions that are one task of a sum, where tasks would take longer than their work.

A task costs scheduler and worker some milliseconds, and one that waits for others costs more, as
messages wait for those before them. So partitions that lie in memory are summed where they lie, by
one task for each thread. Which of them are one task changes no bit: each has a sum of its own, and
these are added in the tree that they have in any case.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from dask.sizeof import sizeof
from dask.typing import Key
from distributed import Client

from daskem.data.cluster.asking import asked

# Bytes that may travel to all tasks of a sum, and from them, in any case: some milliseconds of a
# network; and for each second of the sum: a tenth of it, of a slow one.
_LIGHT, _LIGHT_IN_A_SECOND = 2**20, 2**23
# Seconds of a sum beside which its tasks cost little, and share out its work among unequal workers.
_SHORT = 0.5
# A bundle, at most, over what each thread has if all have the same: while it is less, one more task
# would cost more than it saves.
_UNEVEN = 1.4
# Seconds after which one looks again where partitions lie.
_LOOK = 1.0


class _Cost(NamedTuple):
    """What a sum has taken: seconds of the clock, and bytes of its value."""

    seconds: float
    n_bytes: int


@dataclass
class Bundles:
    """What the sums over some partitions have been like, by which the next ones are divided.

    Attributes
    ----------
    costs : dict of str to _Cost
        Of the last sum of each name.
    numbers : list of list of int
        Which partitions each bundle has; none where some partitions lie nowhere.
    looked : float
        When that was so.
    """

    costs: dict[str, _Cost] = field(default_factory=dict)
    numbers: list[list[int]] = field(default_factory=list)
    looked: float = -math.inf

    def of(self, name: str, client: Client, keys: Sequence[Sequence[Key]]) -> list[list[int]]:
        """The bundles for a sum of this name over partitions that are made of these keys.

        There are none where it is not known to be short, and light.
        """
        cost = self.costs.get(name)
        if cost is None or cost.seconds > _SHORT or cost.n_bytes * len(keys) > self.light(name):
            return []
        if monotonic() - self.looked > _LOOK:
            self.numbers, self.looked = _where_they_lie(client, keys), monotonic()
        return self.numbers

    def light(self, name: str) -> float:
        """Bytes that may travel to all tasks of a sum of this name, and from them."""
        return max(_LIGHT, _LIGHT_IN_A_SECOND * self.costs[name].seconds)

    def learn(self, name: str, seconds: float, total: Any) -> None:
        """Keep what the last sum of this name has taken, and how large its value was."""
        self.costs[name] = _Cost(seconds, sizeof(total))


def _where_they_lie(client: Client, keys: Sequence[Sequence[Key]]) -> list[list[int]]:
    """Partitions that lie on the same worker, divided among its threads.

    One that several workers hold goes to the one that has least to do.
    """
    rpc: Any = client.scheduler
    names = [name for of_one in keys for name in of_one]
    holders = asked(client, lambda: rpc.who_has(keys=names))
    threads = asked(client, client.nthreads)
    if not threads or not all(holders.get(name) for name in names):
        return []
    # The last key is of rows, or of what rides along; the first may be the recipe for them.
    held = [holders[of_one[-1]] for of_one in keys]
    of_worker: dict[str, list[int]] = {}
    for number in sorted(range(len(keys)), key=lambda n: len(held[n])):
        shares = {w: len(of_worker.get(w, ())) / threads.get(w, 1) for w in held[number]}
        of_worker.setdefault(min(shares, key=lambda w: (shares[w], w)), []).append(number)
    bundles, even = [], -(-len(keys) // sum(threads.values()))
    for worker, numbers in of_worker.items():
        numbers.sort()
        most = -(-len(numbers) // threads.get(worker, 1))
        # What one has much more of than others is cut for them to take.
        most = even if most > _UNEVEN * even else most
        bundles += [numbers[first : first + most] for first in range(0, len(numbers), most)]
    return bundles
