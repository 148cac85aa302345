"""Rows with a label: few as they may be, a sample of all rows would have none of them."""

from dataclasses import dataclass

import numpy as np

from daskem.core.brief import Brief
from daskem.core.known_labels import labels_among
from daskem.data.blocks.block import WEIGHT, Block

# Rows of each label, at most: enough to tell where its component lies.
_MOST_OF_EACH = 2**6


@dataclass(frozen=True, eq=False, repr=False)
class Labelled(Brief):
    """Some of the rows that have a label; those of neighbouring blocks add.

    Attributes
    ----------
    sample : Block
        Of each label the rows with the smallest keys, with weights and other riders.
    keys : ndarray of uint64, (sample,)
        See `Block.keys`.
    """

    sample: Block
    keys: np.ndarray

    def __add__(self, other: "Labelled") -> "Labelled":
        keys = np.concatenate([self.keys, other.keys])
        return Labelled(Block.joined(self.sample, other.sample), keys)._few()

    @property
    def labels(self) -> np.ndarray:
        """(sample,), none of them unknown."""
        labels = labels_among(self.sample.along)
        assert labels is not None
        return labels

    @property
    def n_named(self) -> int:
        """How many components labels may speak of: one more than the largest label."""
        return int(self.labels.max()) + 1

    def _few(self) -> "Labelled":
        """The rows with the smallest keys, `_MOST_OF_EACH` of every label."""
        labels, order = self.labels, np.argsort(self.keys, kind="stable")
        chosen = [order[labels[order] == label][:_MOST_OF_EACH] for label in np.unique(labels)]
        few = np.concatenate(chosen)
        return Labelled(self.sample[few], self.keys[few])


def labelled(block: Block, seed: int) -> Labelled | None:
    """Of a block, None where no row has a label; `seed` is that of the sample of the survey."""
    labels = labels_among(block.along)
    some = np.flatnonzero(labels >= 0) if labels is not None else np.empty(0, np.intp)
    if not len(some):
        return None
    rows = block[some]
    along = {**rows.along, WEIGHT: rows.counts}
    sample = Block(rows.rows.astype(np.float64), along=along)
    return Labelled(sample, block.keys(seed)[some])._few()


def beside(sample: Block, keys: np.ndarray, few: Labelled) -> Block:
    """A sample of rows with these keys, and the labelled rows, which come first and just once."""
    new = few.sample[~np.isin(few.keys, keys)]
    is_among = np.isin(keys, few.keys)
    order = np.argsort(~is_among, kind="stable")
    return Block.joined(new, sample[order])
