"""Whether little is left to gain: by the rate of EM, which steps aside show.

A sample tells where EM is slowest, and about how slow it is; where that matters, a step aside rides
along with the next pass, so that it is the data that say by how much.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.coordinates import to_steady_each
from daskem.core.numerics import EPS
from daskem.core.parameters import Params, count_free
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.fitting.algorithms.climb import ASIDE, LED, OUT, Climb, besides
from daskem.fitting.algorithms.gain import gain_of_tail
from daskem.fitting.algorithms.state import Algorithm, Candidate, State
from daskem.fitting.probe import FLAT, LEAVES, ROWS, SURE, slowest
from daskem.fitting.record import Pass
from daskem.fitting.stopping import FINEST, gain_left, known_rate, seems_ended
from daskem.models.protocol import Declares, Model

# The rate up to which a sample tells well enough where leaps that it leads have gone where they
# should.
_SURE_LED = 0.99
# What such a leap leaves of what there was to gain, at least, as far as anybody believes.
_LEAST_LEFT = 0.1
# What a place ahead gains, in units of tol, for a fit to go there: less is what it may leave.
_WORTH = 0.25
# A rate above this one that was found where more than tol was left is found again before the end.
_SLOW = 0.8
# What an EM step that leads nowhere changes, relative to the largest value of a parameter: means of
# 65 to 2,000 rows in 100 to 1,421 features by 8e-16 at most, covariances by 4e-16.
_ROUNDING = 16 * EPS


@dataclass(frozen=True)
class AfterPass:
    """Where a run stands after a pass.

    Attributes
    ----------
    state : State
    history : tuple of Pass
    shown : float or None
        The rate of EM that a step aside has shown in this pass.
    still : bool
        Whether the EM step leads nowhere, and nothing else can be asked.
    """

    state: State
    history: tuple[Pass, ...]
    shown: float | None = None
    still: bool = False


def confirmed(
    standing: AfterPass, model: Model, algorithm: Algorithm, sample: Block | None, tol: float
) -> AfterPass:
    """The same, with what is left to gain by the rate of EM, and with what is to show the rate."""
    if sample is None or not isinstance(model, Declares):
        return standing
    if count_free(model.parameters, standing.state.params) > standing.history[-1].n_rows:
        # Rows that cannot tell the params cannot tell how fast EM finds them.
        return _ended(standing) if tol > 0 and _is_still(standing.state) else standing
    if standing.shown is not None:
        return _at_rate(standing, _believed(standing.shown, standing.history[-1]))
    rate = known_rate(standing.history)
    at_rate = _left(standing, rate)
    if not (seems_ended(standing.history, tol) if rate is None else _is_unsure(at_rate, tol)):
        return at_rate
    assert standing.state.accepted is not None
    slow_mode = slowest(model, sample, standing.state.accepted)
    is_led = any(was_led(record.candidates) for record in standing.history[-2:])
    sure = _SURE_LED if is_led else SURE
    if not isinstance(algorithm, Climb) or math.isnan(slow_mode.rate) or slow_mode.rate <= sure:
        return _at_rate(standing, slow_mode.rate)
    whole = standing.history[-1].n_rows <= min(len(sample), ROWS)
    aside = None if whole else slow_mode.aside(model, standing.state.params)
    is_worth = slow_mode.rate > 1 + LEAVES or slow_mode.gains > _WORTH * tol
    out = slow_mode.out if is_worth else None
    if out is None and aside is None:
        return _at_rate(standing, min(slow_mode.rate, 1.0))  # Nothing is left to ask the data.
    asides = [(OUT, out), (ASIDE, aside)]
    state = besides(
        standing.state, [(name, params) for name, params in asides if params is not None]
    )
    return _left(replace(standing, state=state), math.inf)


def _believed(shown: float, last: Pass) -> float:
    """The rate that a step aside has shown; NaN if it was too long to show one.

    Where a way out of the sample leads all rows nowhere, the two differ along it, and it is as flat
    as that may make it.
    """
    if not _is_short(last):
        return math.nan
    is_refused = any(c.name == OUT and not c.taken for c in last.candidates)
    return max(shown, 1 - FLAT) if is_refused else shown


def _is_unsure(standing: AfterPass, tol: float) -> bool:
    """Whether a fit would end by a slow rate that was found where more was left."""
    last, *_ = (r for r in reversed(standing.history) if r.rate is not None)
    assert last.rate is not None
    ends = standing.history[-1].remaining < tol <= last.remaining
    return ends and last.rate > _SLOW


def left_after_leaps(before: Sequence[Pass], state: State) -> float | None:
    """What is left to gain after two leaps that the sample led, or two and an EM step; else None.

    Each leaves about the same fraction of what there was.
    """
    if len(before) < 2 or not was_led(before[-1].candidates):
        return None
    if not was_led(state.candidates):
        left = before[-1].remaining
        return None if was_in_vain(state.candidates) or math.isinf(left) else left
    first = before[-1].objective - before[-2].objective
    last = state.objective - before[-1].objective
    if not first > last:
        return None
    fraction = max(last / first, _LEAST_LEFT)
    return max(last, 0.0) * fraction / (1 - fraction)


def was_led(candidates: Sequence[Candidate]) -> bool:
    """Whether such a leap was the best of these."""
    return any(c.name == LED and c.taken for c in candidates)


def was_in_vain(candidates: Sequence[Candidate]) -> bool:
    return any(c.name == LED and not c.taken for c in candidates)


def _is_still(state: State) -> bool:
    """Whether the EM step leads nowhere, but for rounding."""
    assert state.accepted is not None
    return all(_are_equal(state.params[name], value) for name, value in state.accepted.items())


def _are_equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether arrays are equal, but for what rounding makes of their largest values."""
    one, other = np.atleast_1d(one), np.atleast_1d(other)
    most = _ROUNDING * max(other.max(initial=0.0), -other.min(initial=0.0))
    # One entry at a time: differences of large arrays take a while to be put somewhere.
    return all(np.max(np.abs(a - b), initial=0.0) <= most for a, b in zip(one, other, strict=True))


