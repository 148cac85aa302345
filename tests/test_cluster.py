"""Fits on real worker processes: the same bits as here, whatever happens to the workers."""

import os
import time
from contextlib import ExitStack

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from cluster import PATIENCE, bits, scheduler, workers
from distributed import Client, get_worker, wait
from gate import Dying
from samples import chunked

import daskem
from daskem.data.inputs import as_blocks
from daskem.errors import PoisonChunkError

MODEL = daskem.Mixture(daskem.Gaussian())
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def fit(data, start, model=MODEL, max_passes=3):
    return daskem.fit(model, data, start=start, max_passes=max_passes, random_state=0)


def fit_here(*args, **options):
    with dask.config.set(scheduler="synchronous"):
        return fit(*args, **options)


def test_any_number_of_workers_and_threads_gives_the_same_bits(client, rows, start, scheduler_file):
    expected = bits(fit_here(chunked(rows), start))
    assert sorted(client.nthreads().values()) == [1, 1]
    assert bits(fit(chunked(rows), start)) == expected
    with workers(scheduler_file, 1, 2, "--no-nanny"):
        client.wait_for_workers(3, timeout=PATIENCE)
        there = client.nthreads()
        assert sorted(there.values()) == [1, 1, 2]
        assert bits(fit(chunked(rows), start)) == expected
        client.retire_workers([max(there, key=there.get)])


def e_steps_on(client):
    """How many E steps the scheduler has ever seen."""
    return client.run_on_scheduler(
        lambda dask_scheduler: sum(
            sum(prefix.state_counts.values())
            for name, prefix in dask_scheduler.task_prefixes.items()
            if name.startswith("e-step")
        )
    )


def test_the_current_client_is_used(client, rows, start):
    before = e_steps_on(client)
    assert bits(fit(chunked(rows), start)) == bits(fit_here(chunked(rows), start))
    assert e_steps_on(client) > before


def test_persisted_chunks_give_the_same_bits(client, rows, start):
    held = chunked(rows).persist()
    assert bits(fit(held, start)) == bits(fit_here(chunked(rows), start))


@pytest.mark.parametrize("cache", ["none", "memory", "auto"])
def test_chunks_that_are_kept_on_the_workers_give_the_same_bits(client, rows, start, cache):
    made = chunked(rows).map_blocks(np.positive)
    found = daskem.fit(MODEL, made, start=start, max_passes=3, random_state=0, cache=cache)
    assert bits(found) == bits(fit_here(chunked(rows), start))
    assert any("kept in memory" in note for note in found.notes) == (cache != "none")


def test_a_graph_in_pieces_gives_the_same_bits(client, rows, start, monkeypatch):
    expected = bits(fit_here(chunked(rows), start))
    monkeypatch.setattr("daskem.data.blocks.tasks._AT_ONCE", 4)
    monkeypatch.setattr("daskem.data.cluster.tree.FAN_IN", 2)
    monkeypatch.setattr("daskem.core.statistics.FAN_IN", 2)
    here = bits(fit_here(chunked(rows), start))
    assert here != expected  # in another tree
    assert bits(iterated(chunked(rows), start)) == here


def iterated(data, start):
    """A fit whose loop runs in this process, and its passes on the cluster."""
    *_, last = daskem.iterate(MODEL, data, 3, start=start, max_passes=3, random_state=0)
    return last


class Where:
    """A model that counts on which worker each chunk is met."""

    def e_step(self, block, params):
        here = get_worker().address
        return {"log_likelihood": 0.0, "where": f"{block.pieces[0].number} {here};"}

    def m_step(self, statistics, params):
        return params


def test_persisted_chunks_are_used_where_they_lie(client):
    workers, shape = list(client.scheduler_info()["workers"]), (500_000, 4)
    parts = [client.submit(np.ones, shape, workers=[workers[i % 2]], pure=False) for i in range(10)]
    wait(parts)
    rows = da.concatenate([da.from_delayed(part, shape, dtype=float) for part in parts])
    where = as_blocks(rows).sum(Where().e_step, {}, name="e-step")["where"]
    found = dict(text.split(" ") for text in where.strip(";").split(";"))
    assert found == {str(i): workers[i % 2] for i in range(10)}


