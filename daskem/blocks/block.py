"""What a model sees of the data: some rows, perhaps weighted, and where they come from."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Block:
    """The rows of one chunk.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    weights : ndarray, (sample,), or None
        How many times each row counts; None for once.
    chunk : tuple of int
        Index of the chunk in the input, for messages.
    number : int
        Its position in the order of the input.
    start : int
        Position of its first row in the input, or -1 where the chunks before it are of unknown
        length.
    """

    rows: np.ndarray
    weights: np.ndarray | None = None
    chunk: tuple[int, ...] = (0,)
    number: int = 0
    start: int = 0

    def __len__(self) -> int:
        return len(self.rows)
