"""How finely the values of each feature are recorded: the grid on which they lie, if they do.

Recorded data are rounded, and a likelihood of densities rewards whoever finds that out: a component
that is narrower than the record resolves gains without limit. So a fit has to know the resolution.
"""

from dataclasses import dataclass

import numpy as np

# Spacings of the numbers themselves that no component resolves, where the values lie on no grid.
_SPACINGS = 8.0
# Spacings of float64 that the arithmetic of an E step loses on the way, a thousand times over: by
# less than its rounding the likelihood of a component at the floor does not change.
_LOST = 2.0**12
# Distances between values, in spacings of the numbers, that arithmetic may have made.
_NOISE = 2.0
# Steps of a grid, in those distances: finer ones cannot be told from noise.
_LEAST = 8.0
# How far a value may lie from its place on the grid, in steps.
_OFF = 0.1
# Distinct values that lie on a grid by chance with probability (2 * _OFF)^n.
_ENOUGH = 12
# Rows for each distinct value, from which on few values are a grid, and any values are discrete.
_TIES, _MANY_TIES = 5, 20


@dataclass(frozen=True, eq=False)
class Resolution:
    """The resolution of each feature, in the units of the data.

    Attributes
    ----------
    grid : ndarray, (feature,)
        The distance between neighbouring values that can be recorded; 0 where they show none.
    spacing : ndarray, (feature,)
        A few spacings of the floating-point numbers at the magnitude of the values.
    """

    grid: np.ndarray
    spacing: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Resolution":
        """The resolution of a sample of rows, (sample, feature), in which NaN is no value."""
        per_feature = np.array([_resolution(c[~np.isnan(c)]) for c in rows.T]).reshape(-1, 2)
        return cls(*per_feature.T)

    @property
    def step(self) -> np.ndarray:
        """What no component resolves, (feature,)."""
        return np.where(self.grid > 0, self.grid, self.spacing)


def _resolution(values: np.ndarray) -> tuple[float, float]:
    distinct, counts = np.unique(values, return_counts=True)
    precision = _precision(distinct)
    # A median, which a few far values do not move.
    present = np.abs(values[values != 0])
    typical = precision(np.median(present)) if len(present) else precision(0)
    spacing = float(np.spacing(typical))
    grid = _grid(distinct, counts, _NOISE * spacing, _NOISE * float(np.finfo(precision).eps))
    return grid, max(_SPACINGS * spacing, _LOST * float(np.spacing(np.float64(typical))))


def _precision(distinct: np.ndarray) -> type[np.floating]:
    """The floating-point numbers that the values are; they may have come to float64 since."""
    with np.errstate(over="ignore", under="ignore"):
        single = (distinct.astype(np.float32) == distinct).all()
    return np.float32 if single else np.float64


def _grid(distinct: np.ndarray, counts: np.ndarray, noise: float, relative: float) -> float:
    """The step of the grid on which the sorted, distinct values lie, or 0.0 for none."""
    groups = np.append(0, np.cumsum(np.diff(distinct) > noise))
    gaps = np.diff(distinct[np.append(True, np.diff(groups) > 0)])
    if not len(gaps):
        return 0.0
    repeats = np.bincount(groups, counts)
    # One value that many rows have, beside others that differ, is a point mass and no grid.
    ties = (repeats.sum() - repeats.max()) / len(gaps)
    step = _common_step(gaps, noise, relative)
    if step and (len(gaps) >= _ENOUGH or ties >= _TIES):
        return step
    return float(gaps.min()) if ties >= _MANY_TIES else 0.0


def _common_step(gaps: np.ndarray, noise: float, relative: float) -> float:
    """The largest number of which all gaps are multiples, or 0.0: Euclid's algorithm, with noise.

    The ends of a gap are known to `relative` of their distance, which for a value far away may be
    more than a step.
    """
    step = float(gaps.min())
    while step > _LEAST * noise:
        # Over more steps than these, the noise of the first guess is a step.
        near = gaps[gaps <= max(_OFF * step / noise, 1.5) * step]
        if 2 * len(near) < len(gaps):
            return 0.0
        refined = float(near.sum() / np.round(near / step).sum())
        if (_left(gaps, refined) <= np.maximum(_OFF * refined, relative * gaps)).all():
            return refined
        left = _left(near, step)
        step = float(left[left > _OFF * step].min(initial=_OFF * step))
    return 0.0


def _left(gaps: np.ndarray, step: float) -> np.ndarray:
    """What is left of the gaps beside multiples of the step."""
    return np.abs(gaps - np.round(gaps / step) * step)
