"""One fit of one model from one start: what it asks of a pass, and what it makes of the answers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from daskem.core.brief import Brief
from daskem.core.numerics import EPS
from daskem.core.parameters import Params, count_free
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.errors import LikelihoodFellError, ModelError
from daskem.fitting.algorithms import Algorithm, State, choose
from daskem.fitting.algorithms.gain import ROUNDING, predicted_gain
from daskem.fitting.algorithms.state import Draft
from daskem.fitting.confirming import AfterPass, confirmed, left_after_leaps, shown_rate
from daskem.fitting.record import Pass, Status, height, unfit
from daskem.fitting.sample_leap import with_leap
from daskem.fitting.stopping import Stop, resolution
from daskem.models.asking import demand, log_prior_of
from daskem.models.families.protocol import Composed, Family
from daskem.models.protocol import Conditioned, Declares, Model, Reports
from daskem.models.views import Flaw

# A fall that rounding can explain, in EPS of what an objective is a sum of: the largest of 94,000
# passes was 1.2, over all structures, at the floors of covariances or above them.
_ROUNDINGS = 32.0


class Read(NamedTuple):
    """What one pass read of the data, and what there is to say of that."""

    n_rows: int
    n_bytes: int
    weight: float
    seconds: float
    events: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Run(Brief):
    """One fit of one model from one start.

    Attributes
    ----------
    model : Model
    algorithm : Algorithm
    state : State
        Of the algorithm.
    history : tuple of Pass
    status : Status
    choice : str
        Why this algorithm.
    failure : Exception or None
        Why it cannot go on, if it has failed.
    """

    model: Model
    algorithm: Algorithm
    state: State
    history: tuple[Pass, ...] = ()
    status: Status = Status.RUNNING
    choice: str = "given"
    failure: Exception | None = None

    @classmethod
    def begin(
        cls,
        model: Model,
        algorithm: "str | Algorithm",
        draft: Draft,
        n_features: int,
        n_rows: float,
    ) -> "Run":
        """A run from where a fit to a sample ended, by the algorithm that a setting means."""
        chosen, why = choose(algorithm, model, draft.params, n_features, n_rows)
        return cls(model, chosen, draft.start(chosen), choice=why)

    @property
    def params(self) -> Params:
        return self.state.params

    @cached_property
    def n_parameters(self) -> int:
        """Free parameters, as criteria count them."""
        return count_free(demand(self.model, Declares, "counting").parameters, self.params)

    @property
    def improper(self) -> bool:
        """Whether the params of the last pass have flaws."""
        return bool(self.history and self.history[-1].flaws)

    @property
    def unfit(self) -> tuple[bool, bool]:
        """What comes before any objective where runs are ranked: failed, improper."""
        return unfit(self.status, self.history)

    @property
    def height(self) -> float:
        """The objective by which runs of one size are ranked."""
        return height(self.status, self.history)

    @property
    def accepted(self) -> Params:
        """The best iterate whose statistics are known."""
        assert self.state.accepted is not None
        return self.state.accepted

    def ask(self) -> Sequence[Params]:
        return self.algorithm.ask(self.state)

    def tell(
        self,
        statistics: Sequence[Statistics],
        read: Read,
        stop: Stop,
        sample: Block | None = None,
    ) -> "Run":
        """The run after a pass that returned `statistics`; one that cannot go on has failed.

        Where it seems to end, a `sample` of the rows is asked whether anything is left. Without one
        nobody follows the fit: then its last pass alone tells events.
        """
        try:
            return self._after(statistics, read, stop, sample)
        except (ModelError, LikelihoodFellError, np.linalg.LinAlgError) as failure:
            nothing = Pass(-math.inf, -math.inf, math.inf, read.seconds, read.n_rows, read.n_bytes)
            history = self.history or (nothing,)
            return replace(self, history=history, status=Status.FAILED, failure=failure)

    def _after(
        self, statistics: Sequence[Statistics], read: Read, stop: Stop, sample: Block | None
    ) -> "Run":
        # A model that leaves rows out says what weight remains.
        weight = statistics[0].get("fitted_weight", read.weight)
        log_prior = log_prior_of(self.model)
        objectives = [
            objective_of(log_prior, params, sums, weight)
            for sums, params in zip(statistics, self.ask(), strict=True)
        ]
        state = self.algorithm.tell(self.model, self.state, statistics, objectives)
        record = self._record(state, weight, read)
        shown = shown_rate(self.model, self.state.tried, statistics, state)
        resolved = resolution(self.model, state.params, weight)
        standing = AfterPass(state, (*self.history, record), shown)
        tol = stop.tolerance(resolved)
        standing = confirmed(standing, self.model, self.algorithm, sample, tol)
        history = standing.history
        status = Status.CONVERGED if standing.still else stop(history, resolved)
        if sample is not None or status is not Status.RUNNING:
            history = (*history[:-1], self._with_events(history[-1], state))
        if read.events:
            record = replace(history[-1], events=(*read.events, *history[-1].events))
            history = (*history[:-1], record)
        return replace(self, state=standing.state, history=history, status=status)

    def led(self, sample: Block | None, stop: Stop, weight: float) -> "Run":
        """The run before its next pass, with a leap that a sample of the rows leads, if it may."""
        if self.status is not Status.RUNNING or sample is None:
            return self
        standing = AfterPass(self.state, self.history)
        tol = stop.tolerance(resolution(self.model, self.params, weight))
        return replace(self, state=with_leap(standing, self.model, self.algorithm, sample, tol))

    def _record(self, state: State, weight: float, read: Read) -> Pass:
        assert state.accepted is not None
        if self.history and state.statistics is None:
            # Only a leap that fell is taken from a state that was kept, which has no statistics.
            return self._stayed(state, read)
        assert state.statistics is not None
        self._check_ascent(state)
        return Pass(
            float(state.statistics["log_likelihood"]) / weight,
            state.objective,
            self._remaining(state),
            read.seconds,
            read.n_rows,
            read.n_bytes,
            candidates=state.candidates,
        )

    def _with_events(self, record: Pass, state: State) -> Pass:
        """The record of a pass, with what the model says of where it led."""
        if state.statistics is None or not isinstance(self.model, Reports):
            return record
        assert state.accepted is not None
        reported = self.model.events(state.statistics, state.accepted)
        flaws = tuple(event for event in reported if isinstance(event, Flaw))
        # An event may have the words of a flaw.
        events = tuple(event for event in reported if not isinstance(event, Flaw))
        return replace(record, events=events, flaws=flaws)

    def _stayed(self, state: State, read: Read) -> Pass:
        """The record of a pass after which the iterate is that of the last one."""
        return replace(
            self.history[-1],
            remaining=self._remaining(state),
            seconds=read.seconds,
            n_rows=read.n_rows,
            n_bytes=read.n_bytes,
            candidates=state.candidates,
        )

    def _remaining(self, state: State) -> float:
        """What is left to gain, as leaps by the sample show, or as the algorithm says or, if these
        say nothing, the objectives.

        Of the first pass no more than what a start has predicted that it goes on from.
        """
        left = left_after_leaps(self.history, state)
        if left is None:
            left = state.remaining
        if left is None:
            left = predicted_gain([*(p.objective for p in self.history), state.objective])
        return left if self.history else min(left, self.state.expected)

    def _check_ascent(self, state: State) -> None:
        number, objective = len(self.history) + 1, state.objective
        if not math.isfinite(objective):
            raise ModelError(
                f"pass {number}: the log-likelihood is {objective}. The E step met params or rows "
                "that it gives no probability; daskem.testing.check_model may say which"
            )
        if not self.history:
            return
        before = self.history[-1].objective
        if objective < before and before - objective > self._rounding(state):
            raise LikelihoodFellError(
                f"pass {number}: the objective per row fell from {before:.12g} to "
                f"{objective:.12g}, more than rounding explains. {self._reason}"
            )

    def _rounding(self, after: State) -> float:
        """By how much the objective may fall for its rounding, from this state to the next."""
        size = max(1.0, abs(self.state.objective))
        magnitudes = [self._magnitude(state) for state in (self.state, after)]
        known = [m for m in magnitudes if m is not None]
        return _ROUNDINGS * float(EPS) * (size + max(known)) if known else ROUNDING * size

    def _magnitude(self, state: State) -> float | None:
        assert state.accepted is not None
        if isinstance(self.model, Conditioned):
            return self.model.magnitude(state.accepted)
        return None

    @property
    def _own_family(self) -> Family | None:
        """The family that the model is made of, if it is of daskem itself."""
        family = self.model.family if isinstance(self.model, Composed) else None
        return family if type(family).__module__.startswith("daskem.") else None

    @property
    def _reason(self) -> str:
        """Why the objective may have fallen: nobody is blamed for a family of daskem itself."""
        if self._own_family is not None:
            return (
                f"{self._own_family!r} is daskem's own, so that is rounding or a bug of daskem: "
                "please report it with these numbers. Another start, or fewer components, may help"
            )
        return (
            "The M step does not maximise what the E step computes; daskem.testing.check_model "
            "may say why"
        )


def objective_of(
    log_prior: Callable[[Params, float], float],
    params: Params,
    statistics: Statistics,
    weight: float,
) -> float:
    """What EM climbs: the log-likelihood plus the log-density of the prior, per row."""
    return (float(statistics["log_likelihood"]) + log_prior(params, weight)) / weight
