"""Fits in many features: clusters found, and seconds, beside scikit-learn's in the same run.

    python tests/benchmarks/dimensions.py [--seeds N] [--only NAME]

For well-separated Gaussian clusters with full covariances: the adjusted Rand index (least and
median over the seeds) and CPU seconds (median) of one fit by each, with one BLAS thread. A rival
finds no more than one run of k-means did. In the last cells rows are fewer than features. A fit
may take `limit` seconds: three times the rival's and 0.3 more, or one second more than the rival's
where rows are fewer.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as Rival
from threadpoolctl import threadpool_limits

import daskem

CELLS = [
    (300, 2, 1000),
    (100, 5, 2000),
    (50, 10, 20_000),
    (784, 5, 2000),
    (400, 5, 65),
    (1421, 5, 65),
]


def clusters(d: int, k: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (sample, feature) of round clusters, and the cluster of each."""
    rng = np.random.default_rng([d, k, n, seed])
    labels, means = rng.integers(k, size=n), rng.standard_normal((k, d))
    return means[labels] + rng.standard_normal((n, d)), labels


def measure(make: Callable[..., object], d: int, k: int, n: int, seed: int) -> tuple[float, float]:
    """Adjusted Rand index and CPU seconds of a fit."""
    rows, labels = clusters(d, k, n, seed)
    began = time.process_time()
    found = make(k, random_state=seed).fit(rows).predict(rows)
    return adjusted_rand_score(labels, found), time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':>26} {'Rand, least and median':>30} {'CPU seconds':>18}  limit")
    for d, k, n in CELLS:
        name = f"d={d} K={k} n={n}"
        if options.only not in name:
            continue
        columns = []
        for make in (daskem.GaussianMixture, Rival):
            with threadpool_limits(1):
                runs = [measure(make, d, k, n, seed) for seed in range(options.seeds)]
            columns.append(np.array(runs))
        rand = "   ".join(f"{c[:, 0].min():.3f} {np.median(c[:, 0]):.3f}" for c in columns)
        ours, theirs = (np.median(c[:, 1]) for c in columns)
        limit = theirs + 1 if n < d else 3 * theirs + 0.3
        print(f"{name:>26} {rand:>30} {ours:>8.2f} {theirs:>8.2f}  {limit:.2f}", flush=True)


if __name__ == "__main__":
    main()
