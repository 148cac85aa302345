"""The softmax of a tile (component, row) on a GPU: a thread for each row and candidate."""

from typing import Any

import cupy

Array = Any  # an array on the device

# exp() of less than NEGLIGIBLE is nothing beside the largest term, as `daskem.core.numerics` has
# it. A NaN makes all of its row NaN.
_CODE = r"""
#define NEGLIGIBLE -300.0

__device__ double above(const double x, const double peak) {
    const double apart = x - peak;
    return exp(apart < NEGLIGIBLE ? NEGLIGIBLE : apart);
}

extern "C" __global__ void normalise(
    double* joint, double* log_prob, const double* weights, const long long* bounds,
    const long long n
) {
    const long long row = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n) return;
    const long long low = bounds[blockIdx.y] * n + row, high = bounds[blockIdx.y + 1] * n + row;
    double peak = joint[low], total = 0.0;
    #pragma unroll 8
    for (long long at = low + n; at < high; at += n) peak = fmax(peak, joint[at]);
    #pragma unroll 8
    for (long long at = low; at < high; at += n) total += above(joint[at], peak);
    log_prob[blockIdx.y * n + row] = peak + log(total);
    const double factor = weights[row] / total;
    #pragma unroll 8
    for (long long at = low; at < high; at += n) joint[at] = above(joint[at], peak) * factor;
}
"""
_THREADS = 128
_normalise = cupy.RawKernel(_CODE, "normalise")


def normalise(joint: Array, weights: Array, bounds: Array) -> Array:
    """Joint log-densities to weighted responsibilities, in place; log p(x), (candidate, row)."""
    n, n_candidates = joint.shape[1], len(bounds) - 1
    log_prob = cupy.empty((n_candidates, n))
    blocks = (-(-n // _THREADS), n_candidates)
    _normalise(blocks, (_THREADS,), (joint, log_prob, weights, bounds, cupy.int64(n)))
    return log_prob
