"""The tree in which the sums of the partitions are added: tasks of a graph, or of a client."""

import operator
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import dask
from dask.sizeof import sizeof
from dask.typing import Key
from distributed import Client, Future

from daskem.core.statistics import FAN_IN, Summand, TreeSum, add_all
from daskem.data.cluster.asking import asked
from daskem.data.cluster.graph import Delayed, Task, TaskRef, current_client, node
from daskem.data.cluster.stragglers import Siblings, Spare, silent
from daskem.data.cluster.waiting import Attempt, awaited

# Sums of passes that are over, up to so many, and of so few bytes, are let go of together: a client
# is silent for ten milliseconds after each message, and the next pass would have to wait.
_FEW, _SMALL = 32, 2**16


class Flat(NamedTuple):
    """Tasks of which none waits for another, and how their values become the sum.

    Attributes
    ----------
    graph : dict
    keys : list of keys
        Of the tasks whose values are wanted.
    total : callable
        The sum, of all values.
    """

    graph: dict[Key, Any]
    keys: list[Key]
    total: Callable[[Sequence[Any]], Any]


def plant_tree(graph: dict[Key, Any], keys: list[Key], sealed: bool = False) -> Key:
    """Add to `graph` the tree sum of `keys` by groups of neighbours, and return its root."""
    name, level = _name(), 0
    adder = f"add-{name}"
    # A single key needs none.
    if len(keys) > 1:
        graph[adder] = node(adder, _add_all, sealed)
    while len(keys) > 1:
        groups = [keys[i : i + FAN_IN] for i in range(0, len(keys), FAN_IN)]
        keys = [(name, level, i) for i in range(len(groups))]
        for key, group in zip(keys, groups, strict=True):
            graph[key] = Task(key, operator.call, TaskRef(adder), *map(TaskRef, group))
        level += 1
    return keys[0]


def tree_sum(
    subtrees: Iterable[Delayed],
    client: Client | None,
    sealed: bool = False,
    spare: Spare | None = None,
) -> Any:
    """The sum of `subtrees`, which `client`, or else what Dask computes on by default, makes.

    If `sealed`, the scheduler need not open what it adds them by; see `node`. Where workers keep it
    waiting, it is made without them as well if `spare` says how, and the first sum counts.
    """
    client = client or current_client()
    if client is None:
        tree: TreeSum[Any] = TreeSum()
        for part in dask.compute(*subtrees, traverse=False):
            tree.push(part)
        return tree.total()
    sums = _Sums(client, sealed)
    return _total(sums, lambda: sums.plant(subtrees), spare)


def flat_sum(flat: Flat, client: Client, sealed: bool, spare: Spare) -> Any:
    """The same without a tree of tasks, where `spare` has one subtree."""
    sums = _Sums(client, sealed)
    return _total(sums, lambda: sums.spread(flat), spare)


def _total(sums: "_Sums", begin: Callable[[], None], spare: Spare | None) -> Any:
    """What `sums` come to that are to begin so."""
    client = sums.client
    try:
        begin()
        siblings = None if spare is None else Siblings(spare)

        def look() -> None:
            if spare is not None and siblings is not None:
                sums.without(siblings.late(client), spare)

        if spare is not None and spare.late:
            sums.without(spare.late & silent(client), spare)
        total = awaited(sums.roots, client, look)
    except BaseException:
        # Else whoever keeps the traceback of a failure keeps the rest of the pass going.
        _release(sums.futures)
        raise
    held = [] if spare is None else spare.held
    held += sums.futures
    if spare is None or len(held) > _FEW or sizeof(total) > _SMALL:
        _release(held)
    return total


def _release(futures: list[Future]) -> None:
    while futures:
        futures.pop().release()


class _Sums:
    """The same sum on its way, once, and again for workers that keep it waiting.

    Attributes
    ----------
    client : Client
    roots : list of Attempt
        What is waited for.
    futures : list of Future
        All that there is on the cluster.
    """

    def __init__(self, client: Client, sealed: bool) -> None:
        self.client, self._sealed = client, sealed
        self.roots: list[Attempt] = []
        self.futures: list[Future] = []
        self._leaves: list[Future | None] = []
        self._late: set[str] = set()
        self._others: set[str] = set()

    def plant(self, subtrees: Iterable[Delayed]) -> None:
        """Have subtrees made, and add them up."""
        # Workers begin with the first one while the scheduler still takes in the others, each of
        # which comes after those before it (a generation of its own).
        self.begin([self.client.compute(one, fifo_timeout=0) for one in subtrees])

    def spread(self, flat: Flat) -> None:
        """Have the tasks of the only subtree done, of which there is no future then."""
        futures = self.client.get(flat.graph, flat.keys, sync=False, fifo_timeout=0)
        self._leaves = [None]
        self.futures += futures
        self.roots.append(Attempt(futures, flat.total))

    def begin(self, leaves: Sequence[Future], workers: Sequence[str] | None = None) -> None:
        """Add up what has been submitted, on these workers or on any."""
        level = list(leaves)
        self._leaves = [*level]
        self.futures += level
        add = None if len(level) == 1 else self._adder(workers)
        while len(level) > 1:
            groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [
                self.client.submit(operator.call, add, *group, key=_name(), workers=workers)
                for group in groups
            ]
            self.futures += level
        self.roots.append(Attempt(level, add_all))

    def _adder(self, workers: Sequence[str] | None) -> Future:
        """What adds a group, as the value of a task."""
        adder = f"add-{_name()}"
        planted = Delayed(adder, {adder: node(adder, _add_all, self._sealed)})
        add = self.client.compute(planted, workers=workers)
        self.futures.append(add)
        return add

    def without(self, late: set[str], spare: Spare) -> None:
        """Begin once more what `late` workers have, or have not done.

        Once for all that are late, unless those are gone that were to do it.
        """
        client = self.client
        spare.late.clear()
        spare.late.update(late)
        others = [worker for worker in asked(client, client.nthreads) if worker not in late]
        begun = late <= self._late and not self._others.isdisjoint(others)
        if not late or not others or begun:
            return
        self._late, self._others = self._late | late, set(others)
        made = [leaf for leaf in self._leaves if leaf is not None]
        where = asked(client, lambda: client.who_has(made))
        leaves = []
        for number, leaf in enumerate(self._leaves):
            if leaf is None or set(where.get(leaf.key, ())) <= late:
                again = spare.subtree(number)
                leaf = client.compute(again, workers=others, fifo_timeout=0)
            leaves.append(leaf)
        self.begin(leaves, others)


def _name() -> str:
    return f"reduce-{uuid.uuid4().hex}"


def _add_all(*parts: Summand) -> Summand:
    return add_all(parts)
