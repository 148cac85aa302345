"""What a fit leaves behind, in this process and on a cluster: nothing that grows."""

import gc
import os
import threading

import numpy as np
import psutil
import pytest
from samples import chunked

import daskem
from daskem import Gaussian, Mixture

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
MODEL = Mixture(Gaussian())
# Of what a process has not grown by, if it is flat.
MOST_BYTES = 5e6


def held():
    """Descriptors, threads and resident bytes of this process."""
    gc.collect()
    process = psutil.Process()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), process.memory_info().rss


def grows(fit, warm, times):
    """By how much each of `held` is more after so many fits, after some that warm up."""
    for _ in range(warm):
        fit()
    before = held()
    for _ in range(times):
        fit()
    return np.subtract(held(), before)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("times", [10, pytest.param(50, marks=pytest.mark.torture)])
def test_fits_in_one_process_leave_nothing(rows, start, times):
    def fit():
        daskem.fit(MODEL, chunked(rows, 600), start=start, max_passes=2)

    descriptors, threads, n_bytes = grows(fit, 10, times)
    assert descriptors <= 0
    assert threads <= 0
    assert n_bytes < MOST_BYTES


def of_scheduler(dask_scheduler):
    process = psutil.Process()
    fits = dask_scheduler.plugins["daskem-fits"].by_name
    # Tasks, clients, descriptors, threads, and the fits that are remembered.
    counts = len(dask_scheduler.tasks), len(dask_scheduler.clients)
    return (*counts, process.num_fds(), process.num_threads(), len(fits)), process.memory_info().rss


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("times", [5, pytest.param(120, marks=pytest.mark.torture)])
def test_fits_on_one_cluster_leave_nothing(client, rows, start, times):
    def fit():
        daskem.fit(MODEL, chunked(rows, 600), start=start, max_passes=2)

    # So many that the scheduler keeps no more ended ones.
    warm = 35 if times > 100 else 5
    for _ in range(warm):
        fit()
    before, bytes_before = client.run_on_scheduler(of_scheduler)
    descriptors, threads, n_bytes = grows(fit, 0, times)
    after, bytes_after = client.run_on_scheduler(of_scheduler)
    assert descriptors <= 2
    assert threads <= 0
    assert not client.futures
    assert after[:2] == before[:2]
    assert max(np.subtract(after[2:4], before[2:4])) <= 2
    assert after[4] <= 30 + 1
    if times > 100:
        assert n_bytes < MOST_BYTES
        assert bytes_after - bytes_before < 10 * MOST_BYTES
