"""Whether "converged" is true: what fits have left to gain where they end, and their passes.

    python tests/benchmarks/converged.py [--only NAME] [--seeds N]

Mixtures of presences and of counts from soft random starts, Gaussian mixtures on plateaus, clusters
that overlap; plain EM and the default, tol by default and 1e-6. What is left is what a fit without
tol gains from there, in units of tol: untrue is a fit that has converged with more than 1.
"""

import argparse
import time
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_digits

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson

Problem = tuple[str, Mixture, np.ndarray, dict[str, np.ndarray]]


def presences(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    k, d = int(rng.integers(3, 9)), int(rng.integers(8, 31))
    p = rng.beta(0.3, 0.9, (k, d))
    rows = (rng.random((1500, d)) < p[rng.integers(k, size=1500)]) * 1.0
    start = {"weights": np.full(k, 1 / k), "probabilities": rng.uniform(0.25, 0.75, (k, d))}
    return f"presences {seed}", Mixture(Bernoulli()), rows, start


def plateau(seed: int) -> Problem:
    """Components around rows drawn at random, as wide as all the data."""
    rng = np.random.default_rng(100 + seed)
    k, d, n = int(rng.integers(2, 6)), int(rng.integers(1, 5)), int(10 ** rng.uniform(3, 4.3))
    rows = 1.2 * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    covariance = np.cov(rows.T).reshape(d, d)
    start = {"means": rows[:k], "covariances": np.stack([covariance] * k)}
    return f"plateau {seed}", Mixture(Gaussian()), rows, start | {"weights": np.full(k, 1 / k)}


def counts(seed: int) -> Problem:
    rng = np.random.default_rng(200 + seed)
    k = int(rng.integers(2, 6))
    rows = rng.poisson(rng.gamma(2, 3, (k, 5))[rng.integers(k, size=3000)]) * 1.0
    start = {"weights": np.full(k, 1 / k), "rates": rng.uniform(1, 9, (k, 5))}
    return f"counts {seed}", Mixture(Poisson()), rows, start


def digits(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    rows = (load_digits().data > 7) * 1.0
    start = {"weights": np.full(10, 0.1), "probabilities": rng.uniform(0.25, 0.75, (10, 64))}
    return f"digits {seed}", Mixture(Bernoulli()), rows, start


def problems(seeds: int) -> Iterator[Problem]:
    for make in (presences, plateau, counts, digits):
        yield from map(make, range(seeds))


def left(model: Mixture, rows: np.ndarray, ended: daskem.Result) -> float:
    """What a fit without tol gains from where another ended, nats per row."""
    on = daskem.fit(model, rows, start=ended.params, algorithm="squarem", tol=0, max_passes=1500)
    return on.history[-1].objective - ended.history[-1].objective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cells: dict[tuple[str, float | None], list[tuple[float, int, bool, float]]] = {}
    for name, model, rows, start in problems(options.seeds):
        for algorithm in ("em", "auto") if options.only in name else ():
            for tol in (None, 1e-6):
                settings = {
                    "algorithm": algorithm,
                    "tol": tol,
                    "max_passes": 2000,
                    "random_state": 0,
                }
                began = time.process_time()
                ended = daskem.fit(model, rows, start=start, **settings)
                spent = time.process_time() - began
                unit = max(ended.best.n_parameters / 200 / len(rows), 1e-6) if tol is None else tol
                more = left(model, rows, ended) / unit
                cells.setdefault((algorithm, tol), []).append(
                    (more, len(ended.history), ended.converged, spent)
                )
                if more > 1 or not ended.converged:
                    passes = len(ended.history)
                    print(
                        f"{name:14} {algorithm:5} {tol} {passes:5} passes {ended.status.name}: "
                        f"{more:.3g} tol left",
                        flush=True,
                    )
    for (algorithm, tol), cell in cells.items():
        gains = [more for more, _, converged, _ in cell if converged]
        print(
            f"{algorithm:5} tol={tol}: {len(gains)} of {len(cell)} converged, "
            f"{sum(more > 1 for more in gains)} untrue, {sum(more > 10 for more in gains)} by 10; "
            f"{sum(n for _, n, *_ in cell)} passes, {sum(s for *_, s in cell):.1f} CPU s"
        )


if __name__ == "__main__":
    main()
