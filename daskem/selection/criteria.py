"""Criteria by which fits of different size are compared; lower is better for all of them."""

from collections.abc import Sequence

import numpy as np
from scipy.special import entr

from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.fitting.run import Run
from daskem.models.protocol import Predicts

CRITERIA = ("bic", "aic", "icl", "heldout")


def judge(run: Run, weight: float, gain: float = 0.0) -> dict[str, float]:
    """The criteria of a run, were its log-likelihood higher by `gain` nats per row.

    Of ICL, the part without the entropy, which needs a read of the data.
    """
    statistics = run.state.statistics or {}
    n = statistics.get("fitted_weight", weight)
    mean = run.history[-1].log_likelihood + gain
    p = run.n_parameters
    bic, aic = (penalised(criterion, mean, p, n) for criterion in ("bic", "aic"))
    criteria = {"log_likelihood": mean, "n_parameters": p, "bic": bic, "aic": aic}
    if "heldout_log_likelihood" in statistics:
        criteria["heldout"] = -2 * float(statistics["heldout_log_likelihood"])
    return {**criteria, "icl": bic}


def penalised(criterion: str, mean: float, p: int, n: float) -> float:
    """BIC, or AIC, of `n` rows with a mean log-likelihood in a fit of `p` parameters.

    What asks for a read of the data is foretold: ICL by BIC, and rows held out by AIC.
    """
    each = np.log(n) if criterion in ("bic", "icl") else 2.0
    return float(p * each - 2 * n * mean)


def reachable(run: Run) -> float:
    """What a run may gain yet, nats per row: as predicted, or as if its gains fell like 1/t^2.

    So slowly EM climbs where a mixture has a component too many (Dwivedi et al. 2020), which is
    what most candidates of a selection have: after t passes, t times the last gain is left. The
    last gain is the larger of two, as a pass whose leap fails gains nothing. Before there are
    two passes nothing is known but what the start predicts that a run goes on from.
    """
    objectives = [p.objective for p in run.history]
    if len(objectives) < 2:
        return run.history[-1].remaining
    last = max(np.diff(objectives[-3:]))
    return max(min(run.history[-1].remaining, last * len(run.history)), 0.0)


def entropies(block: Block, fits: Sequence[tuple[Predicts, Params]]) -> np.ndarray:
    """Entropy of the responsibilities of the rows of a block, in nats, (fit,)."""
    totals = np.zeros(len(fits))
    for number, (model, params) in enumerate(fits):
        for span, _, r in model.posterior(block, params):
            weights = 1.0 if block.weights is None else block.weights[span]
            totals[number] += (weights * entr(r).sum(axis=0)).sum()
    return totals
