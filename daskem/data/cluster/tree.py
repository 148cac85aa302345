"""The tree in which the sums of the partitions are added: tasks of a graph, or of a client."""

import operator
import uuid
from collections.abc import Iterable
from typing import Any

import dask
from dask.typing import Key
from distributed import Client

from daskem.core.statistics import FAN_IN, Summand, TreeSum, add_all
from daskem.data.cluster.graph import Delayed, Task, TaskRef, current_client, node
from daskem.data.cluster.waiting import awaited


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


def tree_sum(subtrees: Iterable[Delayed], client: Client | None, sealed: bool = False) -> Any:
    """The sum of `subtrees`, which `client`, or else what Dask computes on by default, makes.

    If `sealed`, the scheduler need not open what it adds them by; see `node`.
    """
    client = client or current_client()
    if client is None:
        tree: TreeSum[Any] = TreeSum()
        for part in dask.compute(*subtrees, traverse=False):
            tree.push(part)
        return tree.total()
    # Workers begin with the first one while the scheduler still takes in the others, each of
    # which comes after those before it (a generation of its own).
    level = [client.compute(one, fifo_timeout=0) for one in subtrees]
    adder = f"add-{_name()}"
    add = client.compute(Delayed(adder, {adder: node(adder, _add_all, sealed)}))
    futures = [*level, add]
    try:
        while len(level) > 1:
            groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [client.submit(operator.call, add, *group, key=_name()) for group in groups]
            futures += level
        return awaited(level[0], client)
    finally:
        # Else whoever keeps the traceback of a failure keeps the rest of the pass going.
        for future in futures:
            future.release()


def _name() -> str:
    return f"reduce-{uuid.uuid4().hex}"


def _add_all(*parts: Summand) -> Summand:
    return add_all(parts)
