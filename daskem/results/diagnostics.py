"""Whether to trust a fit: do the runs agree, how sharp are the clusters, how far is the optimum."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import entr

from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs.kinds import Data, Riders, Values
from daskem.fitting.algorithms import Candidate
from daskem.fitting.record import Pass
from daskem.models.asking import demand
from daskem.models.protocol import Predicts
from daskem.results.fitted import Fitted, result_of
from daskem.results.fittedrun import FittedRun
from daskem.results.result import Result


def diagnose(
    result: Result | Fitted,
    data: Data | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
) -> xr.Dataset:
    """What the runs of a fit say of one another, and with `data` of its rows, in one read.

    Parameters
    ----------
    result : Result, or GaussianMixture that is fitted
    data, sample_weight, along : array-like, optional
        As `daskem.fit` takes them.

    Returns
    -------
    Dataset
        ``status`` (run); ``behind`` (run), by how much the objective per row of a run is below
        the best one's; and of every pass its numbers (run, pass), NaN after the last one; their
        ``remaining`` is the estimated distance from the optimum. Of every params that a pass
        evaluated, ``candidate_name``, ``candidate_objective``, ``candidate_taken`` and
        ``candidate_reason`` (run, pass, candidate), "" or NaN where there was none. With `data`,
        of the best run, ``size`` (component), sum of the responsibilities; ``entropy``
        (component), -sum r log r over its size, nats, 0 where rows are surely in or out;
        ``certainty`` (component), mean responsibility of its own rows, sum r^2 / sum r; and
        ``agreement`` (run, run_2), the adjusted Rand index of the most probable components
        (Hubert and Arabie 1985), 1 where two runs found the same clusters.
    """
    result = result_of(result)
    runs = [run for run in result.runs if run.history]
    top = max(run.history[-1].objective for run in runs)
    variables: dict[str, Any] = {
        "status": ("run", [run.status.name.lower() for run in runs]),
        "behind": ("run", [top - run.history[-1].objective for run in runs]),
        **{name: (("run", "pass"), table) for name, table in _histories(runs).items()},
        **_candidates(runs),
    }
    if data is not None:
        blocks = result.blocks(data, sample_weight, along)
        fits = [(demand(run.model, Predicts, "comparing rows"), run.framed) for run in runs]
        sums = blocks.sum(shared_statistics, fits, runs.index(result.best), name="diagnose")
        tables = sums["tables"]
        agreement = [[adjusted_rand(table) for table in row] for row in tables]
        variables |= {
            "size": ("component", sums["size"]),
            "entropy": ("component", sums["entropy"] / sums["size"]),
            "certainty": ("component", sums["square"] / sums["size"]),
            "agreement": (("run", "run_2"), agreement),
        }
    return xr.Dataset(variables)


def _histories(runs: Sequence[FittedRun]) -> dict[str, np.ndarray]:
    """Every number of every pass (run, pass)."""
    names = [f.name for f in fields(Pass)]
    longest = max(len(run.history) for run in runs)
    tables = {}
    for name in names:
        values = [[getattr(p, name) for p in run.history] for run in runs]
        if all(isinstance(value, int | float) for row in values for value in row):
            tables[name] = np.array([row + [np.nan] * (longest - len(row)) for row in values])
    return tables


def _candidates(runs: Sequence[FittedRun]) -> dict[str, Any]:
    """What every pass evaluated of every run, and why it was taken or not."""
    longest = max(len(run.history) for run in runs)
    most = max(len(p.candidates) for run in runs for p in run.history)
    nothing = Candidate("", np.nan, False, "")
    rows = [
        [(*p.candidates, *[nothing] * (most - len(p.candidates))) for p in run.history]
        + [(nothing,) * most] * (longest - len(run.history))
        for run in runs
    ]
    dims = ("run", "pass", "candidate")
    return {
        f"candidate_{f.name}": (
            dims,
            np.reshape(
                [getattr(c, f.name) for r in rows for p in r for c in p], (-1, longest, most)
            ),
        )
        for f in fields(Candidate)
    }


def shared_statistics(
    block: Block, fits: Sequence[tuple[Predicts, Params]], best: int
) -> dict[str, Any]:
    """Of one block: contingency tables of all pairs of fits, and how sharp the best one is."""
    weights = block.counts
    labels = np.empty((len(fits), len(block)), dtype=np.int64)
    counts = [model.n_components(params) for model, params in fits]
    size, entropy, square = np.zeros((3, counts[best]))
    for number, (model, params) in enumerate(fits):
        for span, _, r in model.posterior(block, params):
            labels[number, span] = r.argmax(axis=0)
            if number == best:
                w = weights[span]
                size += (w * r).sum(axis=1)
                square += (w * r * r).sum(axis=1)
                entropy += (w * entr(r)).sum(axis=1)
    tables = [
        [
            np.bincount(a * k + b, weights, minlength=j * k).reshape(j, k)
            for b, k in zip(labels, counts, strict=True)
        ]
        for a, j in zip(labels, counts, strict=True)
    ]
    return {"size": size, "entropy": entropy, "square": square, "tables": tables}


def adjusted_rand(table: np.ndarray) -> float:
    """The adjusted Rand index of two clusterings from their contingency table."""
    pairs = table * (table - 1) / 2
    rows, columns = (n * (n - 1) / 2 for n in (table.sum(axis=1), table.sum(axis=0)))
    n = table.sum()
    chance = rows.sum() * columns.sum() / (n * (n - 1) / 2)
    most = (rows.sum() + columns.sum()) / 2
    return 1.0 if most == chance else float((pairs.sum() - chance) / (most - chance))
