"""Names that Dask does not promise to keep: two files use them, and here is what they rely on.

Nothing here imports daskem, which may not be importable on the day that a name has moved.
"""

import ast
import inspect
import pickle
from operator import add
from pathlib import Path
from pkgutil import resolve_name
from time import sleep

import dask
import pytest
from distributed import (
    CancelledError,
    Client,
    LocalCluster,
    SchedulerPlugin,
    Security,
    futures_of,
    wait,
)
from imports import imports, modules

ROOT = Path(__file__).parents[1]
FENCES = {"daskem.data.cluster.graph", "daskem.running.scheduler"}
UNDOCUMENTED = {"dask.core", "dask.base.get_scheduler", "dask.layers", "distributed.scheduler"}
# What of a scheduler any file may look at.
PUBLIC = {"address"}


def call(*args, **options):
    return args, options


# Each name, with a call as it is made there.
CALLS = {
    "dask._task_spec:DataNode": call("key", 1),
    "dask._task_spec:GraphNode.__call__": call("self", {}),
    "dask._task_spec:Task": call("key", add, 1, 2),
    "dask._task_spec:TaskRef": call("key"),
    "dask._task_spec:convert_legacy_graph": call({}),
    "dask.base:get_scheduler": call(),
    "dask.core:flatten": call([]),
    "dask.delayed:Delayed": call("key", {}),
    "dask.layers:ArrayValuesDep": call(((1,),), {(0,): 1}),
    "distributed:Future.bind_client": call("self", "client"),
    "distributed:Scheduler.add_plugin": call("self", "plugin", name="name"),
    "distributed:Scheduler.client_desires_keys": call("self", keys=[], client="id"),
    "distributed:Scheduler.client_releases_keys": call("self", keys=[], client="id"),
    "distributed.scheduler:NoWorkerError": call("task", 1.0),
    "distributed:Scheduler.report": call("self", {}, client="id"),
}


def is_private(name):
    """Whether a full name is one of Dask's that it may change without saying so."""
    parts = name.split(".")
    if parts[0] not in {"dask", "distributed"}:
        return False
    outer = {".".join(parts[: i + 1]) for i in range(len(parts))}
    return any(part.startswith("_") for part in parts) or bool(outer & UNDOCUMENTED)


def private_imports(found):
    everything = {(module, name) for module, names in found.items() for name, _ in names}
    return {(module, name) for module, name in everything if is_private(name)}


def looks_inside(tree):
    """Attributes of schedulers that code looks at, besides those that are public."""
    owners = {"scheduler", "dask_scheduler"}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and getattr(node.value, "id", getattr(node.value, "attr", None)) in owners
    } - PUBLIC


def test_two_files_import_private_names_of_dask():
    everything = modules() | modules(ROOT / "tests") | modules(ROOT / "examples")
    assert {module for module, _ in private_imports(everything)} <= FENCES


def test_every_private_import_is_tried_here():
    known = {name.replace(":", ".") for name in CALLS}
    used = {name for _, name in private_imports(modules())}
    assert {name for name in used if not {name, f"{name}.__call__"} & known} == set()


def test_one_file_looks_inside_a_scheduler():
    inside = {
        str(path.relative_to(ROOT)): seen
        for path in (ROOT / "daskem").rglob("*.py")
        if (seen := looks_inside(ast.parse(path.read_text())))
    }
    assert set(inside) <= {"daskem/running/scheduler.py"}


@pytest.mark.parametrize(
    "code",
    ["import dask._x", "from dask import _x", "from dask.core import x", "def f(): import dask._x"],
)
def test_a_private_import_would_be_noticed(code):
    assert private_imports({"daskem.new": imports(ast.parse(code), "daskem.new", package=False)})
    assert looks_inside(ast.parse("self.scheduler.tasks, dask_scheduler.clients[0]"))


@pytest.mark.parametrize("name", CALLS)
def test_a_name_is_where_it_was_and_is_called_as_it_was(name):
    args, options = CALLS[name]
    inspect.signature(resolve_name(name)).bind(*args, **options)


