from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from samples import count_rows

import daskem
from daskem.data.blocks import Outline
from daskem.data.cluster import Machines
from daskem.fitting.starts import best_starts

MODEL = daskem.Mixture(daskem.Gaussian())


def counted(reads, n_chunks, size):
    """Rows (sample, 3) that count how often each of their chunks is made."""

    def make(block_id=None):
        reads[block_id[0]] += 1
        return np.random.default_rng(block_id).standard_normal((size, 3))

    chunks = ((size,) * n_chunks, (3,))
    return da.map_blocks(make, chunks=chunks, dtype=float, meta=np.empty((0, 3)))


def test_a_plan_says_how_much_there_is_to_read():
    plan = daskem.plan(MODEL, counted([0] * 20, 20, 500), 4, random_state=0)
    outline = plan.outline
    assert (outline.n_rows, outline.n_chunks, outline.n_partitions) == (10_000, 20, 20)
    assert (outline.n_bytes, outline.chunk_bytes) == (10_000 * 24, 500 * 24)
    # 4 weights, 4 x 3 means, 4 x 3 x 3 covariances.
    assert plan.params_bytes == 8 * (4 + 12 + 36)
    # Counts, first and second moments of every component (the latter without the half that is
    # the same), and the log-likelihood.
    assert plan.statistics_bytes == 8 * (4 + 12 + 4 * 6 + 1)


def test_nothing_is_read_but_one_partition():
    reads = [0] * 200
    plan = daskem.plan(MODEL, counted(reads, 200, 100), 2)
    read = np.flatnonzero(reads)
    assert plan.outline.n_partitions == 50
    assert 1 <= len(read) <= 4
    assert np.all(np.diff(read) == 1)


def test_weights_are_read_too():
    data = counted([0] * 20, 20, 500)
    plan = daskem.plan(MODEL, data, 2, sample_weight=da.ones(10_000, chunks=500))
    assert plan.outline.n_bytes == 10_000 * 32


def test_unknown_lengths_are_said_to_be_unknown():
    data = counted([0] * 20, 20, 500)
    plan = daskem.plan(MODEL, data[data[:, 0] > 0], 2)
    assert "an unknown number of rows, ? to read" in str(plan)


def planned(partition_seconds):
    """The plan of 64 partitions, each of which takes so long."""
    outline = Outline(1e6, 8e6, 1e5, 64, 64)
    here = Machines([10**9], [0], [1], True)
    return daskem.Plan(outline, here, 8, 8, partition_seconds)


@pytest.mark.parametrize(("threads", "seconds"), [(1, 128.0), (2, 64.0), (5, 26.0), (64, 2.0)])
def test_a_pass_takes_whole_waves_of_partitions(threads, seconds):
    assert planned(2.0).seconds(threads) == seconds


def test_no_pass_is_shorter_than_the_scheduler_takes_for_its_tasks():
    assert 0.01 < planned(1e-6).seconds(1) == planned(1e-6).seconds(64) < 0.1


def test_a_plan_has_timed_a_partition():
    assert 1e-6 < daskem.plan(MODEL, counted([0] * 20, 20, 500), 2).partition_seconds < 10


@pytest.mark.parametrize("d", [3, 30])
def test_a_plan_never_searches_for_a_start(d, monkeypatch):
    """Neither by name nor by the rows that it computes with: some E steps, and no more."""

    def refused(*_):
        raise AssertionError("a plan has searched for a start")

    monkeypatch.setattr(best_starts, "best_of_many", refused)
    rows = np.random.default_rng(0).standard_normal((900, d))
    counted = count_rows(monkeypatch)
    plan = daskem.plan(MODEL, rows, 4, n_init=2, random_state=0)
    # Three passes of two runs with up to four candidates, and three more over the sample.
    assert counted[0] <= (2 * (1 + 4 + 4) + 3) * len(rows)
    assert plan.starts_seconds > 0


def test_a_plan_expects_a_search_for_each_start():
    rows = np.random.default_rng(0).standard_normal((3000, 20))
    one, many = (daskem.plan(MODEL, rows, 4, n_init=n, random_state=0) for n in (1, 100))
    assert 10 < many.starts_seconds / one.starts_seconds < 1000


def test_a_start_that_is_given_is_not_searched_for():
    rows = np.random.default_rng(0).standard_normal((500, 2))
    for options in ({"n_components": 1}, {"n_components": 3, "start": {"means": rows[:3]}}):
        plan = daskem.plan(MODEL, rows, **options)
        assert plan.starts_seconds == 0
        assert "starts" not in str(plan)


def test_what_takes_longer_than_the_passes_is_told():
    short, long = (replace(planned(1.0), starts_seconds=s) for s in (100.0, 1000.0))
    assert "starts      1e+02 s" in str(short)
    assert "longer than 10 passes" not in str(short)
    assert "longer than 10 passes" in str(long)


def test_arrays_in_memory_have_plans():
    plan = daskem.plan(MODEL, np.random.default_rng(0).standard_normal((1000, 2)), 3)
    assert (plan.outline.n_rows, plan.outline.n_partitions) == (1000, 1)
    assert "this machine" in str(plan)


def test_a_chunk_that_fits_into_no_worker_is_refused_by_name(client):
    # Nobody makes these 3 GB: the workers have 2 GB each.
    data = da.zeros((600_000_000, 1), chunks=(400_000_000, 1))
    match = r"chunk \(0,\) holds 400000000 x 1 numbers, 2.98 GiB.* chunks of at most [\d,]+ rows"
    with pytest.raises(daskem.errors.ChunkTooLargeError, match=match):
        daskem.plan(MODEL, data, 2)


def test_the_workers_are_counted(client):
    plan = daskem.plan(MODEL, counted([0] * 20, 20, 500), 2)
    assert list(plan.machines.limits) == [2_000_000_000] * 2
    assert list(plan.machines.threads) == [1, 1]
    assert "2 workers with 2 threads" in str(plan)
