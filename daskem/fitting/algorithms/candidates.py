"""Several candidates for each read of the data, so that a leap that fails costs no pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.fitting.algorithms.climb import Climb
from daskem.fitting.algorithms.secants import Pair, secant_leap
from daskem.fitting.algorithms.state import State

# The longer EM step grows by this when it was the best,
_GROWTH = 1.5
# shrinks by this when not, so that one success pays for two failures,
_SHRINKAGE = 1 / 1.2
# and stays between these: below, it is hardly longer; above, it leads out of any model.
_LEAST, _MOST = 1.5, 64.0


@dataclass(frozen=True)
class Candidates(Climb):
    """In every pass the EM step, a leap from many secants, one from few, and a longer EM step.

    The best of them is where the next pass goes on from. A leap that succeeds is several EM
    steps for the price of a read; the longer EM step doubles as long as it is the best, and
    carries a run over plateaus.

    Parameters
    ----------
    many, few : int
        Secants of the two leaps; see `secant_leap`.
    """

    name = "candidates"
    together = True
    many: int = 10
    few: int = 3

    def next_length(self, length: float, taken: str | None) -> float:
        factor = _GROWTH if taken == "longer" else _SHRINKAGE
        return min(max(length * factor, _LEAST), _MOST)

    def leaps(self, memory: Sequence[Pair], state: State) -> list[tuple[str, np.ndarray]]:
        last, most = memory[-1], len(memory) - 1
        orders = sorted({min(order, most) for order in (self.many, self.few)} - {0}, reverse=True)
        return [
            *((f"{order} secants", secant_leap(memory, order)) for order in orders),
            ("longer", last.x + state.step_length * last.residual),
        ]
