"""What the benchmarks of whole passes share: a cluster of processes, a clock, a mixture."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster

import daskem
from daskem.errors import ConvergenceWarning

MODEL = daskem.Mixture(daskem.Gaussian())


@contextmanager
def cluster(workers: int, memory: str = "4GB", threads: int = 1) -> Iterator[Client]:
    """Worker processes with so many threads each, and their client."""
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            memory_limit=memory,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as made,
        Client(made) as client,
    ):
        yield client


def on_workers(client: Client, parts: list[np.ndarray]) -> da.Array:
    """Rows in the memory of the workers, one chunk of each part."""
    futures = zip(client.scatter(parts), parts, strict=True)
    return da.concatenate([da.from_delayed(f, part.shape, part.dtype) for f, part in futures])


def plain_em(x: da.Array, params: dict[str, np.ndarray], n_passes: int) -> None:
    """So many passes of EM, whatever is left to gain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        how = {"algorithm": "em", "tol": 0.0, "max_passes": n_passes}
        daskem.fit(MODEL, x, start=params, **how)


def seconds(f: Callable[[], object]) -> float:
    began = time.perf_counter()
    f()
    return time.perf_counter() - began


def best_of(f: Callable[[], object], repeats: int = 3) -> float:
    return min(seconds(f) for _ in range(repeats))


def differences(
    ways: Sequence[Callable[[int], object]], few: int, more: int, repeats: int
) -> np.ndarray:
    """Seconds for one of the `more` passes that each way takes beyond `few`, (way,): so no start
    and no first read is in them.

    All are timed in turn, and what each takes for so many passes is the best of the repeats; the
    first time does not count.
    """
    times = [
        [[seconds(partial(way, n)) for n in (few, few + more)] for way in ways]
        for _ in range(repeats + 1)
    ]
    return np.diff(np.min(times[1:], axis=0))[:, 0] / more


def cpu_seconds(client: Client, f: Callable[[], object]) -> float:
    """Of all worker processes while `f` runs."""
    before = client.run(_cpu_time)
    f()
    after = client.run(_cpu_time)
    return sum(after[worker] - before[worker] for worker in after)


def _cpu_time() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


def params(k: int, d: int) -> dict[str, np.ndarray]:
    """Of a mixture that overlaps with standard normal rows."""
    return {
        "weights": np.full(k, 1 / k),
        "means": np.random.default_rng(k).standard_normal((k, d)),
        "covariances": np.tile(np.eye(d), (k, 1, 1)),
    }
