"""The first read of the data: how many rows, whether they are usable, where they lie, a sample."""

from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from zlib import crc32

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
    sample, sample_weights : ndarray, (sample, feature) and (sample,)
        A uniform sample of the rows, without replacement.
    keys : ndarray, (sample,)
        The hash of each sampled row's position; the rows with the smallest ones are kept.
    low, high : ndarray, (feature,)
        The smallest and the largest value of each feature.
    fingerprints : ndarray of uint32, (chunk,)
        A checksum of every chunk, in the order of the input: rows, weights and what is missing.
    bad : str or None
        The first entry that the model cannot use: value, chunk, row, column and remedy.
    """

    n_rows: int
    n_missing: int
    weight: float
    origin: np.ndarray
    first: np.ndarray
    second: np.ndarray
    sample: np.ndarray
    sample_weights: np.ndarray
    keys: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fingerprints: np.ndarray
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
        fingerprints = np.concatenate([self.fingerprints, other.fingerprints])
        n_missing = self.n_missing + other.n_missing
        if not (self.n_rows and other.n_rows):
            found = self if self.n_rows else other
            return replace(found, n_missing=n_missing, fingerprints=fingerprints)
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
            np.concatenate([self.sample, other.sample])[keep],
            np.concatenate([self.sample_weights, other.sample_weights])[keep],
            keys[keep],
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            fingerprints,
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
    low, high = np.full((2, d), np.nan)
    if told:
        low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
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
        rows[keep].astype(np.float64),
        weights[keep],
        keys[keep],
        low,
        high,
        fingerprints(block),
        bad,
    )


def fingerprints(block: Block) -> np.ndarray:
    """A checksum (CRC-32) of each chunk in a block, uint32."""
    edges = np.cumsum([0, *map(len, block.pieces)])
    rows_before = np.arange(edges[-1] + 1)
    if block.kept is not None:
        rows_before = np.concatenate([[0], np.cumsum(block.kept)])
    found = []
    for first, last in pairwise(edges):
        here = slice(rows_before[first], rows_before[last])
        own = [np.diff(rows_before[first : last + 1]) == 1, block.rows[here]]
        own += [] if block.weights is None else [block.weights[here]]
        found.append(reduce(lambda mark, part: crc32(part.data, mark), own, 0))
    return np.array(found, dtype=np.uint32)


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
