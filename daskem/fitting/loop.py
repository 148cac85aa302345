"""Fitting, the loop: one pass evaluates what every active run asks for, and tells each its own."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, count_free
from daskem.errors import LikelihoodFellError, ModelError
from daskem.fitting.algorithms import Candidate

# A fall of the objective per row, relative to its size, that rounding can explain.
_ROUNDING = 1e-9
# Nats per row to which no model of real data is true, however many rows there are.
FINEST = 1e-6


class Status(Enum):
    """How a run stands or ended; the values are advice."""

    RUNNING = "running"
    CONVERGED = "converged: what is left to gain is predicted to be below tol"
    MAX_SECONDS = (
        "stopped at max_seconds before it converged: raise max_seconds, or start from the result "
        "of this fit"
    )
    MAX_PASSES = (
        "stopped before it converged: raise max_passes (max_iter of GaussianMixture), loosen tol, "
        "start from better parameters (more n_init, or the result of this fit), or fit fewer "
        "components than the data can tell apart"
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
        Predicted gain in the objective, per row, from here to the optimum (the algorithm's own,
        or else Aitken's extrapolation); infinite where there is no prediction.
    seconds, n_rows, n_bytes : float, int, int
        Of the whole pass, which all runs share.
    events : tuple of str
        What the M step had to work around.
    candidates : tuple of Candidate
        Every params that the pass was to evaluate for the run, and why each was taken or not.
    """

    log_likelihood: float
    objective: float
    remaining: float
    seconds: float
    n_rows: int
    n_bytes: int
    events: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the run moved on: a leap that would fall, alone in its pass, does not."""
        return not self.candidates or any(c.taken for c in self.candidates)

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> "Pass":
        """The inverse of `dataclasses.asdict`, from what JSON keeps."""
        candidates = tuple(Candidate(**c) for c in record.get("candidates", ()))
        return cls(**{**record, "events": tuple(record["events"]), "candidates": candidates})


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
        told = [p for p in history[-4:] if p.accepted][-2:]
        if len(told) > 1 and history[-1].accepted and all(p.remaining < tol for p in told):
            return Status.CONVERGED
        if len(history) >= self.max_passes:
            return Status.MAX_PASSES
        late = sum(p.seconds for p in history) >= self.max_seconds
        return Status.MAX_SECONDS if late else Status.RUNNING


def resolution(model: Any, params: Params, weight: float) -> float:
    """What the data can tell apart, nats per row: p / 2N.

    By so much the log-likelihood of the best fit exceeds that of the truth, in expectation, with
    p free parameters and N rows (Wilks 1938). A model that declares no parameters counts all.
    """
    declared = getattr(model, "parameters", None)
    p = sum(map(np.size, params.values())) if declared is None else count_free(declared, params)
    return p / (2 * weight)


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
    choice : str
        Why this algorithm.
    """

    model: Any
    algorithm: Any
    state: Any
    history: tuple[Pass, ...] = ()
    status: Status = Status.RUNNING
    choice: str = "given"

    @property
    def params(self) -> Params:
        return self.state.params

    def ask(self) -> Sequence[Params]:
        return self.algorithm.ask(self.state)

    def tell(self, statistics: Sequence[dict[str, Any]], seen: dict[str, Any], stop: Stop) -> "Run":
        """The run after a pass that returned `statistics` and saw `seen` of the data."""
        # A model that leaves rows out says what weight remains.
        weight = statistics[0].get("fitted_weight", seen["weight"])
        with one_blas_thread():
            objectives = [
                (float(own["log_likelihood"]) + self._log_prior(params, weight)) / weight
                for own, params in zip(statistics, self.ask(), strict=True)
            ]
            state = self.algorithm.tell(self.model, self.state, statistics, objectives)
            record = self._record(state, weight, seen)
        history = (*self.history, record)
        status = stop(history, resolution(self.model, state.params, weight))
        return replace(self, state=state, history=history, status=status)

    def _log_prior(self, params: Params, weight: float) -> float:
        prior = getattr(self.model, "log_prior", None)
        return 0.0 if prior is None else prior(params, weight)

    def _record(self, state: Any, weight: float, seen: dict[str, Any]) -> Pass:
        self._check_ascent(state.objective)
        told = getattr(self.model, "events", None)
        record = Pass(
            float(state.statistics["log_likelihood"]) / weight,
            state.objective,
            math.inf,
            seen["seconds"],
            seen["rows"],
            seen["bytes"],
            () if told is None else tuple(told(state.statistics, state.accepted)),
            state.candidates,
        )
        own = getattr(state, "remaining", None)
        climb = [p.objective for p in (*self.history, record)]
        return replace(record, remaining=predicted_gain(climb) if own is None else own)

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
    """What is left to gain after the last of some objectives of plain EM.

    The larger of two extrapolations: Aitken's, of three objectives (Boehning et al. 1994), which
    sees one rate and predicts too little while faster ones still fade; and Shanks's second (1955),
    of five, which sees two.
    """
    if len(objectives) < 3:
        return math.inf
    gains = np.diff(objectives[-5:])
    before, last = gains[-2:]
    if last <= 0:
        return 0.0
    if before > last:
        return float(max(last * last / (before - last), _two_rates(gains)))
    # Gains that grow predict nothing, unless they are so small that they are rounding.
    return 0.0 if last <= _ROUNDING * max(1.0, abs(objectives[-1])) else math.inf


def _two_rates(gains: np.ndarray) -> float:
    """The sum of the gains to come, if g'' = p g' + q g; 0 where they say nothing of the kind."""
    if len(gains) < 4:
        return 0.0
    a, b, c, d = gains
    determinant = b * b - a * c
    if abs(determinant) <= 1e-6 * b * b:
        return 0.0
    p, q = (b * c - a * d) / determinant, (b * d - c * c) / determinant
    return (p * d + q * (c + d)) / (1 - p - q) if p + q < 1 else 0.0


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