def test_tasks_know_what_they_depend_on_and_are_called_with_it():
    spec = resolve_name("dask._task_spec")
    task = spec.Task(("y", 0), add, spec.TaskRef("x"), 1)
    assert set(task.dependencies) == {"x"}
    assert task({"x": 2}) == 3
    assert spec.DataNode("x", [2])({}) == [2]
    assert not spec.DataNode("x", [2]).dependencies


def test_graphs_of_any_form_become_nodes():
    spec = resolve_name("dask._task_spec")
    nodes = spec.convert_legacy_graph({"x": 1, "y": (add, "x", 1), "z": spec.DataNode("z", 3)})
    assert all(isinstance(node, spec.GraphNode) for node in nodes.values())
    assert isinstance(nodes["x"], spec.DataNode)
    assert nodes["y"]({"x": 1}) == 2


def test_keys_come_flat():
    flatten = resolve_name("dask.core:flatten")
    assert list(flatten([[("x", 0, 0)], [("x", 1, 0)]])) == [("x", 0, 0), ("x", 1, 0)]


def test_a_graph_of_nodes_can_be_computed_lazily():
    spec, delayed = resolve_name("dask._task_spec"), resolve_name("dask.delayed:Delayed")
    lazy = delayed("y", {"y": spec.Task("y", add, 1, 2)})
    assert (lazy.key, set(lazy.dask), lazy.compute(scheduler="sync")) == ("y", {"y"}, 3)


@pytest.fixture(scope="module")
def cluster():
    options = {"processes": False, "dashboard_address": None, "worker_dashboard_address": None}
    with LocalCluster(1, threads_per_worker=1, **options) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def other(cluster):
    """A second client of the same scheduler."""
    with Client(cluster, set_as_default=False) as client:
        yield client


def test_the_scheduler_of_graphs_is_a_method_of_the_current_client(client):
    assert resolve_name("dask.base:get_scheduler")().__self__ is client


def test_a_future_that_has_travelled_belongs_to_whom_it_is_bound(client, other):
    held = dask.delayed(add)(1, 2).persist()
    travelled = pickle.loads(pickle.dumps(held))
    (future,) = futures_of(travelled)
    future.bind_client(other)
    assert future.key in other.futures
    assert other.compute(travelled + 1).result(10) == 4


def wanted(client_id, dask_scheduler):
    return [task.key for task in dask_scheduler.clients[client_id].wants_what]


def test_keys_can_be_claimed_for_a_client(client, other):
    def claim(dask_scheduler):
        dask_scheduler.client_desires_keys(keys=[future.key], client=other_id)

    future, other_id = client.submit(add, 1, 2), other.id
    wait(future, 10)
    assert future.key in client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks])
    client.run_on_scheduler(claim)
    assert client.run_on_scheduler(wanted, other_id) == [future.key]


def test_keys_can_be_released_and_whoever_waits_is_told(client, other):
    def release(dask_scheduler):
        dask_scheduler.client_releases_keys(keys=[future.key], client=other_id)
        told = {"op": "cancelled-keys", "keys": [future.key], "reason": "enough"}
        dask_scheduler.report(told, client=other_id)

    future, other_id = other.submit(sleep, 0.5), other.id
    client.run_on_scheduler(release)
    with pytest.raises(CancelledError, match="enough"):
        future.result(10)
    assert client.run_on_scheduler(wanted, other_id) == []


def test_plugins_are_found_by_name(cluster):
    plugin = SchedulerPlugin()
    cluster.scheduler.add_plugin(plugin, name="ours")
    assert cluster.scheduler.plugins["ours"] is plugin


def test_a_scheduler_has_certificates_for_each_role(cluster):
    assert isinstance(cluster.scheduler.security, Security)
    roles = {"tls_client_cert", "tls_client_key", "tls_scheduler_cert", "tls_scheduler_key"}
    assert roles <= set(dir(cluster.scheduler.security))


def test_a_scheduler_tells_its_python(client):
    assert client.sync(client.scheduler.versions)["host"]["python"].split(".")[0] == "3"
