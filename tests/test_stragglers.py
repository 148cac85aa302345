"""Workers that are stopped, or slow, in the middle of a pass: others do it, to the same bits."""

import asyncio
import gc
import os
import signal
import time
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from cluster import PATIENCE, bits, scheduler, workers
from distributed import Client
from faults import Fault, Faults, Struck, read_with
from gate import wait_for
from samples import chunked, overlapping

import daskem
from daskem.data.cluster.stragglers import Spare
from daskem.data.cluster.tree import _Sums
from daskem.data.inputs import as_blocks
from daskem.errors import DataReadError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
ROWS, SIZE = overlapping(600), 50
OPTIONS = {"random_state": 0, "tol": 0, "max_passes": 3, "algorithm": "em"}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The client of two workers."""
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(tmp_path_factory.mktemp("two")))
        for _ in range(2):
            # A task that is slow is to hold up no others.
            stack.enter_context(workers(file, 1, 2, "--no-nanny"))
        client = stack.enter_context(Client(scheduler_file=str(file)))
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Workers are looked at more often than every five seconds."""
    monkeypatch.setattr(import_module("daskem.data.cluster.waiting"), "_LOOK", 0.2)


def fitted(data, model, cache="none"):
    *_, result = daskem.iterate(model, data, 3, cache=cache, **OPTIONS)
    return result


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="synchronous"):
        return bits(fitted(chunked(ROWS, SIZE), Struck()))


# With what a worker has when it stops: recipes and blocks, parts of sums, the sum of all; and where
# one task has the blocks of all that lie there.
PLACES = [("before read", 1, "none"), ("tree", 1, "none"), ("gather", 2, "memory")]
PLACES += [("before e-step", 2, "memory")]


def test_a_worker_that_is_stopped_is_not_waited_for(two, tmp_path, expected, monkeypatch):
    monkeypatch.setattr(import_module("daskem.data.cluster.stragglers"), "_SILENT", 1.5)
    for number, (step, visit, cache) in enumerate(PLACES):
        (tmp_path / str(number)).mkdir()
        faults = Faults(str(tmp_path / str(number)), (Fault("stop", step, 0, visit),))
        found = fitted(read_with(ROWS, SIZE, faults), Struck(faults=faults), cache)
        (stopped,) = faults.stopped()
        stopped.resume()
        assert bits(found) == expected
        # It is as good as the other one again.
        assert len(two.nthreads()) == 2


def test_a_worker_that_is_silent_still_costs_later_passes_no_wait(
    two, tmp_path, expected, monkeypatch
):
    monkeypatch.setattr(import_module("daskem.data.cluster.stragglers"), "_SILENT", 1.5)
    faults = Faults(str(tmp_path), (Fault("stop", "before e-step", 0, 1),))
    model, data = Struck(faults=faults), read_with(ROWS, SIZE, faults)
    fit = daskem.iterate(model, data, 3, cache="none", **OPTIONS)
    next(fit)
    monkeypatch.setattr(import_module("daskem.data.cluster.waiting"), "_LOOK", 2 * PATIENCE)
    began = time.monotonic()
    *_, found = fit
    assert time.monotonic() - began < PATIENCE
    (stopped,) = faults.stopped()
    stopped.resume()
    assert bits(found) == expected


def test_a_task_that_takes_longer_than_all_others_is_done_elsewhere_too(
    two, tmp_path, expected, monkeypatch
):
    monkeypatch.setattr(import_module("daskem.data.cluster.stragglers"), "_LEAST", 0.5)
    try:
        found = fitted(slow_once(ROWS, tmp_path), Struck())
        assert (tmp_path / "slow").exists()
        assert not (tmp_path / "go").exists()
        assert bits(found) == expected
    finally:
        (tmp_path / "go").touch()


def test_a_worker_that_is_stopped_is_not_waited_for_when_all_are_asked(two, monkeypatch):
    stragglers = import_module("daskem.data.cluster.stragglers")
    monkeypatch.setattr(stragglers, "_SILENT", 1.5)
    monkeypatch.setattr(stragglers, "_ANSWER", 4.0)
    (one, pid), (other, own) = two.run(os.getpid).items()
    assert stragglers.of_each_worker(two, os.getpid) == {one: pid, other: own}
    errors = stragglers.of_each_worker(two, import_module, "nonsense")
    assert {type(error) for error in errors.values()} == {ModuleNotFoundError}
    os.kill(pid, signal.SIGSTOP)
    try:
        # It is not silent yet, and then it is known to be.
        for answer in (4.0, 2 * PATIENCE):
            monkeypatch.setattr(stragglers, "_ANSWER", answer)
            assert stragglers.of_each_worker(two, os.getpid) == {other: own}
        monkeypatch.setattr(stragglers, "silent", lambda client: set())
        monkeypatch.setattr(stragglers, "_ANSWER", 0.1)
        assert stragglers.of_each_worker(two, os.getpid) == {}
    finally:
        os.kill(pid, signal.SIGCONT)


