"""Whether fits can be believed: data that everybody knows, in every record, by every setting.

    python tests/benchmarks/judgement.py [fits|choices] [--every N] [--seeds N] [--only NAME]
        [--n-init N [N ...]] [--faithful CSV]

`fits`: data sets of scikit-learn as they are, rounded to 0, 1, 2 decimals, standardised, and as
principal components in float32 and float64; K = 2..8, four structures, reg_covar 0 and 1e-6, n_init
1 and 20. Of the 4,704 combinations (with Old Faithful) every ninth is fitted, or every N-th. What
may not be: an exception, a number that is none, a run that failed, a warning of anybody else.

`choices`: K and structure by BIC over ten seeds, whether they agree, and what `select` says of it
where they do not: that the criterion is flat, or that there is no evidence.

Old Faithful is read from a CSV file with the columns eruptions and waiting, if one is given.
"""

import argparse
import collections
import itertools
import time
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn import datasets
from sklearn.decomposition import PCA

import daskem
from daskem import Gaussian, Mixture
from daskem.errors import ConvergenceWarning, ImproperFitWarning
from daskem.fitting.record import Status
from daskem.models.families.covariances import STRUCTURES

OURS = (ConvergenceWarning, ImproperFitWarning)
# Coprime with the settings of a record, 112 as a rule, so that each record has others of them.
EVERY = 9


def problems(faithful: str | None) -> dict[str, np.ndarray]:
    """Rows (sample, feature) by the name of the data set."""
    found = {
        "iris": datasets.load_iris().data,
        "wine": datasets.load_wine().data,
        "breast cancer": datasets.load_breast_cancer().data[:, :10],
        "digits": PCA(6).fit_transform(datasets.load_digits().data),
        "diabetes": datasets.load_diabetes().data,
    }
    if faithful is not None:
        read = np.genfromtxt(faithful, delimiter=",", names=True)
        found["faithful"] = np.column_stack([read["eruptions"], read["waiting"]])
    return found


def records(rows: np.ndarray) -> dict[str, np.ndarray]:
    """The same rows as they might have been recorded."""
    spread = rows.std(axis=0)
    scores = PCA().fit_transform(rows)
    return {
        "raw": rows,
        **{f"{n} decimals": rows.round(n) for n in range(3)},
        "standardised": (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1),
        "scores": scores,
        "float32 scores": scores.astype("f4"),
    }


def cases(found: dict[str, np.ndarray], only: str) -> Iterator[tuple[int, str, np.ndarray]]:
    """Number, name and rows of each record that has `only` in its name."""
    numbers = itertools.count()
    for name, rows in found.items():
        for record, recorded in records(rows).items():
            number, whole = next(numbers), f"{name}, {record}"
            if only in whole:
                yield number, whole, recorded


def wrong(rows: np.ndarray, family: Gaussian, k: int, n_init: int, seed: int) -> list[str]:
    """What is wrong with a fit, in a word each; "improper" and "not converged" are no faults."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = daskem.fit(Mixture(family), rows, k, n_init=n_init, random_state=seed)
            numbers = [*result.params.values(), result.score_samples(rows)]
        except Exception as error:
            return [f"{type(error).__name__}: {str(error)[:150]}"]
    found = [f"warning: {w.message}" for w in caught if not issubclass(w.category, OURS)]
    if not all(np.isfinite(values).all() for values in numbers):
        found.append("NaN")
    found += [f"failed: {run.failure}" for run in result.runs if run.status is Status.FAILED]
    found += ["improper"] if result.flaws else []
    return found + ([] if result.converged else ["not converged"])


def fits(found: dict[str, np.ndarray], every: int, starts: list[int], only: str) -> None:
    settings = list(itertools.product(range(2, 9), STRUCTURES, (0.0, 1e-6), starts))
    total: collections.Counter[str] = collections.Counter()
    print(f"{'':>28}  fits  improper  not converged  faults  seconds")
    for case, name, rows in cases(found, only):
        counts: collections.Counter[str] = collections.Counter()
        began = time.perf_counter()
        for number, setting in enumerate(settings, case * len(settings)):
            if number % every:
                continue
            k, structure, reg_covar, n_init = setting
            counts["fits"] += 1
            for fault in wrong(rows, Gaussian(structure, reg_covar), k, n_init, number):
                innocent = fault in ("improper", "not converged")
                counts[fault if innocent else "faults"] += 1
                if not innocent:
                    print(f"  {structure} K={k} {reg_covar=} {n_init=} seed={number}: {fault}")
        took = time.perf_counter() - began
        print(f"{name:>28} {line(counts)}  {took:7.0f}", flush=True)
        total += counts
    print(f"{'all':>28} {line(total)}")


def line(counts: collections.Counter[str]) -> str:
    return (
        f"{counts['fits']:5}  {counts['improper']:8}  {counts['not converged']:13}  "
        f"{counts['faults']:6}"
    )


def choices(found: dict[str, np.ndarray], n_seeds: int, only: str) -> None:
    total: collections.Counter[str] = collections.Counter()
    for _, name, rows in cases(found, only):
        began = time.perf_counter()
        chosen: collections.Counter[str] = collections.Counter()
        told, values = 0, []
        for seed in range(n_seeds):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OURS)
                selection = daskem.select(rows, range(1, 9), tuple(STRUCTURES), random_state=seed)
            best, words = selection.standings[0], str(selection)
            chosen[f"{best} improper" if best.run.improper else str(best)] += 1
            told += "the criterion is flat" in words or "no evidence" in words
            values.append(best.value)
        verdict = "stable" if len(chosen) == 1 else "said" if told == n_seeds else "UNSAID"
        total[verdict] += 1
        took = time.perf_counter() - began
        which = "; ".join(f"{best} x {times}" for best, times in chosen.most_common())
        print(
            f"{name:>28} {verdict:>7} ({told} told)  "
            f"bic {min(values):.2f} to {max(values):.2f}  {took:4.0f} s  {which}",
            flush=True,
        )
    print(f"{'all':>28} " + ", ".join(f"{n} {word}" for word, n in total.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("fits", "choices"), nargs="?", default="fits")
    parser.add_argument("--every", type=int, default=EVERY)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n-init", type=int, nargs="*", default=[1, 20])
    parser.add_argument("--only", default="")
    parser.add_argument("--faithful", default=None)
    options = parser.parse_args()
    found = problems(options.faithful)
    if options.what == "fits":
        fits(found, options.every, options.n_init, options.only)
    else:
        choices(found, options.seeds, options.only)


if __name__ == "__main__":
    main()
