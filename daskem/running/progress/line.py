"""What a line of progress says: what is being done, and what is known of the fit so far."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from daskem.data.blocks import Sign
from daskem.fitting.record import Pass, Status
from daskem.running.progress.screens import Progress, Screen, screen
from daskem.running.task import OutcomeT

# Seconds between two looks at the same thing.
_PATIENCE = 0.2
# Seconds of a fit that is worth a line which stays.
_LONG = 1.0
# What things are called that are not named by what they do.
_WORDS = {"": "starting"}


class Line:
    """One line, from the beginning of a fit to its end; with no screen it says nothing.

    Attributes
    ----------
    passes : int
        Passes that are complete.
    patience : float
        Seconds after which whoever waits should say again how things stand.
    """

    patience = _PATIENCE

    def __init__(self, shown_on: Screen | None) -> None:
        self._screen = shown_on
        self._began = time.monotonic()
        self._drawn, self._head, self._known = -math.inf, "", ""
        self._status = Status.RUNNING
        self.passes = 0

    @property
    def is_live(self) -> bool:
        return self._screen is not None

    def sign(self, sign: Sign) -> None:
        """Say how far it has come; as a `Watch`, it is told by who reads the data."""
        if self._screen is None:
            return
        number = self.passes + 1
        head = f"pass {number}" if sign.what == "e-step" else _WORDS.get(sign.what, sign.what)
        now = time.monotonic()
        if head == self._head and now - self._drawn < self.patience:
            return
        self._head, self._drawn = head, now
        self._screen.show(head, sign.done, sign.of, self._tail)

    def passed(self, passes: int, history: Sequence[Pass], status: Status) -> None:
        """Learn what the passes so far have shown."""
        self.passes, self._status = passes, status
        if history:
            self._known = _known(history[-1])

    def clear(self) -> None:
        if self._screen is not None:
            self._screen.clear()

    def close(self) -> None:
        """The end of the line: where it took a while, how the fit has ended stays."""
        if self._screen is None:
            return
        lasted = time.monotonic() - self._began
        how = "converged" if self._status is Status.CONVERGED else "ended"
        words = f"{how} after {self.passes} passes, {self._known}, {_seconds(lasted)}"
        self._screen.close(words if self._known and lasted > _LONG else "")
        # What was watched may be kept, and be at work again.
        self._screen = None

    @property
    def _tail(self) -> str:
        lasted = time.monotonic() - self._began
        return ", ".join(filter(None, [self._known, _seconds(lasted) if lasted > _LONG else ""]))


@contextmanager
def shown(progress: Progress) -> Iterator[Line]:
    """A line where the setting `progress` wants one."""
    line = Line(screen(progress))
    try:
        line.sign(Sign("", 0, 0))
        yield line
    finally:
        line.close()


def followed(outcomes: Iterable[OutcomeT], line: Line) -> Iterator[OutcomeT]:
    """The same outcomes, one by one, while `line` says what they show."""
    if not line.is_live:
        yield from outcomes
        return
    for number, outcome in zip(count(1), outcomes, strict=False):
        # One that was resumed has made passes before.
        line.passed(max(number, len(outcome.history)), outcome.history, outcome.status)
        # Whoever gets it may print.
        line.clear()
        yield outcome


def _known(last: Pass) -> str:
    left = f"{last.remaining:.2g} left to gain" if math.isfinite(last.remaining) else ""
    rate = f"{_short(last.n_rows / last.seconds)} rows/s" if last.seconds > 0 else ""
    return ", ".join(filter(None, [f"log-likelihood {last.log_likelihood:.6g}", left, rate]))


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _seconds(lasted: float) -> str:
    minutes, seconds = divmod(round(lasted), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
