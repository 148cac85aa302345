"""Fits of rows in memory against scikit-learn's with its defaults: seconds and likelihood.

    python tests/benchmarks/small_fits.py [--repeats N] [--most-rows N]

Fits of one start: the same seeds, the median of both over them, log-likelihoods in nats a row. A
seed is worse where ours lies below the rival's by more than p/2N. Then 20 starts of 272 x 2, and
`select` over K = 1..6 of 170 x 1 against a loop. The first fit of all, which imports and compiles,
is not counted; as many threads as there are cores.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.mixture import GaussianMixture as Rival

import daskem

SIZES = [
    (150, 4, 3),
    (1000, 2, 3),
    (10_000, 4, 8),
    (100_000, 4, 8),
    (1_000_000, 4, 8),
    (100_000, 10, 10),
]


def clusters(n: int, d: int, k: int, apart: float = 3.0) -> np.ndarray:
    """Rows (sample, feature) of `k` clusters of unit width, some `apart` widths from each other."""
    rng = np.random.default_rng([n, d, k])
    centres = apart * rng.standard_normal((k, d))
    return centres[rng.integers(k, size=n)] + rng.standard_normal((n, d))


def timed(f: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    made = f()
    return time.perf_counter() - began, made


def row(n: int, d: int, k: int, seeds: int) -> str:
    """One size, in a line of the table."""
    x, times, scores = clusters(n, d, k), [], []
    for seed in range(seeds):
        made = [
            timed(lambda e=e, s=seed: e(n_components=k, random_state=s).fit(x))
            for e in (daskem.GaussianMixture, Rival)
        ]
        times.append([took for took, _ in made])
        scores.append([fitted.score(x) for _, fitted in made])
    own, rival = np.median(times, axis=0)
    mean_own, mean_rival = np.median(scores, axis=0)
    free = k * (1 + d + d * (d + 1) // 2) - 1
    worse = sum(theirs - ours > free / 2 / n for ours, theirs in scores)
    return (
        f"{n:>9} {d:>3} {k:>3}  {own:>7.3f} s {rival:>8.3f} s  {rival / own:>5.1f}"
        f"  {mean_own:>10.4f} {mean_rival:>10.4f}  {worse} of {seeds}"
    )


def many_starts() -> tuple[float, float]:
    x = clusters(272, 2, 3)
    return tuple(
        timed(lambda e=e: e(n_components=3, n_init=20, random_state=0).fit(x))[0]
        for e in (daskem.GaussianMixture, Rival)
    )


def choice() -> tuple[float, float]:
    x = clusters(170, 1, 2)
    own, _ = timed(lambda: daskem.select(x, range(1, 7), random_state=0, progress=False))
    rival, _ = timed(
        lambda: min((Rival(k, n_init=5, random_state=0).fit(x) for k in range(1, 7)), key=bic(x))
    )
    return own, rival


def bic(x: np.ndarray) -> Callable[[Rival], float]:
    return lambda fitted: fitted.bic(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each size")
    parser.add_argument("--most-rows", type=int, default=1_000_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    daskem.GaussianMixture(2).fit(clusters(150, 4, 3))
    print("     rows   d   K     daskem    sklearn  ratio      daskem    sklearn  worse")
    for n, d, k in SIZES:
        if n <= options.most_rows:
            print(row(n, d, k, options.repeats), flush=True)
    for name, f in (("n_init=20 of 272 x 2, K = 3", many_starts), ("K = 1..6 of 170 x 1", choice)):
        f()
        own, rival = np.median([f() for _ in range(options.repeats)], axis=0)
        print(f"{name}: {own:.3f} s, scikit-learn {rival:.3f} s, {own / rival:.1f} times as long")


if __name__ == "__main__":
    main()
