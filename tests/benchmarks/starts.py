"""Reads of the data that a start on the sample saves: from there, and cold from k-means++.

    python tests/benchmarks/starts.py [--rows N] [--most PASSES] [--sample ROWS] [--only NAME]

For overlapping mixtures: full reads, of which the survey is one, until the objective lies within
p/2N nats per row of the optimum (statistical accuracy), and within 1e-6. The optimum is where
the fit from the sample ends after very many passes; `best known` says how far that is below the
best that the cold start, or one from the truth, came to. The optimum of the cold start is where
the default algorithm ends that goes on from it after `--most` passes; one that EM has not reached
by then is counted as reached with the next read, which is too few.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from reading import look
from scipy.spatial.distance import pdist

from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core.parameters import count_free
from daskem.data.inputs import as_blocks
from daskem.fitting.algorithms import Draft, choose
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.starts.seedbed import begin
from daskem.fitting.stopping import Stop


@dataclass(frozen=True)
class Problem:
    family: object
    d: int
    k: int
    apart: float
    seed: int

    def __str__(self) -> str:
        kind = getattr(self.family, "covariance_type", "")
        return f"{type(self.family).__name__} {kind} d={self.d} K={self.k} #{self.seed}"

    def rows(self, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows (sample, feature) and the params that made them."""
        rng = np.random.default_rng([self.d, self.k, self.seed])
        weights = rng.dirichlet(np.full(self.k, 5.0))
        truth = {"weights": weights, **self._components(rng)}
        return Mixture(self.family).sample(truth, n, rng)[0], truth

    def _components(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        k, d = self.k, self.d
        if isinstance(self.family, Poisson):
            return {"rates": rng.gamma(4.0, self.apart, (k, d))}
        if isinstance(self.family, Bernoulli):
            return {"probabilities": rng.beta(self.apart, self.apart, (k, d))}
        means = self._means(rng)
        if self.family.covariance_type == "diag":
            return {"means": means, "covariances": rng.gamma(4.0, 0.25, (k, d))}
        roots = np.eye(d) + 0.6 * rng.standard_normal((k, d, d)) / np.sqrt(d)
        return {"means": means, "covariances": roots @ roots.swapaxes(1, 2)}

    def _means(self, rng: np.random.Generator) -> np.ndarray:
        """Apart enough for as many rows to tell them from one another, in practice."""
        while True:
            means = self.apart * rng.standard_normal((self.k, self.d))
            if pdist(means).min() > 1.5:
                return means


POLISH = 120
FULL, DIAG = Gaussian("full"), Gaussian("diag")
PROBLEMS = [
    *(Problem(FULL, 1, 2, 1.5, seed) for seed in range(2)),
    *(Problem(FULL, 2, 3, 1.5, seed) for seed in range(2)),
    *(Problem(FULL, 2, 8, 4.0, seed) for seed in range(2)),
    *(Problem(FULL, 4, 8, 2.0, seed) for seed in range(2)),
    Problem(DIAG, 5, 6, 1.5, 0),
    *(Problem(FULL, 10, 10, 0.8, seed) for seed in range(2)),
    Problem(DIAG, 10, 15, 0.8, 0),
    Problem(Poisson(), 3, 4, 1.5, 0),
    Problem(Poisson(), 10, 8, 1.0, 0),
    Problem(Bernoulli(), 10, 4, 0.8, 0),
    Problem(Bernoulli(), 20, 8, 0.6, 0),
    Problem(FULL, 20, 30, 0.7, 0),
]


def climb(model: object, draft: Draft, blocks: object, algorithm: str, most: int) -> Run:
    """The run after `most` passes, or when nothing is left."""
    how, _ = choose(algorithm, model, draft.params, blocks.n_features)
    walk = passes([Run(model, how, draft.start(how))], blocks, Stop(1e-9, most))
    return list(walk)[-1][0]


def reads(run: Run, target: float) -> int:
    """Reads of the data until `target` is reached, with the survey."""
    reached = (number for number, p in enumerate(run.history, 2) if p.objective >= target)
    return next(reached, len(run.history) + 2)


def measure(problem: Problem, n: int, most: int) -> tuple[dict[str, int], str]:
    rows, truth = problem.rows(n)
    blocks = as_blocks(rows)
    first = look(Mixture(problem.family), blocks, seed=problem.seed)
    model = first.model
    rng = np.random.default_rng(problem.seed)
    cold = Draft(begin(first, problem.k, None, "k-means++", rng))
    began = time.perf_counter()
    warm = best_starts(first, problem.k, None, "k-means++", [rng])[0]
    took = time.perf_counter() - began
    p = count_free(model.parameters, warm.params)
    runs = {
        "warm": climb(model, warm, blocks, "auto", POLISH),
        "cold": climb(model, cold, blocks, "em", most),
        "true": climb(model, Draft(model.to_frame(truth)), blocks, "auto", POLISH),
    }
    tops = {name: run.history[-1].objective for name, run in runs.items()}
    tops["cold"] = (
        climb(model, Draft(runs["cold"].params), blocks, "auto", POLISH).history[-1].objective
    )
    found = {}
    for name in ("warm", "cold"):
        # From elsewhere the climb may lead elsewhere; its own top is then the measure of it.
        for words, least in (("statistical", p / (2 * n)), ("1e-6", 1e-6)):
            found[f"{name} {words}"] = reads(runs[name], tops[name] - least)
    gap = max(tops.values()) - tops["warm"]
    gain = tops["warm"] - runs["warm"].history[0].objective
    return found, f"{p / (2 * n):.1e}  {gain:.1e}  {gap:.1e}  {took:5.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=400)
    parser.add_argument("--sample", type=int, default=None)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.sample is not None:
        module = import_module("daskem.data.survey.survey")
        module._MOST_SAMPLED, module._SAMPLE_BYTES = options.sample, 2**40
    names = ["warm statistical", "cold statistical", "warm 1e-6", "cold 1e-6"]
    print(f"N = {options.rows:,}; reads of the data, with the survey; cold is plain EM")
    print(
        f"{'':>28} {'  '.join(names)}   p/2N  to gain  below best known  seconds for the start",
        flush=True,
    )
    table = []
    for problem in PROBLEMS:
        if options.only not in str(problem):
            continue
        found, line = measure(problem, options.rows, options.most)
        table.append([found[name] for name in names])
        cells = "  ".join(f"{found[name]:>{len(name)}}" for name in names)
        print(f"{problem!s:>28} {cells}  {line}", flush=True)
    numbers = np.array(table, dtype=float)
    for words, f in (("median", np.median), ("most", np.max)):
        cells = "  ".join(
            f"{f(column):>{len(name)}g}" for name, column in zip(names, numbers.T, strict=True)
        )
        print(f"{words:>28} {cells}")
    for warm, cold in ((0, 1), (2, 3)):
        ratio = np.exp(np.log(numbers[:, cold] / numbers[:, warm]).mean())
        print(f"{names[warm]}: {ratio:.1f}x fewer reads than cold (geometric mean)")


if __name__ == "__main__":
    main()
