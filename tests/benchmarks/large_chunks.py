"""A pass over large chunks, against a bare read of the same chunks on the same workers.

    python tests/benchmarks/large_chunks.py [--kernel compiled] [--rows N] [--workers N]
        [--rounds N]

16 million x 8 float64 (1 GB) in chunks of 500,000 rows, K = 8, with and without compression. A pass
should take little more than the larger of

- a bare read: one task for each chunk, which reads it and forgets it, and
- (CPU seconds of that read + CPU seconds of the kernel) / workers.

Then weak scaling: all rows on all workers against a worker's share of them on one. All of these
are measured in turn, round after round, so that a slow minute of the machine slows them alike; the
ratios are medians over the rounds.

Where workers take all the cores, what Dask does besides is in the ratios too: most of it is the
sampling of every process for its Profile page, without which a pass is measured by

    DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False python tests/benchmarks/large_chunks.py
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from common import MODEL, cluster, cpu_seconds, params, seconds
from distributed import Client

from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.fitting.loop import Request, evaluate

CHUNK, FEATURES, COMPONENTS = 500_000, 8, 8

Requests = Sequence[Request]


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


def kernel_cpu(requests: Requests, path: str, _: int) -> float:
    """CPU seconds of the E step of a chunk in memory."""
    block = Block(zarr.open_array(path, mode="r")[:CHUNK])
    evaluate(block, requests)
    began = time.thread_time()
    evaluate(block, requests)
    return time.thread_time() - began


def a_round(
    both: Client, requests: Requests, path: Path, n_rows: int, passes: tuple
) -> list[float]:
    """Seconds of a bare read, CPU of it, of the kernel, of a pass, a pass, a share of it on one."""
    workers, (whole, share) = len(both.nthreads()), passes
    bare: list[float] = []
    read = cpu_seconds(both, lambda: bare.append(seconds(lambda: read_all(both, path, n_rows))))
    a_kernel = partial(kernel_cpu, requests)
    kernels = both.gather(both.map(a_kernel, [str(path)] * workers, range(workers), pure=False))
    kernel = np.mean(kernels) * n_rows / CHUNK
    a_pass: list[float] = []
    cpu = cpu_seconds(both, lambda: a_pass.append(seconds(whole)))
    return [bare[0], read, kernel, cpu, a_pass[0], seconds(share)]


def trial(
    requests: Requests, folder: Path, n_rows: int, workers: int, compressed: bool, rounds: int
) -> None:
    path = folder / f"{compressed}.zarr"
    array = da.from_zarr(make(path, n_rows, compressed))
    share = n_rows // workers // CHUNK * CHUNK
    with cluster(1) as single, cluster(workers) as both:
        blocks = replace(as_blocks(array), client=both)
        part = replace(as_blocks(array[:share]), client=single)
        passes = (lambda: blocks.sum(evaluate, requests), lambda: part.sum(evaluate, requests))
        a_round(both, requests, path, n_rows, passes)
        found = [a_round(both, requests, path, n_rows, passes) for _ in range(rounds)]
    bare, read, kernel, cpu, a_pass, alone = np.transpose(found)
    ideal = np.maximum(bare, (read + kernel) / workers)
    scaling = n_rows / share * alone / a_pass
    print("compressed" if compressed else "not compressed")
    for words, values in [
        ("a bare read", bare),
        ("CPU of the read", read),
        ("CPU of the kernel", kernel),
        ("CPU of a pass", cpu),
        ("a pass", a_pass),
        (f"{share:,} rows on one worker", alone),
    ]:
        print(f"  {words:28s} {' '.join(f'{v:6.2f}' for v in values)}")
    for words, ratios in [
        ("CPU of a pass / that of the read and the kernel", cpu / (read + kernel)),
        ("a pass / the larger of the two", a_pass / ideal),
        ("weak scaling", scaling),
    ]:
        spread = f"({ratios.min():.2f} to {ratios.max():.2f})"
        print(f"  {words}: {np.median(ratios):.2f} x {spread}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", choices=["numpy", "compiled"], default="numpy")
    parser.add_argument("--rows", type=int, default=16_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    requests = [(MODEL.with_kernel(options.kernel), [params(COMPONENTS, FEATURES)])]
    print(f"{options.rows:,} x {FEATURES} float64, {options.workers} workers; seconds")
    with tempfile.TemporaryDirectory() as folder:
        for compressed in (False, True):
            trial(requests, Path(folder), options.rows, options.workers, compressed, options.rounds)


if __name__ == "__main__":
    main()
