"""The second product of a small E step, on a tile, by hand.

    moments  (component, statistic) += responsibilities @ features.T

The order of every sum is written here: the same bits on any processor. Rows are made in pairs, so
that there is an even number of them.
"""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.vectors import LANES, WIDE, fma, lane, load, splat, store


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
