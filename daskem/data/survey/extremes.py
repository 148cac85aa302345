"""The lowest and the highest values of every feature, exactly, whatever the blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskem.data.blocks.block import Block
from daskem.data.blocks.piece import place_of

# Distinct values that are kept of each end of a feature: a few codes, and the next values inward.
FEW = 8
# Rows of a group, of which only the least is looked at unless it is among the `FEW` least: with
# fewer rows there are too many groups to sort, with more too many rows to look at one by one.
_GROUP = 64
# Values at a time, so that the second look at them finds them in the cache.
_CACHED = 2**17
# Groups, at least, in a block of fewer rows.
_FEWEST_GROUPS = 128
# Where ties leave more than this fraction of the groups to look at, a feature is sorted instead.
_CROWDED = 0.25
# `end`, `signed` and `count` of entries, and the row where each was found.
Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
# An end of a feature: the lowest values, and the highest with the other sign.
_SIGNS = (1.0, -1.0)


@dataclass(frozen=True, eq=False)
class Extremes:
    """The `FEW` lowest and `FEW` highest distinct values of every feature; those of blocks add.

    The sum is exact, and the same for any blocks of the same rows in any order.

    Attributes
    ----------
    end : ndarray of int, (entry,)
        ``2 * feature`` of a lowest value, ``2 * feature + 1`` of a highest.
    signed : ndarray, (entry,)
        A lowest value, or minus a highest one; ascending in every end.
    count : ndarray of int, (entry,)
        Rows that have exactly this value.
    first : ndarray of uint64, (entry,)
        Position of the first one, see `Piece.positions`.
    extent : tuple of int, or None
        Of the input, see `Piece`.
    """

    end: np.ndarray
    signed: np.ndarray
    count: np.ndarray
    first: np.ndarray
    extent: tuple[int, ...] | None

    @classmethod
    def of(
        cls,
        end: np.ndarray,
        signed: np.ndarray,
        count: np.ndarray,
        first: np.ndarray,
        extent: tuple[int, ...] | None,
    ) -> "Extremes":
        """Count equal values together, and keep the `FEW` least of every end."""
        order = np.lexsort((signed, end))
        end, signed = end[order], signed[order]
        new = np.ones(len(end), dtype=bool)
        new[1:] = (end[1:] != end[:-1]) | (signed[1:] != signed[:-1])
        starts = np.flatnonzero(new)
        count = np.add.reduceat(count[order], starts) if len(starts) else count
        first = np.minimum.reduceat(first[order], starts) if len(starts) else first
        end, signed = end[starts], signed[starts]
        kept = np.arange(len(end)) - np.searchsorted(end, end) < FEW
        return cls(end[kept], signed[kept], count[kept], first[kept], extent)

    def __add__(self, other: "Extremes") -> "Extremes":
        return Extremes.of(
            np.concatenate([self.end, other.end]),
            np.concatenate([self.signed, other.signed]),
            np.concatenate([self.count, other.count]),
            np.concatenate([self.first, other.first]),
            self.extent,
        )

    @cached_property
    def value(self) -> np.ndarray:
        """(entry,)"""
        return np.where(self.end % 2 == 0, self.signed, -self.signed)

    def entries(self, feature: int, side: int) -> np.ndarray:
        """Numbers of the entries of a feature's lowest values (side 0) or highest (1)."""
        end = 2 * feature + side
        return np.arange(*np.searchsorted(self.end, [end, end + 1]))

    def span(self, feature: int) -> tuple[float, float]:
        """The lowest and the highest value of a feature; NaN where there are none."""
        ends = [self.value[self.entries(feature, side)[:1]] for side in (0, 1)]
        low, high = (float(end[0]) if len(end) else np.nan for end in ends)
        return low, high

    def ranked(self, number: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
        """The value of the row of a number, of `FEW` at most, from below, and that from above,
        (feature,) each; beyond all others where there are fewer rows.
        """
        ends, reached = np.arange(2 * n_features), np.append(0, np.cumsum(self.count))
        first = np.searchsorted(self.end, ends)
        entry = np.searchsorted(reached, reached[first] + number) - 1
        exists = entry < np.searchsorted(self.end, ends, "right")
        signed = np.where(exists, np.append(self.signed, np.inf)[entry * exists], np.inf)
        return signed[::2], -signed[1::2]

    @property
    def constant(self) -> tuple[int, ...]:
        """The features that have a single value."""
        features, distinct = np.unique(self.end // 2, return_counts=True)
        return tuple(int(j) for j in features[distinct == 2])

    def place(self, entry: int) -> str:
        """Where the first row with a value lies, in words."""
        return place_of(int(self.first[entry]), self.extent)


def extremes(block: Block) -> Extremes:
    """The extremes of one block; rows of weight 0 do not count, and neither does NaN."""
    if block.weights is not None and not block.weights.all():
        block = block[block.weights > 0]
    rows, extent = block.rows, block.pieces[0].extent if block.pieces else (len(block),)
    leasts = _leasts(rows)
    bounds = [_distinct(least, FEW) for least in leasts]
    hits = [least <= bound for least, bound in zip(leasts, bounds, strict=True)]
    enough = max(_CROWDED * len(hits[0]), 4 * FEW)
    crowded = np.any([hit.sum(axis=0) > enough for hit in hits], axis=0)
    entries = [_looked_at(rows, hits[side] & ~crowded, bounds[side], side) for side in (0, 1)]
    entries += [_tallied(rows[:, j], int(j)) for j in np.flatnonzero(crowded)]
    end, signed, count, row = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    return Extremes.of(end, signed, count, block.positions()[row], extent)


def _leasts(rows: np.ndarray) -> list[np.ndarray]:
    """The least value of every group of rows, and of minus them, (group, feature) each.

    Group g has the rows g, g + groups, g + 2 groups, ..., so that the least of many groups are
    found at a time. NaN counts only where there is nothing else.
    """
    n, d = rows.shape
    n_groups = max(n // _GROUP, min(n, _FEWEST_GROUPS))
    rest = n % max(n_groups, 1)
    low, high = (np.empty((n_groups, d), dtype=rows.dtype) for _ in _SIGNS)
    groups = rows[: n - rest].reshape(-1, max(n_groups, 1), d)
    step = max(_CACHED // max(_GROUP * d, 1), 1)
    for start in range(0, n_groups, step):
        span = slice(start, start + step)
        np.fmin.reduce(groups[:, span], axis=0, out=low[span])
        np.fmax.reduce(groups[:, span], axis=0, out=high[span])
    low[:rest] = np.fmin(low[:rest], rows[n - rest :])
    high[:rest] = np.fmax(high[:rest], rows[n - rest :])
    return [
        sign * least.astype(np.float64) for sign, least in zip(_SIGNS, (low, high), strict=True)
    ]


def _distinct(values: np.ndarray, number: int) -> np.ndarray:
    """The distinct value of that number from below (feature,), of (row, feature); inf if fewer."""
    ascending = np.sort(values.T, axis=1)
    rank = np.cumsum(ascending[:, 1:] > ascending[:, :-1], axis=1)
    below = (rank < number - 1).sum(axis=1) + 1
    padded = np.column_stack([ascending, np.full((len(ascending), 2), np.inf)])
    return padded[np.arange(len(padded)), below]


def _looked_at(rows: np.ndarray, hits: np.ndarray, bounds: np.ndarray, side: int) -> Found:
    """The rows of some groups whose values are within the bounds."""
    group, feature = np.nonzero(hits)
    n, n_groups = len(rows), len(hits)
    row = (group[:, None] + np.arange(0, n, max(n_groups, 1))).ravel()
    feature = np.repeat(feature, len(row) // max(len(group), 1))
    feature, row = feature[row < n], row[row < n]
    signed = _SIGNS[side] * rows[row, feature].astype(np.float64)
    near = signed <= bounds[feature]
    feature, row, signed = feature[near], row[near], signed[near]
    return 2 * feature + side, signed, np.ones(len(row), dtype=np.int64), row


def _tallied(column: np.ndarray, feature: int) -> Found:
    """Both ends of a feature (row,), where many rows have the same values."""
    column = np.ascontiguousarray(column, dtype=np.float64)
    values, counts = np.unique(column, return_counts=True)
    values, counts = values[~np.isnan(values)], counts[~np.isnan(values)]
    few = min(FEW, len(values))
    ends = np.r_[0:few, len(values) - few : len(values)]
    row = np.array([int((column == value).argmax()) for value in values[ends]])
    end = 2 * feature + np.repeat([0, 1], few)
    return end, np.repeat(_SIGNS, few) * values[ends], counts[ends], row
