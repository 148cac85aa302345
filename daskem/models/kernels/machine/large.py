"""The sweep of the product form for a large model.

    joint    (component, row)       = natural @ features
    moments  (statistic, component) = features @ responsibilities.T

All features of a tile are too many for a cache. Both products take some at a time, and make them
anew: a multiplication of each, beside one for every component.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from daskem.models.kernels.arguments import Natural, Rows, readable
from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.members import answer
from daskem.models.kernels.machine.products import add_moments, add_totals, multiply, total
from daskem.models.kernels.machine.tile import NORM, add_features, add_squares, reach, read, weigh
from daskem.models.kernels.machine.vectors import LANES, load, store, zeros
from daskem.models.kernels.terms import Terms

# Features at a time: even, and of a tile no more than 20 kB.
_TOGETHER = 48
# Components, at least, that are worth a vector.
_FEWEST = 4


class Room(NamedTuple):
    """What one sweep computes in.

    Attributes
    ----------
    factors : ndarray, (at least 2 + feature, row)
        1, z, and |z|^2 where that is a feature: each feature is the product of two of them.
    pairs : ndarray of int64, (2, statistic)
        Which two.
    some : ndarray, (statistic, row)
        Some features.
    joint, spare, v : ndarray, (component, row), (4 or feature, row), (even feature, row)
        Log-densities, spare rows, weighted rows.
    turned : ndarray, (row, component)
        Weighted responsibilities, in whole vectors.
    moments : ndarray, (even statistic, component)
        Those of all tiles.
    lanes : ndarray, (part * component, some statistics * LANES)
        Eight sums of each moment, of components that are left where these are few; the parts of
        the statistics below each other.
    """

    factors: np.ndarray
    pairs: np.ndarray
    some: np.ndarray
    joint: np.ndarray
    spare: np.ndarray
    v: np.ndarray
    turned: np.ndarray
    moments: np.ndarray
    lanes: np.ndarray

    @classmethod
    def of(cls, rows: Rows, form: Natural) -> "Room":
        (k, n_statistics), d = form.natural.shape, rows.d
        columns = (k + LANES - _FEWEST) // LANES * LANES
        parts = -(-n_statistics // _TOGETHER)
        heights = -(-d // 3) * 3 + 3, _TOGETHER, k, max(d, 4), d + d % 2
        factors, *others = zeros(
            *((n, rows.width) for n in heights),
            (rows.width, columns),
            (n_statistics + n_statistics % 2, columns),
            (max(k - columns, 0) * parts, _TOGETHER * LANES),
        )
        factors[0] = 1.0
        return cls(factors, _pairs(Terms(form.terms), d), *others)


@lru_cache(8)
def _pairs(terms: Terms, d: int) -> np.ndarray:
    """The two factors of each feature, (2, statistic); 0 is that of ones."""
    i = np.arange(1, d + 1)
    second = {
        Terms.LINEAR: (i[:0], i[:0]),
        Terms.NORM: ([0], [d + 1]),
        Terms.SQUARES: (i, i),
        Terms.PRODUCTS: np.add(np.triu_indices(d), 1),
    }
    first = np.stack([np.zeros(d + 1), np.arange(d + 1)])
    return readable(np.concatenate([first, second[terms]], axis=1), np.int64)


@whole
def sweep(rows, form, task, room, squares, made):
    """Do a task for all rows of a block, but for those of the tiles that are left out."""
    width, z, weighted = rows.width, room.factors[1:], len(rows.weights) > 0
    for tile in range(len(made.careful)):
        first = tile * width
        n = width if first + width <= rows.n else rows.n - first
        read(rows, first, n, width, z, room.spare)
        if not reach(z, rows.d, width) <= form.most:
            made.careful[tile] = True
            continue
        if form.terms == NORM:
            add_features(NORM, rows.d, width, room.factors)
        _log_densities(form.natural, width, room)
        weigh(rows, first, n, width, room.spare)
        if form.pooled and task.out.size == 0:
            add_squares(rows.d, width, z, room.spare, room.v, squares)
        sums = made.log_likelihoods
        answer(room.joint, form.bounds, task, room.spare, first, n, width, weighted, sums)
        if task.out.size == 0:
            _add_moments(width, room)
    _add_all(room, made.moments)
    add_totals(squares, made.squares)


@part
def _log_densities(natural, width, room):
    for t in range(0, room.pairs.shape[1], _TOGETHER):
        n = _some_features(t, width, room)
        multiply(natural, t, n, room.some, width, room.joint, t > 0)


@part
def _add_moments(width, room):
    turned, columns, zero, more = room.turned, room.turned.shape[1], np.intp(0), np.bool_(True)
    many = min(len(room.joint), columns)
    for k in range(many):
        for j in range(width):
            turned[j, k] = room.joint[k, j]
    rest = room.joint[many:]
    for t in range(0, room.pairs.shape[1], _TOGETHER):
        n = _some_features(t, width, room)
        multiply(room.some[: n + n % 2], zero, width, turned, columns, room.moments[t:], more)
        if len(rest) > 0:
            place = t // _TOGETHER * len(rest)
            add_moments(rest, room.some, room.lanes[place : place + len(rest)], width)


@part
def _add_all(room, moments):
    """Add those of all tiles to `moments`, (component, statistic)."""
    many = min(len(moments), room.turned.shape[1])
    for t in range(moments.shape[1]):
        for k in range(many):
            moments[k, t] += room.moments[t, k]
        for k in range(many, len(moments)):
            place = t // _TOGETHER * (len(moments) - many) + k - many
            moments[k, t] += total(load(room.lanes, place, t % _TOGETHER * LANES))


@part
def _some_features(first, width, room):
    """Write the features from `first` on, as many as are made together; how many these are."""
    left = room.pairs.shape[1] - first
    n = left if left < _TOGETHER else _TOGETHER
    for s in range(n):
        i, i2 = room.pairs[0, first + s], room.pairs[1, first + s]
        for j in range(0, width, LANES):
            store(room.some, s, j, load(room.factors, i, j) * load(room.factors, i2, j))
    return n
