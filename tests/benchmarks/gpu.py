"""One E step on a GPU against the CPU's kernels: same rows, same params, same run.

    python tests/benchmarks/gpu.py [--rows N] [--repeats N] [--sizes spherical,128,1024 full,50,50]

For each structure, d and K: milliseconds of an E step whose rows lie in memory of the host, in one
block; in eight, by four threads; and as float32. What of it copying the rows takes alone, and what
the products and the softmax take alone, with the share of the device's DGEMM rate that the products
reach. Then the compiled kernel and NumPy's, on all cores, of fewer rows and taken times as many.
Each figure is the best of the repeats. IBM's Flash-GMM publishes 152 ms for a million rows of
spherical,128,1024 on an A100.
"""

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cupy
import numpy as np
from common import best_of

from daskem import Gaussian, Mixture
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.fitting.starts.first_read import domain
from daskem.models.kernels.arguments import Natural, Task
from daskem.models.kernels.device.sweep import DeviceSums, members, tiles

# Of the rows, how many the kernels of the CPU take.
SHARE = 8
# Threads that hand rows to the device at the same time.
THREADS = 4


def problem(kind: str, d: int, k: int, n: int) -> tuple[np.ndarray, Mixture, Params]:
    """Rows of overlapping clusters, and a mixture of them in its frame."""
    rng = np.random.default_rng(d * k)
    means = rng.standard_normal((k, d))
    rows = rng.standard_normal((n, d))
    for first in range(0, n, 2**16):
        part = rows[first : first + 2**16]
        part += means[rng.integers(k, size=len(part))]
    model = Mixture(Gaussian(kind))
    some = rows[:: max(n // 20_000, 1)]
    model = model.given(survey(Block(some), domain(model), 0))
    covariances = {"full": np.tile(np.eye(d), (k, 1, 1)), "tied": np.eye(d)}
    covariances |= {"diag": np.ones((k, d)), "spherical": np.ones(k)}
    params = {"weights": np.full(k, 1 / k), "means": means, "covariances": covariances[kind]}
    return rows, model, model.to_frame(params)


def on_cpu(rows: np.ndarray, model: Mixture, params: Params, backend: str) -> Callable[[], object]:
    """An E step with a kernel of the CPU, on all cores."""
    cores = os.cpu_count() or 1
    blocks = [Block(part) for part in np.array_split(rows[: len(rows) // SHARE], 2 * cores)]
    kernel, pool = model.with_kernel(backend).kernel([params]), ThreadPoolExecutor(cores)

    def e_step() -> object:
        with one_blas_thread():
            return add_all(list(pool.map(kernel.e_step, blocks)))

    return e_step


def synchronised(f: Callable[[], object]) -> Callable[[], object]:
    def done() -> None:
        f()
        cupy.cuda.Device().synchronize()

    return done


def on_gpu(rows: np.ndarray, model: Mixture, params: Params, repeats: int) -> list[float]:
    """Seconds of an E step, by four threads, of float32; of copying alone, of computing alone."""
    kernel = model.with_kernel("cupy").kernel([params])
    blocks = [Block(part) for part in np.array_split(rows, 2 * THREADS)]
    whole, narrow = Block(rows), Block(rows.astype(np.float32))
    with ThreadPoolExecutor(THREADS) as pool:
        steps = (
            lambda: kernel.e_step(whole),
            lambda: list(pool.map(kernel.e_step, blocks)),
            lambda: kernel.e_step(narrow),
            synchronised(lambda: cupy.asarray(rows)),
        )
        steps[0]()
        times = [best_of(step, repeats) for step in steps]
    return [*times, computing(rows, model, kernel.natural, repeats)]


def statistics(kind: str, d: int) -> int:
    """Numbers of T(x)."""
    return 1 + d + {"full": d * (d + 1) // 2, "tied": 0, "diag": d, "spherical": 1}[kind]


def computing(rows: np.ndarray, model: Mixture, form: Natural, repeats: int) -> float:
    """Seconds of what follows a tile's arrival, for all rows."""
    tile = next(tiles(rows, None, model.frame, form))
    made, task = DeviceSums(form, rows.shape[1]), Task.of()
    n = tile.features.shape[1]
    once = best_of(synchronised(lambda: made.add(tile, members(tile, made, task))), repeats)
    return once * len(rows) / n


def dgemm_rate() -> float:
    a = cupy.random.default_rng(0).standard_normal((8192, 8192))
    return 2 * len(a) ** 3 / best_of(synchronised(lambda: cupy.dot(a, a)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=4)
    sizes = ["spherical,128,1024", "full,50,50", "full,10,10", "full,4,8", "diag,30,100"]
    parser.add_argument("--sizes", nargs="*", default=sizes)
    options, rate = parser.parse_args(), dgemm_rate()
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, DGEMM {rate / 1e12:.1f} Tflop/s; {os.cpu_count()} cores; {options.rows:,} rows")
    print(
        f"{'':<20}   E step  4 threads   float32   copying  computing  DGEMM   compiled     numpy"
    )
    for size in options.sizes:
        kind, d, k = size.split(",")
        began = time.perf_counter()
        rows, model, params = problem(kind, int(d), int(k), options.rows)
        on_device = on_gpu(rows, model, params, options.repeats)
        share = 4 * statistics(kind, int(d)) * int(k) * len(rows) / rate / on_device[-1]
        cpu = []
        for backend in ("compiled", "numpy"):
            e_step = on_cpu(rows, model, params, backend)
            e_step()
            cpu.append(SHARE * best_of(e_step, 2))
        shown = "".join(f"{1e3 * s:>7.1f} ms" for s in on_device)
        shown += f"  {share:>4.0%}" + "".join(f"{1e3 * s:>7.0f} ms" for s in cpu)
        print(
            f"{size:<20}{shown}   ({time.perf_counter() - began:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
