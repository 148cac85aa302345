"""How long the scheduler's event loop stands still while a fit runs on it.

A large model (K = 100 components, d = 100 features: 8 MB of params) on few rows, so that nearly
all the work is the loop's. A clock on the event loop of a real scheduler process notes how late
it wakes; the rival is the same fit with its loop in this process, and the yardstick is the M step
itself, for which a loop on the event loop would stand still.

    python tests/benchmarks/coordinator_stall.py
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dask.array as da
import numpy as np
from cluster import scheduler, workers
from distributed import Client

import daskem
from daskem.data.blocks import Block

K, D, PASSES = 100, 100, 5


def watched(client, run):
    """Run; the longest times in ms that the scheduler's event loop woke up too late meanwhile."""

    async def start(dask_scheduler):
        import asyncio
        import time

        dask_scheduler.lags = lags = []

        async def clock():
            while dask_scheduler.lags is lags:
                before = time.perf_counter()
                await asyncio.sleep(0.002)
                lags.append(time.perf_counter() - before - 0.002)

        dask_scheduler.clock = asyncio.ensure_future(clock())

    def stop(dask_scheduler):
        lags, dask_scheduler.lags = dask_scheduler.lags, None
        return sorted(lags)

    client.run_on_scheduler(start)
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    lags = client.run_on_scheduler(stop)
    return 1e3 * lags[-1], 1e3 * lags[int(0.99 * len(lags))], seconds


def m_step_seconds(model, rows, start):
    statistics = model.e_step(Block(rows), start)
    began = time.perf_counter()
    model.m_step(statistics, start)
    return time.perf_counter() - began


def main():
    warnings.simplefilter("ignore", daskem.errors.ConvergenceWarning)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4000, D)) + rng.integers(3, size=(4000, 1))
    start = {
        "weights": np.full(K, 1 / K),
        "means": rows[:K],
        "covariances": np.broadcast_to(np.eye(D), (K, D, D)).copy(),
    }
    model = daskem.Mixture(daskem.Gaussian())
    data = da.from_array(rows, chunks=(1000, -1))
    options = {"start": start, "tol": 0, "max_passes": PASSES, "random_state": 0}
    folder = Path(tempfile.mkdtemp())
    with scheduler(folder) as file, workers(file, 1), Client(scheduler_file=str(file)) as client:
        client.wait_for_workers(1)
        first = watched(client, lambda: daskem.fit(model, data, **options))
        there = watched(client, lambda: daskem.fit(model, data, **options))
        here = watched(client, lambda: list(daskem.iterate(model, data, **options)))
    m_step = 1e3 * m_step_seconds(model, rows, start)
    for name, (longest, most, seconds) in {
        "first fit on the scheduler (it imports daskem)": first,
        "a later fit on the scheduler": there,
        "the loop in this process": here,
    }.items():
        print(
            f"{name:48} longest stall {longest:6.1f} ms, 99% below {most:5.1f} ms, {seconds:.2f} s"
        )
    print(f"{'an M step':48} {m_step:20.1f} ms")
    print(f"longest stall, on the scheduler / here: {there[0] / here[0]:.2f}")
    print(f"time of the fit, on the scheduler / here: {there[2] / here[2]:.2f}")


if __name__ == "__main__":
    main()
