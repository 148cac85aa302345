"""The two products of an E step, on a tile, by hand.

    joint    (component, row)        = natural @ features
    moments  (component, statistic) += responsibilities @ features.T

The order of every sum is written here: the same bits on any processor. Rows are made in pairs, so
that there is an even number of them.
"""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.patches import contracted, multiplied
from daskem.models.kernels.machine.vectors import LANES, WIDE, lane, load

# Patches, of which the sums of the first one fill three quarters of the registers, two for each
# vector where these are not wide. The others take the rows that it leaves.
_HIGH, _WIDTH, _LOW_WIDTH = (8, 3, 3) if WIDE else (6, 1, 2)
_WIDE, _LOW_WIDE = _WIDTH * LANES, _LOW_WIDTH * LANES
_high, _high_slim = multiplied(_HIGH, _WIDTH), multiplied(_HIGH, 1)
_middle, _middle_slim = multiplied(4, _WIDTH), multiplied(4, 1)
_low, _low_slim = multiplied(2, _LOW_WIDTH), multiplied(2, 1)
_four, _two = contracted(4, 3), contracted(2, 3)


@part
def multiply(a, first, n, b, width, out, more):
    """Write ``a[:, first : first + n] @ b[:n, :width]`` into `out`, or add it to what is in there.

    Of a an even number of rows, and a width of whole vectors. `first` and `more` are to be typed:
    of each literal numba makes a function of its own.
    """
    high, wide = len(a) - len(a) % _HIGH, width - width % _WIDE
    middle, low_wide = len(a) - (len(a) - high) % 4, width - width % _LOW_WIDE
    for i in range(0, high, _HIGH):
        for j in range(0, wide, _WIDE):
            _high(a, i, first, n, b, j, out, more)
        for j in range(wide, width, LANES):
            _high_slim(a, i, first, n, b, j, out, more)
    for i in range(high, middle, 4):
        for j in range(0, wide, _WIDE):
            _middle(a, i, first, n, b, j, out, more)
        for j in range(wide, width, LANES):
            _middle_slim(a, i, first, n, b, j, out, more)
    for i in range(middle, len(a), 2):
        for j in range(0, low_wide, _LOW_WIDE):
            _low(a, i, first, n, b, j, out, more)
        for j in range(low_wide, width, LANES):
            _low_slim(a, i, first, n, b, j, out, more)


@part
def add_moments(r, f, lanes, width):
    """Add ``r @ f.T`` of a tile, eight sums for each, to `lanes` (even component, 3 n * LANES)."""
    fours = len(r) - len(r) % 4 if WIDE else 0
    for t in range(0, lanes.shape[1] // LANES, 3):
        for k in range(0, fours, 4):
            _four(r, k, f, t, width, lanes)
        for k in range(fours, len(r), 2):
            _two(r, k, f, t, width, lanes)


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
