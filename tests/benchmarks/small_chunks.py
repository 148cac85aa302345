"""A pass over many small chunks, against zarr's own reading time and against plain Dask.

    python tests/benchmarks/small_chunks.py [--chunks N] [--workers N]

The store holds N chunks (default 10,000) of 1,000 x 4 float32. Prints seconds of a pass on a
LocalCluster of single-threaded processes, of zarr's own loop over the chunks in one thread,
divided by the workers, and of plain Dask on the same cluster: one task for each chunk, and a tree.
A zarr array that is passed as it is may be fetched several chunks at a time; one that comes as a
Dask array has a task of Dask's for each chunk inside ours.
"""

import argparse
import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from common import best_of, cluster

import daskem
from daskem.data.inputs import as_blocks
from daskem.data.inputs.rows import as_rows
from daskem.fitting.loop import evaluate

ROWS, FEATURES = 1000, 4


def make(path: Path, n_chunks: int) -> zarr.Array:
    store = zarr.create_array(
        path, shape=(n_chunks * ROWS, FEATURES), chunks=(ROWS, FEATURES), dtype="f4"
    )
    rng = np.random.default_rng(0)
    step = 100 * ROWS
    for start in range(0, store.shape[0], step):
        shape = (min(step, store.shape[0] - start), FEATURES)
        store[start : start + shape[0]] = rng.standard_normal(shape, dtype="f4")
    return store


def read_all(store: zarr.Array) -> None:
    for start in range(0, store.shape[0], ROWS):
        store[start : start + ROWS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    model = daskem.Mixture(daskem.Gaussian())
    params = {
        "weights": np.full(3, 1 / 3),
        "means": np.eye(3, FEATURES),
        "covariances": np.stack([np.eye(FEATURES)] * 3),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(options.workers),
    ):
        store = make(Path(folder) / "rows.zarr", options.chunks)
        array = da.from_zarr(store)
        requests = [(model, [params])]

        def a_pass(data: object) -> float:
            blocks = as_blocks(as_rows(data).array)
            blocks.sum(evaluate, requests)
            return best_of(lambda: blocks.sum(evaluate, requests))

        def plain() -> None:
            sums = array.map_blocks(
                lambda x: np.atleast_2d(model.e_step(daskem.data.blocks.Block(x), params)["first"]),
                dtype="f8",
                chunks=((3,) * options.chunks, (FEATURES,)),
                meta=np.empty((0, 0)),
            )
            sums.reshape(-1, 3, FEATURES).sum(axis=0).compute()

        ideal = best_of(lambda: read_all(store)) / options.workers
        ours, chunked = a_pass(store), a_pass(array)
        rival = best_of(plain, repeats=1)
    print(f"{options.chunks:,} chunks of {ROWS} x {FEATURES} float32, {options.workers} workers")
    print(f"zarr's own loop / workers  {ideal:7.2f} s")
    print(f"a pass over the zarr array {ours:7.2f} s   {ours / ideal:5.2f} x")
    print(f"a pass over da.from_zarr   {chunked:7.2f} s   {chunked / ideal:5.2f} x")
    print(f"plain Dask                 {rival:7.2f} s   {rival / ideal:5.2f} x")


if __name__ == "__main__":
    main()
