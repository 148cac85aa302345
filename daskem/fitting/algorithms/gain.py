"""What remains to gain, per row, from here to the optimum: three theories, side by side.

1. Of objectives alone, for plain EM: they rise like a sum of one or two geometric series.
2. The climb behind: where kappa |f|^2 is left, with f the EM step, the gains so far tell kappa.
3. The way ahead: half the slope along Newton's step, as the secants of the last iterates know it.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from statistics import median

import numpy as np

from daskem.fitting.algorithms.secants import Pair, curvature, newton_step

# A fall of the objective per row, relative to its size, that rounding can explain.
ROUNDING = 1e-9
# What rounding may amount to where components are very narrow beside their distances.
_NOISE = 1e-10
# How many times more than by one rate may be left where slower ones take over: on plateaus up to 4.
_MOST_SLOWER = 4.0


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
    return 0.0 if last <= ROUNDING * max(1.0, abs(objectives[-1])) else math.inf


def gain_of_tail(objectives: Sequence[float]) -> float:
    """What is left to gain after plain EM where, as on a plateau, ever slower rates take over.

    After t passes gains fall like t^-a, so that g t / (a - 1) is left where one rate says g t / a;
    but no more than some times that. Where one rate is left, a grows with t, and both say the same.
    """
    left, gains = predicted_gain(objectives), np.diff(objectives[-3:])
    if not (0 < left < math.inf and len(gains) == 2 and gains[0] > gains[1] > 0):
        return left
    a = (1 - gains[1] / gains[0]) * len(objectives)
    return left * (min(a / (a - 1), _MOST_SLOWER) if a > 1 else _MOST_SLOWER)


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


def steepness(last: Pair, gained: float) -> float:
    """What the EM step of an iterate gained, for its squared length."""
    with np.errstate(invalid="ignore"):  # Values on an edge have infinite coordinates.
        square = last.square
        if not math.isfinite(square):
            f = last.residual
            square = float(np.square(f[np.isfinite(f)]).sum())
    return max(gained, 0.0) / square if square > 0 else 0.0


def noise(objective: float) -> float:
    """What rounding may amount to in an objective."""
    return _NOISE * max(1.0, abs(objective)) if math.isfinite(objective) else 0.0


def left_to_gain(
    memory: Sequence[Pair], steepness: float | None, slowness: tuple[float, ...]
) -> tuple[tuple[float, ...], float]:
    """The last two estimates of the slowness, and what is left to gain by them.

    `slowness` are those so far.
    """
    outlook = Outlook(memory, steepness)
    left = outlook.left_with(slowness)
    return (*slowness, outlook.slowness)[-2:] if outlook.is_known else slowness, left


class Outlook:
    """What is left to gain from the last of some iterates; costly estimates wait to be asked for.

    Parameters
    ----------
    memory : sequence of Pair
    steepness : float, optional
        Of the last EM step, see `steepness`.
    before : Outlook, optional
        The last one before that is known. Single estimates scatter, hence the mean of two.
    """

    def __init__(
        self, memory: Sequence[Pair], steepness: float | None, before: "Outlook | None" = None
    ) -> None:
        self._memory, self._last, self._before = memory, memory[-1], before
        if before is not None and before._before is not None:
            # Nobody asks it any more what was left, so that what was before need not be kept.
            before._before._before = None
        self._earlier = [pair for pair in memory[:-1] if not math.isnan(pair.objective)]
        is_early = steepness is None or len(self._earlier) < 2
        self._steepness = math.inf if steepness is None else steepness
        self._gain = math.inf if is_early else self._steepness * self._last.square
        self._rounding = noise(self._last.objective)

    @property
    def is_known(self) -> bool:
        """Whether there is an estimate of the slowness, and anything to estimate."""
        return 1e-3 * self._rounding < self._gain < math.inf

    @cached_property
    def left(self) -> float:
        return self.left_with(() if self._before is None else (self._before.slowness,))

    def left_with(self, before: tuple[float, ...]) -> float:
        """What is left to gain by these estimates of the slowness and the own one."""
        return self._left((*before, self.slowness)) if self.is_known else self._gain

    @property
    def least(self) -> float:
        """No less is left; to know that costs little."""
        if not self.is_known:
            return self._gain
        before = () if self._before is None else (self._before._least_slowness,)
        return self._left((*before, self._least_slowness))

    def _left(self, slowness: tuple[float, ...]) -> float:
        last = slowness[-2:]
        return self._last.square * math.prod(last) ** (1 / len(last))

    @cached_property
    def slowness(self) -> float:
        """What is left to gain for |f|^2, with f the EM step: the larger of two estimates.

        The climb behind: where kappa |f|^2 is left (the inequality of Polyak 1963, as an equation),
        what was gained since an earlier iterate tells kappa; the median of all, as leaps make |f|
        scatter. The way ahead: half the slope along Newton's step n, f . I n / 2, with I the
        complete information, whose size the gain of the last EM step measures, f . I f. Alone this
        is too little: a leap that succeeds has used up what the secants know, as the residuals of
        conjugate gradients are orthogonal to all earlier ones.
        """
        last = self._last
        known = curvature(self._memory, len(self._memory) - 1)
        if (known[1].real < 0).any():
            # From a saddle, where nothing tells how far it is; unless it is all rounding.
            return self._steepness if self._gain <= self._rounding else math.inf
        newton = newton_step(last, known) - last.x
        ahead = 0.5 * self._steepness * abs(float(last.residual @ newton)) / last.square
        return max(self._behind, ahead)

    @property
    def _least_slowness(self) -> float:
        """No estimate of it is less."""
        return 0.0 if self._gain <= self._rounding else self._behind

    @cached_property
    def _behind(self) -> float:
        """kappa, of the climb behind."""
        last, each = self._last, []
        for pair in self._earlier:
            gained, fallen = last.objective - pair.objective, pair.square - last.square
            kappa = gained / fallen if fallen > 0 else math.inf
            each.append(kappa if gained > self._rounding else 0.0)
        return median(each)
