"""What is expected of columns of several kinds, where a row has some of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daskem.models.families.protocol import Expected


class ExpectedColumns(NamedTuple):
    """Of columns of several kinds, which know nothing of one another given the component.

    Attributes
    ----------
    parts : sequence of (sequence of int, Expected)
        The columns of each family, and what it expects of them.
    observed : ndarray of bool, (feature,)
    """

    parts: Sequence[tuple[Sequence[int], Expected]]
    observed: np.ndarray

    def expected(self, rows: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        """As `daskem.models.families.protocol.Expected` says."""
        expectations = np.empty((len(rows), len(self.observed)))
        place = np.cumsum(self.observed) - 1
        for columns, part in self.parts:
            known_places = [place[column] for column in columns if self.observed[column]]
            expectations[:, columns] = part.expected(rows[:, known_places], responsibilities)
        return expectations
