"""The loop on the scheduler: the same bits as here, and it outlives whoever started it."""

import asyncio
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pytest
from cluster import PATIENCE, bits, running, scheduler, workers
from distributed import Client, LocalCluster, Security
from gate import MODEL, Gate
from samples import chunked

import daskem
from daskem import Status
from daskem.data.blocks import placement
from daskem.data.cluster import resources
from daskem.errors import ClusterError, DataError, ParameterError, SchedulerError, StoppedError
from daskem.running.handle import Handle
from daskem.running.jobs import Job
from daskem.running.preparing import prepare

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
ENDLESS = {"tol": 0, "max_passes": 100_000}


class Odd:
    """A model that fails in a way of its own, on the scheduler."""

    def e_step(self, block, params):
        return {"log_likelihood": 0.0}

    def m_step(self, statistics, params):
        raise ZeroDivisionError("of the M step")


@pytest.fixture
def counted(start):
    return {**start, "pass": np.array(0)}


@pytest.fixture
def gate(tmp_path):
    gates = []

    def make(*at):
        gates.append(Gate(tmp_path, *at))
        return gates[-1]

    yield make
    for each in gates:
        each.open()


def here(*args, **options):
    with dask.config.set(scheduler="synchronous"):
        result = daskem.fit(*args, **options)
    assert result.coordinator.startswith("here: ")
    return result


def on_the_scheduler(result) -> bool:
    return result.coordinator.startswith("on the scheduler tcp://")


def left_on(client):
    """Tasks on the scheduler, and fits that run."""

    def look(dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"].by_name.values()
        return len(dask_scheduler.tasks), [job.name for job in fits if not job.ended]

    return client.run_on_scheduler(look)


def script(file: Path, folder: Path, call: str, *at: int) -> str:
    """A program that makes the data and the gate of these tests, and calls."""
    return f"""
import signal, numpy as np, dask.array as da, daskem
from pathlib import Path
from distributed import Client
from gate import Gate
if __name__ == "__main__":
    # Where the tests run in the background, the shell has had Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = np.load({str(folder / "rows.npy")!r})
    start = dict(np.load({str(folder / "start.npz")!r}))
    data = da.from_array(rows, chunks=(150, -1))
    model = Gate(Path({str(folder)!r}), *{at})
    client = Client(scheduler_file={str(file)!r})
    {call}
"""


@pytest.fixture
def program(tmp_path, rows, counted, scheduler_file):
    """Run a call in a process of its own."""
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "start.npz", **counted)

    def run(call, *at):
        code = script(scheduler_file, tmp_path, call, *at)
        return running([sys.executable, "-c", code], tmp_path)

    return run


# Where it runs.


def test_the_scheduler_gives_the_same_bits_as_here(client, rows, start):
    options = {"start": start, "random_state": 0, "tol": 1e-3}
    expected = here(MODEL, chunked(rows), **options)
    there = daskem.fit(MODEL, chunked(rows), **options)
    assert on_the_scheduler(there)
    assert bits(there) == bits(expected)
    assert there.status is expected.status is Status.CONVERGED
    *_, last = daskem.iterate(MODEL, chunked(rows), **options)
    assert last.coordinator.startswith("here: iterate")
    assert bits(last) == bits(expected)
    estimator = daskem.GaussianMixture(3, random_state=0).fit(chunked(rows))
    assert on_the_scheduler(estimator.result_)
    assert bits(estimator.result_) == bits(here(MODEL, chunked(rows), 3, random_state=0))
    assert left_on(client) == (0, [])


def test_a_prepared_fit_is_the_same_in_another_process(rows):
    fit = prepare(MODEL, chunked(rows), 3, n_init=2, random_state=np.random.default_rng(5))
    with dask.config.set(scheduler="synchronous"):
        *_, once = fit.results("")
        *_, again = pickle.loads(pickle.dumps(fit)).results("")
    assert bits(once) == bits(again)


def test_a_warning_is_the_callers(client, rows, start):
    with pytest.warns(daskem.errors.ConvergenceWarning) as caught:
        daskem.fit(MODEL, chunked(rows), start=start, max_passes=1)
    assert caught[0].filename == __file__


