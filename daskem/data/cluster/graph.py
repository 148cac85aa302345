"""Dask's graphs, and who computes them: the only file with names that Dask does not document.

tests/test_dask_names.py says which of them has moved when a new version of Dask breaks something.
"""

import contextlib
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pickle import loads
from typing import Any

import dask.array as da
from dask import threaded
from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.base import get_scheduler
from dask.core import flatten
from dask.delayed import Delayed
from dask.layers import ArrayValuesDep
from dask.typing import Key
from distributed import Client, futures_of, rejoin, secede
from distributed.protocol.pickle import dumps
from distributed.scheduler import NoWorkerError

from daskem.errors import ClusterError

__all__ = [
    "ArrayValuesDep",
    "DataNode",
    "Delayed",
    "GraphNode",
    "NoWorkerError",
    "Task",
    "TaskRef",
    "bind",
    "calling",
    "check_reachable",
    "check_synchronous",
    "current_client",
    "dumps",
    "evaluated",
    "keys_of",
    "node",
    "nodes_of",
    "seceded",
]


def keys_of(array: da.Array) -> list[Key]:
    """The keys of the chunks of an array, in their order."""
    return list(flatten(array.__dask_keys__()))


def nodes_of(graph: Mapping[Key, Any]) -> dict[Key, GraphNode]:
    """The tasks of a graph by their keys, in whichever form a graph holds them."""
    return convert_legacy_graph(graph)


def node(key: Key, value: object, sealed: bool) -> GraphNode:
    """A task with this value; if `sealed`, as bytes that workers open, and no scheduler has to."""
    return Task(key, loads, dumps(value)) if sealed else DataNode(key, value)


def calling(key: Key, payload: bytes, names: Iterable[Key]) -> Task:
    """A task that calls a function with the values of `names`; workers unpickle it."""
    return Task(key, operator.call, Task(None, loads, payload), *map(TaskRef, names))


def evaluated(node: GraphNode, values: Mapping[Key, Any]) -> Any:
    """What a task makes of the values of those it depends on."""
    return node({name: values[name] for name in node.dependencies})


def bind(arrays: Iterable[da.Array], client: Client | None) -> list[Key]:
    """Make `client` hold all that lies on its cluster already, and return the keys of that."""
    futures = futures_of(list(arrays))
    for future in futures:
        future.bind_client(client)
    return list({future.key for future in futures})


def current_client() -> Client | None:
    """The client that Dask would compute with now; one that is asynchronous here is none."""
    if _is_asynchronous():
        return None
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if isinstance(owner, Client) else None


def _is_asynchronous() -> bool:
    """Whether the current client cannot be waited for here, as on the loop that it runs on."""
    try:
        return bool(Client.current().asynchronous)
    except ValueError:
        return False


def check_synchronous() -> None:
    """Raise ClusterError if the current client is one that cannot be waited for here."""
    if _is_asynchronous():
        raise ClusterError(
            "the current client is asynchronous, and what is asked of Dask data waits for it: ask "
            "in a thread, as in await asyncio.to_thread(model.fit, data), or use a client that is "
            "not"
        )


def check_reachable(array: da.Array) -> None:
    """Raise ClusterError if an array is computed by, or lies on, what cannot be reached from here.

    An array that is not computed yet needs a client that can be waited for; what was persisted
    needs its cluster.
    """
    check_synchronous()
    lost = [f for f in futures_of([array]) if f.status in ("cancelled", "lost")]
    if lost:
        raise ClusterError(
            f"{len(lost):,} pieces of the data were persisted on a cluster that is gone, or whose "
            "client is closed: open the data again, and persist them on the current one"
        )


def _forget_threads() -> None:
    """Forget threads of Dask that a forked process has not, and would wait for in vain."""
    threaded.default_pool = None
    threaded.pools.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_threads)


@contextlib.contextmanager
def seceded() -> Iterator[None]:
    """Inside a task of a worker, give its thread to other tasks while this one waits for them."""
    try:
        secede()
        left = True
    except Exception:  # Not in a task, or it has seceded already.
        left = False
    # Out of the handler, as what fails here is no consequence of that.
    try:
        yield
    finally:
        if left:
            rejoin()