def slow_once(rows, folder):
    chunks = da.from_array(rows, chunks=(SIZE, -1))
    return chunks.map_blocks(_slow, folder=folder, dtype=float, meta=np.empty((0, 0)))


def _slow(chunk: np.ndarray, folder: Path, block_info=None) -> np.ndarray:
    if block_info[0]["chunk-location"][0] == 3:
        try:
            os.close(os.open(folder / "slow", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return chunk
        wait_for(folder / "go")
    return chunk


def test_a_task_that_several_chunks_need_is_given_up_in_time(two, tmp_path):
    # Each stored chunk is cut in two.
    data = slow_once(ROWS, tmp_path).rechunk((SIZE // 2, -1))
    try:
        with (
            dask.config.set({"daskem.read-timeout": "700ms"}),
            pytest.raises(
                DataReadError,
                match=r"task .*_slow.*, which chunk 6, from row 150 .* need, has not",
            ),
        ):
            fitted(data, Struck())
        assert not (tmp_path / "go").exists()
    finally:
        (tmp_path / "go").touch()


def test_a_sum_is_begun_again_once_unless_those_are_gone_that_were_to_do_it(
    two, tmp_path, monkeypatch
):
    one, other = two.nthreads()
    begun, late = [], set()

    def subtree(number):
        begun.append(number)
        return dask.delayed(time.sleep)(1.0, pure=False)

    sums, spare = _Sums(two, sealed=False), Spare(subtree, "tasks", 1, late, [])
    sums.begin([two.submit(wait_for, tmp_path / "go", pure=False)])
    third = "tcp://127.0.0.1:1"
    steps = [(set(), [one, other], 0), ({one}, [one], 0), ({one}, [one, other], 1)]
    steps += [({one}, [one, other, third], 1), ({one}, [one, third], 2), (set(), [one, third], 2)]
    for slow, there, n in steps:

        async def nthreads(there=there):
            return dict.fromkeys(there, 1)

        monkeypatch.setattr(two, "nthreads", nthreads)
        sums.without(slow, spare)
        assert len(begun) == n
        assert len(sums.roots) == n + 1
        assert late == slow
    (tmp_path / "go").touch()
    for future in sums.futures:
        future.release()


def test_nothing_is_done_twice_while_all_are_at_work(two, expected, monkeypatch):
    """However long it takes, and however often one looks."""
    again = []
    monkeypatch.setattr(import_module("daskem.data.cluster.stragglers"), "_LEAST", 0.0)
    monkeypatch.setattr(import_module("daskem.data.cluster.waiting"), "_LOOK", 0.01)
    monkeypatch.setattr(Spare, "subtree", property(lambda self: again.append), raising=False)
    chunks = da.from_array(ROWS, chunks=(SIZE, -1))
    steady = chunks.map_blocks(_steady, dtype=float, meta=np.empty((0, 0)))
    assert bits(fitted(steady, Struck())) == expected
    assert not again


def _steady(chunk: np.ndarray) -> np.ndarray:
    time.sleep(0.2)
    return chunk


def test_small_sums_are_let_go_of_together_and_large_ones_at_once(two):
    gc.collect()  # Of what other tests have left.
    blocks, held = as_blocks(chunked(ROWS, SIZE)), []

    def n_futures():
        two.sync(asyncio.sleep, 0)  # What is let go of is so once the event loop hears of it.
        return len(two.futures)

    blocks.sum(_zeros, 2**16)
    none = n_futures()
    for _ in range(40):
        assert blocks.sum(_zeros, 1).shape == (1,)
        held.append(n_futures() - none)
    assert held[:3] == [1, 2, 3]
    assert max(held) <= 32
    blocks.sum(_zeros, 2**16)
    assert n_futures() == none
    blocks.sum(_zeros, 1)
    del blocks
    gc.collect()
    assert n_futures() == 0


def _zeros(block, n):
    return np.zeros(n)