@pytest.fixture(scope="module")
def foreigner(tmp_path_factory):
    """The client of a cluster whose scheduler has no daskem."""
    folder = tmp_path_factory.mktemp("foreigner")
    (folder / "none.py").write_text("import sys; sys.modules['daskem'] = None")
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(folder, "--preload", str(folder / "none.py")))
        stack.enter_context(workers(file, 1, 1, "--no-nanny"))
        yield stack.enter_context(Client(scheduler_file=str(file), set_as_default=False))


def test_a_fit_runs_here_where_the_scheduler_has_no_daskem(foreigner, rows, start, monkeypatch):
    foreigner.wait_for_workers(1, timeout=PATIENCE)
    options = {"n_components": 3, "start": start, "max_passes": 3, "random_state": 0}
    expected = here(MODEL, chunked(rows), **options)
    with foreigner.as_current():
        for cache in ("none", "memory"):
            found = daskem.fit(MODEL, chunked(rows), cache=cache, **options)
            assert found.coordinator.startswith("here: the scheduler cannot import daskem")
            assert bits(found) == bits(expected)
        score = found.score(chunked(rows))
        with dask.config.set(scheduler="synchronous"):
            assert score == expected.score(chunked(rows))
        with pytest.raises(SchedulerError, match="cannot import daskem"):
            daskem.submit(MODEL, chunked(rows), start=start)
        monkeypatch.setattr("daskem.data.cluster.tree.FAN_IN", 2)
        monkeypatch.setattr("daskem.data.blocks.tasks._AT_ONCE", 4)
        assert daskem.fit(MODEL, chunked(rows), **options).converged == expected.converged


def test_a_scheduler_of_another_python_or_daskem(foreigner, rows, start, monkeypatch):
    # By value, as this module imports daskem.
    def pretend():
        sys.modules["daskem"] = SimpleNamespace(__version__="0.0", __path__=[])

    with foreigner.as_current():
        foreigner.run_on_scheduler(pretend)
        with pytest.raises(SchedulerError, match=r"has daskem 0\.0, this process"):
            daskem.submit(MODEL, chunked(rows), start=start)
        # Nothing is sent by value then: the code of one Python is not that of another.
        monkeypatch.setattr("daskem.data.cluster.asking.python_version", lambda: "3.99.0")
        monkeypatch.setattr(Client, "run_on_scheduler", None)
        found = daskem.fit(MODEL, chunked(rows), start=start, max_passes=1)
    assert found.coordinator.startswith("here: the scheduler runs Python 3.")


def test_a_model_that_cannot_be_pickled_stays_here(client, rows, start):
    class Local:
        def e_step(self, block, params):
            return MODEL.e_step(block, params)

        def m_step(self, statistics, params):
            return MODEL.m_step(statistics, params)

    algorithm = daskem.EM()
    object.__setattr__(algorithm, "lock", ThreadPoolExecutor(1))
    kept = daskem.fit(MODEL, chunked(rows), start=start, max_passes=1, algorithm=algorithm)
    assert kept.coordinator.startswith("here: the fit cannot be pickled")
    # One that was defined in a notebook, or in a function, goes by value.
    assert on_the_scheduler(daskem.fit(Local(), chunked(rows), start=start, max_passes=1))


# Submitting.


