"""The E step of rows that repeat: each pattern of levels once, with how many rows have it.

Of categories there may be few patterns, and millions of rows (of record linkage, 5.5 million pairs
are 433 patterns). To count them takes one look at a row; all else is of patterns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskem.core.frames import Frame
from daskem.core.statistics import Statistics
from daskem.models.kernels.protocol import Form, Weighted
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Tile

# Patterns that levels can make, at most: their counts stay in a cache.
_MOST_PATTERNS = 2**16
# Rows for each of them, at least: with fewer, counting gains little.
_ROWS = 4


class Patterns(NamedTuple):
    """Rows that differ, and how many there are of each."""

    rows: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class CountedKernel:
    """A kernel as `daskem.models.kernels.protocol.Kernel` says, around one for the patterns.

    Attributes
    ----------
    kernel : TiledKernel
        Of the rows as they are, which has no frame.
    levels : tuple of ndarray, (level,)
        The values that each feature can have, rising.
    """

    kernel: TiledKernel
    levels: tuple[np.ndarray, ...]

    def e_step(self, block: Weighted) -> list[Statistics]:
        patterns = self.counted(block)
        return self.kernel.e_step(block if patterns is None else patterns)

    def posterior(self, block: Weighted) -> Iterator[Tile]:
        return self.kernel.posterior(block)

    def hard(self, block: Weighted, labels: np.ndarray) -> Statistics:
        return self.kernel.hard(block, labels)

    def soft(self, block: Weighted, responsibilities: np.ndarray) -> Statistics:
        return self.kernel.soft(block, responsibilities)

    def log_densities(self, block: Weighted) -> np.ndarray:
        return self.kernel.log_densities(block)

    # Beside other columns rows are taken as they are: of all together few are alike.

    @property
    def frame(self) -> Frame | None:
        return self.kernel.frame

    def usual(self, n_features: int) -> Form:
        return self.kernel.usual(n_features)

    def accurate(self, x: np.ndarray) -> Form:
        return self.kernel.accurate(x)

    def counted(self, block: Weighted) -> Patterns | None:
        """The patterns of a block, with their counts as weights; None where these are not few.

        Levels that follow one another, as codes do, number the patterns by one product.
        """
        sizes = [len(values) for values in self.levels]
        n_patterns = float(np.prod(sizes, dtype=np.float64))
        if n_patterns > _MOST_PATTERNS or _ROWS * n_patterns > len(block):
            return None
        if not all((np.diff(values) == 1).all() for values in self.levels):
            return None
        strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1).astype(np.float64)
        least = np.array([values[0] for values in self.levels])
        numbers = block.rows @ strides - least @ strides
        if not np.isfinite(numbers).all():
            return None
        counts = np.bincount(numbers.astype(np.intp), block.weights, int(n_patterns))
        occurring = np.flatnonzero(counts)
        chosen = np.unravel_index(occurring, sizes)
        pairs = zip(self.levels, chosen, strict=True)
        rows = np.stack([values[place] for values, place in pairs], axis=1)
        return Patterns(rows, counts[occurring].astype(np.float64))
