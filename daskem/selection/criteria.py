"""Criteria by which fits of different size are compared; lower is better for all of them."""

from collections.abc import Mapping, Sequence

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
    bic = p * np.log(n) - 2 * n * mean
    aic = 2 * p - 2 * n * mean
    criteria = {"log_likelihood": mean, "n_parameters": p, "bic": bic, "aic": aic}
    if "heldout_log_likelihood" in statistics:
        criteria["heldout"] = -2 * float(statistics["heldout_log_likelihood"])
    return {**criteria, "icl": bic}


def entropies(block: Block, fits: Sequence[tuple[Predicts, Params]]) -> np.ndarray:
    """Entropy of the responsibilities of the rows of a block, in nats, (fit,)."""
    totals = np.zeros(len(fits))
    for number, (model, params) in enumerate(fits):
        for span, _, r in model.posterior(block, params):
            weights = 1.0 if block.weights is None else block.weights[span]
            totals[number] += (weights * entr(r).sum(axis=0)).sum()
    return totals


def verdict(criterion: str, values: Mapping[tuple[str, int], float]) -> str:
    """What may be concluded from the differences (Kass and Raftery 1995, section 3.2)."""
    order = sorted(values, key=values.__getitem__)
    name, k = order[0]
    head = f"best by {criterion}: {name}, K = {k}"
    if len(order) == 1:
        return head
    lead = values[order[1]] - values[order[0]]
    near = [f"{n} K = {c}" for n, c in order[1:] if values[n, c] - values[order[0]] < 10]
    head += f"; {order[1][0]}, K = {order[1][1]} is {lead:.3g} behind"
    if criterion == "bic":
        head += f": {_strength(lead)} evidence"
    if not near:
        return head
    return f"{head}\nthe criterion is flat: within 10 of the best are {', '.join(near)}"


def _strength(difference: float) -> str:
    steps = [(2, "hardly any"), (6, "positive"), (10, "strong")]
    return next((words for most, words in steps if difference < most), "very strong")
