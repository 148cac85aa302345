"""What remains to gain, per row, from here to the optimum: three theories, side by side.

1. Of objectives alone, for plain EM: they rise like a sum of one or two geometric series.
2. The climb behind: where kappa |f|^2 is left, with f the EM step, the gains so far tell kappa.
3. The way ahead: half the slope along Newton's step, as the secants of the last iterates know it.
"""

import math
from collections.abc import Sequence

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

    Single estimates scatter, hence the mean of two; `slowness` are those so far.
    """
    of_data = [p for p in memory if not math.isnan(p.objective)]
    if steepness is None or len(of_data) < 3:
        return slowness, math.inf
    square, rounding = memory[-1].square, noise(memory[-1].objective)
    gain = steepness * square
    if gain <= 1e-3 * rounding:
        return slowness, gain
    slowness = (*slowness, _slowness(memory, steepness, rounding))[-2:]
    return slowness, square * math.prod(slowness) ** (1 / len(slowness))


def _slowness(memory: Sequence[Pair], steepness: float, rounding: float) -> float:
    """What is left to gain for |f|^2, with f the EM step: the larger of two estimates.

    The climb behind: where kappa |f|^2 is left (the inequality of Polyak 1963, as an equation),
    what was gained since an earlier iterate tells kappa; the median of all, as leaps make |f|
    scatter. The way ahead: half the slope along Newton's step n, f . I n / 2, with I the complete
    information, whose size the gain of the last EM step measures, f . I f. Alone this is too
    little: a leap that succeeds has used up what the secants know, as the residuals of conjugate
    gradients are orthogonal to all earlier ones.
    """
    last, order = memory[-1], len(memory) - 1
    known = curvature(memory, order)
    if (known[1].real < 0).any():
        # On the way from a saddle, where nothing tells how far it is; unless it is all rounding.
        return steepness if steepness * last.square <= rounding else math.inf
    earlier = [p for p in memory[:-1] if not math.isnan(p.objective)]
    gained = np.array([last.objective - p.objective for p in earlier])
    fallen = np.array([p.square - last.square for p in earlier])
    behind = np.where(fallen > 0, gained / np.where(fallen > 0, fallen, 1.0), math.inf)
    behind[gained <= rounding] = 0.0
    newton = newton_step(last, known) - last.x
    ahead = 0.5 * steepness * abs(float(last.residual @ newton)) / last.square
    return max(float(np.median(behind)), ahead)
