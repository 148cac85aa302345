"""A single fit against ten starts of scikit-learn: likelihood and adjusted Rand, side by side.

    python tests/benchmarks/rivals.py [--most-rows N] [--problems N] [--from N]

60 mixtures: 1 to 50 features, 2 to 20 components, 500 to 100,000 rows (`--most-rows` for fewer),
well and badly separated, rounded or not, with glitches or without. A single fit is as good if its
likelihood is at least as high within p / 2N nats per row, which is what the data can tell apart.
The likelihood of a rival is that of its params as daskem sees them, above the floors of the record;
one that is improper there does not count as higher than one that is proper.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import daskem
from daskem import Gaussian, Mixture

FEATURES, COMPONENTS = (1, 2, 3, 5, 10, 20, 50), (2, 3, 5, 8, 12, 20)
# Rows for each free parameter, from which on covariances are matrices.
_ROWS_PER_PARAMETER = 5
# A glitch is so many standard deviations away.
_GLITCH = 1e4


@dataclass(frozen=True)
class Problem:
    """One of the mixtures; all of it follows from its number."""

    number: int
    d: int
    k: int
    n: int
    apart: float
    rounded: bool
    glitches: int

    @classmethod
    def of(cls, number: int, most_rows: int) -> "Problem":
        rng = np.random.default_rng([number, 13])
        d, k = int(rng.choice(FEATURES)), int(rng.choice(COMPONENTS))
        n = int(np.exp(rng.uniform(np.log(max(500, 30 * k)), np.log(1e5))))
        flaws = {"rounded": bool(rng.random() < 0.4), "glitches": int(rng.choice([0, 0, 1, 5]))}
        return cls(number, d, k, min(n, most_rows), (2.0, 5.0)[number % 2], **flaws)

    @property
    def wanted(self) -> int:
        """Components to be fitted: one for the glitches, if there are any."""
        return self.k + (self.glitches > 0)

    @property
    def structure(self) -> str:
        return "full" if self.n >= _ROWS_PER_PARAMETER * self._free("full") else "diag"

    @property
    def p(self) -> int:
        """Free parameters."""
        return self._free(self.structure)

    def _free(self, structure: str) -> int:
        covariance = self.d * (self.d + 1) // 2 if structure == "full" else self.d
        return self.wanted * (1 + self.d + covariance) - 1

    def __str__(self) -> str:
        how = "well" if self.number % 2 else "badly"
        flaws = ("r" if self.rounded else "-") + str(self.glitches)
        return f"{self.number:>2} d={self.d:<2} K={self.k:<2} n={self.n:<6} {how:<5} {flaws}"

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (sample, feature), and the component of each; -1 for a glitch."""
        rng = np.random.default_rng([self.number, 14])
        weights = rng.dirichlet(np.full(self.k, 5.0))
        labels = rng.choice(self.k, size=self.n, p=weights)
        # In one feature the clusters lie along a line, in many they are apart by themselves.
        spread = self.apart * self.k ** (1 / self.d) / np.sqrt(self.d)
        means = spread * rng.standard_normal((self.k, self.d))
        roots = np.tile(np.eye(self.d), (self.k, 1, 1))
        if self.structure == "full":
            roots = roots + 0.5 * rng.standard_normal(roots.shape) / np.sqrt(self.d)
        scales = rng.uniform(0.5, 1.5, (self.k, 1))
        noise = np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((self.n, self.d)))
        rows = means[labels] + scales[labels] * noise
        far = rng.choice(self.n, size=self.glitches, replace=False)
        rows[far] += _GLITCH
        labels[far] = -1
        return (rows.round(1) if self.rounded else rows), labels


class Answer(NamedTuple):
    log_likelihood: float
    improper: bool
    rand: float
    seconds: float


def ours(problem: Problem, rows: np.ndarray, labels: np.ndarray) -> Answer:
    began = time.process_time()
    model = Mixture(Gaussian(problem.structure))
    result = daskem.fit(model, rows, problem.wanted, random_state=problem.number)
    seconds = time.process_time() - began
    found = result.predict(rows)
    return Answer(result.log_likelihood, bool(result.flaws), rand(labels, found), seconds)


def theirs(problem: Problem, rows: np.ndarray, labels: np.ndarray) -> Answer:
    began = time.process_time()
    settings = {"n_init": 10, "max_iter": 300, "random_state": problem.number}
    rival = GaussianMixture(problem.wanted, covariance_type=problem.structure, **settings)
    fit = rival.fit(rows)
    seconds = time.process_time() - began
    start = {"weights": fit.weights_, "means": fit.means_, "covariances": fit.covariances_}
    model = Mixture(Gaussian(problem.structure))
    seen = daskem.fit(model, rows, start=start, algorithm="em", max_passes=1).history[0]
    found = fit.predict(rows)
    return Answer(seen.log_likelihood, bool(seen.flaws), rand(labels, found), seconds)


def rand(labels: np.ndarray, found: np.ndarray) -> float:
    """The adjusted Rand index of the rows that are no glitches."""
    kept = labels >= 0
    return float(adjusted_rand_score(labels[kept], found[kept]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most-rows", type=int, default=100_000)
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--from", dest="first", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("r rounded, then the number of glitches; 'ahead' of theirs, in p / 2N nats per row")
    print(f"{'':>34} structure    ahead  improper  adjusted Rand  CPU seconds")
    rands, good = [], 0
    for number in range(options.first, options.problems):
        problem = Problem.of(number, options.most_rows)
        rows, labels = problem.rows()
        one, ten = ours(problem, rows, labels), theirs(problem, rows, labels)
        ahead = (one.log_likelihood - ten.log_likelihood) * 2 * problem.n / problem.p
        as_good = (one.improper, -ahead) <= (ten.improper, 1.0)
        good += as_good
        rands.append((one.rand, ten.rand))
        print(
            f"{problem!s:>34} {problem.structure:>9} {ahead:>8.2f}  "
            f"{'yes' if one.improper else 'no':>3} {'yes' if ten.improper else 'no':>3}   "
            f"{one.rand:6.3f} {ten.rand:6.3f}  {one.seconds:5.1f} {ten.seconds:6.1f}"
            f"{'' if as_good else '  LOST'}",
            flush=True,
        )
    own, rival = np.mean(rands, axis=0)
    print(f"as good: {good} of {len(rands)}; adjusted Rand {own:.3f}, scikit-learn's {rival:.3f}")


if __name__ == "__main__":
    main()
