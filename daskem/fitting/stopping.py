"""When a run ends: what is left to gain is less than the data can tell apart, or time is up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.parameters import Params, count_free
from daskem.fitting.probe import FLAT
from daskem.fitting.record import Pass, Status
from daskem.models.protocol import Declares, Model

# Nats per row to which no model of real data is true, however many rows there are.
FINEST = 1e-6
# Passes for which a rate is believed, at least.
_FRESH = 4
# Slower rates than this one count as this one: nobody could wait for what they leave. With 0.9999
# plain EM on a plateau, at a rate of 0.99994, was said to have converged with 17 tol left.
_SLOWEST = 1 - 1e-5
# How many times more than by a parabola may be left, as curvature changes on the way.
_CAUTION = 2.0


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

    def tolerance(self, resolution: float) -> float:
        """`tol`, or what follows from the resolution of the data."""
        return max(resolution / 100, FINEST) if self.tol is None else self.tol

    def __call__(self, history: Sequence[Pass], resolution: float = 0.0) -> Status:
        if _predicted(history, self.tolerance(resolution)):
            return Status.CONVERGED
        if len(history) >= self.max_passes:
            return Status.MAX_PASSES
        late = sum(p.seconds for p in history) >= self.max_seconds
        return Status.MAX_SECONDS if late else Status.RUNNING


def seems_ended(history: Sequence[Pass], tol: float) -> bool:
    """Whether little is predicted to be left, or has been gained of late."""
    last = [p.objective for p in history if p.accepted][-3:]
    still = history[-1].accepted and len(last) == 3 and last[-1] - last[0] < tol
    return still or _predicted(history, tol)


def _predicted(history: Sequence[Pass], tol: float) -> bool:
    last = [p for p in history[-4:] if p.accepted][-2:]
    return len(last) == 2 and history[-1].accepted and all(p.remaining < tol for p in last)


def known_rate(history: Sequence[Pass]) -> float | None:
    """The last rate that was found, unless the climb may have gone far since."""
    for number, record in reversed(list(enumerate(history, 1))):
        if record.rate is not None:
            return record.rate if len(history) <= number + max(_FRESH, number // 4) else None
    return None


def gain_left(rate: float, gain: float) -> float:
    """What may be left to gain, per row, where the last EM step gained `gain`; infinite if unknown.

    Of a parabola along the slowest direction gain / (1 - rate^2) is left.
    """
    if rate > 1 + FLAT:
        return math.inf
    return _CAUTION * max(gain, 0.0) / (1 - min(rate, _SLOWEST) ** 2)


def resolution(model: Model, params: Params, weight: float) -> float:
    """What the data can tell apart, nats per row: p / 2N.

    By so much the log-likelihood of the best fit exceeds that of the truth, in expectation, with
    p free parameters and N rows (Wilks 1938). A model that declares no parameters counts all.
    """
    if isinstance(model, Declares):
        return told_apart(count_free(model.parameters, params), weight)
    return told_apart(sum(map(np.size, params.values())), weight)


def told_apart(n_parameters: int, weight: float) -> float:
    """`resolution`, given how many parameters are free."""
    return n_parameters / (2 * weight)
