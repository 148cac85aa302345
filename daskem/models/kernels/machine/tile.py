"""A tile of rows: (feature, row) in a frame, as float64, and what is computed of it."""

import numpy as np

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.products import add_moments, multiply, total
from daskem.models.kernels.machine.vectors import LANES, fma, lane, load, splat, store
from daskem.models.kernels.terms import Terms

NORM, SQUARES, PRODUCTS = int(Terms.NORM), int(Terms.SQUARES), int(Terms.PRODUCTS)


@part
def read(rows, first, n, width, z, spare):
    """Write the `n` rows from `first` on, in the frame, into `z` (feature, row), then zeros."""
    whitened = len(rows.linear) > 1
    u = spare if whitened else z
    for i in range(rows.d):
        origin, scale = rows.origin[i], 1.0 if whitened else rows.linear[0, i]
        if len(rows.narrow):
            for j in range(n):
                u[i, j] = (np.float64(rows.narrow[(first + j) * rows.d + i]) - origin) * scale
        else:
            for j in range(n):
                u[i, j] = (rows.wide[(first + j) * rows.d + i] - origin) * scale
        for j in range(n, width):
            u[i, j] = 0.0
    if whitened:
        multiply(rows.linear, np.intp(0), rows.d, u, width, z, np.bool_(False))


@part
def weigh(rows, first, n, width, spare):
    """Write the weights of the rows, or ones, into row 2 of `spare`, then zeros."""
    for j in range(n):
        spare[2, j] = rows.weights[first + j] if len(rows.weights) else 1.0
    for j in range(n, width):
        spare[2, j] = 0.0


@part
def reach(z, d, width):
    """The square of the largest |z| in every feature, summed; NaN if any is."""
    square, odd = 0.0, splat(0.0)
    for i in range(d):
        high = splat(0.0)
        for j in range(0, width, LANES):
            v = load(z, i, j)
            high, odd = max(v * v, high), fma(v, splat(0.0), odd)
        most = 0.0
        for j in range(LANES):
            most = lane(high, j) if lane(high, j) > most else most
        square += most
    return square + total(odd)


@part
def add_norms(d, width, f):
    """Write |z|^2 into `f` (1 and feature, row), after 1 and z."""
    for j in range(0, width, LANES):
        norm = splat(0.0)
        for i in range(1, 1 + d):
            norm = fma(load(f, i, j), load(f, i, j), norm)
        store(f, 1 + d, j, norm)


@part
def add_squares(d, width, z, spare, v, squares):
    """Add w z z^T, eight sums for each, of weights in row 2 of `spare`."""
    for i in range(d):
        for j in range(0, width, LANES):
            store(v, i, j, load(z, i, j) * load(spare, 2, j))
    add_moments(v, z, squares, width)
