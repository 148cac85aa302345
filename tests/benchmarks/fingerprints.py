"""What fingerprints cost: their CPU time, in per cent of that of the pass that they ride on.

    python tests/benchmarks/fingerprints.py

First, every part is timed by itself, in turns and in the order of a pass: the read of a chunk of
4 MiB of an uncompressed zarr store on the disk of the temporary folder, the E step of a block, and
its fingerprint; the median over many blocks counts. Where other processes keep a machine busy, the
difference of two long passes is noise, and the fastest of many tries a lucky one.

Then the fingerprints of whole passes over such a store are timed where they are made, in buffers
that a pass uses again; the median over passes counts. A fingerprint is bound by one more read of
memory: its place (before or after the E step, in the thread that has just read the block) makes no
difference, and a plain sum of the words, the cheapest that there is, takes a seventh off its time.
"""

import tempfile
import time
from collections.abc import Callable, Sequence

import dask
import numpy as np
import zarr

import daskem
from daskem import Gaussian, Mixture
from daskem.data.blocks import WEIGHT, Block, Piece
from daskem.data.survey import fingerprint
from daskem.fitting import loop
from daskem.models.kernels.backends import BACKENDS, present

# Blocks, of so many bytes each, and rounds over them.
_BLOCKS, _BYTES, _ROUNDS = 16, 2**22, 9
# Passes over them.
_PASSES = 9


def medians(parts: Sequence[Callable[[int], object]]) -> np.ndarray:
    """CPU seconds of each part for one block, (part,): the median, all parts in turns."""
    seconds = np.empty((_ROUNDS, _BLOCKS, len(parts)))
    for _round, block, number in np.ndindex(seconds.shape):
        began = time.process_time()
        parts[number](block)
        seconds[_round, block, number] = time.process_time() - began
    return np.median(seconds, axis=(0, 1))


def blocks_of(d: int, dtype: str, weighted: bool) -> list[Block]:
    rng = np.random.default_rng(0)
    n = _BYTES // (d * np.dtype(dtype).itemsize)
    made = []
    for number in range(_BLOCKS):
        along = {WEIGHT: rng.uniform(size=n)} if weighted else {}
        rows = rng.normal(size=(n, d)).astype(dtype)
        made.append(Block(rows, along=along, pieces=(Piece((number,), number, (n,)),)))
    return made


def costs(k: int, d: int, dtype: str, weighted: bool, kernel: str, folder: str) -> str:
    """A line of the table."""
    blocks = blocks_of(d, dtype, weighted)
    shape = len(blocks) * len(blocks[0]), d
    path = tempfile.mkdtemp(dir=folder)
    chunks = (len(blocks[0]), d)
    stored = zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype, compressors=None)
    stored[:] = np.concatenate([block.rows for block in blocks])
    model = Mixture(Gaussian()).with_kernel(kernel)
    labels = np.arange(len(blocks[0])) % k
    means = blocks[0].rows[:k].astype(float)
    params = [model.from_labels(Block(blocks[0].rows.astype(float)), labels, means)]
    size = len(blocks[0])
    read, step, mark = medians(
        [
            lambda i: stored[i * size : (i + 1) * size],
            lambda i: loop.e_steps(model, blocks[i], params),
            lambda i: fingerprint(blocks[i]),
        ]
    )
    weights = "weights" if weighted else ""
    shares = 100 * mark / step, 100 * mark / (step + read)
    milliseconds = " ".join(f"{1e3 * seconds:>8.2f}" for seconds in (mark, step, read))
    return (
        f"{k:>3} {d:>3} {dtype} {weights:>7} {kernel:>8} {milliseconds}"
        f" {shares[0]:>10.1f} {shares[1]:>10.1f}"
    )


class Clock:
    """The fingerprint of a block, and the CPU seconds that all of them took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, block: Block) -> np.ndarray:
        began = time.thread_time()
        mark = fingerprint(block)
        self.seconds += time.thread_time() - began
        return mark


def of_passes(k: int, d: int, dtype: str, kernel: str, folder: str) -> str:
    """A line of the second table: per cent of passes of plain EM, and of the default algorithm."""
    n = _BYTES // (d * np.dtype(dtype).itemsize)
    path = tempfile.mkdtemp(dir=folder)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(_BLOCKS * n, d)) + 2 * rng.integers(k, size=(_BLOCKS * n, 1))
    zarr.create_array(path, data=rows.astype(dtype), chunks=(n, d), compressors=None)
    medians = []
    for algorithm in ("em", "auto"):
        loop.fingerprint = clock = Clock()
        options = {"algorithm": algorithm, "tol": 1e-300, "cache": "none", "kernel": kernel}
        fit = daskem.iterate(Mixture(Gaussian()), path, k, max_passes=_PASSES, **options)
        marks = [(time.process_time(), clock.seconds) for _ in fit]
        both = np.diff(marks, axis=0)
        medians.append(100 * np.median(both[:, 1] / both[:, 0]))
    return f"{k:>3} {d:>3} {dtype} {kernel:>8} {medians[0]:>8.1f} {medians[1]:>8.1f}"


if __name__ == "__main__":
    print("CPU milliseconds for a block of 4 MiB")
    print("  K   d              kernel    print   E step     read % of E step  % of pass")
    with tempfile.TemporaryDirectory() as folder:
        for kernel in filter(present, BACKENDS):
            for k, d in ((3, 2), (8, 4), (10, 10), (20, 30)):
                for dtype, weighted in (("f8", False), ("f4", False), ("f8", True)):
                    print(costs(k, d, dtype, weighted, kernel, folder), flush=True)
        print("per cent of the CPU time of whole passes")
        print("  K   d       kernel       em     auto")
        with dask.config.set(scheduler="synchronous"):
            for kernel in filter(present, BACKENDS):
                for k, d in ((3, 2), (8, 4), (10, 10), (20, 30)):
                    for dtype in ("f8", "f4"):
                        print(of_passes(k, d, dtype, kernel, folder), flush=True)