def shown_rate(
    model: Model,
    asked: Sequence[tuple[str, Params]],
    statistics: Sequence[Statistics],
    state: State,
) -> float | None:
    """The rate of EM along a step aside, if these params have one: v^T J v / v^T v.

    `state` is where the algorithm stands now that it has been told the statistics.
    """
    names = [name for name, _ in asked]
    if ASIDE not in names or not isinstance(model, Declares):
        return None
    steps = []
    for name in ("em", ASIDE):
        params, sums = asked[names.index(name)][1], statistics[names.index(name)]
        # The M step of what was accepted has been made.
        step = (
            state.params if params is state.accepted else Params(dict(model.m_step(sums, params)))
        )
        steps.append(to_steady_each(model.parameters, [params, step]))
    with np.errstate(invalid="ignore"):  # Values on an edge have infinite coordinates.
        v, image = np.subtract(steps[1], steps[0])
    known = np.isfinite(v) & np.isfinite(image)
    return float(v[known] @ image[known] / (v[known] @ v[known]))


def _is_short(record: Pass) -> bool:
    """Whether the step aside of a pass was short, so that the objective hardly fell along it.

    The rows of a component that the sample lacks may be so close together, or just one, that it
    leaves them.
    """
    objectives = {candidate.name: candidate.objective for candidate in record.candidates}
    return objectives["em"] - objectives[ASIDE] < FINEST


def _at_rate(standing: AfterPass, rate: float) -> AfterPass:
    *before, last = standing.history
    return _left(replace(standing, history=(*before, replace(last, rate=rate))), rate)


def _ended(standing: AfterPass) -> AfterPass:
    *before, last = standing.history
    return replace(standing, history=(*before, replace(last, remaining=0.0)), still=True)


def _left(standing: AfterPass, rate: float | None) -> AfterPass:
    """The same, with what is left to gain by this rate, if it tells anything."""
    if rate is None or math.isnan(rate):
        return standing
    *before, last = standing.history
    left = gain_left(rate, _last_gain(standing.history))
    if standing.state.remaining is None:
        # Plain EM: where directions are about equally slow, a step aside takes one for another.
        left = max(left, gain_of_tail([record.objective for record in standing.history]))
    return replace(standing, history=(*before, replace(last, remaining=left)))


def _last_gain(history: Sequence[Pass]) -> float:
    """What the last EM step has gained, or the pass, if it tried none; infinite if unknown."""
    if len(history) < 2:
        return math.inf
    before, last = history[-2:]
    steps = [c.objective for c in last.candidates if c.name == "em"]
    return max([last.objective, *steps][-1] - before.objective, 0.0)
