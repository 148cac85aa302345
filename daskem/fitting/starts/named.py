"""Components of which some rows are known: they begin there, and keep the numbers of the labels."""

from dataclasses import dataclass

import numpy as np

from daskem.core.known_labels import labels_among
from daskem.data.blocks import Block


@dataclass(frozen=True, eq=False)
class Named:
    """The components that the labels of a sample name.

    Attributes
    ----------
    labels : ndarray of int, (sample,)
        -1 where unknown.
    numbers : ndarray of int, (named component,)
        The labels that there are, in ascending order.
    """

    labels: np.ndarray
    numbers: np.ndarray

    @classmethod
    def among(cls, sample: Block) -> "Named | None":
        """Those of a sample, None where it has no labels."""
        labels = labels_among(sample.along)
        numbers = np.unique(labels[labels >= 0]) if labels is not None else np.empty(0, np.intp)
        return None if labels is None or not len(numbers) else cls(labels, numbers)

    def obeyed(self, components: np.ndarray) -> np.ndarray:
        """Components (sample,), but those that are known where they are."""
        return np.where(self.labels >= 0, self.labels, components)

    def means(self, points: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The middle of the rows of each label, (named component, feature)."""
        members = (self.labels == self.numbers[:, None]) * weights
        return members @ points / members.sum(axis=1, keepdims=True)

    def beside(self, free: np.ndarray, named: np.ndarray) -> np.ndarray:
        """Centres (component, feature) of free components and of named ones, by their numbers."""
        centres = np.empty((len(free) + len(named), free.shape[1]))
        is_named = np.zeros(len(centres), bool)
        is_named[self.numbers] = True
        centres[is_named], centres[~is_named] = named, free
        return centres
