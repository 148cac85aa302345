"""Clusters that lose their workers or their scheduler: told by name, within a bounded time."""

import os
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from types import SimpleNamespace

import dask
import numpy as np
import pytest
from cluster import PATIENCE, bits, scheduler, workers
from distributed import Client, LocalCluster
from gate import MODEL, Dying, Gate
from samples import chunked

import daskem
from daskem.data.blocks import place
from daskem.data.inputs import as_blocks
from daskem.errors import (
    ClusterError,
    NoWorkersError,
    NoWorkersWarning,
    OpenClusterWarning,
    SchedulerLostError,
    StoppedError,
)

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
LIMIT = "distributed.scheduler.no-workers-timeout"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The file of a scheduler that has no workers but those that a test starts."""
    with scheduler(tmp_path_factory.mktemp("empty")) as file:
        yield file


@pytest.fixture
def client(empty):
    """The current client, of that cluster."""
    with Client(scheduler_file=str(empty)) as client:
        yield client
        deadline = time.monotonic() + PATIENCE
        while client.nthreads() and time.monotonic() < deadline:
            time.sleep(0.02)


@pytest.fixture
def counted(start):
    return {**start, "pass": np.array(0)}


def test_nothing_begins_without_workers(client, rows, start, monkeypatch):
    monkeypatch.setattr(import_module("daskem.data.cluster.waiting"), "_WAIT", 0.2)
    data, result = chunked(rows), daskem.fit(MODEL, rows, start=start, max_passes=1)
    for attempt in (
        lambda: daskem.fit(MODEL, data, start=start),
        lambda: daskem.submit(MODEL, data, start=start),
        lambda: daskem.submit(MODEL, rows, start=start),
        lambda: next(daskem.iterate(MODEL, data, start=start)),
        lambda: daskem.plan(MODEL, data, start=start),
        lambda: daskem.select(data, [1, 2]),
        lambda: result.score(data),
    ):
        with pytest.raises(NoWorkersError, match=r"tcp://.* has no workers, .*LocalCluster"):
            attempt()
    with pytest.warns(NoWorkersWarning, match="waits until one comes") as caught:
        result.predict(data)
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("always::daskem.errors.NoWorkersWarning")
def test_workers_that_go_on_the_way_are_told_and_not_waited_for_forever(
    empty, client, rows, counted, tmp_path, monkeypatch
):
    monkeypatch.setattr(import_module("daskem.data.cluster.waiting"), "_LOOK", 0.1)
    with workers(empty, 1, 1, "--no-nanny"):
        client.wait_for_workers(1, timeout=PATIENCE)
        fit = daskem.iterate(Dying(MODEL, tmp_path, [(1, 3)]), chunked(rows), start=counted)
        next(fit)
        with (
            dask.config.set({LIMIT: "300ms"}),
            pytest.warns(NoWorkersWarning, match="has no workers: what it is to compute waits"),
            pytest.raises(NoWorkersError, match=r"no workers any more, and none came in 300.* ms"),
        ):
            next(fit)


def test_workers_that_come_back_end_the_wait(empty, client, rows, counted, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("daskem.running.handle"), "PATIENCE", 0.2)
    expected = daskem.fit(
        MODEL, rows, start={k: counted[k] for k in MODEL.parameters}, max_passes=2
    )
    with workers(empty, 1, 1, "--no-nanny"):
        client.wait_for_workers(1, timeout=PATIENCE)
        model = Dying(MODEL, tmp_path, [(1, 3)])
        run = daskem.submit(model, chunked(rows), start=counted, max_passes=2)
        with pytest.warns(NoWorkersWarning, match="has no workers: what it is to compute waits"):
            waited_for(run, client)
    with workers(empty, 1, 1, "--no-nanny"):
        client.wait_for_workers(1, timeout=PATIENCE)
        np.testing.assert_allclose(run.result().params["means"], expected.params["means"])


def waited_for(run, client):
    """Wait until there is no worker any more, and for a while after that."""
    while client.nthreads():
        run.wait(timeout=0.1)
    run.wait(timeout=0.5)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://10.0.0.1:8786", True),
        ("tcp://head.example.org:8786", True),
        ("tcp://[2001:db8::1]:8786", True),
        ("ucx://10.0.0.1:8786", True),
        ("tls://10.0.0.1:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://127.0.1.1:8786", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
        ("inproc://10.0.0.1/1/1", False),
    ],
)
def test_a_cluster_that_others_reach_without_tls_is_warned_of_once(rows, address, told):
    client, blocks = SimpleNamespace(scheduler=SimpleNamespace(address=address)), as_blocks(rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            assert place(blocks, client) is blocks
    assert len(caught) == told
    if told:
        assert issubclass(caught[0].category, OpenClusterWarning)
        assert address in str(caught[0].message)


# Schedulers.


@pytest.fixture
def mortal(tmp_path):
    """The process of a scheduler that a test may kill or freeze."""
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(workers(file, 1, 1, "--no-nanny"))
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=1))
        client.wait_for_workers(1, timeout=PATIENCE)
        yield client.run_on_scheduler(os.getpid)


def test_a_scheduler_that_is_killed_is_told_at_once(mortal, rows, counted, tmp_path):
    pid, model, options = mortal, Gate(tmp_path, 1), {"start": counted, "max_passes": 3}
    walk = daskem.iterate(Gate(tmp_path), chunked(rows), **options)
    next(walk)
    kept = daskem.submit(model, chunked(rows), checkpoint=tmp_path / "kept", **options)
    model.reached(1)
    # The others wait for the worker.
    bare = daskem.submit(model, chunked(rows), **options)
    with ThreadPoolExecutor() as pool:
        fit = pool.submit(daskem.fit, model, chunked(rows), checkpoint=tmp_path / "fit", **options)
        here = pool.submit(next, walk)
        while not (tmp_path / "fit").exists():
            time.sleep(0.01)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        for path, lost in {"fit": fit.result, "kept": kept.result}.items():
            with pytest.raises(SchedulerLostError, match=rf"resume\('.*/{path}', data\) goes on"):
                lost()
        for lost in (lambda: kept.status, bare.wait, bare.stop):
            with pytest.raises(SchedulerLostError, match="its fits are lost"):
                lost()
        with pytest.raises(SchedulerLostError, match="fit again, or resume from a checkpoint"):
            here.result()
    assert time.monotonic() - began < 10  # Dask waits for 30 seconds, here once for each.
    model.open()
    with dask.config.set(scheduler="synchronous"):
        expected = daskem.fit(model, chunked(rows), **options)
        assert bits(daskem.resume(tmp_path / "kept", chunked(rows), model)) == bits(expected)


def test_a_frozen_scheduler_keeps_nobody_waiting(mortal, rows, counted, tmp_path, monkeypatch):
    pid, model = mortal, Gate(tmp_path, 1)
    run = daskem.submit(model, chunked(rows), start=counted, max_passes=2)
    model.reached(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not run.wait(timeout=0.5)
        for patience in ("SILENCE", "PATIENCE"):
            monkeypatch.setattr(import_module("daskem.running.handle"), patience, 0.5)
        for attempt in (lambda: run.status, run.wait, run.stop, lambda: next(iter(run))):
            with pytest.raises(SchedulerLostError, match=r"no answer in .*its fits are lost"):
                attempt()
        assert time.monotonic() - began < 25
    finally:
        os.kill(pid, signal.SIGCONT)
    model.open()
    assert run.wait(PATIENCE)


@pytest.mark.filterwarnings("ignore::daskem.errors.NoWorkersWarning")
def test_a_local_cluster_that_is_closed_during_a_fit(rows, counted, tmp_path):
    model, here = Gate(tmp_path, 1), {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    apart = {"processes": False, "protocol": "tcp", **here}
    local = LocalCluster(1, threads_per_worker=1, **apart)
    with local, Client(local), ThreadPoolExecutor() as pool:
        fit = pool.submit(daskem.fit, model, chunked(rows), start=counted, tol=0)
        model.reached(1)
        closing = pool.submit(local.close)
        model.open()
        with pytest.raises((ClusterError, StoppedError)):
            fit.result(PATIENCE)
        closing.result()
