"""The first read of the data: how many rows, whether they are usable, where they lie, a sample."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daskem.blocks.block import Block
from daskem.numerics import one_blas_thread

Valid = Callable[[np.ndarray], np.ndarray]

_MOST_SAMPLED = 2**14
_SAMPLE_BYTES = 2**23
_CENTRE_ROWS = 2**12


@dataclass(frozen=True)
class Survey:
    """What one read tells about a run of blocks; surveys of neighbouring runs add.

    Attributes
    ----------
    n_rows : int
    weight : float
        Sum of the weights, the number of rows where there are none.
    origin : ndarray, (feature,)
        The point about which the moments are taken: a row of the data.
    first : ndarray, (feature,)
        Weighted sum of x - origin.
    second : ndarray, (feature, feature) or (feature,)
        Weighted sum of (x - origin)(x - origin)^T, or of its diagonal.
    sample, sample_weights : ndarray, (sample, feature) and (sample,)
        A uniform sample of the rows, without replacement.
    keys : ndarray, (sample,)
        The hash of each sampled row's position; the rows with the smallest ones are kept.
    bad : str or None
        The first entry that the model cannot use: value, chunk, row, column and remedy.
    """

    n_rows: int
    weight: float
    origin: np.ndarray
    first: np.ndarray
    second: np.ndarray
    sample: np.ndarray
    sample_weights: np.ndarray
    keys: np.ndarray
    bad: str | None = None

    @property
    def mean(self) -> np.ndarray:
        """(feature,), in the units of the data."""
        return self.origin + self.first / self.weight

    @property
    def spread(self) -> np.ndarray:
        """Covariance (feature, feature), or variances (feature,), by maximum likelihood."""
        shift = self.first / self.weight
        if self.second.ndim == 1:
            return np.maximum(self.second / self.weight - shift**2, 0.0)
        covariance = self.second / self.weight - np.outer(shift, shift)
        np.fill_diagonal(covariance, np.maximum(np.diagonal(covariance), 0.0))
        return covariance

    def __add__(self, other: "Survey") -> "Survey":
        if not (self.n_rows and other.n_rows):
            return self if self.n_rows else other
        # The other's moments about this one's origin: exact, and free of divisions.
        shift = other.origin - self.origin
        if self.second.ndim == 1:
            moved = other.second + shift * (2 * other.first + other.weight * shift)
        else:
            cross = np.outer(other.first, shift)
            moved = other.second + cross + cross.T + other.weight * np.outer(shift, shift)
        keys = np.concatenate([self.keys, other.keys])
        keep = _smallest(keys, len(shift))
        return Survey(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.origin,
            self.first + other.first + other.weight * shift,
            self.second + moved,
            np.concatenate([self.sample, other.sample])[keep],
            np.concatenate([self.sample_weights, other.sample_weights])[keep],
            keys[keep],
            self.bad or other.bad,
        )


def survey(block: Block, valid: Valid, domain: str, seed: int, cross: bool = True) -> Survey:
    """Survey one block.

    Parameters
    ----------
    block : Block
    valid : callable
        ``rows -> bool (sample, feature)``: which entries the model can use.
    domain : str
        What those are, in words.
    seed : int
        Of the hash that chooses the sample.
    cross : bool
        Whether `second` is a matrix.
    """
    rows, d = block.rows, block.rows.shape[1]
    weights = np.ones(len(rows)) if block.weights is None else block.weights
    if not len(rows):
        nothing, none = np.zeros(d), np.zeros(0)
        return Survey(0, 0.0, nothing, nothing, nothing, np.zeros((0, d)), none, none)
    bad = first_bad(block, valid, domain)
    origin = rows[0].astype(np.float64) if bad is None else np.zeros(d)
    first, second = np.zeros(d), np.zeros((d, d) if cross else d)
    if bad is None:
        with one_blas_thread():
            for start in range(0, len(rows), _CENTRE_ROWS):
                here = slice(start, start + _CENTRE_ROWS)
                x = rows[here] - origin
                wx = x if block.weights is None else x * weights[here, None]
                first += wx.sum(axis=0)
                second += wx.T @ x if cross else np.einsum("ij,ij->j", wx, x)
    keys = _hash(np.arange(len(rows), dtype=np.uint64), block, seed)
    keep = _smallest(keys, d)
    return Survey(
        len(rows),
        float(weights.sum()) if bad is None else 0.0,
        origin,
        first,
        second,
        rows[keep].astype(np.float64),
        weights[keep],
        keys[keep],
        bad,
    )


def first_bad(block: Block, valid: Valid, domain: str) -> str | None:
    """The first entry of a block that a model cannot use, where it is and what to do."""
    usable = valid(block.rows)
    if not usable.all():
        row, column = (int(i) for i in np.argwhere(~usable)[0])
        value = block.rows[row, column]
    elif (
        block.weights is not None and not (np.isfinite(block.weights) & (block.weights >= 0)).all()
    ):
        row = int(np.flatnonzero(~(block.weights >= 0) | ~np.isfinite(block.weights))[0])
        return f"sample_weight {block.weights[row]} at {_place(block, row)}; expected numbers >= 0"
    else:
        return None
    shown = "NaN" if value != value else value
    return (
        f"Input X contains {shown} at {_place(block, row)}, column {column}; expected {domain}. "
        "Drop or fill such rows first"
    )


def _place(block: Block, row: int) -> str:
    chunk = block.chunk[0] if len(block.chunk) == 1 else block.chunk
    absolute = f" (row {block.start + row} of the input)" if block.start >= 0 else ""
    return f"chunk {chunk}, row {row}{absolute}"


def _hash(rows: np.ndarray, block: Block, seed: int) -> np.ndarray:
    """A hash of the positions of rows (splitmix64, Steele et al. 2014), free of the chunking."""
    start, salt = (block.start, seed) if block.start >= 0 else (block.number << 40, seed)
    with np.errstate(over="ignore"):
        x = rows + np.uint64(start) + np.uint64(salt + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _smallest(keys: np.ndarray, n_features: int) -> np.ndarray:
    """Where the keys lie that a sample keeps, smallest first."""
    size = min(_MOST_SAMPLED, max(_SAMPLE_BYTES // (8 * n_features), 1))
    if len(keys) > size:
        nearest = np.argpartition(keys, size)[:size]
        return nearest[np.argsort(keys[nearest])]
    return np.argsort(keys)
