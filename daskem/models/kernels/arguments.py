"""What Python hands to a sweep that is not NumPy's, and what it gets: tuples of arrays.

Each is of one type always: machine code is made for the types of its arguments, and so once,
whatever the rows are like.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from daskem.core.frames import Frame
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.terms import Terms

# Statistics of a row, and moments, of a small model. Beyond, the features of a tile and the sums of
# moments, of which there are eight each, would leave the second cache: 1.2 MB, 512 kB.
_MOST_STATISTICS, _MOST_MOMENTS = 2**11, 2**13
# Bytes of the features and the joint log-densities of a tile: what the fastest cache nearly holds.
_CACHE = 2**16
# Rows of a tile of a small model, at least and at most, and of a large one: some tens of features
# of them, and all of z, are what the fastest cache holds.
_FEWEST_ROWS, _MOST_ROWS, _ROWS = 72, 264, 48

# Nobody can write them, as nobody can the rows of others.
_NO_ROWS, _NO_NARROW_ROWS = np.frombuffer(b"", np.float64), np.frombuffer(b"", np.float32)
_NO_LABELS, _NO_SHARES, _NO_LOG_PROB = np.empty(0, np.int64), np.empty((0, 0)), np.empty(0)


class Rows(NamedTuple):
    """The rows of a block, in the units of the data, and the frame in which they are seen.

    Attributes
    ----------
    wide, narrow : ndarray of float64, of float32, (sample * feature,)
        The rows in C order; one of the two is empty.
    origin : ndarray, (feature,)
    linear : ndarray, (even feature, feature) or (1, feature)
        A matrix, or a scale for each feature.
    weights : ndarray, (sample,) or (0,)
    n, d, width : int
        Rows, features, and rows of a tile.
    """

    wide: np.ndarray
    narrow: np.ndarray
    origin: np.ndarray
    linear: np.ndarray
    weights: np.ndarray
    n: int
    d: int
    width: int

    @classmethod
    def of(
        cls, rows: np.ndarray, weights: np.ndarray | None, frame: Frame | None, width: int
    ) -> "Rows":
        """Those of a block; the type of each entry is the same whatever the block is like."""
        n, d = rows.shape
        narrow = rows.dtype == np.float32
        rows = readable(rows, np.float32 if narrow else np.float64).reshape(-1)
        return cls(
            _NO_ROWS if narrow else rows,
            rows if narrow else _NO_NARROW_ROWS,
            *_axes(frame, d),
            _NO_ROWS if weights is None else readable(weights, np.float64),
            n,
            d,
            width,
        )

    @property
    def n_tiles(self) -> int:
        return -(-self.n // self.width)


@lru_cache(8)
def _axes(frame: Frame | None, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """`origin` and `linear` of rows in a frame, the same for all blocks."""
    if frame is None:
        return readable(np.zeros(n_features), np.float64), writable(np.ones((1, n_features)))
    # The code writes rows of a product in pairs; a single row is a scale.
    linear = frame.linear[None] if frame.linear.ndim == 1 else even(frame.linear)
    return readable(frame.origin, np.float64), writable(linear)


class Natural(NamedTuple):
    """K distributions of an exponential family, as the sweep of the product form takes them.

    Attributes
    ----------
    natural : ndarray, (component, statistic)
        Of machine code, an even number of components.
    bounds : ndarray of int64, (candidate + 1,)
    terms : int
        Of `Terms`.
    most : float
        The `reach` of a tile, or on a GPU |z|^2 of a row, up to which the form is accurate.
    pooled : bool
        Whether the sum of z z^T over all rows is wanted besides, whatever their component.
    """

    natural: np.ndarray
    bounds: np.ndarray
    terms: int
    most: float
    pooled: bool

    @property
    def small(self) -> bool:
        """Whether machine code makes all features of a tile at once, rather than some at a time."""
        return self.natural.shape[1] <= _MOST_STATISTICS and self.natural.size <= _MOST_MOMENTS

    @property
    def width(self) -> int:
        """Rows of a tile, by the sizes of the model alone: an odd number of eights, so that no two
        rows of a buffer that are near each other share a place in a cache.
        """
        if not self.small:
            return _ROWS
        fitting = _CACHE // (8 * sum(self.natural.shape))
        return min(max(fitting // 16 * 16 + 8, _FEWEST_ROWS), _MOST_ROWS)


class Task(NamedTuple):
    """What a sweep is to do with joint log-densities: an E step, where there is nothing else here.

    Attributes
    ----------
    labels : ndarray of int64, (sample,) or (0,)
        Components that are known.
    shares : ndarray, (component, sample) or (0, 0)
        Responsibilities that are known.
    out : ndarray, (component, at least as many as samples) or (0, 0)
        Where to write the joint log-densities, rather than to add anything up.
    log_prob : ndarray, (at least as many as samples,) or (0,)
        Where to write log p(x), and responsibilities into `out`.
    """

    labels: np.ndarray
    shares: np.ndarray
    out: np.ndarray
    log_prob: np.ndarray

    @classmethod
    def of(
        cls,
        labels: np.ndarray = _NO_LABELS,
        shares: np.ndarray = _NO_SHARES,
        out: np.ndarray = _NO_SHARES,
        log_prob: np.ndarray = _NO_LOG_PROB,
    ) -> "Task":
        """One task; the type of each entry is the same whatever is passed."""
        return cls(readable(labels, np.int64), readable(shares, np.float64), out, log_prob)


class Sums(NamedTuple):
    """What one sweep adds up, and what it left out, as the form is not accurate there."""

    log_likelihoods: np.ndarray  # (candidate,)
    moments: np.ndarray  # (component, statistic)
    squares: np.ndarray  # (feature, feature), or (0, 0) unless it is wanted
    careful: np.ndarray  # bool, (tile,), or (sample,) on a GPU


class Normals(NamedTuple):
    """K normal distributions, as the sweep of the centred form takes them.

    Attributes
    ----------
    means : ndarray, (component, feature)
    roots : ndarray, (component or 1, even feature, feature) or (component or 1, 1, feature)
        Matrices, or scales for each feature; one where all components share it.
    constants : ndarray, (component,)
        The log-density at the mean, with the offset.
    bounds : ndarray of int64, (candidate + 1,)
    terms : int
        Of `Terms`.
    """

    means: np.ndarray
    roots: np.ndarray
    constants: np.ndarray
    bounds: np.ndarray
    terms: int

    @classmethod
    def of(cls, form: CentredForm) -> "Normals":
        """Those of all candidates of a form."""
        candidates, terms = form.candidates, form.candidates[0].structure.terms
        means = np.concatenate([normal.means for normal in candidates])
        roots = np.concatenate([normal.roots for normal in candidates])
        if terms is Terms.PRODUCTS:
            odd = roots.shape[1] % 2
            roots = np.pad(roots, ((0, 0), (0, odd), (0, 0)))
        else:
            roots = np.broadcast_to(roots, means.shape)[:, None]
        bounds = form.bounds.astype(np.int64)
        return cls(means, np.array(roots), form.constants, bounds, int(terms))


class Moments(NamedTuple):
    """What a sweep of the centred form adds up."""

    log_likelihoods: np.ndarray  # (candidate,)
    counts: np.ndarray  # (component,)
    first: np.ndarray  # (component, feature)
    second: np.ndarray  # (component, quadratic)

    @classmethod
    def of(cls, form: Normals, d: int) -> "Moments":
        """Nothing, so far."""
        k = len(form.means)
        sizes = {Terms.PRODUCTS: d * (d + 1) // 2, Terms.SQUARES: d, Terms.NORM: 1}
        second = np.zeros((k, sizes[Terms(form.terms)]))
        return cls(np.zeros(len(form.bounds) - 1), np.zeros(k), np.zeros((k, d)), second)


def readable(values: npt.ArrayLike, dtype: npt.DTypeLike) -> np.ndarray:
    """The same values in C order, which nobody can write: one type, whatever they come from."""
    view = np.ascontiguousarray(values, dtype).view()
    view.flags.writeable = False
    return view


def writable(matrix: npt.ArrayLike) -> np.ndarray:
    """A copy in C order, as float64, of the type of what machine code writes: one function
    multiplies both.
    """
    return np.array(matrix, np.float64, order="C")


def even(matrix: np.ndarray) -> np.ndarray:
    """A matrix (row, column), with a row of zeros if that makes their number even."""
    return np.concatenate([matrix, np.zeros((len(matrix) % 2, matrix.shape[1]))])
