"""Weighted moments of the features, each of the rows that have a value of it."""

from dataclasses import dataclass

import numpy as np

from daskem.core.brief import Brief
from daskem.core.numerics import one_blas_thread
from daskem.data.blocks.block import Block

# Values that are centred at a time: the copy stays in the cache, and threads seldom take turns; and
# rows, at least: of fewer, the product of many features would wait for memory.
_AT_A_TIME, _FEWEST_ROWS = 2**17, 2**12


@dataclass(frozen=True, eq=False, repr=False)
class Moments(Brief):
    """Sums over some rows; those of neighbouring blocks add.

    Attributes
    ----------
    weights : ndarray, (feature,)
        Sums of the weights of the rows that have a value of each feature.
    n_incomplete : int
        Rows that lack some value.
    origin : ndarray, (feature,)
        The point about which the moments are taken: values of the data.
    first : ndarray, (feature,)
        Weighted sum of x - origin.
    second : ndarray, (feature, feature) or (feature,)
        Weighted sum of (x - origin)(x - origin)^T, or of its diagonal. Where rows lack values, the
        diagonal alone means anything.
    """

    weights: np.ndarray
    n_incomplete: int
    origin: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(feature,), in the units of the data."""
        return self.origin + self.first / self.weights

    @property
    def variances(self) -> np.ndarray:
        """(feature,), by maximum likelihood."""
        squares = self.second if self.second.ndim == 1 else np.diagonal(self.second)
        return np.maximum(squares / self.weights - (self.first / self.weights) ** 2, 0.0)

    @property
    def covariance(self) -> np.ndarray:
        """(feature, feature), by maximum likelihood; only of cross moments of complete rows."""
        shift = self.first / self.weights
        covariance = self.second / self.weights[:, None] - np.outer(shift, shift)
        np.fill_diagonal(covariance, self.variances)
        return covariance

    def __add__(self, other: "Moments") -> "Moments":
        weights, n = self.weights + other.weights, self.n_incomplete + other.n_incomplete
        if not self.weights.any():
            return Moments(weights, n, other.origin, other.first, other.second)
        origin = np.where(self.weights > 0, self.origin, other.origin)
        shift = other.origin - origin
        first = self.first + other.first + other.weights * shift
        return Moments(weights, n, origin, first, self.second + other._second_about(shift))

    def _second_about(self, shift: np.ndarray) -> np.ndarray:
        """`second` about the point ``origin - shift``: exact, and free of divisions."""
        if self.second.ndim == 1:
            return self.second + shift * (2 * self.first + self.weights * shift)
        cross = np.outer(self.first, shift)
        return self.second + cross + cross.T + self.weights[:, None] * np.outer(shift, shift)


def moments(block: Block, weight: float, cross: bool) -> Moments:
    """The moments of a block of that weight; `second` is a matrix if `cross`."""
    rows, d = block.rows, block.rows.shape[1]
    # What a row of weight 0 has may be anything, 1e20 for example.
    heavy = 0 if block.weights is None or not len(rows) else int((block.weights > 0).argmax())
    origin = rows[heavy].astype(np.float64) if len(rows) else np.zeros(d)
    first, second = np.zeros(d), np.zeros((d, d) if cross else d)
    with one_blas_thread():
        step = max(_AT_A_TIME // max(d, 1), _FEWEST_ROWS)
        for start in range(0, len(rows), step):
            stop = start + step
            x = rows[start:stop] - origin
            wx = x if block.weights is None else x * block.weights[start:stop, None]
            # The same bits, and several times faster where rows are short.
            first += wx.sum(axis=0) if d == 1 else np.einsum("ij->j", wx)
            # `matmul` would keep the interpreter's lock.
            second += np.dot(wx.T, x) if cross else np.einsum("ij,ij->j", wx, x)
    if np.isnan(first).any():
        return _available(block, cross)
    return Moments(np.full(d, weight), 0, origin, first, second)


def _available(block: Block, cross: bool) -> Moments:
    """The moments of a block that lacks values."""
    present, d = ~np.isnan(block.rows), block.rows.shape[1]
    counts = block.counts
    weights = np.einsum("i,ij->j", counts, present.astype(np.float64))
    leading = (present & (counts > 0)[:, None]).argmax(axis=0)
    origin = np.where(weights > 0, block.rows[leading, np.arange(d)], 0.0).astype(np.float64)
    x = np.where(present, block.rows - origin, 0.0)
    squares = np.einsum("i,ij,ij->j", counts, x, x)
    n_incomplete = int((~present).any(axis=1).sum())
    first, second = np.einsum("i,ij->j", counts, x), np.diag(squares) if cross else squares
    return Moments(weights, n_incomplete, origin, first, second)


def available_moments(sample: Block, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (feature,) and covariance (feature, feature) of some values, `present`, of a sample.

    Each feature has the rows in which it is present itself, so that gaps in one cost the others
    nothing; the covariance has no negative eigenvalue all the same.
    """
    weights = present * sample.counts[:, None]
    totals = np.maximum(weights.sum(axis=0), np.finfo(float).tiny)
    rows = np.where(present, sample.rows, 0.0)
    # About a value near all others, for the sake of digits.
    origin = rows[weights.argmax(axis=0), np.arange(rows.shape[1])]
    mean = origin + (weights * (rows - origin)).sum(axis=0) / totals
    centred = np.sqrt(weights / totals) * (rows - mean)
    return mean, centred.T @ centred