def test_a_fit_outlives_the_process_that_submitted_it(client, rows, counted, gate, program):
    model = gate(2)
    call = "daskem.submit(model, data, start=start, name='survivor', max_passes=4, random_state=0)"
    with program(call + "; import time; time.sleep(60)", 2) as process:
        model.reached(2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        run = daskem.attach("survivor")
        assert run.status is Status.RUNNING
        assert len(run.history) == 2
        assert not run.wait(timeout=0)
        model.open()
    assert run.wait(PATIENCE)
    expected = here(Gate(model.folder), chunked(rows), start=counted, max_passes=4)
    assert bits(run.result()) == bits(expected)
    assert run.status is Status.MAX_PASSES
    assert [p.log_likelihood for p in run.history] == [p.log_likelihood for p in expected.history]
    # It has ended, and can still be asked.
    assert bits(daskem.attach("survivor").result()) == bits(expected)
    assert left_on(client) == (0, [])


def test_two_fits_at_once_do_not_disturb_each_other(client, rows, start):
    settings = [
        {"model": MODEL, "start": start, "random_state": 0},
        {"model": daskem.Mixture(daskem.Gaussian("diag")), "n_components": 4, "random_state": 1},
    ]
    runs = [daskem.submit(data=chunked(rows), max_passes=6, **own) for own in settings]
    for run, own in zip(runs, settings, strict=True):
        assert bits(run.result()) == bits(here(data=chunked(rows), max_passes=6, **own))
    assert left_on(client) == (0, [])


def test_every_pass_can_be_followed(client, rows, counted, gate):
    model = gate(1, 2)
    run = daskem.submit(model, chunked(rows), start=counted, max_passes=3, tol=0)
    walk = iter(run)
    assert len(next(walk).history) == 1
    (model.folder / "go-1").touch()
    assert len(next(walk).history) == 2
    (model.folder / "go-2").touch()
    (last,) = walk
    assert (len(last.history), last.status) == (3, Status.MAX_PASSES)


def test_persisted_data_outlive_the_client_that_persisted_them(
    client, rows, counted, gate, scheduler_file
):
    model = gate(1)
    with Client(scheduler_file=str(scheduler_file)):
        held = chunked(rows).persist()
        name = daskem.submit(model, held, start=counted, max_passes=3, random_state=0).name
        del held
    model.reached(1)
    model.open()
    expected = here(Gate(model.folder), chunked(rows), start=counted, max_passes=3)
    assert bits(daskem.attach(name).result()) == bits(expected)
    assert left_on(client) == (0, [])


def test_names(client, rows, start, counted, gate):
    run = daskem.submit(gate(0), chunked(rows), start=counted, name="one")
    with pytest.raises(ParameterError, match="'one' is running"):
        daskem.submit(MODEL, chunked(rows), start=start, name="one")
    assert run.status is Status.RUNNING
    run.stop()
    again = daskem.submit(MODEL, chunked(rows), start=start, name="one", max_passes=2)
    assert again.result().status is Status.MAX_PASSES
    # A handle is on its own fit, and not on whichever has that name.
    with pytest.raises(ParameterError, match="'one' had ended, and was replaced by another"):
        run.result()
    assert daskem.attach("one").status is Status.MAX_PASSES
    with pytest.raises(ParameterError, match=r"no fit called 'two'.*'one'"):
        daskem.attach("two")


def test_only_some_ended_fits_are_kept(client, rows, start):
    daskem.submit(MODEL, chunked(rows), start=start, name="last", max_passes=1).wait()

    async def add_more(dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"]
        make = type(fits.find("last"))
        for i in range(40):
            job = make(f"old-{i}", None, dask_scheduler)
            job.ended = True
            fits.add(job)
        return sorted(fits.by_name)

    assert client.run_on_scheduler(add_more) == sorted(f"old-{i}" for i in range(10, 40))


def test_ended_fits_that_were_fetched_go_first_and_large_ones_do_not_pile_up(client, rows, start):
    run = daskem.submit(MODEL, chunked(rows), start=start, name="fetched", max_passes=1)
    run.result()

    async def forget_the_others(dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"]
        fits.by_name = {"fetched": fits.find("fetched")}

    client.run_on_scheduler(forget_the_others)
    daskem.submit(MODEL, chunked(rows), start=start, name="not yet", max_passes=1).wait()

    async def add_large(dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"]
        own = fits.find("fetched"), fits.find("not yet")
        sizes, left = [job.n_bytes for job in own], []
        for i in range(6):
            job = type(own[0])(f"large-{i}", None, dask_scheduler)
            # With two of them there is room for one of the others, and not for both.
            job.ended, job.n_bytes = True, 2**26 - sizes[1] // 2 - 1
            fits.add(job)
            left.append([name in fits.by_name for name in ("fetched", "not yet")])
        return sizes, left, sum(job.n_bytes for job in fits.by_name.values())

    sizes, left, n_bytes = client.run_on_scheduler(add_large)
    assert min(sizes) > 1000
    assert [False, True] in left
    assert left == sorted(left, reverse=True)
    assert n_bytes < 2**28


def test_who_waits_for_the_end_does_not_ask_after_every_pass(client, rows, start, monkeypatch):
    asked, watch = [], Handle._watch

    def watched(self, *args):
        asked.append(args)
        return watch(self, *args)

    monkeypatch.setattr(Handle, "_watch", watched)
    how = {"max_passes": 20, "tol": 0, "algorithm": "em", "start": start}
    run = daskem.submit(MODEL, chunked(rows), **how)
    assert run.wait()
    assert len(asked) < 10
    assert len(run.history) == 20


def test_who_waits_for_a_newer_pass_waits_until_there_is_one():
    async def waits():
        job = Job("a", None, None)
        job.passes = 2
        await asyncio.wait_for(job.wait(1, patience=10.0), 5)
        news = asyncio.ensure_future(job.wait(2, patience=10.0))
        await asyncio.sleep(0.05)
        too_early = news.done()
        job._hear({"result": None})
        await asyncio.wait_for(news, 5)
        return too_early

    assert not asyncio.run(waits())


def test_a_client_that_goes_takes_its_own_fits_with_it(client, rows, start):
    daskem.submit(MODEL, chunked(rows), start=start, max_passes=1).wait()

    async def lose(dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"]
        make = type(next(iter(fits.by_name.values())))
        jobs = [make(f"of-{owner}", owner, dask_scheduler) for owner in ("one", "other", None)]
        for job in jobs:
            fits.add(job)
        fits.remove_client(dask_scheduler, "one")
        ended = [job.ended for job in jobs]
        for job in jobs:
            job.stop()
        return ended

    assert client.run_on_scheduler(lose) == [True, False, False]


def test_the_news_that_a_fit_has_ended_come_with_all_that_it_held(client, rows, start):
    """Whoever hears of the end finds nothing left, before the fit's own client has gone."""
    daskem.submit(MODEL, chunked(rows), start=start, max_passes=1).wait()

    async def end(other, dask_scheduler):
        fits = dask_scheduler.plugins["daskem-fits"]
        job = type(next(iter(fits.by_name.values())))("its own", None, dask_scheduler)
        job.client = other
        job._hear({"ended": True})
        return len(dask_scheduler.tasks)

    with Client(client.scheduler.address, set_as_default=False) as other:
        held = other.submit(int)
        assert held.result(PATIENCE) == 0
        assert client.run_on_scheduler(end, other.id) == 0


def test_without_a_cluster_there_is_nowhere_to_submit_to(rows, start):
    with pytest.raises(ClusterError, match="no distributed client"):
        daskem.submit(MODEL, rows, start=start)
    with pytest.raises(ClusterError, match="no distributed client"):
        daskem.attach("anything")


# Errors, and other ends.


def test_errors_of_the_job_are_raised_with_their_own_type(client, rows, start):
    spoilt = chunked(np.where(np.arange(3000)[:, None] == 1234, np.nan, rows))
    with pytest.raises(DataError, match=r"chunk 8, row 34 \(row 1234 of"):
        daskem.fit(MODEL, spoilt, start=start)
    run = daskem.submit(Odd(), chunked(rows), start={"a": np.zeros(1)})
    with pytest.raises(ZeroDivisionError, match="of the M step") as caught:
        run.result()
    assert "in m_step" in caught.value.__notes__[0]
    assert run.status is Status.FAILED
    assert left_on(client) == (0, [])


class Falters:
    """A mixture whose M step fails in a pass."""

    def __init__(self, at):
        self.at = at

    def e_step(self, block, params):
        return MODEL.e_step(block, params)

    def m_step(self, statistics, params):
        if params["pass"] == self.at:
            raise ZeroDivisionError("of the M step")
        return {**MODEL.m_step(statistics, params), "pass": params["pass"] + 1}


def test_an_error_on_the_way_leaves_what_was_found_before_it(client, rows, counted):
    data, options = chunked(rows), {"start": counted, "tol": 0}
    expected = here(Falters(9), data, max_passes=3, **options)
    for fit in (
        lambda: here(Falters(3), data, **options),
        lambda: daskem.fit(Falters(3), data, **options),
        lambda: list(daskem.submit(Falters(3), data, **options)),
    ):
        with pytest.raises(ZeroDivisionError) as caught:
            fit()
        assert bits(caught.value.result) == bits(expected)
    with pytest.raises(ZeroDivisionError) as caught:
        here(Falters(0), data, **options)
    assert caught.value.result is None
    holes = chunked(np.where(np.arange(3000)[:, None] == 1234, np.nan, rows))
    with pytest.raises(DataError) as told:
        daskem.fit(MODEL, holes, n_components=2)
    assert told.value.result is None


def test_stop_keeps_the_last_complete_pass(client, rows, counted, gate):
    model = gate(2)
    run = daskem.submit(model, chunked(rows), start=counted, **ENDLESS)
    model.reached(2)
    run.stop()
    # The E steps still wait at the gate: their pass was abandoned.
    assert left_on(client) == (0, [])
    result = run.result()
    assert result.status is run.status is Status.STOPPED
    assert bits(result) == bits(
        here(Gate(model.folder), chunked(rows), start=counted, max_passes=2)
    )


def test_stop_before_there_is_anything_to_keep(client, rows, counted, gate):
    model = gate(0)
    run = daskem.submit(model, chunked(rows), start=counted)
    model.reached(0)
    run.stop()
    assert run.status is Status.STOPPED
    with pytest.raises(StoppedError, match="before its first pass"):
        run.result()


def test_ctrl_c_ends_the_fit_and_leaves_nothing_on_the_cluster(client, gate, program, tmp_path):
    model = gate(1)
    with program("daskem.fit(model, data, start=start, tol=0)", 1) as process:
        model.reached(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) != 0
    assert "KeyboardInterrupt" in (tmp_path / "processes.log").read_text()
    assert left_on(client) == (0, [])


def test_a_fit_ends_with_the_process_that_waits_for_it(client, gate, program):
    model = gate(1)
    with program("daskem.fit(model, data, start=start, tol=0)", 1) as process:
        model.reached(1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + PATIENCE
        while left_on(client) != (0, []):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_client_that_is_closed_meanwhile_is_named(client, rows, start, scheduler_file):
    with Client(scheduler_file=str(scheduler_file)) as other:
        walk = daskem.iterate(MODEL, chunked(rows), start=start, tol=0)
        next(walk)
        run = daskem.submit(MODEL, chunked(rows), start=start, **ENDLESS)
        other.close()
        with pytest.raises(ClusterError, match="the client was closed"):
            next(walk)
        with pytest.raises(ClusterError, match="the client is closed"):
            run.wait()
    daskem.attach(run.name).stop()


def test_a_scheduler_that_dies_is_named(rows, start, tmp_path, monkeypatch):
    # As if the workers had been there, and had gone.
    monkeypatch.setattr("daskem.data.blocks.placement.check_workers", lambda client: None)
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(tmp_path))
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=1))
        pid = client.run_on_scheduler(os.getpid)
        # It waits for workers that never come.
        waiting = stack.enter_context(ThreadPoolExecutor(1)).submit(
            daskem.fit, MODEL, chunked(rows), start=start
        )
        deadline = time.monotonic() + PATIENCE
        while not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ClusterError, match="its fits are lost: fit again"):
            waiting.result(PATIENCE)


def test_a_cluster_in_this_process_takes_its_fits_with_it(rows, start, tmp_path):
    apart = {"processes": False, "protocol": "tcp", "host": "127.0.0.1"}
    with (
        LocalCluster(1, threads_per_worker=1, dashboard_address="127.0.0.1:0", **apart) as cluster,
        Client(cluster),
    ):
        run = daskem.submit(MODEL, chunked(rows), start=start, **ENDLESS)
        next(iter(run))
        assert run.name in {thread.name for thread in threading.enumerate()}
    assert run.name not in {thread.name for thread in threading.enumerate()}
    # Nor did the job's own client become the one that Dask computes with.
    assert dask.config.get("scheduler", None) is None


def test_workers_may_come_and_go(client, rows, counted, gate, tmp_path, scheduler_file):
    expected = here(Gate(tmp_path), chunked(rows), start=counted, max_passes=4)
    model = gate(1, 3)
    with ExitStack() as leaving:
        run = daskem.submit(model, chunked(rows), start=counted, max_passes=4)
        model.reached(1)
        leaving.enter_context(workers(scheduler_file, 1, 1, "--no-nanny"))
        client.wait_for_workers(3, timeout=PATIENCE)
        (tmp_path / "go-1").touch()
        model.reached(3)
    model.open()
    assert bits(run.result()) == bits(expected)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates")
def test_a_cluster_with_tls(rows, start, tmp_path):
    own = {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key")}
    # A certificate that signs itself is its own authority.
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=daskem"
    made = ["openssl", "req", *kind.split(), "-out", own["cert"], "-keyout", own["key"]]
    subprocess.run(made, check=True, capture_output=True)
    tls = ["--tls-ca-file", own["cert"], "--tls-cert", own["cert"], "--tls-key", own["key"]]
    security = Security(
        tls_ca_file=own["cert"],
        tls_client_cert=own["cert"],
        tls_client_key=own["key"],
        require_encryption=True,
    )
    with (
        scheduler(tmp_path, "--protocol", "tls", *tls) as file,
        workers(file, 1, 1, *tls),
        Client(scheduler_file=str(file), security=security) as client,
    ):
        client.wait_for_workers(1, timeout=PATIENCE)
        result = daskem.fit(MODEL, chunked(rows), start=start, max_passes=2)
    assert result.coordinator.startswith("on the scheduler tls://")
    assert bits(result) == bits(here(MODEL, chunked(rows), start=start, max_passes=2))


# NumPy arrays.


@pytest.fixture(scope="module")
def many():
    """Rows of several local chunks, and weights."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((150_000, 10)), rng.uniform(size=150_000)


def unit(rows):
    """Two components to start with, at the first rows."""
    covariances = np.stack([np.eye(rows.shape[1])] * 2)
    return {"weights": np.full(2, 0.5), "means": rows[:2], "covariances": covariances}


def test_large_arrays_go_to_the_workers_and_small_ones_stay(client, many, monkeypatch):
    rows, weights = many
    # The search for a start needs only a sample, wherever it is made.
    settings = {"start": unit(rows), "sample_weight": weights, "max_passes": 2, "random_state": 0}
    expected = daskem.fit(MODEL, rows, **settings)
    assert expected.coordinator == "here: the data are in the memory of this process"
    submitted = daskem.submit(MODEL, rows, **settings).result()
    monkeypatch.setattr(placement, "_LEAST_BYTES", rows.nbytes)
    there = daskem.fit(MODEL, rows, **settings)
    assert on_the_scheduler(there)
    assert bits(there) == bits(submitted) == bits(expected)
    monkeypatch.setattr(resources, "_SHARE", 0)
    stayed = daskem.fit(MODEL, rows, **settings)
    assert "the cluster has room for 0 B" in stayed.notes[0]
    assert bits(stayed) == bits(expected)
    assert left_on(client) == (0, [])


@pytest.mark.parametrize("offset", [1, 4])
def test_arrays_at_odd_addresses_have_the_same_bits(many, offset):
    def moved(array):
        raw = np.empty(array.nbytes + offset, dtype=np.uint8)[offset:]
        odd = raw.view(array.dtype).reshape(array.shape)
        odd[...] = array
        assert not odd.flags.aligned
        return odd

    rows, weights = (array[:2000] for array in many)
    for data in (np.asarray, lambda array: da.from_array(array, chunks=(700, *array.shape[1:]))):
        settings = {"start": unit(rows), "max_passes": 2, "random_state": 0}
        expected = here(MODEL, data(rows), sample_weight=data(weights), **settings)
        odd = here(MODEL, data(moved(rows)), sample_weight=data(moved(weights)), **settings)
        assert bits(odd) == bits(expected)


def test_memmaps_stay(client, many, monkeypatch, tmp_path):
    np.save(tmp_path / "rows.npy", many[0])
    monkeypatch.setattr(placement, "_LEAST_BYTES", 0)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = daskem.fit(MODEL, mapped, start=unit(many[0]), max_passes=1)
    assert found.coordinator.startswith("here: the data are")


def test_arrays_do_not_travel_in_the_graph(client, many, monkeypatch):
    monkeypatch.setattr(placement, "_LEAST_BYTES", 0)
    fit = prepare(MODEL, many[0], 2)
    assert len(pickle.dumps(fit.on(None))) < 100_000 < many[0].nbytes


# The command line.

# It, with a tenth of its patience.
IMPATIENT = """
import sys, distributed, daskem.cli
Client = distributed.Client
def impatient(address, timeout):
    assert timeout < 30, "no less patient than Dask"
    return Client(address, timeout=timeout / 10)
distributed.Client = impatient
sys.exit(daskem.cli.main(sys.argv[1:]))
"""


def test_an_address_where_nobody_answers(tmp_path):
    da.from_array(np.zeros((10, 2)), chunks=(5, 2)).to_zarr(str(tmp_path / "rows.zarr"))
    fit = ["fit", "rows.zarr", "-k", "2", "--out", "model"]
    nowhere = ["--scheduler", "tcp://127.0.0.1:9"]
    told = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *fit, *nowhere],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert told.returncode == 2
    assert "nobody answers at tcp://127.0.0.1:9" in told.stderr
    assert "Traceback" not in told.stderr
