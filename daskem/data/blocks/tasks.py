"""The tasks of a pass: one for each partition and a tree, or a few for many partitions."""

import operator
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from dask.typing import Key
from distributed import Client

from daskem.core.statistics import FAN_IN, TreeSum
from daskem.data.blocks.partitions import load, run, run_each
from daskem.data.blocks.parts import Call, Parts
from daskem.data.cluster.graph import Delayed, Task, TaskRef, calling, dumps, node
from daskem.data.cluster.tree import Flat, plant_tree

# The graph of a pass is sent in pieces of this many partitions, whose sums are whole subtrees.
_AT_ONCE = FAN_IN**2


def subtree(number: int) -> slice:
    """Which of the partitions the subtree of this number adds up."""
    return slice(number * _AT_ONCE, (number + 1) * _AT_ONCE)


def subtrees(call: Call, parts: Parts, span: slice, tasks: str) -> Iterator[Delayed]:
    """The sums over `_AT_ONCE` partitions each, by `tasks` of that name."""
    work = f"{call.source or f'{call.name}-args'}-{uuid.uuid4().hex}"
    worker = node(work, partial(run, call.f, call.args), parts.sealed)
    chosen = list(zip(parts.sources, parts.keys, strict=True))[span]
    for first in range(0, len(chosen), _AT_ONCE):
        graph: dict[Key, Any] = {work: worker, **parts.shared}
        keys: list[Key] = []
        for i, (partition, names) in enumerate(chosen[first : first + _AT_ONCE], first):
            key = (tasks, i)
            graph.update(partition.dask)
            graph[key] = Task(key, operator.call, TaskRef(work), *map(TaskRef, names))
            keys.append(key)
        yield Delayed(plant_tree(graph, keys, parts.sealed), graph)


def together(call: Call, parts: Parts, span: slice, tasks: str, client: Client) -> Flat | None:
    """The sum by `tasks` of that name, each of which has the arguments, and one of the `Bundles`.

    None where there are none, or several subtrees, or so many arguments are not light.
    """
    sources, keys = parts.sources[span], parts.keys[span]
    bundles = parts.bundles.of(call.name, client, keys) if len(keys) <= _AT_ONCE else []
    if not bundles:
        return None
    graph: dict[Key, Any] = dict(parts.shared)
    names: list[Key] = []
    for i, bundle in enumerate(bundles):
        work = dumps(partial(run_each, call.f, call.args, [len(keys[n]) for n in bundle]))
        if len(work) * len(bundles) > parts.bundles.light(call.name):
            return None
        for n in bundle:
            graph.update(sources[n].dask)
        names.append((tasks, i))
        graph[names[i]] = calling(names[i], work, [name for n in bundle for name in keys[n]])
    return Flat(graph, names, partial(_total, [n for bundle in bundles for n in bundle]))


def _total(numbers: Sequence[int], sums: Iterable[Sequence[Any]]) -> Any:
    """The tree sum of what each bundle has, by the numbers of the partitions."""
    by_number = dict(zip(numbers, chain.from_iterable(sums), strict=True))
    tree: TreeSum[Any] = TreeSum()
    for n in sorted(by_number):
        tree.push(by_number[n])
    return tree.total()


def loading(parts: Parts) -> Iterator[Delayed]:
    """The blocks themselves of each partition."""
    token = uuid.uuid4().hex
    work = f"load-args-{token}"
    worker = node(work, load, parts.sealed)
    for i, (source, names) in enumerate(zip(parts.sources, parts.keys, strict=True)):
        key = (f"load-{token}", i)
        task = Task(key, operator.call, TaskRef(work), *map(TaskRef, names))
        yield Delayed(key, {**source.dask, **parts.shared, work: worker, key: task})
