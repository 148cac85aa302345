"""One EM iteration of a hidden Markov model against hmmlearn's: same data, same start, one core.

    python tests/benchmarks/chains.py [--repeats N] [--sizes 3,2 8,4] [--steps N] [--length N]

For each (states, features): nanoseconds of a processor per step with NumPy's chains, the compiled
ones and hmmlearn's GaussianHMM (full covariances), as it is by default, and with its faster
setting, implementation="scaling"; how many times the speed of both the compiled ones have; and how
many times faster two threads of one process are than one, in seconds of the clock. Each figure is
the best of the repeats, taken in turn.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from common import seconds
from hmmlearn.hmm import GaussianHMM
from threadpoolctl import threadpool_limits

from daskem import Gaussian, HiddenMarkov
from daskem.core.candidates import Candidates
from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.fitting.starts.first_read import domain

# Iterations with one thread and with two, for each of all others: they take less, and vary more.
_THREADS = 4
# Blocks of each of which a thread takes one after the other.
BLOCKS = 4


def cpu_seconds(f: Callable[[], object]) -> float:
    began = time.process_time()
    f()
    return time.process_time() - began


def problem(k: int, d: int, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of states that last some ten steps, and what made them."""
    rng = np.random.default_rng(d * k)
    means = 2 * rng.standard_normal((k, d))
    states = np.repeat(rng.integers(k, size=n // 10 + 1), 10)[:n]
    transitions = np.full((k, k), 0.1 / k) + 0.9 * np.eye(k)
    return means[states] + rng.standard_normal((n, d)), {
        "initial": np.full(k, 1 / k),
        "transitions": transitions / transitions.sum(axis=1, keepdims=True),
        "means": means,
        "covariances": np.tile(np.eye(d), (k, 1, 1)),
    }


class Iteration:
    """An E step and an M step of sequences of one length, with one of the kernels."""

    def __init__(
        self, rows: np.ndarray, length: int, params: dict[str, np.ndarray], backend: str
    ) -> None:
        size = len(rows) // BLOCKS
        edges = np.arange(0, size + 1, length)
        self.blocks = [Block(rows[i * size : (i + 1) * size], edges=edges) for i in range(BLOCKS)]
        model = HiddenMarkov(Gaussian(), backend=backend)
        self.model = model.given(add_all([survey(b, domain(model), 0) for b in self.blocks]))
        self.params = self.model.to_frame(params)
        self.pools = {threads: ThreadPoolExecutor(threads) for threads in (1, 2)}

    def __call__(self, threads: int = 1) -> object:
        with one_blas_thread():
            known = Candidates([self.params])
            steps = self.pools[threads].map(
                lambda block: self.model.e_steps(block, known)[0], self.blocks
            )
            parts = list(steps)
            return self.model.m_step(add_all(parts), self.params)


def theirs(
    rows: np.ndarray, length: int, params: dict[str, np.ndarray], implementation: str
) -> Callable[[], object]:
    """hmmlearn's iteration."""
    lengths = np.full(len(rows) // length, length)

    def iteration() -> None:
        model = GaussianHMM(
            len(params["initial"]),
            "full",
            n_iter=1,
            init_params="",
            implementation=implementation,
        )
        model.startprob_, model.transmat_ = params["initial"], params["transitions"]
        model.means_, model.covars_ = params["means"], params["covariances"]
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(rows, lengths)

    return iteration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", nargs="*", default=["3,2", "8,4"])
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--length", type=int, default=100)
    options = parser.parse_args()
    n = options.steps // (BLOCKS * options.length) * BLOCKS * options.length
    print(f"ns a step, of {n:,} in sequences of {options.length}")
    print("   K    d     numpy  compiled      hmmlearn   scaling    times     2 threads")
    for k, d in (map(int, size.split(",")) for size in options.sizes):
        rows, params = problem(k, d, n)
        plain, fast = (Iteration(rows, options.length, params, b) for b in ("numpy", "compiled"))
        rivals = [theirs(rows, options.length, params, how) for how in ("log", "scaling")]
        fast()
        times = [[cpu_seconds(f) for f in (plain, fast, *rivals)] for _ in range(options.repeats)]
        numpy, own, log, scaling = np.min(times, axis=0) / n * 1e9
        threads = [partial(fast, 1), partial(fast, 2)]
        walls = [[seconds(f) for f in threads] for _ in range(_THREADS * options.repeats)]
        one, two = np.min(walls, axis=0)
        print(
            f"{k:>4} {d:>4} {numpy:>6.0f} ns {own:>6.0f} ns {log:>10.0f} ns {scaling:>6.0f} ns"
            f"   {log / own:>4.1f} {scaling / own:>4.1f}   {one / two:>8.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
