"""One start of daskem against the best of many runs of plain EM, on latent classes and counts.

    PYTHONPATH=tests python tests/benchmarks/latent_classes.py [--runs N] [--seeds N] [--only NAME]

For tables of answers that others have published, digits as ink or none, and counts: the total
log-likelihood of a single fit (`n_init=1`, everything else by default) for each of some seeds, and
of plain EM in NumPy, `--runs` times from random soft starts, to 1e-8 nats a row; besides what was
published. `reached` counts the seeds whose fit is no more than what the data can tell, p/200 nats,
below the best of all these runs.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from classes import PUBLISHED
from scipy.special import gammaln, logsumexp
from sklearn.datasets import load_digits

import daskem
from daskem import Bernoulli, Mixture, Poisson

# Iterations of plain EM, at most, and what it gains in a row and an iteration where it ends.
MOST, TOL = 20_000, 1e-8


@dataclass(frozen=True)
class Problem:
    name: str
    family: Bernoulli | Poisson
    rows: np.ndarray  # (sample, feature)
    k: int
    published: float | None = None

    @property
    def n_parameters(self) -> int:
        return self.k - 1 + self.k * self.rows.shape[1]


def problems() -> Iterator[Problem]:
    for name, answers in PUBLISHED.items():
        for k, published in answers.published.items():
            if k > 1:
                yield Problem(f"{name} K={k}", Bernoulli(), answers.rows, k, published)
    days = np.arange(10.0).repeat([162, 267, 271, 185, 111, 61, 27, 8, 3, 1])[:, None]
    yield Problem("death notices K=2", Poisson(), days, 2, -1989.945859883)
    pixels = load_digits().data
    yield Problem("digits, ink K=10", Bernoulli(), (pixels > 7.5) * 1.0, 10)
    yield Problem("digits, ink K=20", Bernoulli(), (pixels > 7.5) * 1.0, 20)
    yield Problem("digits, counts K=10", Poisson(), pixels, 10)


class PlainEM:
    """A mixture of independent Bernoulli or Poisson features, as a textbook has it."""

    def __init__(self, problem: Problem) -> None:
        self.x, self.binary = problem.rows, isinstance(problem.family, Bernoulli)
        self.base = 0.0 if self.binary else -gammaln(self.x + 1).sum(axis=1)

    def log_joint(self, weights: np.ndarray, means: np.ndarray) -> np.ndarray:
        """(component, sample)."""
        with np.errstate(divide="ignore"):
            yes = np.maximum(np.log(means), -700)
            no = np.maximum(np.log1p(-means), -700) if self.binary else -means
            start = np.log(weights)[:, None]
        other = 1 - self.x if self.binary else np.ones_like(self.x)
        return start + yes @ self.x.T + no @ other.T + self.base

    def m_step(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counts = r.sum(axis=1)
        means = r @ self.x / np.maximum(counts, 1e-300)[:, None]
        return counts / counts.sum(), np.minimum(means, 1.0) if self.binary else means

    def run(self, k: int, rng: np.random.Generator) -> float:
        """The total log-likelihood where one run ends, from random responsibilities."""
        weights, means = self.m_step(rng.dirichlet(np.ones(k), len(self.x)).T)
        before = -np.inf
        for _ in range(MOST):
            joint = self.log_joint(weights, means)
            log_prob = logsumexp(joint, axis=0)
            if log_prob.mean() - before < TOL:
                break
            before = log_prob.mean()
            weights, means = self.m_step(np.exp(joint - log_prob))
        return float(log_prob.sum())


def one_start(problem: Problem, seed: int) -> float:
    result = daskem.fit(Mixture(problem.family), problem.rows, problem.k, random_state=seed)
    return float(result.score_samples(problem.rows).sum())


def measure(problem: Problem, n_runs: int, n_seeds: int) -> str:
    began = time.process_time()
    plain = PlainEM(problem)
    runs = [plain.run(problem.k, np.random.default_rng(seed)) for seed in range(n_runs)]
    halfway = time.process_time()
    ours = [one_start(problem, seed) for seed in range(n_seeds)]
    ended = time.process_time()
    enough = max(runs) - max(problem.n_parameters / 200, 1e-6 * len(problem.rows))
    reached = sum(value >= enough for value in ours)
    published = "" if problem.published is None else f"{problem.published:.4f}"
    return (
        f"{published:>12} {np.median(runs):12.4f} {max(runs):12.4f} {min(ours):12.4f} "
        f"{np.median(ours):12.4f} {max(ours):12.4f} {reached:4} of {n_seeds:3} "
        f"{(halfway - began) / n_runs:6.2f} {(ended - halfway) / n_seeds:6.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"{'':>20}    published    EM median  best of {options.runs:2}   ours least       "
        f"median         best  reached       s of EM  s of ours"
    )
    for problem in problems():
        if options.only in problem.name:
            line = measure(problem, options.runs, options.seeds)
            print(f"{problem.name:>20} {line}", flush=True)


if __name__ == "__main__":
    main()
