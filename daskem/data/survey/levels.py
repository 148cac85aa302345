"""The distinct values of each feature, and how often each comes: of data that are categories."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.brief import Brief
from daskem.data.blocks.block import Block

# Distinct values of a feature that are kept, at most: one more than tells that it is no category.
_MOST = 2**10 + 1
# Features that a note lists.
_SHOWN = 6


@dataclass(frozen=True, eq=False, repr=False)
class Levels(Brief):
    """Of some blocks; those of neighbouring blocks add.

    Attributes
    ----------
    values : tuple of ndarray, (level,)
        Of each feature, sorted; what is missing is no level.
    weights : tuple of ndarray, (level,)
        Of the rows that have each.
    names : tuple of str
        What errors call the features.
    """

    values: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    names: tuple[str, ...]

    def __add__(self, other: "Levels") -> "Levels":
        pairs = zip(self.values, self.weights, other.values, other.weights, strict=True)
        counted = [_counted(np.append(v, x), np.append(w, y)) for v, w, x, y in pairs]
        return _levels(counted, self.names)

    def notes(self, places: Iterable[int]) -> list[str]:
        """What a person should know of the levels of some features."""
        names = [self.names[j] for j in places if -1 in self.values[j] and self.values[j][-1] > -1]
        if not names:
            return []
        which = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        return [
            f"-1 is a category of {which} like the others; where it says that an answer is "
            'missing, make it NaN and fit with missing="model"'
        ]

    def named(self, names: Iterable[object]) -> "Levels":
        return replace(
            self, names=tuple(f"{o} ({str(n)!r})" for o, n in zip(self.names, names, strict=True))
        )


def levels(block: Block) -> Levels:
    """The levels of one block."""
    counts = block.counts
    counted = [_counted(np.asarray(column, np.float64), counts) for column in block.rows.T]
    return _levels(counted, tuple(f"column {j}" for j in range(len(counted))))


def _levels(counted: list[tuple[np.ndarray, np.ndarray]], names: tuple[str, ...]) -> Levels:
    return Levels(tuple(values for values, _ in counted), tuple(w for _, w in counted), names)


def _counted(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    present = ~np.isnan(values)
    distinct, places = np.unique(values[present], return_inverse=True)
    return distinct[:_MOST], np.bincount(places, weights[present], len(distinct))[:_MOST]