def test_what_all_chunks_need_is_kept_on_the_cluster(client, rows, start):
    centred = chunked(rows) - chunked(rows).mean(axis=0)
    assert bits(fit(centred, start)) == bits(fit_here(centred, start))


def test_the_dashboard_shows_the_steps_of_em(client, rows, start):
    def prefixes(dask_scheduler):
        return set(dask_scheduler.task_prefixes)

    fit(chunked(rows), start)
    assert {"survey", "e-step", "reduce", "m-step"} <= client.run_on_scheduler(prefixes)


def test_chunks_that_travel_between_workers_give_the_same_bits(client, rows, start):
    # Once the features are last these are neither C nor Fortran contiguous: what is sent from
    # one worker to another arrives in C order, and what stays where it is does not.
    cube = np.ascontiguousarray(rows.reshape(50, 60, 3).transpose(2, 0, 1))
    stays = da.from_array(cube, chunks=(3, 25, 60)).transpose(1, 2, 0)
    travels = stays.map_blocks(_sent, dtype=float)
    assert bits(fit(stays, start)) == bits(fit(travels, start))


def _sent(chunk):
    from distributed.protocol import deserialize, serialize

    return deserialize(*serialize(chunk))


def test_answers_are_lazy_and_come_from_the_workers(client, rows, start, tmp_path):
    result = fit(chunked(rows), start)
    labels = result.predict(chunked(rows))
    np.testing.assert_array_equal(labels.compute(), result.predict(rows))
    # Straight from the workers into a store.
    store = zarr.create_array(tmp_path / "labels.zarr", shape=(3000,), chunks=(150,), dtype="i8")
    labels.to_zarr(store)
    np.testing.assert_array_equal(store[:], result.predict(rows))


def test_bad_rows_are_named_from_the_worker_that_met_them(client, rows, start):
    spoilt = np.where(np.arange(3000)[:, None] == 1234, np.nan, rows)
    with pytest.raises(daskem.errors.DataError, match=r"chunk 8, row 34 \(row 1234 of"):
        fit(chunked(spoilt), start)
    result = fit(chunked(rows), start)
    with pytest.raises(daskem.errors.DataError, match=r"NaN at chunk 8, row 34 .*column 0"):
        result.predict(chunked(spoilt)).compute()


def test_a_pass_that_fails_leaves_nothing_on_the_cluster(client, rows, monkeypatch):
    monkeypatch.setattr("daskem.data.blocks.tasks._AT_ONCE", 4)
    with pytest.raises(ZeroDivisionError) as caught:
        as_blocks(chunked(rows)).sum(fail_at, 0, name="failing")
    deadline = time.monotonic() + PATIENCE
    while client.run_on_scheduler(held_of_a_pass) and time.monotonic() < deadline:
        pass
    # Whoever holds the traceback holds none of it.
    assert client.run_on_scheduler(held_of_a_pass) == [], caught.tb


def fail_at(block, number):
    return 1 / (block.pieces[0].number - number)


def held_of_a_pass(dask_scheduler):
    return [key for key in dask_scheduler.tasks if "failing" in str(key)]


# Workers that die.


def test_workers_that_die_in_a_pass_leave_no_trace_in_the_bits(client, rows, start, tmp_path):
    start = {**start, "pass": np.array(0)}
    expected = fit_here(chunked(rows), start, Dying(MODEL, tmp_path, []))
    # In the first pass, in the last one, and in between; those who died are started again.
    when = [(0, 0), (1, 3), (2, 19)]
    result = fit(chunked(rows), start, Dying(MODEL, tmp_path, when))
    assert len(list(tmp_path.iterdir())) == len(when)
    assert bits(result) == bits(expected)


