"""The inside of a Dask scheduler: the only file that uses what that does not promise to keep.

tests/test_dask_names.py says which name has moved when a new version of Dask breaks something. All
of it is to be called on the event loop of the scheduler.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from distributed import Scheduler, SchedulerPlugin

P = TypeVar("P", bound=SchedulerPlugin)


def knows(scheduler: Scheduler, keys: Iterable[Any]) -> bool:
    """Whether all of `keys` have come to the scheduler."""
    return all(key in scheduler.tasks for key in keys)


def hold(scheduler: Scheduler, client: str, keys: list[Any]) -> None:
    """Keep what `keys` name for a client, by its id."""
    scheduler.client_desires_keys(keys=keys, client=client)


def release(scheduler: Scheduler, client: str, reason: str) -> None:
    """Let go of all that a client holds; whoever waits for it there is told why."""
    state = scheduler.clients.get(client)
    if state is None:
        return
    keys = [task.key for task in state.wants_what]
    scheduler.client_releases_keys(keys=keys, client=client)
    scheduler.report({"op": "cancelled-keys", "keys": keys, "reason": reason}, client=client)


def n_workers(scheduler: Scheduler) -> int:
    """How many workers there are."""
    return len(scheduler.workers)


def ended_of(scheduler: Scheduler, name: str) -> int:
    """How many of the tasks of this name have ended; 0 where the scheduler knows none."""
    group = scheduler.task_groups.get(name)
    states = {} if group is None else group.states
    return sum(states.get(state, 0) for state in ("memory", "released", "forgotten"))


def plugin(scheduler: Scheduler, name: str, make: Callable[[], P]) -> P:
    """The plugin called `name`, made where there is none yet."""
    if name not in scheduler.plugins:
        scheduler.add_plugin(make(), name=name)
    return cast(P, scheduler.plugins[name])


def own_security(scheduler: Scheduler) -> Any:
    """What a client inside the scheduler shows to others: the scheduler's own certificate."""
    security: Any = copy.copy(scheduler.security)
    if security.tls_client_cert is None:
        security.tls_client_cert = security.tls_scheduler_cert
        security.tls_client_key = security.tls_scheduler_key
    return security
