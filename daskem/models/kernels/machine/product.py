"""The sweep of the product form, see `daskem.models.kernels.product`, in machine code.

    joint    (component, row)       = natural @ features
    moments  (component, statistic) = responsibilities @ features.T

Of a large model all features of a tile are too many for a cache. Both products take some at a time,
and make them anew: a multiplication of each, beside one for every component. The second product is
then of vectors of components: for each moment a number is kept, and not eight.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from daskem.models.kernels.arguments import Natural, Rows, Sums, Task, readable
from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, multiply
from daskem.models.kernels.machine.tile import NORM, add_norms, add_squares, reach, read, weigh
from daskem.models.kernels.machine.vectors import LANES, load, store, zeros
from daskem.models.kernels.terms import Terms

# Features of a large model at a time: in pairs and in threes, and of a tile no more than 20 kB.
_TOGETHER = 48
# Components of a large model, at least, that are worth a vector.
_FEWEST = 4
# What a small model does not need.
_NOTHING = np.empty((0, 0))


class Room(NamedTuple):
    """What one sweep computes in, and what it adds up.

    Attributes
    ----------
    factors : ndarray, (at least 2 + feature, row)
        1, z, and |z|^2 where that is a feature: each feature is the product of two of them.
    pairs : ndarray of int64, (2, statistic)
        Which two.
    some : ndarray, (at least as many statistics as are made together, row)
        Some features. Of a small model all, and the first of them are the factors.
    n_together, n_made : int
        How many are made together, and how many of `some` are there before.
    joint, spare, v : ndarray, (component, row), (4 or feature, row), (even feature, row)
        Log-densities, spare rows, weighted rows.
    turned : ndarray, (row, component), or (0, 0) of a small model
        Weighted responsibilities, in whole vectors.
    moments : ndarray, (even statistic, component), or (0, 0)
        The moments of these components.
    lanes : ndarray, (part, component, some statistics * LANES)
        Eight sums of each moment of the other components.
    squares : ndarray, (even feature, feature * LANES)
        Eight sums of each number of z z^T.
    """

    factors: np.ndarray
    pairs: np.ndarray
    some: np.ndarray
    n_together: int
    n_made: int
    joint: np.ndarray
    spare: np.ndarray
    v: np.ndarray
    turned: np.ndarray
    moments: np.ndarray
    lanes: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, rows: Rows, form: Natural) -> "Room":
        (k, n_statistics), d, width = form.natural.shape, rows.d, rows.width
        # Products by hand take three at a time, of 1 and z as of z alone.
        together = _thirds(n_statistics) if form.small else _TOGETHER
        columns = 0 if form.small else (k + LANES - _FEWEST) // LANES * LANES
        parts, rest, pooled = -(-n_statistics // together), max(k - columns, 0), d * form.pooled
        some, joint, spare, v, lanes, squares = zeros(
            *((n, width) for n in (together + 3, k, max(d, 4), d + d % 2)),
            (parts, rest, together * LANES),
            (pooled + pooled % 2, _thirds(pooled) * LANES),
        )
        factors, turned, moments, made = some, _NOTHING, _NOTHING, 1 + d + (form.terms == NORM)
        if not form.small:
            heights = width, n_statistics + n_statistics % 2
            turned, moments = zeros(*((n, columns) for n in heights))
            (factors,), made = zeros((_thirds(d) + 3, width)), 0
        factors[0], pairs, sums = 1.0, _pairs(form.terms, d), (turned, moments, lanes, squares)
        return cls(factors, pairs, some, together, made, joint, spare, v, *sums)


def _thirds(n: int) -> int:
    return -(-n // 3) * 3


@lru_cache(8)
def _pairs(terms: int, d: int) -> np.ndarray:
    """The two factors of each feature, (2, statistic); 0 is that of ones."""
    i = np.arange(1, d + 1)
    second = {
        Terms.LINEAR: (i[:0], i[:0]),
        Terms.NORM: ([0], [d + 1]),
        Terms.SQUARES: (i, i),
        Terms.PRODUCTS: np.add(np.triu_indices(d), 1),
    }
    first = np.stack([np.zeros(d + 1), np.arange(d + 1)])
    return readable(np.concatenate([first, second[Terms(terms)]], axis=1), np.int64)


def sweep(rows: Rows, form: Natural, task: Task) -> Sums:
    """Do a task for all rows of a block, but for those of the tiles that are left out."""
    room, d = Room.of(rows, form), rows.d if form.pooled else 0
    parts, rest, _ = room.lanes.shape
    totals = np.zeros((parts, rest, form.natural.shape[1] if form.small else room.n_together))
    log_likelihoods, careful = np.zeros(len(form.bounds) - 1), np.zeros(rows.n_tiles, bool)
    made = Sums(log_likelihoods, totals, np.zeros((d, d)), careful)
    _sweep(rows, form, task, room, made)
    return made._replace(moments=totals[0] if form.small else _moments(room, totals))


def _moments(room: Room, totals: np.ndarray) -> np.ndarray:
    """All moments, (component, statistic), where lanes have those of some, (part, component, _)."""
    (parts, rest, together), n_statistics = totals.shape, room.pairs.shape[1]
    last = totals.swapaxes(0, 1).reshape(rest, parts * together)[:, :n_statistics]
    return np.concatenate([room.moments[:n_statistics, : len(room.joint) - rest].T, last])


@whole
def _sweep(rows, form, task, room, made):
    z, weighted, sums = room.factors[1:], len(rows.weights) > 0, made.log_likelihoods
    for tile in range(len(made.careful)):
        first = tile * rows.width
        n = rows.width if first + rows.width <= rows.n else rows.n - first
        width = -(-n // LANES) * LANES
        read(rows, first, n, width, z, room.spare)
        if not reach(z, rows.d, width) <= form.most:
            made.careful[tile] = True
            continue
        if form.terms == NORM:
            add_norms(rows.d, width, room.factors)
        for p in range(len(room.lanes)):
            t, n_some = p * room.n_together, _make_some(p, width, room)
            multiply(form.natural, t, n_some, room.some, width, room.joint, p > 0)
        weigh(rows, first, n, width, room.spare)
        if form.pooled and task.out.size == 0:
            add_squares(rows.d, width, z, room.spare, room.v, room.squares)
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        if task.out.size > 0:
            continue
        if room.n_made > 0:
            add_moments(room.joint, room.some, room.lanes[0], width)
        else:
            _add_moments(width, room)
    for p in range(len(room.lanes)):
        add_totals(room.lanes[p], made.moments[p])
    add_totals(room.squares, made.squares)


@part
def _make_some(p, width, room):
    """Write a part of the features, but for the factors; how many it has."""
    first = p * room.n_together
    left = room.pairs.shape[1] - first
    n = left if left < room.n_together else room.n_together
    for s in range(room.n_made, n):
        i, i2 = room.pairs[0, first + s], room.pairs[1, first + s]
        for j in range(0, width, LANES):
            store(room.some, s, j, load(room.factors, i, j) * load(room.factors, i2, j))
    return n


@part
def _add_moments(width, room):
    """Add those of a large model."""
    turned, columns, zero, more = room.turned, room.turned.shape[1], np.intp(0), np.bool_(True)
    many, last = len(room.joint) - room.lanes.shape[1], len(room.lanes) - 1
    for k in range(many):
        for j in range(width):
            turned[j, k] = room.joint[k, j]
    rest, n = room.joint[many:], room.pairs.shape[1] - last * room.n_together
    for p in range(last, -1, -1):
        if p < last:  # The features of the last part are there still.
            n = _make_some(p, width, room)
        if many > 0:
            out = room.moments[p * room.n_together :]
            multiply(room.some[: n + n % 2], zero, width, turned, columns, out, more)
        if len(rest) > 0:
            add_moments(rest, room.some, room.lanes[p], width)
