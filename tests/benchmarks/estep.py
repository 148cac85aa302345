"""One EM iteration against scikit-learn's: same data, same parameters, same cores.

    python tests/benchmarks/estep.py [--cores N] [--repeats N]

Prints, for each (d, K): nanoseconds per row of both, their ratio, the share of this machine's
DGEMM rate that the two matrix products of the E step reach, and the most memory that it holds.
The two are timed in turn, and each figure is the best of the repeats.
"""

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from daskem import Gaussian, Mixture
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.survey import survey
from daskem.fitting.loop import evaluate
from daskem.fitting.starts.first_read import domain

SIZES = [(2, 3), (4, 8), (10, 10), (30, 20), (50, 50), (100, 20)]


def seconds(f: Callable[[], object]) -> float:
    began = time.perf_counter()
    f()
    return time.perf_counter() - began


def dgemm_rate(cores: int) -> float:
    """Flops per second of a large square matrix product."""
    a = np.random.default_rng(0).standard_normal((2000, 2000))
    with threadpool_limits(cores, user_api="blas"):
        return 2 * len(a) ** 3 / min(seconds(lambda: a @ a) for _ in range(5))


def problem(d: int, k: int, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Overlapping clusters and the parameters that made them."""
    rng = np.random.default_rng(d * k)
    means = 2 * rng.standard_normal((k, d))
    rows = means[rng.integers(k, size=n)] + rng.standard_normal((n, d))
    covariances = np.tile(np.eye(d), (k, 1, 1))
    return rows, {"weights": np.full(k, 1 / k), "means": means, "covariances": covariances}


def ours(rows: np.ndarray, params: dict[str, np.ndarray], cores: int) -> Callable[[], object]:
    blocks = [Block(part) for part in np.array_split(rows, cores)]
    model = Mixture(Gaussian("full", reg_covar=0))
    model = model.given(add_all([survey(block, domain(model), 0) for block in blocks]))
    framed = model.to_frame(params)
    pool = ThreadPoolExecutor(cores)

    def iteration() -> object:
        parts = list(pool.map(lambda block: evaluate(block, [(model, [framed])]), blocks))
        return model.m_step(add_all(parts)["statistics"][0][0], framed)

    return iteration


def theirs(rows: np.ndarray, params: dict[str, np.ndarray], cores: int) -> Callable[[], object]:
    model = GaussianMixture(
        len(params["weights"]),
        weights_init=params["weights"],
        means_init=params["means"],
        precisions_init=np.linalg.inv(params["covariances"]),
        max_iter=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows[: 50 * len(params["weights"])])

    def iteration() -> None:
        with threadpool_limits(cores):
            _, log_responsibilities = model._e_step(rows)
            model._m_step(rows, log_responsibilities)

    return iteration


def peak_megabytes(f: Callable[[], object]) -> float:
    tracemalloc.start()
    f()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rate = dgemm_rate(options.cores)
    print(f"{options.cores} core(s), DGEMM {rate / 1e9:.1f} Gflop/s")
    print(f"{'d':>4} {'K':>4} {'rows':>8}  {'ours':>9} {'sklearn':>9}  ratio  DGEMM  peak MB")
    for d, k in SIZES:
        n = int(np.clip(4e7 / (d * k), 4e4, 1e6))
        rows, params = problem(d, k, n)
        mine, other = ours(rows, params, options.cores), theirs(rows, params, options.cores)
        times = [(seconds(mine), seconds(other)) for _ in range(options.repeats + 1)][1:]
        own, rival = np.min(times, axis=0) / n
        flops = 4 * k * (1 + d + d * (d + 1) / 2)
        print(
            f"{d:>4} {k:>4} {n:>8}  {own * 1e9:>6.0f} ns {rival * 1e9:>6.0f} ns"
            f"  {rival / own:>5.1f}  {flops / own / rate:>5.0%}  {peak_megabytes(mine):>7.1f}"
        )


if __name__ == "__main__":
    main()
