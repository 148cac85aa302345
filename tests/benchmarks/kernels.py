"""One EM iteration with each kernel against scikit-learn's, and two threads against one.

    python tests/benchmarks/kernels.py [--avx2] [--repeats N] [--sizes 2,3 100,20]

For each (d, K): nanoseconds of a processor per row with the NumPy kernel, the compiled one and
scikit-learn, in turn, on one core, and how many times scikit-learn's speed the two are; then how
many times faster two threads of one process are than one, in seconds of the clock, and which shares
of the compiled kernel's time its products would take at this machine's DGEMM rate, and its
exponentials by themselves. Each figure is the best of the repeats. With --avx2 everything is as on
a processor without AVX-512.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from common import seconds
from estep import SIZES, dgemm_rate, problem, theirs

from daskem import Gaussian, Mixture
from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.fitting.starts.first_read import domain

AVX2 = {
    "NPY_DISABLE_CPU_FEATURES": "AVX512_ICL X86_V4",
    "OPENBLAS_CORETYPE": "Haswell",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse4.2",
}
# Iterations with one thread and with two, for each of all others: they vary more.
_THREADS = 3


def exp_rate() -> float:
    """Exponentials per second of the code of the compiled kernel, in the fastest cache."""
    from daskem.models.kernels.machine.compiling import numba
    from daskem.models.kernels.machine.exponentials import exp
    from daskem.models.kernels.machine.vectors import LANES, load, store

    @numba.njit
    def exponentials(x, out, repeats):
        for _ in range(repeats):
            for j in range(0, x.shape[1], LANES):
                store(out, 0, j, exp(load(x, 0, j)))

    x = np.random.default_rng(0).uniform(-30.0, 0.0, (1, 1024))
    out, repeats = np.empty_like(x), 2000
    exponentials(x, out, 1)
    times = [cpu_seconds(lambda: exponentials(x, out, repeats)) for _ in range(5)]
    return x.size * repeats / min(times)


def cpu_seconds(f: Callable[[], object]) -> float:
    began = time.process_time()
    f()
    return time.process_time() - began


class Iteration:
    """An E step and an M step of some parts of the data, with one of the kernels."""

    def __init__(self, rows: np.ndarray, params: dict[str, np.ndarray], backend: str) -> None:
        self.blocks = [Block(part) for part in np.array_split(rows, 8)]
        model = Mixture(Gaussian(), backend=backend)
        self.model = model.given(add_all([survey(b, domain(model), 0) for b in self.blocks]))
        self.params = self.model.to_frame(params)
        self.pools = {threads: ThreadPoolExecutor(threads) for threads in (1, 2)}

    def __call__(self, threads: int = 1) -> object:
        with one_blas_thread():
            kernel = self.model.kernel([self.params])
            (total,) = add_all(list(self.pools[threads].map(kernel.e_step, self.blocks)))
            return self.model.m_step(total, self.params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", nargs="*", default=[f"{d},{k}" for d, k in SIZES])
    options = parser.parse_args()
    if options.avx2 and os.environ.get("NUMBA_CPU_NAME") != AVX2["NUMBA_CPU_NAME"]:
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **AVX2}).returncode)
    rate, exps = dgemm_rate(1), exp_rate()
    print(f"DGEMM {rate / 1e9:.1f} Gflop/s on one core{', as on AVX2' * options.avx2}, ", end="")
    print(f"an exponential {1e9 / exps:.2f} ns")
    print("   d    K     numpy  compiled   sklearn   ratios      2 threads      DGEMM   exp")
    for d, k in (map(int, size.split(",")) for size in options.sizes):
        n = int(np.clip(4e7 / (d * k), 4e4, 4e6))
        rows, params = problem(d, k, n)
        plain, fast = (Iteration(rows, params, kernel) for kernel in ("numpy", "compiled"))
        rivals = (plain, fast, theirs(rows, params, 1))
        times = [[cpu_seconds(f) for f in rivals] for _ in range(options.repeats + 1)][1:]
        numpy, own, rival = np.min(times, axis=0) / n * 1e9
        walls = [
            [seconds(lambda f=f, t=t: f(t)) for f in (plain, fast) for t in (1, 2)]
            for _ in range(_THREADS * options.repeats)
        ]
        one_plain, two_plain, one_fast, two_fast = np.min(walls, axis=0)
        flops = 4 * k * (1 + d + d * (d + 1) / 2)
        print(
            f"{d:>4} {k:>4} {numpy:>6.0f} ns {own:>6.0f} ns {rival:>6.0f} ns"
            f"  {rival / numpy:>4.1f} {rival / own:>5.1f}"
            f"  {one_plain / two_plain:>5.2f} {one_fast / two_fast:>5.2f}"
            f"  {flops / own * 1e9 / rate:>7.0%}  {k / own * 1e9 / exps:>4.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
