"""When a run ends: what is left to gain is less than the data can tell apart, or time is up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.parameters import Params, count_free
from daskem.fitting.record import Pass, Status
from daskem.models.protocol import Declares, Model

# Nats per row to which no model of real data is true, however many rows there are.
FINEST = 1e-6


@dataclass(frozen=True)
class Stop:
    """When a run ends.

    Attributes
    ----------
    tol : float or None
        Predicted remaining gain of the objective, nats per row, below which a run has converged
        (twice in a row). None: a hundredth of what the data can resolve, see `resolution`, and
        no less than `FINEST`.
    max_passes : int
        Most passes.
    max_seconds : float
        Most seconds of passes; looked at between passes.
    """

    tol: float | None
    max_passes: int
    max_seconds: float = math.inf

    def __call__(self, history: Sequence[Pass], resolution: float = 0.0) -> Status:
        tol = max(resolution / 100, FINEST) if self.tol is None else self.tol
        last = [p for p in history[-4:] if p.accepted][-2:]
        if len(last) > 1 and history[-1].accepted and all(p.remaining < tol for p in last):
            return Status.CONVERGED
        if len(history) >= self.max_passes:
            return Status.MAX_PASSES
        late = sum(p.seconds for p in history) >= self.max_seconds
        return Status.MAX_SECONDS if late else Status.RUNNING


def resolution(model: Model, params: Params, weight: float) -> float:
    """What the data can tell apart, nats per row: p / 2N.

    By so much the log-likelihood of the best fit exceeds that of the truth, in expectation, with
    p free parameters and N rows (Wilks 1938). A model that declares no parameters counts all.
    """
    if isinstance(model, Declares):
        return count_free(model.parameters, params) / (2 * weight)
    return sum(map(np.size, params.values())) / (2 * weight)
