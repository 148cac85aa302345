"""A selection is a task like a fit: it runs on the scheduler, is submitted, watched, stopped."""

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client
from gated import GatedRows

import daskem
from daskem import Status
from daskem.errors import ClusterError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
SETTINGS = {"n_init": 2, "random_state": 0}


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [6.0, 1.0], [1.0, 7.0]])
    return centres[rng.integers(3, size=1500)] + rng.standard_normal((1500, 2))


@pytest.fixture
def lazy(clusters):
    return da.from_array(clusters, chunks=(400, -1))


def here(lazy, counts):
    with dask.config.set(scheduler="synchronous"):
        return daskem.select(lazy, counts, **SETTINGS)


def same(one, other):
    assert one.best_candidate == other.best_candidate
    for name in ("bic", "log_likelihood", "passes", "remaining"):
        np.testing.assert_array_equal(one.table[name], other.table[name])
    for name, value in one.best.params.items():
        np.testing.assert_array_equal(value, other.best.params[name])


def test_a_selection_runs_on_the_scheduler_with_the_same_bits_as_here(client, lazy):
    there = daskem.select(lazy, range(1, 5), **SETTINGS)
    assert there.coordinator.startswith("on the scheduler tcp://")
    assert there.best.coordinator == there.coordinator
    same(there, here(lazy, range(1, 5)))


def test_it_is_submitted_and_found_by_its_name_and_goes_on_from_there(lazy, scheduler_file):
    with Client(scheduler_file=str(scheduler_file)):
        daskem.submit_selection(lazy, (1, 2), name="tuesday", **SETTINGS)
    with Client(scheduler_file=str(scheduler_file)):
        found = daskem.attach("tuesday").result()
        same(found, here(lazy, (1, 2)))
        wider = found.extend([3, 4])
    assert wider.coordinator.startswith("on the scheduler tcp://")
    same(wider, here(lazy, (1, 2)).extend([3, 4]))
    assert wider.best.n_components == 3


def test_every_pass_can_be_watched(client, lazy):
    run = daskem.submit_selection(lazy, (2, 3), **SETTINGS)
    *_, last = run
    assert run.status is last.status is Status.CONVERGED
    assert run.history == last.history
    same(last, here(lazy, (2, 3)))


def test_it_is_stopped_after_its_last_complete_pass(client, clusters, tmp_path):
    # The survey is the first read, so that one pass is complete when the third read begins.
    gate = GatedRows(clusters, 400, tmp_path, at=3)
    run = daskem.submit_selection(gate.array, (2, 3, 4), cache="none", **SETTINGS)
    gate.reached()
    assert run.status is Status.RUNNING
    run.stop()
    gate.open()
    found = run.result()
    assert found.status is run.status is Status.STOPPED
    assert {len(r.history) for runs in found.runs.values() for r in runs} == {1}


def test_without_a_cluster_there_is_nowhere_to_submit_to(lazy):
    with pytest.raises(ClusterError, match="no distributed client"):
        daskem.submit_selection(lazy, (1, 2))


def test_rows_in_memory_travel_to_the_workers(client, clusters):
    run = daskem.submit_selection(clusters, (2, 3), **SETTINGS)
    same(run.result(), daskem.select(clusters, (2, 3), **SETTINGS))
