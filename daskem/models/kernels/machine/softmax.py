"""The softmax of a tile, (component, row), and the logarithm of its sums."""

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.exponentials import exp, log
from daskem.models.kernels.machine.products import total
from daskem.models.kernels.machine.vectors import LANES, fma, load, splat, store

# As `daskem.core.numerics` has it: exp() of less is nothing beside the largest term.
_NEGLIGIBLE = -300.0
# Sums, each no more than the number of components, whose product cannot overflow.
_TOGETHER = 16


@part
def normalise(joint, low, high, width, spare):
    """Joint log-densities of a candidate, rows `low` to `high`, to responsibilities times weights.

    Row 2 of `spare` (4, row) has the weights; row 0 is to be the peaks, and row 1 the sums of
    ``exp(joint - peak)``.
    """
    for j in range(0, width, LANES):
        peak = load(joint, low, j)
        for k in range(low + 1, high):
            peak = max(peak, load(joint, k, j))
        sums = splat(0.0)
        for k in range(low, high):
            e = exp(max(load(joint, k, j) - peak, splat(_NEGLIGIBLE)))
            store(joint, k, j, e)
            sums = sums + e
        store(spare, 0, j, peak)
        store(spare, 1, j, sums)
        factor = load(spare, 2, j) / sums
        for k in range(low, high):
            store(joint, k, j, load(joint, k, j) * factor)


@part
def log_likelihood(n, width, weighted, spare):
    """The sum of log p(x) over `n` rows, by their weights."""
    for j in range(n, width):
        spare[0, j], spare[1, j] = 0.0, 1.0
    logs = splat(0.0)
    if weighted:
        for j in range(0, width, LANES):
            logs = fma(load(spare, 2, j), load(spare, 0, j) + log(load(spare, 1, j)), logs)
        return total(logs)
    # One logarithm for many rows.
    for first in range(0, width, _TOGETHER * LANES):
        sums = splat(1.0)
        last = first + _TOGETHER * LANES
        for j in range(first, last if last < width else width, LANES):
            sums = sums * load(spare, 1, j)
            logs = logs + load(spare, 0, j)
        logs = logs + log(sums)
    return total(logs)
