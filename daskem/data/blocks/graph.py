"""Dask's graphs, and who computes them: the only file with names that Dask does not document.

tests/test_dask_names.py says which of them has moved when a new version of Dask breaks something.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dask.array as da
from dask._task_spec import DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.base import get_scheduler
from dask.core import flatten
from dask.delayed import Delayed
from dask.typing import Key
from distributed import Client, futures_of

__all__ = [
    "DataNode",
    "Delayed",
    "GraphNode",
    "Task",
    "TaskRef",
    "bind",
    "current_client",
    "evaluated",
    "keys_of",
    "nodes_of",
]


def keys_of(array: da.Array) -> list[Key]:
    """The keys of the chunks of an array, in their order."""
    return list(flatten(array.__dask_keys__()))


def nodes_of(graph: Mapping[Key, Any]) -> dict[Key, GraphNode]:
    """The tasks of a graph by their keys, in whichever form a graph holds them."""
    return convert_legacy_graph(graph)


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
    """The client that Dask would compute with now."""
    owner = getattr(get_scheduler(), "__self__", None)
    return owner if isinstance(owner, Client) else None
