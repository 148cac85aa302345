"""Fitting, the loop: one pass evaluates what every active run asks for, and tells each its own."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from daskem.errors import LikelihoodFellError, ModelError
from daskem.numerics import one_blas_thread
from daskem.parameters import Params

# A fall of the objective per row, relative to its size, that rounding can explain.
_ROUNDING = 1e-9


class Status(Enum):
    """How a run stands or ended; the values are advice."""

    RUNNING = "running"
    CONVERGED = "converged: what is left to gain is predicted to be below tol"
    MAX_ITER = (
        "stopped at max_iter before it converged: raise max_iter, loosen tol, or start from better "
        "parameters (more n_init, or the result of this fit)"
    )
    DROPPED = "dropped: another run is better, and this one is predicted not to catch up"
    STOPPED = "stopped on request before it converged; fit on from the result of this fit"
    FAILED = "failed: result() raises what went wrong"


@dataclass(frozen=True)
class Pass:
    """What one pass over the data showed of one run.

    Attributes
    ----------
    log_likelihood : float
        Mean log p(x) per row, in nats, at the params that the pass evaluated.
    objective : float
        The same plus the log-density of the prior, per row: what never falls.
    remaining : float
        Predicted gain in the objective, per row, from here to the optimum (Aitken's
        extrapolation); infinite where there is no prediction.
    seconds, n_rows, n_bytes : float, int, int
        Of the whole pass, which all runs share.
    events : tuple of str
        What the M step had to work around.
    """

    log_likelihood: float
    objective: float
    remaining: float
    seconds: float
    n_rows: int
    n_bytes: int
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stop:
    """When a run ends.

    Attributes
    ----------
    tol : float
        Predicted remaining gain of the objective, nats per row, below which a run has converged
        (twice in a row).
    max_iter : int
        Most passes.
    """

    tol: float
    max_iter: int

    def __call__(self, history: Sequence[Pass]) -> Status:
        if len(history) > 1 and all(p.remaining < self.tol for p in history[-2:]):
            return Status.CONVERGED
        return Status.MAX_ITER if len(history) >= self.max_iter else Status.RUNNING


@dataclass(frozen=True, eq=False)
class Run:
    """One fit of one model from one start.

    Attributes
    ----------
    model : object with e_step and m_step
    algorithm : object with start, ask and tell
    state : immutable state of the algorithm
    history : tuple of Pass
    status : Status
    """

    model: Any
    algorithm: Any
    state: Any
    history: tuple[Pass, ...] = ()
    status: Status = Status.RUNNING

    @property
    def params(self) -> Params:
        return self.state.params

    def ask(self) -> Sequence[Params]:
        return self.algorithm.ask(self.state)

    def tell(self, statistics: Sequence[dict[str, Any]], seen: dict[str, Any], stop: Stop) -> "Run":
        """The run after a pass that returned `statistics` and saw `seen` of the data."""
        with one_blas_thread():
            state = self.algorithm.tell(self.model, self.state, statistics)
            record = self._record(state, seen)
        history = (*self.history, record)
        return replace(self, state=state, history=history, status=stop(history))

    def _record(self, state: Any, seen: dict[str, Any]) -> Pass:
        # A model that leaves rows out says what weight remains.
        weight = state.statistics.get("fitted_weight", seen["weight"])
        log_likelihood = float(state.statistics["log_likelihood"]) / weight
        prior = getattr(self.model, "log_prior", None)
        penalty = 0.0 if prior is None else prior(state.accepted, weight) / weight
        objective = log_likelihood + penalty
        self._check_ascent(objective)
        told = getattr(self.model, "events", None)
        return Pass(
            log_likelihood,
            objective,
            predicted_gain([*(p.objective for p in self.history[-2:]), objective]),
            seen["seconds"],
            seen["rows"],
            seen["bytes"],
            () if told is None else tuple(told(state.statistics, state.accepted)),
        )

    def _check_ascent(self, objective: float) -> None:
        number = len(self.history) + 1
        if not math.isfinite(objective):
            raise ModelError(
                f"pass {number}: the log-likelihood is {objective}. The E step met params or rows "
                "that it gives no probability; daskem.testing.check_model may say which"
            )
        if not self.history:
            return
        before = self.history[-1].objective
        if objective < before - _ROUNDING * max(1.0, abs(before)):
            raise LikelihoodFellError(
                f"pass {number}: the objective per row fell from {before:.12g} to "
                f"{objective:.12g}, more than rounding explains. The M step does not maximise "
                "what the E step computes; daskem.testing.check_model may say why"
            )


def predicted_gain(objectives: Sequence[float]) -> float:
    """What is left to gain after the last of three objectives (Aitken; Boehning et al. 1994)."""
    if len(objectives) < 3:
        return math.inf
    before, last = np.diff(objectives)
    if last <= 0:
        return 0.0
    if before > last:
        return float(last * last / (before - last))
    # Gains that grow predict nothing, unless they are so small that they are rounding.
    return 0.0 if last <= _ROUNDING * max(1.0, abs(objectives[-1])) else math.inf


def evaluate(block: Any, requests: Sequence[tuple[Any, Sequence[Params]]]) -> dict[str, Any]:
    """The statistics of one block for every params of every model, and what the block held."""
    weight = len(block.rows) if block.weights is None else float(block.weights.sum())
    with one_blas_thread():
        statistics = [
            model.e_steps(block, candidates)
            if hasattr(model, "e_steps")
            else [model.e_step(block, params) for params in candidates]
            for model, candidates in requests
        ]
    rows = block.rows
    return {"rows": len(rows), "bytes": rows.nbytes, "weight": weight, "statistics": statistics}


def passes(runs: Sequence[Run], blocks: Any, stop: Stop) -> Iterator[list[Run]]:
    """Fit `runs` together, one pass over `blocks` at a time.

    Yields
    ------
    runs : list of Run
        As they stand after each pass, until all of them have ended.
    """
    runs = list(runs)
    while active := [i for i, run in enumerate(runs) if run.status is Status.RUNNING]:
        # Runs of one model share its kernel: their params are candidates of one request.
        models = list({id(runs[i].model): runs[i].model for i in active}.values())
        asked = {i: runs[i].ask() for i in active}
        owners = [[i for i in active if runs[i].model is model] for model in models]
        requests = [
            (model, [params for i in own for params in asked[i]])
            for model, own in zip(models, owners, strict=True)
        ]
        began = time.perf_counter()
        seen = blocks.sum(evaluate, requests)
        seen["seconds"] = time.perf_counter() - began
        for own, statistics in zip(owners, seen.pop("statistics"), strict=True):
            answers = iter(statistics)
            for i in own:
                runs[i] = runs[i].tell([next(answers) for _ in asked[i]], seen, stop)
        yield list(runs)
