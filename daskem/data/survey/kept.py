"""Rows that a sample has in any case: few as they are, one of all rows might have none of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from daskem.core.brief import Brief
from daskem.data.blocks.block import WEIGHT, Block


@dataclass(frozen=True, eq=False, repr=False)
class Kept(Brief):
    """Some rows, wherever they come from.

    Attributes
    ----------
    sample : Block
        With weights and other riders.
    keys : ndarray of uint64, (sample,)
        See `Block.keys`.
    """

    sample: Block
    keys: np.ndarray

    @classmethod
    def of(cls, rows: Block, keys: np.ndarray) -> Self:
        """A copy of rows with these keys, which are of no sequence any more."""
        along = {**rows.along, WEIGHT: rows.counts}
        return cls(Block(rows.rows.astype(np.float64), along=along), keys)

    def joined(self, other: Self) -> Self:
        """The rows of both."""
        keys = np.concatenate([self.keys, other.keys])
        return type(self)(Block.joined(self.sample, other.sample), keys)

    def chosen(self, numbers: np.ndarray) -> Self:
        """The rows of these numbers."""
        return type(self)(self.sample[numbers], self.keys[numbers])

    def before(
        self, sample: Block, keys: np.ndarray, share: float = 1.0
    ) -> tuple[Block, np.ndarray]:
        """A sample of rows with these keys, and its keys: these rows come first, and just once.

        Those that it lacks count `share` times, as a row of it may stand for many.
        """
        if not len(self.keys):
            return sample, keys
        new = self.chosen(~np.isin(self.keys, keys))
        order = np.argsort(~np.isin(keys, self.keys), kind="stable")
        rows = new.sample.weighted(share * new.sample.counts)
        return Block.joined(rows, sample[order]), np.concatenate([new.keys, keys[order]])
