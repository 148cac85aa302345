"""What fingerprints cost: the CPU time of passes with and without, in per cent of the latter.

    python tests/benchmarks/fingerprints.py

In memory there is no reading, which makes a pass longer and the share smaller; the store is of
zarr, uncompressed, on the disk of the temporary folder.
"""

import tempfile
import time

import dask
import dask.array as da
import numpy as np
import zarr

from daskem import Gaussian, Mixture
from daskem.data.blocks import Block, Blocks
from daskem.data.inputs import as_blocks
from daskem.data.survey import fingerprint
from daskem.fitting import loop

# Chunks of 4 MiB, and how often each way is tried: the fastest counts.
_CHUNKS, _ROUNDS = 16, 7


def seconds(blocks: Blocks, requests: list, prints: bool) -> float:
    """CPU seconds of one pass."""
    loop.fingerprint = fingerprint if prints else lambda block: np.zeros(1, np.uint64)
    began = time.process_time()
    blocks.sum(loop.evaluate, requests)
    return time.process_time() - began


def costs(k: int, d: int, folder: str) -> str:
    """A line of the table."""
    rng = np.random.default_rng(0)
    n = 2**19 // d
    rows = rng.normal(size=(n * _CHUNKS, d))
    path = tempfile.mkdtemp(dir=folder)
    array = zarr.create_array(path, shape=rows.shape, chunks=(n, d), dtype="f8", compressors=None)
    array[:] = rows
    model = Mixture(Gaussian())
    labels = rng.integers(k, size=n)
    requests = [(model, [model.from_labels(Block(rows[:n]), labels, rows[:k])])]
    line = f"{k:>3} {d:>3}"
    for data in (rows, da.from_zarr(path)):
        blocks = as_blocks(data, missing="raise", cache="none", along={})
        tried = [[seconds(blocks, requests, on) for on in (False, True)] for _ in range(_ROUNDS)]
        without, with_prints = np.min(tried, axis=0)
        line += f" {1e3 * without:>12.1f} {100 * (with_prints / without - 1):>9.1f}"
    return line


if __name__ == "__main__":
    print("  K   d    memory ms  per cent     store ms  per cent")
    with tempfile.TemporaryDirectory() as folder, dask.config.set(scheduler="synchronous"):
        for k, d in ((3, 2), (8, 4), (8, 20), (20, 10)):
            print(costs(k, d, folder))
