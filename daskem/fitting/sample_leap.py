"""A leap to where a sample says that EM of all rows leads: walked in memory, so that it costs no
read.

The EM steps of a sample, F_s, and of all rows, F, differ by about the same vector everywhere near
an iterate a, at which both are known. So EM is followed to the fixed point of

    x  ->  F_s(x) + F(a) - F_s(a)

which is a Newton step with the Jacobian of the sample, without ever writing that down. (A control
variate, as in the stochastic gradients of Johnson and Zhang 2013 and the EM of Chen, Zhu, Teh and
Zhang 2018.) What a leap leaves is as little as the sample errs about the Jacobian: from the
optimum of 65,536 rows to that of 10^6 (d = 4, K = 8) the first left 5e-7 nats a row of 8e-4, the
second 2e-9.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daskem.core.coordinates import from_free_each, to_free_each
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Parameter, Params, count_free
from daskem.data.blocks import Block
from daskem.errors import ModelError
from daskem.fitting.algorithms.anderson import fixed_point
from daskem.fitting.algorithms.climb import (
    ASIDE,
    LED,
    MEMORY,
    OUT,
    Climb,
    besides,
    bounded,
    leapable,
)
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import Algorithm, State
from daskem.fitting.confirming import AfterPass, was_in_vain, was_led
from daskem.models.asking import EmSteps, allowed
from daskem.models.protocol import Declares, Model

# Rows of the sample that are walked through for each free parameter, at least.
_ROWS_PER_PARAMETER = 16
# How many times as many all rows are, at least, so that a pass costs as much as some of the walk.
_TIMES = 6
# EM steps of the sample, at most, and the squared length at which they end, relative to the first:
# what is left is less than what the sample errs.
_MOST_STEPS, _SHORT = 20, 1e-5
# What holds back steps along directions in which all others were the same (relative, squared).
_DAMPING = 1e-12
# Passes without such a leap after one that was worse than an EM step.
_PAUSE = 4


def with_leap(
    standing: AfterPass, model: Model, algorithm: Algorithm, sample: Block, tol: float
) -> State:
    """Where a run goes on: with the EM step and a leap that the sample leads, where that may lead
    anywhere; with the EM step alone, which shows that it is so, where no more than `tol` seems to
    be left after some.
    """
    state, last = standing.state, standing.history[-1]
    if not isinstance(model, Declares) or not _leaps(algorithm):
        return state
    recent = standing.history[-_PAUSE:]
    if state.statistics is None or any(was_in_vain(record.candidates) for record in recent):
        return state
    kept = [(name, params) for name, params in state.tried if name in (OUT, ASIDE)]
    if was_led(last.candidates) and last.remaining < tol:
        return besides(state, kept)
    assert state.accepted is not None
    rows = sample.head(last.n_rows // _TIMES)
    enough = _ROWS_PER_PARAMETER * count_free(model.parameters, state.accepted)
    if len(sample) == last.n_rows or len(rows) < enough:
        return state
    params = led(model, rows, state.accepted, state.params)
    return state if params is None else besides(state, [*kept, (LED, params)])


@one_blas_thread()
def led(model: Model, rows: Block, params: Params, step: Params) -> Params | None:
    """Where EM leads from `params`, by these rows, given the EM step of all; None for nowhere."""
    try:
        way = _Way.of(model, rows, params, step)
        walk, at = [Pair(way.origin, way.ahead, math.nan)], way.ahead
        first = leapable(walk)[0][-1].square
        for _ in range(_MOST_STEPS):
            walk = [*walk, Pair(at, way.image(at), math.nan)][-MEMORY:]
            memory, free = leapable(walk)
            if memory[-1].square <= _SHORT * first:
                break
            end = fixed_point(memory, len(memory) - 1, _DAMPING)
            at = np.where(free, bounded(memory[-1].x, end), way.ahead)
        end_params = way.params_at(walk[-1].step) if memory[-1].square < first else None
    except (ModelError, np.linalg.LinAlgError):
        return None
    return end_params and allowed(model, end_params)


@dataclass(frozen=True)
class _Way:
    """EM of all rows around an iterate, as a sample of them knows it, in free coordinates.

    Attributes
    ----------
    model : Model
    steps : EmSteps
        Of the model.
    rows : Block
        The sample.
    like : Params
    origin, ahead : ndarray, (coordinate,)
        The iterate, and its EM step by all rows.
    shift : ndarray, (coordinate,)
        What that is beyond the one by the sample; NaN or infinite for values on an edge, which
        stay where it has led them.
    """

    model: Model
    steps: EmSteps
    rows: Block
    like: Params
    origin: np.ndarray
    ahead: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, model: Model, rows: Block, params: Params, step: Params) -> "_Way":
        assert isinstance(model, Declares)
        steps = EmSteps(model)
        all_params = [params, step, _em_step(steps, rows, params)]
        origin, ahead, by_rows = to_free_each(model.parameters, all_params)
        with np.errstate(invalid="ignore"):
            shift = ahead - by_rows + 0 * origin
        return cls(model, steps, rows, step, origin, ahead, shift)

    def image(self, point: np.ndarray) -> np.ndarray:
        """The EM step from a point; ModelError where there are no params."""
        params = self.params_at(point)
        if params is None:
            raise ModelError("EM leads out of what params can be")
        (step,) = to_free_each(self._declared, [_em_step(self.steps, self.rows, params)])
        is_known = np.isfinite(self.shift)
        return np.where(is_known, step + np.where(is_known, self.shift, 0.0), self.ahead)

    def params_at(self, point: np.ndarray) -> Params | None:
        (params,) = from_free_each(self._declared, [self.like], [point])
        return params

    @property
    def _declared(self) -> Mapping[str, Parameter]:
        assert isinstance(self.model, Declares)
        return self.model.parameters


def _em_step(steps: EmSteps, rows: Block, params: Params) -> Params:
    (step,) = steps.m_steps(steps.e_steps(rows, [params]), [params])
    return step


def _leaps(algorithm: Algorithm) -> bool:
    """Whether an algorithm leaps at all."""
    return isinstance(algorithm, Climb) and type(algorithm).leaps is not Climb.leaps