class DeadlyChunk:
    """A mixture whose E step no worker survives at one of the chunks; with others, it lingers."""

    def __init__(self, chunk):
        self.chunk = chunk

    def e_step(self, block, params):
        if self.chunk in [piece.number for piece in block.pieces]:
            os._exit(1)
        return MODEL.e_step(block, params)

    def m_step(self, statistics, params):
        return MODEL.m_step(statistics, params)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A cluster that gives every task up of which, or beside which, one worker has died."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
        file = stack.enter_context(scheduler(tmp_path_factory.mktemp("strict")))
        stack.enter_context(workers(file, 2, 2))
        yield file


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_the_chunk_that_kills_workers_is_named_and_not_its_neighbours(
    strict, rows, start, tmp_path, cache, monkeypatch
):
    # Chunks of the store are not joined.
    monkeypatch.setattr("daskem.data.inputs.sources.zarr_stores._READ_BYTES", 1)
    path = str(tmp_path / "rows.zarr")
    chunked(rows).to_zarr(path)
    with Client(scheduler_file=str(strict)) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        with pytest.raises(
            PoisonChunkError,
            match=r"^chunk 7, from row 1050 on, of .*rows\.zarr, of 3\.52 kiB, kills workers: "
            r"1 in a row .* with 1\.86 GiB of memory",
        ):
            daskem.fit(DeadlyChunk(7), path, start=start, cache=cache)


def test_deaths_that_have_other_reasons_blame_nobody(strict, rows, start, tmp_path):
    start = {**start, "pass": np.array(0)}
    expected = fit_here(chunked(rows), start, Dying(MODEL, tmp_path, []))
    with Client(scheduler_file=str(strict)) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        found = fit(chunked(rows), start, Dying(MODEL, tmp_path, [(1, 3), (2, 19)]))
    assert len(list(tmp_path.iterdir())) == 2
    assert bits(found) == bits(expected)


# Params that are large.


class Nearest:
    """A model with far more params than it needs."""

    def e_step(self, block, params):
        centre = params["table"][0, :3]
        return {
            "log_likelihood": -np.square(block.rows - centre).sum(),
            "n": len(block),
            "first": block.rows.sum(axis=0),
        }

    def m_step(self, statistics, params):
        table = params["table"].copy()
        table[0, :3] = statistics["first"] / statistics["n"]
        return {"table": table}


def test_params_of_16_megabytes_reach_every_worker_without_a_warning(client, rows):
    start = {"table": np.random.default_rng(0).standard_normal((1000, 2000))}
    result = daskem.fit(Nearest(), chunked(rows), start=start, max_passes=3, tol=0)
    np.testing.assert_allclose(result.params["table"][0, :3], rows.mean(axis=0), rtol=1e-12)
    assert result.log_likelihood == pytest.approx(-3 * rows.var(axis=0).mean())


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
def test_a_mixture_of_10_megabytes_has_the_same_bits_as_here(client):
    k, d = 130, 100
    rows = np.random.default_rng(0).standard_normal((2 * k, d))
    start = {
        "weights": np.full(k, 1 / k),
        "means": rows[:k],
        "covariances": np.broadcast_to(np.eye(d), (k, d, d)).copy(),
    }
    assert start["covariances"].nbytes > 10e6
    data = da.from_array(rows, chunks=(100, -1))
    assert bits(fit(data, start, max_passes=1)) == bits(fit_here(data, start, max_passes=1))


# Dask warns whoever computes a graph that holds something large, and here that is the user.
@pytest.mark.filterwarnings("ignore:Sending large graph")
def test_a_large_model_predicts_on_the_workers(client):
    big = daskem.Mixture(daskem.Poisson())
    k, d = 700, 2000
    counts = da.from_array(np.random.default_rng(0).poisson(3, (40, d)), chunks=(10, -1))
    start = {"weights": np.full(k, 1 / k), "rates": np.full((k, d), 3.0)}
    result = fit(counts, start, big)
    assert result.params["rates"].nbytes > 10e6
    np.testing.assert_allclose(result.predict_proba(counts).sum(axis=1).compute(), 1)
