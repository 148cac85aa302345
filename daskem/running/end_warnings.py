"""How a fit ends for whoever waits for it: with a warning, or interrupted, and nothing lost."""

import warnings
from contextlib import suppress

from daskem.errors import ConvergenceWarning, ImproperFitWarning
from daskem.fitting.record import Status
from daskem.running.task import Outcome

_IMPROPER = (
    "the fit is improper, as no proper one was found: {}. Fit fewer components, say how finely the "
    "values are recorded (resolution=...), or hold components open by a prior (reg_covar > 0)"
)


def told(outcome: Outcome, stacklevel: int) -> None:
    """Warn unless an outcome has converged, and is proper."""
    if outcome.status is not Status.CONVERGED:
        warnings.warn(outcome.status.value, ConvergenceWarning, stacklevel=stacklevel + 1)
    if outcome.flaws:
        words = _IMPROPER.format("; ".join(outcome.flaws))
        warnings.warn(words, ImproperFitWarning, stacklevel=stacklevel + 1)


def kept(interrupt: KeyboardInterrupt, last: Outcome | None) -> None:
    """Give an interrupt what was there when it came, as its attribute ``result``."""
    vars(interrupt)["result"] = last
    if last is None:
        interrupt.add_note("it came before a pass had ended: nothing is found yet")
        return
    with suppress(IndexError):
        interrupt.add_note(
            f"what {len(last.history)} passes have found is kept: sys.last_value.result, or "
            "error.result where you catch it"
        )
