"""The sweep of the centred form, see `daskem.models.kernels.centred`, in machine code, by hand."""

from typing import NamedTuple

import numpy as np

from daskem.models.kernels.arguments import Moments, Normals, Rows, Task
from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, multiply, total
from daskem.models.kernels.machine.tile import PRODUCTS, SQUARES, read, weigh
from daskem.models.kernels.machine.vectors import LANES, fma, load, splat, store, zeros


class Room(NamedTuple):
    """What one sweep computes in: a tile, centred, white; log-densities; spare rows; squares."""

    z: np.ndarray
    u: np.ndarray
    v: np.ndarray
    joint: np.ndarray
    spare: np.ndarray
    lanes: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, rows: Rows, form: Normals) -> "Room":
        d = rows.d + rows.d % 2
        thirds = -(-d // 3) * 3
        k = len(form.means)
        heights = thirds, thirds, d, k + k % 2, max(rows.d, 4)
        tiles = ((n, rows.width) for n in heights)
        z, u, v, joint, spare, lanes = zeros(*tiles, (d, thirds * LANES))
        return cls(z, u, v, joint, spare, lanes, np.zeros((rows.d, rows.d)))


def sweep(rows: Rows, form: Normals, task: Task, chosen: np.ndarray) -> Moments:
    """Do a task for the rows of the chosen tiles of a block, (tile,)."""
    made = Moments.of(form, rows.d)
    _sweep(rows, form, task, Room.of(rows, form), chosen, made)
    return made


@whole
def _sweep(rows, form, task, room, chosen, made):
    for tile in range(len(chosen)):
        if not chosen[tile]:
            continue
        first = tile * rows.width
        n = rows.width if first + rows.width <= rows.n else rows.n - first
        width, weighted = -(-n // LANES) * LANES, len(rows.weights) > 0
        read(rows, first, n, width, room.z, room.spare)
        for k in range(len(form.means)):
            _centre(form, k, rows.d, width, room)
            _log_density(form, k, rows.d, width, room)
        weigh(rows, first, n, width, room.spare)
        sums = made.log_likelihoods
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        for k in range(len(form.means) if task.out.size == 0 else 0):
            _centre(form, k, rows.d, width, room)
            _add(form, k, rows.d, width, room, made)


@part
def _centre(form, k, d, width, room):
    """u = z - m_k."""
    for i in range(d):
        mean = splat(form.means[k, i])
        for j in range(0, width, LANES):
            store(room.u, i, j, load(room.z, i, j) - mean)


@part
def _log_density(form, k, d, width, room):
    """c_k - |R_k u|^2 / 2."""
    root = form.roots[k if len(form.roots) > 1 else 0]
    matrix = len(root) > 1 or form.terms == PRODUCTS
    if matrix:
        multiply(root, np.intp(0), d, room.u, width, room.v, np.bool_(False))
    for j in range(0, width, LANES):
        square = splat(0.0)
        for i in range(d):
            white = load(room.v, i, j) if matrix else load(room.u, i, j) * splat(root[0, i])
            square = fma(white, white, square)
        store(room.joint, k, j, fma(square, splat(-0.5), splat(form.constants[k])))


@part
def _add(form, k, d, width, room, made):
    """Add the moments of a component: counts, first, and the quadratics of u u^T."""
    counts = splat(0.0)
    for j in range(0, width, LANES):
        counts = counts + load(room.joint, k, j)
    made.counts[k] += total(counts)
    for i in range(d):
        first, second = splat(0.0), splat(0.0)
        for j in range(0, width, LANES):
            u = load(room.u, i, j)
            ru = load(room.joint, k, j) * u
            store(room.v, i, j, ru)
            first, second = first + ru, fma(ru, u, second)
        made.first[k, i] += total(first)
        if form.terms != PRODUCTS:
            made.second[k, i if form.terms == SQUARES else 0] += total(second)
    if form.terms == PRODUCTS:
        _add_products(k, d, width, room, made)


@part
def _add_products(k, d, width, room, made):
    """Add r u u^T, given r u, as its upper triangle."""
    room.lanes[:] = 0.0
    room.square[:] = 0.0
    add_moments(room.v, room.u, room.lanes, width)
    add_totals(room.lanes, room.square)
    t = 0
    for i in range(d):
        for i2 in range(i, d):
            made.second[k, t] += room.square[i, i2]
            t += 1
