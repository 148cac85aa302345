"""An E step of rows with gaps against one of complete rows, by how many patterns of gaps there are.

    python tests/benchmarks/gaps.py [--rows N] [--repeats N] [--sizes 4,3 10,10]

For each structure and (d, K): nanoseconds of a processor per row of one block with the NumPy
kernel; complete, and with 1, 10, 100 and 1,000 patterns in which 30 % of the values are missing
(as many as there are, where d features have fewer), and how many times the cost of complete rows
that is. Each figure is the best of the repeats.
"""

import argparse
import time

import numpy as np

from daskem import Gaussian, Mixture
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.data.blocks import Block

MISSING = 0.3
PATTERNS = (1, 10, 100, 1000)


def problem(kind: str, d: int, k: int, n: int) -> tuple[Params, np.ndarray]:
    """Params of a mixture, and rows drawn from it."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
    full = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(d)
    diagonals = np.diagonal(full, axis1=1, axis2=2)
    covariances = {"full": full, "tied": full[0], "diag": diagonals}
    covariances["spherical"] = diagonals.mean(axis=1)
    params = Params(
        {
            "weights": np.full(k, 1 / k),
            "means": 2 * rng.normal(size=(k, d)),
            "covariances": covariances[kind],
        }
    )
    return params, Gaussian(kind).sample(params, rng.integers(k, size=n), rng)


def holed(rows: np.ndarray, n_patterns: int) -> np.ndarray:
    """The rows, each with one of so many patterns of gaps."""
    rng, d = np.random.default_rng(1), rows.shape[1]
    n_patterns, found = min(n_patterns, 2**d - 2), set[tuple[bool, ...]]()
    while len(found) < n_patterns:
        absent = rng.random(d) < MISSING
        if absent.any() and not absent.all():
            found.add(tuple(absent.tolist()))
    patterns = np.array(sorted(found))
    return np.where(patterns[rng.integers(len(patterns), size=len(rows))], np.nan, rows)


def seconds(model: Mixture, rows: np.ndarray, params: Params, repeats: int) -> float:
    block, best = Block(rows), np.inf
    for _ in range(repeats):
        began = time.process_time()
        model.e_step(block, params)
        best = min(best, time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=["4,3", "10,10"], metavar="D,K")
    given = parser.parse_args()
    print("structure  (d, K)    complete" + "".join(f"{n:>16,}" for n in PATTERNS))
    for kind in ("full", "tied", "diag", "spherical"):
        for size in given.sizes:
            d, k = map(int, size.split(","))
            params, rows = problem(kind, d, k, given.rows)
            model = Mixture(Gaussian(kind), incomplete=True)
            with one_blas_thread():
                whole = seconds(model, rows, params, given.repeats)
                each = [seconds(model, holed(rows, n), params, given.repeats) for n in PATTERNS]
            ns = 1e9 / given.rows
            told = "".join(f"{ns * s:9,.0f} ({s / whole:3.1f}x)" for s in each)
            print(f"{kind:9}  ({d}, {k}) {ns * whole:10,.0f}{told}", flush=True)


if __name__ == "__main__":
    main()
