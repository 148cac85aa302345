"""What a model sees of the data: some rows, perhaps weighted, and where they come from."""

from dataclasses import dataclass

import numpy as np

Index = slice | np.ndarray


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
            return (np.uint64(self.number) << np.uint64(40)) + np.arange(len(self), dtype=np.uint64)
        found = np.zeros((), dtype=np.uint64)
        for length, first, whole in zip(self.shape, self.offset, self.extent, strict=True):
            along = np.arange(first, first + length, dtype=np.uint64)
            found = found[..., None] * np.uint64(whole) + along
        return found.ravel()

    def place(self, row: int) -> str:
        """Where a row lies, in words."""
        chunk = self.chunk[0] if len(self.chunk) == 1 else self.chunk
        here = tuple(int(i) for i in np.unravel_index(row, self.shape))
        text = f"chunk {chunk}, row {here[0] if len(here) == 1 else here}"
        if self.offset is None:
            return text
        there = tuple(first + i for first, i in zip(self.offset, here, strict=True))
        return f"{text} (row {there[0] if len(there) == 1 else there} of the input)"


@dataclass(frozen=True)
class Block:
    """The rows of one chunk, or of neighbouring chunks where they are small.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    weights : ndarray, (sample,), or None
        How many times each row counts; None for once.
    pieces : tuple of Piece
        The chunks that the rows come from, in their order.
    kept : ndarray of bool, or None
        Which rows of the pieces are not missing; None for all.
    taken : tuple of slice or ndarray
        Which of those are here, one choice after the other.
    """

    rows: np.ndarray
    weights: np.ndarray | None = None
    pieces: tuple[Piece, ...] = ()
    kept: np.ndarray | None = None
    taken: tuple[Index, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, here: Index) -> "Block":
        """The block of some of the rows."""
        weights = None if self.weights is None else self.weights[here]
        taken = (*self.taken, here) if self.pieces else ()
        return Block(self.rows[here], weights, self.pieces, self.kept, taken)

    @property
    def counts(self) -> np.ndarray:
        """The weights, (sample,); ones where there are none."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def weight(self) -> float:
        """The sum of the weights, or the number of rows."""
        return float(len(self) if self.weights is None else self.weights.sum())

    def place(self, row: int) -> str:
        """Where a row comes from, in words."""
        if not self.pieces:
            return f"row {row}"
        row = int(self._chosen(np.arange(sum(map(len, self.pieces))))[row])
        for piece in self.pieces:
            if row < len(piece):
                return piece.place(row)
            row -= len(piece)
        raise IndexError(row)

    def hash(self, seed: int) -> np.ndarray:
        """Random bits for every row, (sample,), uint64: functions of its position and `seed`.

        They do not depend on the chunks, where the lengths of these are known (splitmix64; Steele,
        Lea and Flood 2014).
        """
        pieces = self.pieces or (Piece((0,), 0, (len(self),), (0,), (len(self),)),)
        x = self._chosen(np.concatenate([piece.positions() for piece in pieces]))
        with np.errstate(over="ignore"):
            x = x + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return x ^ (x >> np.uint64(31))

    @classmethod
    def joined(cls, one: "Block", other: "Block") -> "Block":
        """The rows of two blocks, of which nobody asks any more where they come from."""
        weights = None
        if one.weights is not None and other.weights is not None:
            weights = np.concatenate([one.weights, other.weights])
        return cls(np.concatenate([one.rows, other.rows]), weights)

    def _chosen(self, values: np.ndarray) -> np.ndarray:
        """Of one value for each row of the pieces, those of the rows that are here."""
        values = values if self.kept is None else values[self.kept]
        for here in self.taken:
            values = values[here]
        return values
