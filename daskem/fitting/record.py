"""What is written down of a fit: how it stands, and what each pass showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from daskem.fitting.algorithms.gain import noise
from daskem.fitting.algorithms.state import Candidate


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
    FAILED = "failed: it could not go on, and says why"


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
        Predicted gain in the objective, per row, from here to the optimum (by `rate` where one is
        known; the algorithm's own, or else Aitken's extrapolation); infinite where there is no
        prediction.
    seconds, n_rows, n_bytes : float, int, int
        Of the whole pass, which all runs share.
    events : tuple of str
        What the M step had to work around, and who made the pass where not all compute alike.
    candidates : tuple of Candidate
        Every params that the pass was to evaluate for the run, and why each was taken or not.
    flaws : tuple of str
        Why the params of the pass are no clusters; a fit with flaws is improper.
    rate : float or None
        What EM leaves of a step aside from the iterate, at most, where a sample was asked; beyond
        1 the iterate is no optimum; NaN where that could not tell.
    """

    log_likelihood: float
    objective: float
    remaining: float
    seconds: float
    n_rows: int
    n_bytes: int
    events: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    flaws: tuple[str, ...] = ()
    rate: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the run moved on: a leap that would fall, alone in its pass, does not."""
        return not self.candidates or any(c.taken for c in self.candidates)

    @classmethod
    def restore(cls, record: Mapping[str, Any]) -> "Pass":
        """The inverse of `dataclasses.asdict`, from what JSON keeps."""
        candidates = tuple(Candidate(**c) for c in record.get("candidates", ()))
        texts = {name: tuple(record.get(name, ())) for name in ("events", "flaws")}
        return cls(**{**record, **texts, "candidates": candidates})


def unfit(status: Status, history: Sequence[Pass]) -> tuple[bool, bool]:
    """What comes before any objective where fits are ranked: whether one failed, is improper."""
    return status is Status.FAILED, bool(history and history[-1].flaws)


def height(status: Status, history: Sequence[Pass]) -> float:
    """The objective by which fits of one size are ranked.

    One that was dropped is lower by what rounding may amount to: the fit that it has lost to may
    have fallen by as much since.
    """
    objective = history[-1].objective
    return objective - noise(objective) if status is Status.DROPPED else objective
