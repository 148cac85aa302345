"""A pass over large chunks, against a bare read of the same chunks on the same workers.

    python tests/benchmarks/large_chunks.py [--rows N] [--workers N]

16 million x 8 float64 (1 GB) in chunks of 500,000 rows, K = 8, with and without compression. A pass
should take little more than the larger of

- a bare read: one task for each chunk, which reads it and forgets it, and
- (CPU seconds of that read + CPU seconds of the kernel) / workers.

Then weak scaling: twice the rows on twice the workers.
"""

import argparse
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from common import MODEL, best_of, cluster, cpu_seconds, params
from distributed import Client

from daskem.blocks import Block, as_blocks
from daskem.fitting import evaluate

CHUNK, FEATURES, COMPONENTS = 500_000, 8, 8
REQUESTS = [(MODEL, [params(COMPONENTS, FEATURES)])]


def make(path: Path, n_rows: int, compressed: bool) -> zarr.Array:
    options = {} if compressed else {"compressors": None}
    store = zarr.create_array(
        path, shape=(n_rows, FEATURES), chunks=(CHUNK, FEATURES), dtype="f8", **options
    )
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, CHUNK):
        # Values with few digits, as instruments give them, so that there is something to compress.
        store[start : start + CHUNK] = rng.standard_normal((CHUNK, FEATURES)).round(2)
    return store


def read_chunk(path: str, start: int) -> int:
    return len(zarr.open_array(path, mode="r")[start : start + CHUNK])


def read_all(client: Client, path: Path, n_rows: int) -> None:
    starts = range(0, n_rows, CHUNK)
    client.gather(client.map(read_chunk, [str(path)] * len(starts), starts, pure=False))


def kernel_seconds(store: zarr.Array) -> float:
    """CPU seconds of an E step of all rows in one thread, from one chunk in memory."""
    block = Block(store[:CHUNK])
    evaluate(block, REQUESTS)
    times = []
    for _ in range(3):
        began = time.process_time()
        evaluate(block, REQUESTS)
        times.append(time.process_time() - began)
    return min(times) * store.shape[0] / CHUNK


def trial(folder: Path, n_rows: int, workers: int, compressed: bool) -> None:
    path = folder / f"{compressed}.zarr"
    store = make(path, n_rows, compressed)
    blocks = as_blocks(da.from_zarr(store))
    with cluster(workers) as client:
        blocks.sum(evaluate, REQUESTS)
        a_pass = best_of(lambda: blocks.sum(evaluate, REQUESTS))
        bare = best_of(lambda: read_all(client, path, n_rows))
        read = cpu_seconds(client, lambda: read_all(client, path, n_rows))
    kernel = kernel_seconds(store)
    ideal = max(bare, (read + kernel) / workers)
    print("compressed" if compressed else "not compressed")
    print(f"  bare read {bare:.2f}; CPU of the read {read:.2f}, of the kernel {kernel:.2f}")
    print(f"  a pass    {a_pass:.2f}   {a_pass / ideal:.2f} x the larger of the two")
    share = n_rows // workers // CHUNK * CHUNK
    part = as_blocks(da.from_zarr(store)[:share])
    with cluster(1):
        part.sum(evaluate, REQUESTS)
        alone = best_of(lambda: part.sum(evaluate, REQUESTS))
    scaling = workers * alone / a_pass
    print(f"  {share:,} rows on one worker {alone:.2f}: weak scaling {scaling:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(f"{options.rows:,} x {FEATURES} float64, {options.workers} workers; seconds")
    with tempfile.TemporaryDirectory() as folder:
        for compressed in (False, True):
            trial(Path(folder), options.rows, options.workers, compressed)


if __name__ == "__main__":
    main()
