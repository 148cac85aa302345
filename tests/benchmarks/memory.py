"""Peak memory of workers while they fit and predict a store larger than all of them together.

    python tests/benchmarks/memory.py [--gigabytes N] [--workers N] [--memory-limit SIZE]

A store of 8 GB (the default) in chunks of 500,000 x 8 float64 (32 MB), on two workers limited to
1 GB each, K = 4 and K = 64: three passes, then labels and (K = 4) responsibilities written to zarr.
Prints the peak resident memory of the hungriest worker beyond its idle baseline, against two chunks
+ 150 MB, and whether any worker spilled, paused or was restarted.
"""

import argparse
import resource
import tempfile
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import zarr
from common import MODEL, cluster, params
from distributed import Client

import daskem

CHUNK, FEATURES = 500_000, 8
CHUNK_BYTES = CHUNK * FEATURES * 8
ALLOWED = 2 * CHUNK_BYTES + 150e6


def make(path: Path, gigabytes: float) -> zarr.Array:
    n_chunks = int(gigabytes * 1e9 / CHUNK_BYTES)
    store = zarr.create_array(
        path,
        shape=(n_chunks * CHUNK, FEATURES),
        chunks=(CHUNK, FEATURES),
        dtype="f8",
        compressors=None,
    )
    rng = np.random.default_rng(0)
    for i in range(n_chunks):
        store[i * CHUNK : (i + 1) * CHUNK] = rng.standard_normal((CHUNK, FEATURES))
    return store


def idle() -> tuple[int, int]:
    """Resident bytes and process number, after what any fit imports has been imported."""
    import daskem.cli  # noqa: F401

    process = psutil.Process()
    return process.memory_info().rss, process.pid


def peak() -> tuple[int, int]:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, psutil.Process().pid


def troubles(client: Client) -> list[str]:
    """What the logs of the workers and their nannies say of spilling, pausing and restarting."""
    logs = [*client.get_worker_logs().values(), *client.get_worker_logs(nanny=True).values()]
    words = ("paus", "spill", "restart", "unmanaged memory", "exceeded")
    return [text for log in logs for _, text in log if any(w in text.lower() for w in words)]


def trial(store: zarr.Array, folder: Path, k: int, workers: int, limit: str) -> None:
    data = da.from_zarr(store)
    with cluster(workers, limit) as client:
        before = client.run(idle)
        result = daskem.fit(MODEL, data, start=params(k, FEATURES), max_passes=3, tol=0)
        fitted = client.run(peak)
        result.predict(data).to_zarr(folder / f"labels-{k}.zarr")
        if k == 4:
            result.predict_proba(data).to_zarr(folder / "responsibilities.zarr")
        after = client.run(peak)
        told = troubles(client)
    kept = {address: pid for address, (_, pid) in before.items()}
    restarted = kept != {address: pid for address, (_, pid) in after.items()}
    for name, seen in (("fitting", fitted), ("and predicting", after)):
        most = max(seen[address][0] - before[address][0] for address in before if address in seen)
        print(f"  K={k:<3} {name:15} {most / 1e6:6.0f} MB, {most / ALLOWED:5.2f} x what is allowed")
    print(
        f"  K={k:<3} {'restarted' if restarted else 'no restart'}; {told or 'no spill, no pause'}"
    )


def main() -> None:
    warnings.simplefilter("ignore", daskem.errors.ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-limit", default="1GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder) / "rows.zarr", options.gigabytes)
        print(
            f"{store.nbytes / 1e9:.1f} GB in chunks of {CHUNK_BYTES / 1e6:.0f} MB, "
            f"{options.workers} workers of {options.memory_limit}; allowed beyond the idle "
            f"baseline: {ALLOWED / 1e6:.0f} MB"
        )
        for k in (4, 64):
            trial(store, Path(folder), k, options.workers, options.memory_limit)


if __name__ == "__main__":
    main()
