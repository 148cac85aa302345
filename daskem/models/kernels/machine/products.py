"""The two products of an E step, on a tile, by hand.

    joint    (component, row)        = natural @ features
    moments  (component, statistic) += responsibilities @ features.T

The order of every sum is written here: the same bits on any processor. Rows are made in pairs, so
that there is an even number of them.
"""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.vectors import LANES, WIDE, fma, lane, load, splat, store


@part
def product(a, f, out, n_statistics, width):
    """``out = a @ f``, (even component, row), of the first statistics and rows.

    As many sums at a time as there are registers: each waits for its last addition. Which of them
    are made together changes none.
    """
    pairs = width - width % (2 * LANES)
    for k in range(0, len(a) - 3, 4):
        if WIDE:
            _four_by_two(a, f, out, k, n_statistics, pairs)
        _four(a, f, out, k, n_statistics, pairs if WIDE else 0, width)
    if len(a) % 4:
        k = len(a) - 2
        _two_by_two(a, f, out, k, n_statistics, pairs)
        for j in range(pairs, width, LANES):
            p0 = p1 = splat(0.0)
            for t in range(n_statistics):
                f0 = load(f, t, j)
                p0, p1 = fma(splat(a[k, t]), f0, p0), fma(splat(a[k + 1, t]), f0, p1)
            store(out, k, j, p0)
            store(out, k + 1, j, p1)


@part
def _four_by_two(a, f, out, k, n_statistics, width):
    """Four rows of the product, for sixteen rows of the data at a time."""
    for j in range(0, width, 2 * LANES):
        p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = splat(0.0)
        for t in range(n_statistics):
            f0, f1 = load(f, t, j), load(f, t, j + LANES)
            a0, a1 = splat(a[k, t]), splat(a[k + 1, t])
            a2, a3 = splat(a[k + 2, t]), splat(a[k + 3, t])
            p0, p1, p2, p3 = fma(a0, f0, p0), fma(a1, f0, p1), fma(a2, f0, p2), fma(a3, f0, p3)
            q0, q1, q2, q3 = fma(a0, f1, q0), fma(a1, f1, q1), fma(a2, f1, q2), fma(a3, f1, q3)
        store(out, k, j, p0)
        store(out, k, j + LANES, q0)
        store(out, k + 1, j, p1)
        store(out, k + 1, j + LANES, q1)
        store(out, k + 2, j, p2)
        store(out, k + 2, j + LANES, q2)
        store(out, k + 3, j, p3)
        store(out, k + 3, j + LANES, q3)


@part
def _two_by_two(a, f, out, k, n_statistics, width):
    """Two rows of the product, for sixteen rows of the data at a time."""
    for j in range(0, width, 2 * LANES):
        p0 = p1 = q0 = q1 = splat(0.0)
        for t in range(n_statistics):
            f0, f1 = load(f, t, j), load(f, t, j + LANES)
            a0, a1 = splat(a[k, t]), splat(a[k + 1, t])
            p0, p1, q0, q1 = fma(a0, f0, p0), fma(a1, f0, p1), fma(a0, f1, q0), fma(a1, f1, q1)
        store(out, k, j, p0)
        store(out, k, j + LANES, q0)
        store(out, k + 1, j, p1)
        store(out, k + 1, j + LANES, q1)


@part
def _four(a, f, out, k, n_statistics, first, width):
    """Four rows of the product, for eight rows of the data at a time, from the first on."""
    for j in range(first, width, LANES):
        p0 = p1 = p2 = p3 = splat(0.0)
        for t in range(n_statistics):
            f0 = load(f, t, j)
            p0, p1 = fma(splat(a[k, t]), f0, p0), fma(splat(a[k + 1, t]), f0, p1)
            p2, p3 = fma(splat(a[k + 2, t]), f0, p2), fma(splat(a[k + 3, t]), f0, p3)
        store(out, k, j, p0)
        store(out, k + 1, j, p1)
        store(out, k + 2, j, p2)
        store(out, k + 3, j, p3)


@part
def add_moments(r, f, lanes, width):
    """Add ``r @ f.T`` of a tile, eight sums for each, to `lanes` (even component, 3 n * LANES)."""
    fours = len(r) - len(r) % 4 if WIDE else 0
    for k in range(0, fours, 4):
        for t in range(0, lanes.shape[1] // LANES, 3):
            _add_four_by_three(r, f, lanes, k, t, width)
    for k in range(fours, len(r), 2):
        for t in range(0, lanes.shape[1] // LANES, 3):
            m00 = m01 = m02 = m10 = m11 = m12 = splat(0.0)
            for j in range(0, width, LANES):
                r0, r1 = load(r, k, j), load(r, k + 1, j)
                f0, f1, f2 = load(f, t, j), load(f, t + 1, j), load(f, t + 2, j)
                m00, m01, m02 = fma(r0, f0, m00), fma(r0, f1, m01), fma(r0, f2, m02)
                m10, m11, m12 = fma(r1, f0, m10), fma(r1, f1, m11), fma(r1, f2, m12)
            _add(lanes, k, t, m00, m01, m02)
            _add(lanes, k + 1, t, m10, m11, m12)


@part
def _add_four_by_three(r, f, lanes, k, t, width):
    """Add three sums for each of four components."""
    m00 = m01 = m02 = m10 = m11 = m12 = splat(0.0)
    m20 = m21 = m22 = m30 = m31 = m32 = splat(0.0)
    for j in range(0, width, LANES):
        r0, r1, r2, r3 = load(r, k, j), load(r, k + 1, j), load(r, k + 2, j), load(r, k + 3, j)
        f0, f1, f2 = load(f, t, j), load(f, t + 1, j), load(f, t + 2, j)
        m00, m01, m02 = fma(r0, f0, m00), fma(r0, f1, m01), fma(r0, f2, m02)
        m10, m11, m12 = fma(r1, f0, m10), fma(r1, f1, m11), fma(r1, f2, m12)
        m20, m21, m22 = fma(r2, f0, m20), fma(r2, f1, m21), fma(r2, f2, m22)
        m30, m31, m32 = fma(r3, f0, m30), fma(r3, f1, m31), fma(r3, f2, m32)
    _add(lanes, k, t, m00, m01, m02)
    _add(lanes, k + 1, t, m10, m11, m12)
    _add(lanes, k + 2, t, m20, m21, m22)
    _add(lanes, k + 3, t, m30, m31, m32)


@part
def _add(lanes, k, t, m0, m1, m2):
    """Add three sums to those of the tiles before."""
    j = t * LANES
    store(lanes, k, j, load(lanes, k, j) + m0)
    store(lanes, k, j + LANES, load(lanes, k, j + LANES) + m1)
    store(lanes, k, j + 2 * LANES, load(lanes, k, j + 2 * LANES) + m2)


@part
def total(v):
    """The sum of all lanes."""
    return ((lane(v, 0) + lane(v, 4)) + (lane(v, 2) + lane(v, 6))) + (
        (lane(v, 1) + lane(v, 5)) + (lane(v, 3) + lane(v, 7))
    )


@part
def add_totals(lanes, moments):
    """Add the eight sums of each moment to `moments`, (component, statistic)."""
    for k in range(moments.shape[0]):
        for t in range(moments.shape[1]):
            moments[k, t] += total(load(lanes, k, t * LANES))
