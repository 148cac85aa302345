"""Vectors of several lengths in one array, one after the other, and what is asked of each."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np


class Segments:
    """Where the segments of an array lie along its first axis; none of them is empty.

    What is made of one does not depend on the others: they have the bits that each has alone.

    Parameters
    ----------
    lengths : sequence of int
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths
        self.bounds = [*accumulate(lengths, initial=0)]

    @cached_property
    def starts(self) -> np.ndarray:
        return np.array(self.bounds[:-1])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of each segment, (segment, ...)."""
        return np.add.reduceat(values, self.starts)

    def every(self, answers: np.ndarray) -> np.ndarray:
        """Whether all answers of a segment are yes, (segment, ...)."""
        return np.logical_and.reduceat(answers, self.starts)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """A value of each segment, (segment, ...), at all of its places."""
        return np.repeat(values, self.lengths, axis=0)

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of its segment, at each place."""
        return self.spread(self.sums(values))

    def peak(self, values: np.ndarray) -> np.ndarray:
        """The largest value of its segment, at each place."""
        return self.spread(np.maximum.reduceat(values, self.starts))

    def parts(self, values: np.ndarray) -> list[np.ndarray]:
        """The segments of an array, each by itself."""
        return [values[start:stop] for start, stop in pairwise(self.bounds)]
