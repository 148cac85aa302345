"""The sweep of the product form, see `daskem.models.kernels.product`, in machine code.

Small products are made by hand, in one piece of code for a whole block; large ones by BLAS, tile by
tile, from Python.
"""

from typing import NamedTuple

import numpy as np

from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, product
from daskem.models.kernels.machine.tile import add_features, reach, read, weigh
from daskem.models.kernels.machine.vectors import LANES
from daskem.models.kernels.passed import Natural, Rows, Sums, Task

# Statistics of a row: the features of a tile of more are too many for a cache, unless they are
# taken in blocks, as BLAS does. By hand is as fast or faster up to some 1,300.
_MOST_BY_HAND = 1024


class Room(NamedTuple):
    """What one sweep computes in: features, joint log-densities, and spare rows, of one tile."""

    f: np.ndarray
    joint: np.ndarray
    spare: np.ndarray

    @classmethod
    def of(cls, rows: Rows, form: Natural) -> "Room":
        n_components, n_statistics = form.natural.shape
        # One more, for a frame of an odd number of features; and a multiple of three.
        f = np.zeros((-(-(n_statistics + 1) // 3) * 3, rows.width))
        f[0] = 1.0
        return cls(f, np.zeros((n_components, rows.width)), np.zeros((max(rows.d, 4), rows.width)))


def sweep(rows: Rows, form: Natural, task: Task) -> Sums:
    """Do a task for all rows of a block, but for those of the tiles that are left out."""
    room = Room.of(rows, form)
    made = Sums(
        np.zeros(len(form.bounds) - 1), np.zeros(form.natural.shape), np.zeros(rows.n_tiles, bool)
    )
    if by_hand(form.natural.shape[1]):
        lanes = np.zeros((len(room.joint), len(room.f) * LANES))
        _sweep(rows, form, task, room, lanes, made)
        return made
    features = room.f[: form.natural.shape[1]]
    for tile in range(rows.n_tiles):
        if _features(rows, form, tile, room, made):
            np.matmul(form.natural, features, out=room.joint)
            _answer(rows, form, task, tile, room, made)
            if not task.out.size:
                np.add(made.moments, room.joint @ features.T, out=made.moments)
    return made


def by_hand(n_statistics: int) -> bool:
    return n_statistics <= _MOST_BY_HAND


@part
def features(rows, form, first, n, width, room):
    """Write the features of a tile; False if the form would not be accurate there."""
    read(rows, first, n, width, room.f[1:], room.spare)
    if not reach(room.f[1:], rows.d, width) <= form.most:
        return False
    add_features(form.terms, rows.d, width, room.f)
    return True


@whole
def _sweep(rows, form, task, room, lanes, made):
    n_statistics, weighted = form.natural.shape[1], len(rows.weights) > 0
    for tile in range(len(made.careful)):
        first = tile * rows.width
        n = min(rows.width, rows.n - first)
        width = -(-n // LANES) * LANES
        if not features(rows, form, first, n, width, room):
            made.careful[tile] = True
            continue
        product(form.natural, room.f, room.joint, n_statistics, width)
        weigh(rows, first, n, width, room.spare)
        sums = made.log_likelihoods
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        if task.out.size == 0:
            add_moments(room.joint, room.f, lanes, width)
    add_totals(lanes, made.moments)


# The same, a tile at a time, whose products Python leaves to BLAS: always of full width.


@whole
def _features(rows, form, tile, room, made):
    first = tile * rows.width
    n = min(rows.width, rows.n - first)
    made.careful[tile] = not features(rows, form, first, n, rows.width, room)
    return not made.careful[tile]


@whole
def _answer(rows, form, task, tile, room, made):
    first, width = tile * rows.width, rows.width
    n, weighted = min(width, rows.n - first), len(rows.weights) > 0
    weigh(rows, first, n, width, room.spare)
    sums = made.log_likelihoods
    answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
