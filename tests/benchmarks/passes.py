"""Full reads of the data to the optimum: every algorithm against plain EM from the same start.

    python tests/benchmarks/passes.py [--seeds N] [--algorithms candidates,squarem,anderson]

Starts are cold: k-means++ seeds, no iterations on a sample. Counted are reads to within 1e-6 nats
per row of the optimum that the run itself climbs to (tol=0, until nothing is left; `*` marks
where that is another optimum than EM's, by more than 1e-6). Runs whose EM has not come that close
within its budget are marked `>` and left out of the means. Then, for the same runs, the reported
remaining gain over the true one, at the read at which the default `tol` and 1e-6 would stop them.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.algorithms.choice import ALGORITHMS, choose
from daskem.blocks import as_blocks
from daskem.fitting import Pass, Run, Status, Stop, passes, resolution
from daskem.starts import begin, surveyed

FAITHFUL = Path(__file__).parents[3] / "shared" / "data" / "faithful.csv"
DEATH_NOTICES = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1.0])
CLOSE, BUDGET, POLISH, FLAT = 1e-6, 1500, 100, 15


def gaussians(d: int, k: int, n: int, apart: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = apart * rng.normal(size=(k, d))
    roots = rng.normal(size=(k, d, d)) / np.sqrt(d) + 0.5 * np.eye(d)
    labels = rng.choice(k, n, p=rng.dirichlet(5 * np.ones(k)))
    return means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(n, d)))


def counts(d: int, k: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(3.0, 1.5, (k, d))[rng.integers(k, size=n)]).astype(float)


def presences(d: int, k: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((n, d)) < rng.uniform(0.15, 0.85, (k, d))[rng.integers(k, size=n)]) * 1.0


def problems() -> Iterator[tuple[str, Any, np.ndarray, np.ndarray | None, int]]:
    """Name, family, rows, weights, components."""
    for kind, d, k, n, apart, seed in [
        ("full", 1, 2, 4000, 2.0, 21),
        ("full", 1, 3, 4000, 3.0, 2),
        ("full", 2, 3, 4000, 1.2, 3),
        ("full", 2, 5, 6000, 1.5, 4),
        ("full", 4, 8, 8000, 1.0, 5),
        ("full", 10, 10, 5000, 0.4, 6),
        ("full", 20, 2, 4000, 0.15, 7),
        ("diag", 5, 30, 5000, 1.5, 8),
        ("diag", 10, 6, 6000, 0.8, 9),
        ("tied", 3, 4, 5000, 1.0, 10),
        ("spherical", 4, 10, 6000, 1.2, 11),
    ]:
        yield f"{kind} d={d} K={k}", Gaussian(kind), gaussians(d, k, n, apart, seed), None, k
    yield "Poisson d=5 K=4", Poisson(), counts(5, 4, 6000, 12), None, 4
    yield "Bernoulli d=12 K=5", Bernoulli(), presences(12, 5, 8000, 13), None, 5
    yield "Bernoulli d=20 K=3", Bernoulli(), presences(20, 3, 5000, 14), None, 3
    yield "death notices", Poisson(), np.arange(10.0)[:, None], DEATH_NOTICES, 2
    if FAITHFUL.exists():
        rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1, usecols=(1, 2))
        yield "Old Faithful full K=2", Gaussian("full"), rows, None, 2
        yield "Old Faithful tied K=3", Gaussian("tied"), rows, None, 3
    from sklearn.datasets import load_digits

    pixels = load_digits().data
    yield "digits Bernoulli K=10", Bernoulli(), (pixels > 7) * 1.0, None, 10
    yield "digits diag K=10", Gaussian("diag", 1e-3), pixels, None, 10


def climb(run: Run, blocks: Any, reads: int, enough: float = math.inf) -> Run:
    """The run after at most so many reads more, once it is flat, or its objective is `enough`."""
    run = replace(run, status=Status.RUNNING)
    for (stand,) in passes([run], blocks, Stop(0.0, len(run.history) + reads)):
        run, last = stand, stand.history[-FLAT:]
        flat = len(last) == FLAT and last[-1].objective - last[0].objective < 1e-12
        if flat or last[-1].objective >= enough:
            break
    return run


def optimum(run: Run, blocks: Any) -> float:
    """Where a run would end: four candidates go on from its end, and climb no other hill."""
    how = ALGORITHMS["candidates"]()
    polished = climb(Run(run.model, how, how.start(run.params)), blocks, POLISH)
    return max(run.history[-1].objective, polished.history[-1].objective)


def reads_to(history: Sequence[Pass], goal: float) -> int | None:
    return next((t for t, p in enumerate(history, 1) if p.objective >= goal), None)


def at_stop(history: Sequence[Pass], tol: float) -> int | None:
    return next(
        (t for t in range(2, len(history)) if Stop(tol, 10**9)(history[:t]).name == "CONVERGED"),
        None,
    )


def ratio(history: Sequence[Pass], tol: float, top: float) -> float:
    """The predicted gain over the true one where a fit with this `tol` would end."""
    t = at_stop(history, tol)
    if t is None:
        return math.nan
    true = top - history[t - 1].objective
    floor = 1e-12 * abs(top)  # Of less than this, rounding says nothing.
    return math.nan if true < floor else max(history[t - 1].remaining, floor) / true


def solve(name: str, problem: tuple, seed: int, algorithms: Sequence[str]) -> dict[str, Any]:
    """For every algorithm: reads, top, and the two ratios of predicted to true gain."""
    family, rows, weights, k = problem
    blocks = as_blocks(rows, weights)
    model, seen = surveyed(Mixture(family), blocks, seed=seed)
    params = begin(model, seen, k, None, "k-means++", np.random.default_rng(seed))
    tol = resolution(model, params, seen.weight) / 100
    found: dict[str, Any] = {}
    for algorithm in ("em", *algorithms):
        how, _ = choose(algorithm, model, params, blocks.n_features)
        run = climb(Run(model, how, how.start(params)), blocks, 150)
        top = optimum(run, blocks)
        if run.history[-1].objective < top - CLOSE / 2:
            run = climb(run, blocks, BUDGET, top - CLOSE / 2)
        ratios = [ratio(run.history, t, top) for t in (tol, CLOSE)]
        found[algorithm] = (reads_to(run.history, top - CLOSE), top, ratios, run.history)
    return found


def row(name: str, found: dict[str, Any]) -> str:
    em, best = found["em"][:2]
    cells = [f"{name:26s}{em if em else f'>{BUDGET}':>7}"]
    for algorithm, (reads, top, _, _) in found.items():
        if algorithm != "em":
            times = f"{em / reads:5.1f}x" if em and reads else "     -"
            other = f"* {top - best:+.0e}" if abs(top - best) > CLOSE else ""
            cells.append(f"{reads or '>':>6} {times} {other:10s}")
    return "".join(cells)


def summary(results: Sequence[dict[str, Any]], algorithm: str) -> str:
    pairs = [(f["em"][0], f[algorithm][0]) for f in results if f["em"][0] and f[algorithm][0]]
    gains = np.array([em / own for em, own in pairs])
    same = [
        f["em"][0] / f[algorithm][0]
        for f in results
        if f["em"][0] and f[algorithm][0] and abs(f["em"][1] - f[algorithm][1]) <= CLOSE
    ]
    words = [
        f"{algorithm}: geometric mean {np.exp(np.log(gains).mean()):.2f}x fewer reads than EM "
        f"({len(gains)} runs; {np.exp(np.log(same).mean()):.2f}x over the {len(same)} that end in "
        f"EM's optimum), at worst {1 / gains.min():.2f} times as many"
    ]
    for i, what in enumerate(("the default tol", "tol=1e-6")):
        ratios = np.array([f[algorithm][2][i] for f in results])
        ratios = ratios[np.isfinite(ratios)]
        off = np.exp(np.abs(np.log(ratios)))
        words.append(
            f"  remaining, predicted / true at {what}: median {np.median(ratios):.2f}, off by a "
            f"factor of {np.median(off):.2f} in the median, at worst {ratios[off.argmax()]:.2g}"
        )
    return "\n".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--algorithms", default="candidates,squarem,anderson,auto")
    options = parser.parse_args()
    algorithms = options.algorithms.split(",")
    print(f"{'problem, seed':26s}{'em':>7}" + "".join(f"{a:>13s}{'':11s}" for a in algorithms))
    results = []
    for name, *problem in problems():
        for seed in range(options.seeds):
            results.append(solve(name, tuple(problem), seed, algorithms))
            print(row(f"{name}, {seed}", results[-1]), flush=True)
    for algorithm in ("em", *algorithms):
        print(summary(results, algorithm))


if __name__ == "__main__":
    main()
