"""The kernel of the components of a family with their weights, for rows with gaps and without."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.asking import demand
from daskem.models.families.protocol import Family, Gapped, Imputes, Marginal, Marginals
from daskem.models.kernels.incomplete import (
    IncompleteKernel,
    Part,
    Seen,
    as_they_are,
    is_complete,
    patterns,
)
from daskem.models.kernels.protocol import Kernel
from daskem.models.views import Block, Tile

# Rows of a pattern times components from which on they are computed by themselves: to set that up
# takes as long as this many rows and components take together with those of other patterns.
_WORTH = 1000


def with_gaps(
    complete: Kernel,
    family: Family,
    candidates: Sequence[Params],
    offsets: Sequence[np.ndarray],
    frame: Frame | None,
) -> Kernel:
    """A kernel of a family as `complete`, of rows that may lack values.

    `offsets` are those of `complete`, with the log-determinant of the frame. Rows with gaps are
    computed with NumPy: what they take is, for the most part, what comes before the rows.
    """
    apart = partial(_by_pattern, family, candidates, offsets, frame)
    if not isinstance(family, Gapped):
        return IncompleteKernel(complete, apart)
    gapped = family.gapped(candidates, offsets, frame)
    if not family.by_pattern:
        return IncompleteKernel(complete, partial(_together, gapped))
    fewest = -(-_WORTH // sum(map(len, offsets)))
    return IncompleteKernel(complete, partial(_by_frequency, apart, gapped, fewest))


def _together(gapped: Kernel, rows: Seen) -> Iterator[Part]:
    yield Part(slice(None), rows, gapped, as_they_are)


def _by_frequency(
    apart: Callable[..., Iterator[Part]], gapped: Kernel, fewest: int, rows: Seen
) -> Iterator[Part]:
    """Patterns of so many rows by themselves, all others together."""
    by_pattern = list(patterns(rows.rows))
    yield from apart(
        rows, [(observed, index) for observed, index in by_pattern if len(index) >= fewest]
    )
    if rare := [index for _, index in by_pattern if len(index) < fewest]:
        # One pattern after the other, so that a tile has few.
        index = np.concatenate(rare)
        yield Part(index, rows[index], gapped, as_they_are)


def _by_pattern(
    family: Family,
    candidates: Sequence[Params],
    offsets: Sequence[np.ndarray],
    frame: Frame | None,
    rows: Seen,
    chosen: Iterable[tuple[np.ndarray, np.ndarray]] | None = None,
) -> Iterator[Part]:
    """Rows of one pattern after the other: complete ones of the marginal of the components."""
    whole = demand(family, Marginals, 'missing="model"')
    for observed, index in patterns(rows.rows) if chosen is None else chosen:
        marginals = [whole.marginal(params, frame, observed) for params in candidates]
        observed_rows = Seen(rows.rows[np.ix_(index, observed)], rows[index].weights)
        params, marginal_frame = [marginal.params for marginal in marginals], marginals[0].frame
        more = _log_det(marginal_frame) - _log_det(frame)
        kernel = family.kernel(params, [offset + more for offset in offsets], marginal_frame)
        yield Part(index, observed_rows, kernel, partial(_completed, marginals))


def _log_det(frame: Frame | None) -> float:
    return 0.0 if frame is None else frame.log_det


def _completed(marginals: Sequence[Marginal], statistics: list[Statistics]) -> list[Statistics]:
    return [m.completed(each) for m, each in zip(marginals, statistics, strict=True)]


def imputed(
    family: Family, params: Params, frame: Frame | None, block: Block, tiles: Iterable[Tile]
) -> np.ndarray:
    """The rows (sample, feature) of a block, with what is expected of the values that they lack.

    Given those that they have, and averaged over the components by the responsibilities of `tiles`.
    """
    whole = demand(family, Imputes, "imputing")
    rows = block.rows.astype(np.float64)
    for span, _, responsibilities in tiles:
        with one_blas_thread():
            tile = rows[span]
            for observed, index in [] if is_complete(tile) else patterns(tile):
                values, shares = tile[np.ix_(index, observed)], responsibilities[:, index]
                expected = whole.marginal(params, frame, observed).expected(values, shares)
                tile[np.ix_(index, ~observed)] = expected[:, ~observed]
    return rows
