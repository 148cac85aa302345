"""Memory of a worker while it fits and predicts more data than it may hold."""

from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import pytest
import zarr
from cluster import PATIENCE, scheduler, workers
from distributed import Client

import daskem

ROWS, FEATURES, CHUNKS = 250_000, 8, 24
CHUNK_BYTES = ROWS * FEATURES * 8
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """384 MB in chunks of 16 MB, which take the place of three on the disk."""
    path = tmp_path_factory.mktemp("store") / "rows.zarr"
    shape = (ROWS * CHUNKS, FEATURES)
    array = zarr.create_array(
        path, shape=shape, chunks=(ROWS, FEATURES), dtype="f8", compressors=None
    )
    rng = np.random.default_rng(0)
    chunk = rng.standard_normal((ROWS, FEATURES))
    for i in range(3):
        array[i * ROWS : (i + 1) * ROWS] = chunk + i
    for i in range(3, CHUNKS):
        (path / f"c/{i}").mkdir()
        (path / f"c/{i}/0").hardlink_to(path / f"c/{i % 3}/0")
    return array


def idle():
    import daskem.cli  # noqa: F401

    return psutil.Process().memory_info().rss


def peak():
    """The most resident bytes this process ever had (Linux counts them here)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def small_worker(folder):
    """A client of one worker with 600 MB."""
    with ExitStack() as stack:
        file = stack.enter_context(scheduler(folder))
        stack.enter_context(workers(file, 1, 1, "--memory-limit", "600MB"))
        client = stack.enter_context(Client(scheduler_file=str(file)))
        client.wait_for_workers(1, timeout=PATIENCE)
        yield client


def test_a_worker_needs_two_chunks_and_little_else_for_many_components(store, tmp_path):
    k, data = 12, da.from_zarr(store)
    # The search for a start needs only a sample, and the scheduler makes it.
    start = {
        "weights": np.full(k, 1 / k),
        "means": store[:k],
        "covariances": np.ones((k, FEATURES)),
    }
    with small_worker(tmp_path) as client:
        (before,) = client.run(idle).values()
        model = daskem.Mixture(daskem.Gaussian("diag"))
        result = daskem.fit(model, data, start=start, max_passes=1, tol=0)
        assert "read again in every pass" in " ".join(result.notes)
        labels = zarr.create_array(
            tmp_path / "labels.zarr", shape=data.shape[:1], chunks=(ROWS,), dtype="i4"
        )
        da.store(result.predict(data), labels, lock=False)
        assert 0 < labels[:].max() < k
        (after,) = client.run(peak).values()
    assert after - before <= 2 * CHUNK_BYTES + 150e6


@pytest.mark.torture
def test_a_worker_holds_a_few_chunks_of_ragged_sequences_whose_store_is_larger(store, tmp_path):
    rng = np.random.default_rng(0)
    data = da.concatenate([da.from_zarr(store)] * 3)  # 1.2 GB, of a worker with 600 MB.
    edges = np.unique(rng.integers(1, len(data), size=90_000))
    lengths = np.diff([0, *edges, len(data)])  # Of 1 to 2,000 steps; hardly one ends with a chunk.
    start = {
        "initial": np.ones(2) / 2,
        "transitions": np.array([[0.9, 0.1], [0.1, 0.9]]),
        "means": np.stack([np.zeros(FEATURES), np.full(FEATURES, 2.0)]),
        "covariances": np.ones((2, FEATURES)),
    }
    with small_worker(tmp_path) as client:
        (before,) = client.run(idle).values()
        model = daskem.HiddenMarkov(daskem.Gaussian("diag"))
        result = daskem.fit(model, data, start=start, lengths=lengths, max_passes=1, tol=0)
        notes = " ".join(result.notes)
        assert "cut to chunks that end where a sequence ends" in notes
        assert "read again in every pass" in notes
        assert result.n_rows == len(data)
        (after,) = client.run(peak).values()
    # Two chunks, as cut at sequences and as they lie in the store, and what chains make of them:
    # as much as with a third of the rows.
    assert after - before <= 20 * CHUNK_BYTES
