"""Whole rows far beyond all others in some feature: few as they are, a sample may have none."""

import numpy as np

from daskem.data.blocks.block import Block
from daskem.data.survey.extremes import FEW, Extremes
from daskem.data.survey.kept import Kept

# A row is outermost that lies this many ranges of a feature beyond it.
_RANGES = 1.0
# Rows that are kept, at most: with more, each sample has some.
_MOST = 64


class Outermost(Kept):
    """The outermost rows of some blocks; those of any blocks add.

    The range of a feature is that from the row of number `FEW` from below to that from above. It
    only grows as rows are added, so that a row that is none of the outermost of a block is none of
    those of all blocks either. So the sum is the same for any blocks of the same rows in any order,
    as long as no more than `_MOST` rows of each are outermost.
    """

    def with_others(self, other: "Outermost", extremes: Extremes) -> "Outermost":
        """Those of the rows of both, whose extremes these are."""
        return self.joined(other)._farthest(extremes)

    def _farthest(self, extremes: Extremes) -> "Outermost":
        """The rows that are beyond the bounds; the farthest, in ranges, where they are many."""
        rows = self.sample.rows
        low, high = _bounds(extremes, rows.shape[1])
        beyond = np.fmax(low - rows, rows - high)
        with np.errstate(divide="ignore", invalid="ignore"):
            farthest = np.where(beyond > 0, beyond / np.maximum(high - low, 0.0), 0.0).max(axis=1)
        order = np.lexsort((self.keys, -farthest))[:_MOST]
        return self.chosen(order[farthest[order] > 0])


def outermost(block: Block, extremes: Extremes, seed: int) -> Outermost:
    """Those of one block, whose extremes these are; `seed` is that of the sample of the survey.

    There are none in sequences, of which a part is no sequence.
    """
    d = block.rows.shape[1]
    (low, high), (lowest, highest) = _bounds(extremes, d), extremes.ranked(1, d)
    is_out = np.zeros(len(block), bool)
    reaching = np.flatnonzero((lowest < low) | (highest > high))
    for j in reaching if block.edges is None else ():
        column = block.rows[:, j]
        is_out |= (column < low[j]) | (column > high[j])
    rows = block[np.flatnonzero(is_out)]
    rows = rows[rows.counts > 0]
    return Outermost.of(rows, rows.keys(seed))._farthest(extremes)


def _bounds(extremes: Extremes, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Beyond which values a row is one of the outermost, (feature,) each."""
    low, high = extremes.ranked(FEW, n_features)
    with np.errstate(invalid="ignore"):  # A model may allow infinite values.
        reach = _RANGES * np.maximum(high - low, 0.0)
        return low - reach, high + reach
