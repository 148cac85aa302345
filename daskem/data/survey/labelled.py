"""Rows with a label: few as they may be, a sample of all rows would have none of them."""

import numpy as np

from daskem.core.known_labels import labels_among
from daskem.data.blocks.block import Block
from daskem.data.survey.kept import Kept

# Rows of each label, at most: enough to tell where its component lies.
_MOST_OF_EACH = 2**6


class Labelled(Kept):
    """Of each label the rows with the smallest keys; those of neighbouring blocks add."""

    def __add__(self, other: "Labelled") -> "Labelled":
        return self.joined(other)._few()

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
        return self.chosen(np.concatenate(chosen))


def labelled(block: Block, seed: int) -> Labelled | None:
    """Of a block, None where no row has a label; `seed` is that of the sample of the survey."""
    labels = labels_among(block.along)
    some = np.flatnonzero(labels >= 0) if labels is not None else np.empty(0, np.intp)
    if not len(some):
        return None
    return Labelled.of(block[some], block.keys(seed)[some])._few()
