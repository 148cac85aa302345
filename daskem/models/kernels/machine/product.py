"""The sweep of the product form, see `daskem.models.kernels.product`, in machine code.

Small products are made by hand, in one piece of code for a whole block; large ones by BLAS, tile by
tile, from Python.
"""

from typing import NamedTuple

import numpy as np

from daskem.models.kernels.arguments import Natural, Rows, Sums, Task
from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, product
from daskem.models.kernels.machine.tile import add_features, reach, read, weigh
from daskem.models.kernels.machine.vectors import LANES, load, store, zeros


class Room(NamedTuple):
    """What one sweep computes in: features, log-densities, spare rows, weighted rows, of a tile."""

    f: np.ndarray
    joint: np.ndarray
    spare: np.ndarray
    v: np.ndarray

    @classmethod
    def of(cls, rows: Rows, form: Natural) -> "Room":
        n_components, n_statistics = form.natural.shape
        # Products by hand take three at a time, of 1 and z as of z alone.
        f = zeros((-(-n_statistics // 3) * 3 + 3, rows.width))
        f[0] = 1.0
        joint = zeros((n_components, rows.width))
        spare, v = (zeros((n, rows.width)) for n in (max(rows.d, 4), rows.d + rows.d % 2))
        return cls(f, joint, spare, v)


def sweep(rows: Rows, form: Natural, task: Task) -> Sums:
    """Do a task for all rows of a block, but for those of the tiles that are left out."""
    room, d = Room.of(rows, form), rows.d if form.pooled else 0
    made = Sums(
        np.zeros(len(form.bounds) - 1),
        np.zeros(form.natural.shape),
        np.zeros((d, d)),
        np.zeros(rows.n_tiles, bool),
    )
    # Eight sums of each moment; those of z z^T in pairs of rows, three at a time.
    squares = zeros((d + d % 2, -(-d // 3) * 3 * LANES))
    if form.by_hand:
        lanes = zeros((len(room.joint), -(-form.natural.shape[1] // 3) * 3 * LANES))
        _sweep(rows, form, task, room, lanes, squares, made)
        return made
    features = room.f[: form.natural.shape[1]]
    for tile in range(rows.n_tiles):
        if _features(rows, form, tile, room, made):
            np.matmul(form.natural, features, out=room.joint)
            _answer(rows, form, task, tile, room, squares, made)
            if not task.out.size:
                np.add(made.moments, room.joint @ features.T, out=made.moments)
    _finish(squares, made)
    return made


@part
def features(rows, form, first, n, width, room):
    """Write the features of a tile; False if the form would not be accurate there."""
    read(rows, first, n, width, room.f[1:], room.spare)
    if not reach(room.f[1:], rows.d, width) <= form.most:
        return False
    add_features(form.terms, rows.d, width, room.f)
    return True


@part
def add_squares(d, width, room, squares):
    """Add w z z^T of a tile, eight sums for each."""
    for i in range(d):
        for j in range(0, width, LANES):
            store(room.v, i, j, load(room.f, 1 + i, j) * load(room.spare, 2, j))
    add_moments(room.v, room.f[1:], squares, width)


@whole
def _sweep(rows, form, task, room, lanes, squares, made):
    n_statistics, weighted = form.natural.shape[1], len(rows.weights) > 0
    for tile in range(len(made.careful)):
        first = tile * rows.width
        n = rows.width if first + rows.width <= rows.n else rows.n - first
        width = -(-n // LANES) * LANES
        if not features(rows, form, first, n, width, room):
            made.careful[tile] = True
            continue
        product(form.natural, room.f, room.joint, n_statistics, width)
        weigh(rows, first, n, width, room.spare)
        if form.pooled and task.out.size == 0:
            add_squares(rows.d, width, room, squares)
        sums = made.log_likelihoods
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        if task.out.size == 0:
            add_moments(room.joint, room.f, lanes, width)
    add_totals(lanes, made.moments)
    add_totals(squares, made.squares)


# The same, a tile at a time, whose products Python leaves to BLAS: always of full width.


@whole
def _features(rows, form, tile, room, made):
    first = tile * rows.width
    n = rows.width if first + rows.width <= rows.n else rows.n - first
    made.careful[tile] = not features(rows, form, first, n, rows.width, room)
    return not made.careful[tile]


@whole
def _answer(rows, form, task, tile, room, squares, made):
    first, width = tile * rows.width, rows.width
    n, weighted = width if first + width <= rows.n else rows.n - first, len(rows.weights) > 0
    weigh(rows, first, n, width, room.spare)
    if form.pooled and task.out.size == 0:
        add_squares(rows.d, width, room, squares)
    sums = made.log_likelihoods
    answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)


@whole
def _finish(squares, made):
    add_totals(squares, made.squares)
