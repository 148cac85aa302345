"""Full reads of the data to the optimum: every algorithm against plain EM from the same start.

    python tests/benchmarks/passes.py [--seeds N] [--algorithms auto,candidates,squarem,anderson]

Starts are cold: k-means++ seeds, no iterations on a sample. Counted are reads to within 1e-6 nats
per row of the optimum that the run itself climbs to (tol=0, until nothing is left; `*` marks
where that is another optimum than EM's, by more than 1e-6). Runs whose EM has not come that close
within its budget are marked `>` and left out of the means; an algorithm that has not, where EM
has, counts with the reads it made. Then, for the same runs, the remaining gain that is reported
over the true one, at the read at which the default `tol` and 1e-6 would stop them. A fit stops
early if more than ten times `tol` is left: on a plateau before another climb, nearly always.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from reading import look

from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.data.inputs import as_blocks
from daskem.fitting.algorithms.choice import ALGORITHMS, choose
from daskem.fitting.loop import passes
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.fitting.starts.seedbed import begin
from daskem.fitting.stopping import FINEST, Stop, resolution

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


@dataclass(frozen=True)
class Found:
    """What one algorithm made of one problem; `stops` are (reads, predicted, true gain left)."""

    problem: str
    how: str
    reads: int | None
    made: int
    top: float
    stops: tuple[tuple[int, float, float] | None, ...]
    tols: tuple[float, ...]


def climb(run: Run, blocks: Any, reads: int, enough: float = math.inf) -> Run:
    """The run after at most so many reads more, once it is flat; or `enough`, and would stop."""
    run = replace(run, status=Status.RUNNING)
    for (stand,) in passes([run], blocks, Stop(0.0, len(run.history) + reads)):
        run, last = stand, stand.history[-FLAT:]
        flat = len(last) == FLAT and last[-1].objective - last[0].objective < 1e-12
        if (flat and enough == math.inf) or (last[-1].objective >= enough and stops(last, CLOSE)):
            break
    return run


def stops(history: Sequence[Pass], tol: float) -> bool:
    return Stop(tol, 10**9)(history) is Status.CONVERGED


def optimum(run: Run, blocks: Any) -> float:
    """Where a run would end: four candidates go on from its end, and climb no other hill."""
    how = ALGORITHMS["candidates"]()
    polished = climb(Run(run.model, how, how.start(run.params)), blocks, POLISH)
    return max(run.history[-1].objective, polished.history[-1].objective)


def at_stop(history: Sequence[Pass], tol: float, top: float) -> tuple[int, float, float] | None:
    """Reads, predicted and true gain left where a fit with this `tol` would end."""
    for t in range(2, len(history) + 1):
        if stops(history[max(0, t - 4) : t], tol):
            return t, history[t - 1].remaining, top - history[t - 1].objective
    return None


def solve(name: str, problem: tuple, seed: int, algorithms: Sequence[str]) -> dict[str, Found]:
    family, rows, weights, k = problem
    blocks = as_blocks(rows, weights)
    first = look(Mixture(family), blocks, seed=seed)
    model, weight = first.model, first.survey.weight
    params = begin(first, k, None, "k-means++", np.random.default_rng(seed))
    tols = (max(resolution(model, params, weight) / 100, FINEST), CLOSE)
    found: dict[str, Found] = {}
    for algorithm in ("em", *algorithms):
        how, _ = choose(algorithm, model, params, blocks.n_features)
        same = [f for f in found.values() if f.how == how.name]
        found[algorithm] = same[0] if same else solved(name, how, model, params, blocks, tols)
    return found


def solved(
    name: str, how: Any, model: Any, params: Any, blocks: Any, tols: tuple[float, ...]
) -> Found:
    run = climb(Run(model, how, how.start(params)), blocks, 150)
    top = optimum(run, blocks)
    if run.history[-1].objective < top - CLOSE / 2:
        run = climb(run, blocks, BUDGET, top - CLOSE / 2)
    reads = next((t for t, p in enumerate(run.history, 1) if p.objective >= top - CLOSE), None)
    stopped = tuple(at_stop(run.history, tol, top) for tol in tols)
    return Found(name, how.name, reads, len(run.history), top, stopped, tols)


def row(found: dict[str, Found]) -> str:
    em = found["em"]
    cells = [f"{em.problem:26s}{em.reads if em.reads else f'>{em.made}':>7}"]
    for algorithm, own in found.items():
        if algorithm != "em":
            times = f"{em.reads / own.reads:5.1f}x" if em.reads and own.reads else "     -"
            other = f"* {own.top - em.top:+.0e}" if abs(own.top - em.top) > CLOSE else ""
            cells.append(f"{own.reads or f'>{own.made}':>6} {times} {other:10s}")
    return "".join(cells)


def mean(ratios: Sequence[float]) -> str:
    """The geometric mean, and of how many."""
    return f"{np.exp(np.log(ratios).mean()):.2f}x over {len(ratios)} runs" if ratios else "no runs"


def saved(results: Sequence[dict[str, Found]], algorithm: str) -> str:
    pairs = [(f["em"], f[algorithm]) for f in results if f["em"].reads]
    ratio = [em.reads / (own.reads or own.made) for em, own in pairs]
    same = [r for r, (em, own) in zip(ratio, pairs, strict=True) if abs(em.top - own.top) <= CLOSE]
    worst = int(np.argmin(ratio))
    return (
        f"{algorithm:12s}{mean(ratio)} ({mean(same)} that end in EM's optimum); at worst "
        f"{1 / ratio[worst]:.2f} times as many as EM ({pairs[worst][1].problem})"
    )


def foretold(results: Sequence[dict[str, Found]], algorithm: str, which: int) -> str:
    told, early, after = [], 0, []
    for own in (f[algorithm] for f in results):
        stop = own.stops[which]
        if stop is None:
            continue
        reads, predicted, true = stop
        after.append(reads)
        early += true > 10 * own.tols[which]
        floor = 1e-12 * abs(own.top)  # Of less than this, rounding says nothing.
        if true > floor:
            told.append((max(predicted, floor) / true, own.problem))
    ratio = np.array([r for r, _ in told])
    off = np.exp(np.abs(np.log(ratio)))
    worst = int(off.argmax())
    return (
        f"{algorithm:12s}{np.median(ratio):6.2f}{np.median(off):9.2f}{np.mean(off <= 3):11.0%}"
        f"{ratio[worst]:11.1e}  {told[worst][1]:26s}{early:3d} of {len(after):<4d}"
        f"{np.median(after):6g}{np.mean(after):7.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--algorithms", default="auto,candidates,squarem,anderson")
    options = parser.parse_args()
    algorithms = options.algorithms.split(",")
    print(f"{'problem, seed':26s}{'em':>7}" + "".join(f"{a:>13s}{'':11s}" for a in algorithms))
    results = []
    for name, *problem in problems():
        for seed in range(options.seeds):
            results.append(solve(f"{name}, {seed}", tuple(problem), seed, algorithms))
            print(row(results[-1]), flush=True)
    print("\nFewer reads than EM to within 1e-6 of the optimum, geometric mean")
    print("(wanted of auto: at least 4x, on no problem more than 1.2 times as many as EM)")
    for algorithm in algorithms:
        print(saved(results, algorithm))
    for which, words in enumerate(("the default tol", "tol=1e-6")):
        print(f"\nRemaining gain, predicted / true where {words} stops a fit")
        print("(wanted: off by less than a factor of 3 in the median)")
        print(f"{'':12s}median off, median within 3x  worst{'':30s}early       reads, mean")
        for algorithm in ("em", *algorithms):
            print(foretold(results, algorithm, which))


if __name__ == "__main__":
    main()
