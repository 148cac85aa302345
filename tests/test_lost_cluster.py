"""Clusters that lose their workers or their scheduler: told by name, within a bounded time."""

import time
from importlib import import_module

import dask
import numpy as np
import pytest
from cluster import PATIENCE, scheduler, workers
from distributed import Client
from gate import MODEL, Dying
from samples import chunked

import daskem
from daskem.errors import NoWorkersError, NoWorkersWarning

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
    monkeypatch.setattr(import_module("daskem.data.blocks.waiting"), "_WAIT", 0.2)
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
    monkeypatch.setattr(import_module("daskem.data.blocks.waiting"), "_LOOK", 0.1)
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
