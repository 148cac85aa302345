"""What a model sees of the data: rows, what rides along with them, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from daskem.core.brief import Brief
from daskem.core.rows import Chosen, some_rows
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.sequences import (
    chosen_sequences,
    joined_sequences,
    observed_lengths,
    whole_sequences,
)

# The rider that says how many times each row counts.
WEIGHT = "sample_weight"


@dataclass(frozen=True, eq=False, repr=False)
class Block(Brief):
    """The rows of one chunk, or of neighbouring chunks where they are small.

    Attributes
    ----------
    rows : ndarray, (sample, feature)
    weights : ndarray, (sample,), or None
        How many times each row counts; None for once. The first of the riders.
    along : mapping of str to ndarray, (sample, ...)
        The riders: arrays that belong to the rows, ``sample_weight`` among them if there is one.
    pieces : tuple of Piece
        The chunks that the rows come from, in their order.
    taken : tuple of slice or ndarray
        Which rows of the pieces are here, one choice after the other.
    edges : ndarray of int, (sequence + 1,), or None
        The rows ``edges[i]:edges[i + 1]`` belong together, before any are omitted; None where
        every row is by itself.
    kept : ndarray of bool, or None
        Which of the rows before omission are here; None for all.
    """

    rows: np.ndarray
    weights: np.ndarray | None = None
    along: Mapping[str, np.ndarray] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()
    taken: tuple[Chosen, ...] = ()
    edges: np.ndarray | None = None
    kept: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "along", {WEIGHT: self.weights, **self.along})
        object.__setattr__(self, "weights", self.along.get(WEIGHT))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Chosen) -> "Block":
        """The block of some of the rows; with the edges of the sequences, if these are whole."""
        taken = (*self.taken, chosen) if self.pieces else ()
        edges, kept = self._whole_sequences(chosen)
        along = {name: some_rows(values, chosen) for name, values in self.along.items()}
        return Block(
            some_rows(self.rows, chosen),
            along=along,
            pieces=self.pieces,
            taken=taken,
            edges=edges,
            kept=kept,
        )

    @property
    def counts(self) -> np.ndarray:
        """The weights, (sample,); ones where there are none."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def weight(self) -> float:
        """The sum of the weights, or the number of rows."""
        return float(len(self) if self.weights is None else self.weights.sum())

    def weighted(self, weights: np.ndarray) -> "Block":
        """The same rows, each of which counts as often as these (sample,) say."""
        return replace(self, weights=None, along={**self.along, WEIGHT: weights})

    def place(self, row: int) -> str:
        """Where a row comes from, in words."""
        if not self.pieces:
            return f"row {row}"
        row = int(self._taken(np.arange(sum(map(len, self.pieces))))[row])
        for piece in self.pieces:
            if row < len(piece):
                return piece.place(row)
            row -= len(piece)
        raise IndexError(row)

    def positions(self) -> np.ndarray:
        """Position of every row in the input, (sample,), uint64; see `Piece.positions`."""
        pieces = self.pieces or (Piece((0,), 0, (len(self),), (0,), (len(self),)),)
        return self._taken(np.concatenate([piece.positions() for piece in pieces]))

    def hash(self, seed: int) -> np.ndarray:
        """Random bits for every row, (sample,), uint64: functions of its position and `seed`.

        They do not depend on the chunks, where the lengths of these are known (splitmix64; Steele,
        Lea and Flood 2014).
        """
        x = self.positions()
        with np.errstate(over="ignore"):
            x = x + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                x ^= x >> np.uint64(shift)
                x *= np.uint64(factor)
            x ^= x >> np.uint64(31)
        return x

    def keys(self, seed: int) -> np.ndarray:
        """Random bits, (sample,), to choose rows by; a sequence has those of its first row."""
        keys = self.hash(seed)
        if self.edges is None:
            return keys
        lengths = observed_lengths(self.edges, self.kept)
        lengths = lengths[lengths > 0]
        return np.repeat(keys[np.cumsum(lengths) - lengths], lengths)

    def head(self, n_rows: int) -> "Block":
        """The first so many rows; whole sequences, one at least, where there are any."""
        if self.edges is None or len(self) <= n_rows:
            return self[:n_rows]
        ends = np.cumsum(observed_lengths(self.edges, self.kept))
        return self[: max(ends[ends <= n_rows].max(initial=0), ends[ends > 0][0])]

    @classmethod
    def joined(cls, one: "Block", other: "Block") -> "Block":
        """The rows of two blocks, of which nobody asks any more where they come from."""
        along = {
            name: np.concatenate([values, other.along[name]]) for name, values in one.along.items()
        }
        edges = kept = None
        if one.edges is not None and other.edges is not None:
            edges, kept = joined_sequences((one.edges, other.edges), (one.kept, other.kept))
        return cls(np.concatenate([one.rows, other.rows]), along=along, edges=edges, kept=kept)

    def _whole_sequences(self, chosen: Chosen) -> tuple[np.ndarray | None, np.ndarray | None]:
        """`edges` and `kept` of the chosen rows, where they are whole sequences."""
        if self.edges is None:
            return None, None
        lengths = observed_lengths(self.edges, self.kept)
        numbers = whole_sequences(lengths, np.arange(len(self))[chosen])
        return (None, None) if numbers is None else chosen_sequences(self.edges, self.kept, numbers)

    def _taken(self, values: np.ndarray) -> np.ndarray:
        """Of one value for each row of the pieces, those of the rows that are here."""
        for chosen in self.taken:
            values = values[chosen]
        return values
