"""Choosing K and its price: reads against one fit, time and BIC against a loop of scikit-learn's.

    python tests/benchmarks/selection.py [--rows N] [--features D] [--planted K] [--most K]
        [--n-init N] [--rival K [K ...]]

scikit-learn fits every K of --rival (default: all of them) with as many restarts, on the same
cores; where that is not all, its time for the others is interpolated, linearly in K.
"""

import argparse
import os
import time
import warnings

import numpy as np
from sklearn.mixture import GaussianMixture

import daskem
from daskem import Gaussian, Mixture


def problem(n: int, d: int, k: int, seed: int) -> np.ndarray:
    """Clusters that overlap somewhat."""
    rng = np.random.default_rng(seed)
    means = 3.0 * k ** (1 / d) * rng.standard_normal((k, d)) / np.sqrt(d)
    return means[rng.integers(k, size=n)] + rng.standard_normal((n, d))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--planted", type=int, default=6)
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--n-init", type=int, default=5)
    parser.add_argument("--rival", type=int, nargs="*", default=None)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = problem(options.rows, options.features, options.planted, options.seed)
    counts = range(1, options.most + 1)
    rivals = list(counts) if options.rival is None else options.rival

    began = time.perf_counter()
    found = daskem.select(rows, counts, n_init=options.n_init, random_state=options.seed)
    ours = time.perf_counter() - began
    print(found)
    best = found.best.n_components
    alone = daskem.fit(Mixture(Gaussian()), rows, best, random_state=options.seed)
    single = 1 + len(alone.history)
    print(
        f"planted {options.planted}, found {best}; reads {found.n_reads}, the single fit "
        f"{single}: {found.n_reads / single:.2f}x",
        flush=True,
    )
    if not rivals:
        return
    times, lost = [], 0
    print(f"{'K':>3} {'our BIC':>12} {'sklearn BIC':>12} {'behind us':>10} {'sklearn s':>9}")
    for k in rivals:
        began = time.perf_counter()
        other = GaussianMixture(k, n_init=options.n_init, random_state=options.seed).fit(rows)
        times.append(time.perf_counter() - began)
        bic, own = other.bic(rows), float(found.table["bic"].sel(model="full", n_components=k))
        lost += own > bic + 2
        print(f"{k:>3} {own:>12.1f} {bic:>12.1f} {bic - own:>10.1f} {times[-1]:>9.1f}", flush=True)
    total = np.interp(counts, rivals, times).sum()
    how = "" if len(rivals) == len(counts) else ", interpolated"
    print(
        f"ours {ours:.1f} s, scikit-learn {total:.1f} s{how}: {total / ours:.1f}x on "
        f"{os.cpu_count()} cores; BIC worse than scikit-learn's by more than 2 for {lost} K"
    )


if __name__ == "__main__":
    main()
