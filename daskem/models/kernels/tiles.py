"""Tiles: runs of rows of a block, few enough to stay in a cache while they are computed with."""

from collections.abc import Iterator

import numpy as np

from daskem.core.frames import Frame

# Bytes of working memory: what stays in a cache that several cores share.
_CACHE = 2**23
# Rows, at least: fewer, and the cost of a NumPy call (and of waiting for the interpreter's lock) is
# not small beside its work.
_FEWEST_ROWS = 2**10
# Rows, at most: more gain nothing.
_MOST_ROWS = 2**14
# Bytes, at most, whatever `_FEWEST_ROWS` says: small beside a chunk.
_MOST_BYTES = 2**24


def tile_width(n_statistics: int, n_components: int, n_features: int) -> int:
    """Rows of a tile, which depend on nothing but the sizes of the model."""
    row = 8 * (n_statistics + n_components + 2 * n_features)
    return min(max(_CACHE // row, _FEWEST_ROWS), _MOST_ROWS, max(_MOST_BYTES // row, 1))


def spans(n_rows: int, width: int) -> Iterator[slice]:
    """All rows, `width` of them at a time."""
    return (slice(first, min(first + width, n_rows)) for first in range(0, n_rows, width))


def narrowed(buffer: np.ndarray, width: int) -> np.ndarray:
    """Room for an array as high as `buffer`, so many rows wide, in C order.

    A slice of its columns is not, and what calls BLAS may copy it.
    """
    height = len(buffer)
    return buffer.reshape(-1)[: height * width].reshape(height, width)


class Tiles:
    """The rows of a block, some at a time, as (feature, row) in a frame.

    Parameters
    ----------
    rows : ndarray, (sample, feature)
    frame : Frame, optional
        The rows themselves where there is none.
    width : int
        Rows of the largest tile.
    """

    def __init__(self, rows: np.ndarray, frame: Frame | None, width: int) -> None:
        n, d = rows.shape
        self._rows, self._frame, self._width = rows, frame, width
        self._out, self._spare = np.empty((2, d, min(width, n)))

    def __iter__(self) -> Iterator[slice]:
        """Which rows each tile has."""
        return spans(len(self._rows), self._width)

    def __getitem__(self, span: slice) -> np.ndarray:
        """One tile, in a buffer that the next one overwrites."""
        size = span.stop - span.start
        x = narrowed(self._out, size)
        if self._frame is None:
            x[...] = self._rows[span].T
        else:
            self._frame.tile(self._rows[span], out=x, spare=self._spare[:, :size])
        return x
