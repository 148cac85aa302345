"""The sweep of the product form, see `daskem.models.kernels.product`, in machine code."""

from typing import NamedTuple

import numpy as np

from daskem.models.kernels.arguments import Natural, Rows, Sums, Task
from daskem.models.kernels.machine import large
from daskem.models.kernels.machine.compiling import whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, multiply
from daskem.models.kernels.machine.tile import add_features, add_squares, reach, read, weigh
from daskem.models.kernels.machine.vectors import LANES, zeros


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
        thirds = -(-n_statistics // 3) * 3 + 3
        heights = thirds, n_components, max(rows.d, 4), rows.d + rows.d % 2
        room = cls(*zeros(*((n, rows.width) for n in heights)))
        room.f[0] = 1.0
        return room


def sweep(rows: Rows, form: Natural, task: Task) -> Sums:
    """Do a task for all rows of a block, but for those of the tiles that are left out."""
    (n_components, n_statistics), d = form.natural.shape, rows.d if form.pooled else 0
    made = Sums(
        np.zeros(len(form.bounds) - 1),
        np.zeros(form.natural.shape),
        np.zeros((d, d)),
        np.zeros(rows.n_tiles, bool),
    )
    # Eight sums of each moment; those of z z^T in pairs of rows, three at a time.
    shape = d + d % 2, -(-d // 3) * 3 * LANES
    if form.small:
        lanes, squares = zeros((n_components, -(-n_statistics // 3) * 3 * LANES), shape)
        _sweep(rows, form, task, Room.of(rows, form), lanes, squares, made)
    else:
        (squares,) = zeros(shape)
        large.sweep(rows, form, task, large.Room.of(rows, form), squares, made)
    return made


@whole
def _sweep(rows, form, task, room, lanes, squares, made):
    n_statistics, weighted = form.natural.shape[1], len(rows.weights) > 0
    z, sums = room.f[1:], made.log_likelihoods
    for tile in range(len(made.careful)):
        first = tile * rows.width
        n = rows.width if first + rows.width <= rows.n else rows.n - first
        width = -(-n // LANES) * LANES
        read(rows, first, n, width, z, room.spare)
        if not reach(z, rows.d, width) <= form.most:
            made.careful[tile] = True
            continue
        add_features(form.terms, rows.d, width, room.f)
        multiply(form.natural, np.intp(0), n_statistics, room.f, width, room.joint, np.bool_(False))
        weigh(rows, first, n, width, room.spare)
        if form.pooled and task.out.size == 0:
            add_squares(rows.d, width, z, room.spare, room.v, squares)
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        if task.out.size == 0:
            add_moments(room.joint, room.f, lanes, width)
    add_totals(lanes, made.moments)
    add_totals(squares, made.squares)
