"""The rows that one chunk gave to a block: where they lie in the input."""

from dataclasses import dataclass

import numpy as np

# Rows that a chunk of unknown length may have, before their numbers run into those of the next.
_CHUNK_BITS = 40


@dataclass(frozen=True)
class Piece:
    """The rows that one chunk gave to a block.

    Attributes
    ----------
    chunk : tuple of int
        Index of the chunk in the input.
    number : int
        Its position in the order of the input.
    shape : tuple of int
        Its samples along each axis of the input but the last; they are flattened in C order.
    offset, extent : tuple of int, or None
        Where it begins along those axes, and how long they are; None where the chunks are of
        unknown length.
    """

    chunk: tuple[int, ...]
    number: int
    shape: tuple[int, ...]
    offset: tuple[int, ...] | None = None
    extent: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def positions(self) -> np.ndarray:
        """Position of every row in the input, (sample,), whatever its chunks are."""
        if self.offset is None or self.extent is None:
            # Nobody knows how many rows lie before, so that every chunk has numbers of its own.
            first_row = np.uint64(self.number) << np.uint64(_CHUNK_BITS)
            return first_row + np.arange(len(self), dtype=np.uint64)
        positions = np.zeros((), dtype=np.uint64)
        for length, first, whole in zip(self.shape, self.offset, self.extent, strict=True):
            indices = np.arange(first, first + length, dtype=np.uint64)
            positions = positions[..., None] * np.uint64(whole) + indices
        return positions.ravel()

    def place(self, row: int) -> str:
        """Where a row lies, in words."""
        chunk = self.chunk[0] if len(self.chunk) == 1 else self.chunk
        in_chunk = tuple(int(i) for i in np.unravel_index(row, self.shape))
        text = f"chunk {chunk}, row {in_chunk[0] if len(in_chunk) == 1 else in_chunk}"
        if self.offset is None:
            return text
        in_input = tuple(first + i for first, i in zip(self.offset, in_chunk, strict=True))
        return f"{text} (row {in_input[0] if len(in_input) == 1 else in_input} of the input)"


def place_of(position: int, extent: tuple[int, ...] | None) -> str:
    """Where the row of a position lies, see `Piece.positions`, in words that know no chunks."""
    if extent is None:
        return f"chunk {position >> _CHUNK_BITS}, row {position % 2**_CHUNK_BITS}"
    row = tuple(int(i) for i in np.unravel_index(position, extent))
    return f"row {row[0] if len(row) == 1 else row}"
