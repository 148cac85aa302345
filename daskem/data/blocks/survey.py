"""The first read of the data: how many rows, whether they are usable, where they lie, a sample."""

from dataclasses import dataclass, replace

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.data.blocks.block import Block
from daskem.data.blocks.usable import Usable

_MOST_SAMPLED = 2**16
_SAMPLE_BYTES = 2**23
# Rows that go into the choice of a sample, as a multiple of it: some of them may be missing.
_SPARE = 4
_CENTRE_ROWS = 2**12


@dataclass(frozen=True)
class Survey:
    """What one read tells about a run of blocks; surveys of neighbouring runs add.

    Attributes
    ----------
    n_rows : int
    n_missing : int
        Rows that were left out because of a NaN.
    weight : float
        Sum of the weights, the number of rows where there are none.
    origin : ndarray, (feature,)
        The point about which the moments are taken: a row of the data.
    first : ndarray, (feature,)
        Weighted sum of x - origin.
    second : ndarray, (feature, feature) or (feature,)
        Weighted sum of (x - origin)(x - origin)^T, or of its diagonal.
    sample : Block
        A uniform sample of the rows, without replacement, with their weights.
    keys : ndarray, (sample,)
        The hash of each sampled row's position; the rows with the smallest ones are kept.
    bad : str or None
        The first entry that the model cannot use: value, chunk, row, column and remedy.
    """

    n_rows: int
    n_missing: int
    weight: float
    origin: np.ndarray
    first: np.ndarray
    second: np.ndarray
    sample: Block
    keys: np.ndarray
    bad: str | None = None

    @property
    def mean(self) -> np.ndarray:
        """(feature,), in the units of the data."""
        return self.origin + self.first / self.weight

    @property
    def variances(self) -> np.ndarray:
        """(feature,), by maximum likelihood."""
        squares = self.second if self.second.ndim == 1 else np.diagonal(self.second)
        return np.maximum(squares / self.weight - (self.first / self.weight) ** 2, 0.0)

    @property
    def covariance(self) -> np.ndarray:
        """(feature, feature), by maximum likelihood; only of a survey of cross moments."""
        shift = self.first / self.weight
        covariance = self.second / self.weight - np.outer(shift, shift)
        np.fill_diagonal(covariance, self.variances)
        return covariance

    def __add__(self, other: "Survey") -> "Survey":
        n_missing = self.n_missing + other.n_missing
        if not (self.n_rows and other.n_rows):
            return replace(self if self.n_rows else other, n_missing=n_missing)
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
            n_missing,
            self.weight + other.weight,
            self.origin,
            self.first + other.first + other.weight * shift,
            self.second + moved,
            Block.joined(self.sample, other.sample)[keep],
            keys[keep],
            self.bad or other.bad,
        )


def survey(block: Block, usable: Usable, seed: int, cross: bool = True) -> Survey:
    """Survey one block.

    Parameters
    ----------
    block : Block
    usable : Usable
        What the model can use.
    seed : int
        Of the hash that chooses the sample.
    cross : bool
        Whether `second` is a matrix.
    """
    rows, d = block.rows, block.rows.shape[1]
    weights = np.ones(len(rows)) if block.weights is None else block.weights
    n_missing = 0 if block.kept is None else len(block.kept) - len(rows)
    bad = usable.first_bad(block)
    told = bad is None and len(rows) > 0
    origin = rows[0].astype(np.float64) if told else np.zeros(d)
    first, second = np.zeros(d), np.zeros((d, d) if cross else d)
    if told:
        with one_blas_thread():
            for start in range(0, len(rows), _CENTRE_ROWS):
                here = slice(start, start + _CENTRE_ROWS)
                x = rows[here] - origin
                wx = x if block.weights is None else x * weights[here, None]
                first += wx.sum(axis=0)
                second += wx.T @ x if cross else np.einsum("ij,ij->j", wx, x)
    keys = block.hash(seed)
    keep = _candidates(block, keys)
    keep = keep[_smallest(keys[keep], d)]
    return Survey(
        len(rows),
        n_missing,
        float(weights.sum()) if bad is None else 0.0,
        origin,
        first,
        second,
        Block(rows[keep].astype(np.float64), weights[keep]),
        keys[keep],
        bad,
    )


def _candidates(block: Block, keys: np.ndarray) -> np.ndarray:
    """Which rows of a block may be in the sample of the whole input, where its length is known.

    Without this the surveys of all partitions would be as large as that of the whole.
    """
    extent = block.pieces[0].extent if block.pieces else None
    n_rows = 0 if extent is None else int(np.prod(extent))
    enough = _SPARE * _sample_size(block.rows.shape[1])
    if n_rows <= enough:
        return np.arange(len(keys))
    return np.flatnonzero(keys < np.uint64(enough / n_rows * 2.0**64))


def _sample_size(n_features: int) -> int:
    return min(_MOST_SAMPLED, max(_SAMPLE_BYTES // (8 * n_features), 1))


def _smallest(keys: np.ndarray, n_features: int) -> np.ndarray:
    """Where the keys lie that a sample keeps, smallest first."""
    size = _sample_size(n_features)
    if len(keys) > size:
        nearest = np.argpartition(keys, size)[:size]
        return nearest[np.argsort(keys[nearest])]
    return np.argsort(keys)
