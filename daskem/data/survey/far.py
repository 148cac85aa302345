"""Values far from all others: fill values, codes, glitches. They are told, and kept out of frames.

A feature's values are divided into a core and what lies beyond wide gaps. Beyond them, a value is
far if it is that of several rows exactly, as codes for missing values are (-99.99 lies 2.6 ranges
from temperatures of -2 to 35), or if it is as remote as neither a distribution with heavy tails nor
a small cluster brings about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.data.blocks.block import Block
from daskem.data.survey.extremes import Extremes, extremes
from daskem.data.survey.moments import available_moments

# A gap of more than this fraction of the range of all values parts them.
_GAP = 1 / 3
# A value that is repeated is far if it lies this many ranges of the core away from it,
_CODE_RANGES = 2
# in at least so many rows,
_CODE_ROWS = 3
# no other value lies within this fraction of that range, as those of a cluster do,
_CODE_ALONE = 0.1
# and the core has as many distinct values: labels 0, 1 and 10 have no range to speak of.
_CODE_LEVELS = 10
# Any other is far if it lies this many robust spreads of the core away from its median,
_SPREADS = 1e4
# and this many times as far as what lies next to the core, or beyond one that does: the largest
# value of a Pareto distribution of index 1, which has no mean, does so in 1 % of samples,
_RATIO = 100
# where as many rows tell the spread.
_SPREAD_ROWS = 10


# Values of a feature that are told one by one, and notes in all.
_MOST_VALUES = 3
_MOST_NOTES = 10


@dataclass(frozen=True)
class FarValue:
    """A value of a feature, how many rows have it and where the first is; the range of the near."""

    feature: int
    value: float
    count: int
    place: str
    near: tuple[float, float]

    def __str__(self) -> str:
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        low, high = self.near
        return (
            f"{_shortest(self.value)} in {rows} (the first is {self.place}) is far from the other "
            f'values, {low:.6g} to {high:.6g}. If it means "missing", have it decoded (as a '
            '_FillValue is) or make it NaN, and fit with missing="omit" (--missing omit)'
        )


@dataclass(frozen=True, eq=False)
class Far:
    """What is far in some data, and what is near.

    Attributes
    ----------
    values : sequence of FarValue
        As far as they are among the `Extremes`.
    low, high : ndarray, (feature,)
        Of a feature those values are near that lie strictly between them.
    """

    values: Sequence[FarValue]
    low: np.ndarray
    high: np.ndarray

    def moments(self, sample: Block) -> tuple[np.ndarray, np.ndarray]:
        """Mean (feature,) and covariance (feature, feature) of the near values of a sample."""
        return available_moments(sample, (self.low < sample.rows) & (sample.rows < self.high))

    def notes(self, names: np.ndarray | None) -> list[str]:
        """What a person should know of it, where features may have names (feature,)."""
        notes = []
        for j in sorted({value.feature for value in self.values}):
            column = f"column {j}" + ("" if names is None else f" ({str(names[j])!r})")
            mine = [value for value in self.values if value.feature == j]
            notes += [f"{column}: {value}" for value in mine[:_MOST_VALUES]]
            if len(mine) > _MOST_VALUES:
                notes.append(f"{column}: {len(mine) - _MOST_VALUES} or more other values are far")
        if len(notes) > _MOST_NOTES:
            notes[_MOST_NOTES:] = [f"{len(notes) - _MOST_NOTES} more notes on far values"]
        return notes


def far_in(sample: Block) -> Far | None:
    """What is far by a sample alone."""
    return judged(extremes(sample), sample)


def judged(extremes: Extremes, sample: Block) -> Far | None:
    """What is far, by the extremes of the data and a sample of them; None where nothing is."""
    rows = sample.rows[sample.counts > 0]
    d = rows.shape[1]
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    values: list[FarValue] = []
    for j in range(d):
        of_feature, low[j], high[j] = _judged_feature(extremes, rows[:, j], j)
        values += of_feature
    return Far(values, low, high) if values else None


def _judged_feature(
    extremes: Extremes, column: np.ndarray, j: int
) -> tuple[list[FarValue], float, float]:
    """The far values of a feature, and the bounds of the near ones; `column` is a sample."""
    ends = [extremes.entries(j, side) for side in (0, 1)]
    rows = np.sort(column)
    rows = rows[np.searchsorted(rows, -np.inf, "right") : np.searchsorted(rows, np.inf)]
    outer = np.sort(np.concatenate([extremes.value[end] for end in ends]))
    outer = outer[np.isfinite(outer)]
    values = np.insert(rows, np.searchsorted(rows, outer), outer)
    if _is_plain(values, rows):
        return [], -np.inf, np.inf
    values = values[np.diff(values, prepend=-np.inf) > 0]
    core = _core(values)
    if len(core) < 2:
        return [], -np.inf, np.inf
    inside = rows[(core[0] <= rows) & (rows <= core[-1])]
    remote = values[_is_remote(values, inside)]
    codes = [extremes.value[end][_is_code(extremes, end, values, core)] for end in ends]
    far = np.concatenate([remote, *codes])
    centre = float(np.median(core))
    low = far[far < centre].max(initial=-np.inf)
    high = far[far > centre].min(initial=np.inf)
    near = values[(low < values) & (values < high)]
    span = (float(near[0]), float(near[-1]))
    beyond = [ends[0][extremes.value[ends[0]] <= low], ends[1][extremes.value[ends[1]] >= high]]
    far_values = [
        FarValue(j, value, int(extremes.count[entry]), extremes.place(entry), span)
        for entry in np.concatenate(beyond)
        if (value := float(extremes.value[entry])) in far
    ]
    return far_values, low, high


def _is_plain(values: np.ndarray, rows: np.ndarray) -> bool:
    """Whether nothing can be far, as a glance at values and rows, in ascending order, may tell."""
    if len(rows) < _SPREAD_ROWS:
        return False
    quarter, centre, three_quarters = rows[len(rows) * np.arange(1, 4) // 4]
    reach = max(centre - values[0], values[-1] - centre)
    # The spread is no less than this.
    least_spread = min(centre - quarter, three_quarters - centre)
    widest = np.diff(values).max()
    return bool(reach <= _SPREADS * least_spread and widest <= _GAP * (values[-1] - values[0]))


def _core(values: np.ndarray) -> np.ndarray:
    """Of distinct values in ascending order, those that no wide gap parts from most of them.

    Values count, not rows: a code may be that of most rows, and is a single value all the same.
    """
    while len(values) > 2:
        gaps = np.diff(values)
        widest = int(gaps.argmax())
        if not gaps[widest] > _GAP * (values[-1] - values[0]):
            break
        below, above = values[: widest + 1], values[widest + 1 :]
        larger = below if len(below) >= len(above) else above
        if len(larger) < 2:
            break
        values = larger
    return values


def _distance(values: np.ndarray, core: np.ndarray) -> np.ndarray:
    """How far values lie from a core, in ranges of it."""
    return np.maximum(core[0] - values, values - core[-1]) / (core[-1] - core[0])


def _is_code(
    extremes: Extremes, end: np.ndarray, values: np.ndarray, core: np.ndarray
) -> np.ndarray:
    """Which entries of an end of a feature, all of whose distinct values are known, are codes.

    0 is none: many data have zeros in excess.
    """
    value, count = extremes.value[end], extremes.count[end]
    apart = (_distance(value, core) > _CODE_RANGES) & (len(core) >= _CODE_LEVELS)
    gaps = np.diff(values, prepend=-np.inf, append=np.inf)
    # A model may allow infinite values, which are not among the others.
    place = np.minimum(np.searchsorted(values, value), len(values) - 1)
    nearest = np.minimum(gaps[place], gaps[place + 1])
    alone = nearest > _CODE_ALONE * (core[-1] - core[0])
    return apart & alone & (count >= _CODE_ROWS) & (value != 0)


def _is_remote(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which values are remote from the rows (row,) of a core, in ascending order.

    The spread is the median distance from the median of the rows that differ from it, as most may
    be the same.
    """
    if not len(rows):
        return np.zeros(len(values), dtype=bool)
    centre = np.median(rows)
    distances = np.abs(rows - centre)
    distances = distances[distances > 0]
    if len(distances) < _SPREAD_ROWS:
        return np.zeros(len(values), dtype=bool)
    median_distance = np.median(distances)
    reach = np.abs(values - centre)
    ascending = np.sort(np.maximum(reach, median_distance))
    jumps = ascending[1:] > np.maximum(_SPREADS * median_distance, _RATIO * ascending[:-1])
    return reach > ascending[:-1][jumps].min(initial=np.inf)


def _shortest(value: float) -> str:
    """The fewest digits that tell a number from all others, in single precision if it is one."""
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return str(single if float(single) == value else value)
