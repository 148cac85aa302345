"""The sweep of the product form, see `daskem.models.kernels.product`, on a GPU.

Both products are cuBLAS's, in float64, and everything runs in one stream in the order of the tiles:
the same bits on any device of a kind. Rows that the form is not accurate for have weight 0 here,
and are told of.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cupy
import numpy as np

from daskem.core.frames import Frame
from daskem.models.kernels.arguments import Natural, Sums, Task
from daskem.models.kernels.device.softmax import normalise
from daskem.models.kernels.terms import Terms

# Bytes of a tile, with all that is computed of it: enough to fill any device.
_MOST_BYTES = 2**30
# Tiles that share the memory of a device: those of the threads of a few processes.
_SHARES = 64
# Tiles that the device may be behind, each of whose rows wait for it in memory of the host.
_BEHIND = 2

Array = Any  # an array on the device


class Tile(NamedTuple):
    """Some rows, on the device."""

    span: slice
    features: Array  # (statistic, row)
    weights: Array  # (row,)
    careful: Array  # bool, (row,)


def sweep(
    rows: np.ndarray, weights: np.ndarray | None, frame: Frame | None, form: Natural, task: Task
) -> Sums:
    """Do a task for all rows of a block, but for those that need care."""
    made, careful = DeviceSums(form, rows.shape[1]), [np.empty(0, bool)]
    behind: list[Any] = []
    for tile in tiles(rows, weights, frame, form):
        if task.out.size:
            _write(tile, form, made, task)
        else:
            made.add(tile, members(tile, made, task))
        careful.append(tile.careful)
        behind.append(cupy.cuda.get_current_stream().record())
        if len(behind) > _BEHIND:
            behind.pop(0).synchronize()
    return made.on_host(np.concatenate([cupy.asnumpy(part) for part in careful]))


def tile_width(n_statistics: int, n_components: int, n_features: int) -> int:
    """Rows of a tile, by the sizes of the model and the memory of the device, free or not."""
    row = 8 * (n_statistics + n_components + 4 * n_features)
    memory = cupy.cuda.Device().mem_info[1] // _SHARES
    return int(max(min(_MOST_BYTES, memory) // row // 256, 1) * 256)


def tiles(
    rows: np.ndarray, weights: np.ndarray | None, frame: Frame | None, form: Natural
) -> Iterator[Tile]:
    """The rows of a block, in the frame, some at a time."""
    (n, d), (n_components, n_statistics) = rows.shape, form.natural.shape
    width = tile_width(n_statistics, n_components, d)
    origin = cupy.asarray(np.zeros(d) if frame is None else frame.origin)
    linear = cupy.asarray(np.ones(d) if frame is None else frame.linear)
    kind = np.float32 if rows.dtype == np.float32 else np.float64
    for first in range(0, n, width):
        span = slice(first, min(first + width, n))
        size = span.stop - first
        # What travels is as narrow as it was; float64 less float32 is float64.
        u = cupy.asarray(np.ascontiguousarray(rows[span], kind)) - origin
        f = cupy.empty((n_statistics, size))
        f[0], z = 1.0, f[1 : 1 + d]
        if linear.ndim > 1:
            cupy.dot(linear, u.T, out=z)
        else:
            cupy.multiply(u.T, linear[:, None], out=z)
        careful = ~(cupy.square(z).sum(axis=0) <= form.most)  # True for NaN
        _add_features(form.terms, z, f[1 + d :])
        of_rows = np.ones(size) if weights is None else weights[span]
        counts = cupy.where(careful, 0.0, cupy.asarray(of_rows, dtype=np.float64))
        yield Tile(span, f, counts, careful)


def _add_features(terms: int, z: Array, out: Array) -> None:
    """Write the second-order features of `z` (feature, row)."""
    if terms == Terms.PRODUCTS:
        first = 0
        for i in range(len(z)):
            last = first + len(z) - i
            cupy.multiply(z[i], z[i:], out=out[first:last])
            first = last
    elif terms == Terms.SQUARES:
        cupy.square(z, out=out)
    elif terms == Terms.NORM:
        out[0] = cupy.square(z).sum(axis=0)


class DeviceSums:
    """What a sweep adds up, on the device, and what it takes for that."""

    def __init__(self, form: Natural, d: int) -> None:
        self.natural, self.bounds = cupy.asarray(form.natural), cupy.asarray(form.bounds)
        self.log_likelihoods = cupy.zeros(len(form.bounds) - 1)
        self.moments = cupy.zeros(form.natural.shape)
        self.squares = cupy.zeros((d, d) if form.pooled else (0, 0))

    def log_joint(self, tile: Tile) -> Array:
        return cupy.dot(self.natural, tile.features)

    def add(self, tile: Tile, r: Array) -> None:
        """Add the moments of a tile with weighted responsibilities (component, row)."""
        self.moments += cupy.dot(r, tile.features.T)
        if self.squares.size:
            z = tile.features[1 : 1 + len(self.squares)]
            self.squares += cupy.dot(z * tile.weights, z.T)

    def on_host(self, careful: np.ndarray) -> Sums:
        log_likelihoods = cupy.asnumpy(self.log_likelihoods)
        moments, squares = cupy.asnumpy(self.moments), cupy.asnumpy(self.squares)
        return Sums(log_likelihoods, moments, squares, careful)


def members(tile: Tile, made: DeviceSums, task: Task) -> Array:
    """Weighted responsibilities (component, row): of an E step, or known before."""
    if len(task.labels):
        components = cupy.arange(len(made.natural))[:, None]
        labels = cupy.asarray(task.labels[tile.span])
        return cupy.where(labels == components, tile.weights, 0.0)
    if task.shares.size:
        return cupy.asarray(np.ascontiguousarray(task.shares[:, tile.span])) * tile.weights
    joint = made.log_joint(tile)
    log_prob = normalise(joint, tile.weights, made.bounds)
    made.log_likelihoods += (log_prob * tile.weights).sum(axis=1)
    return joint


def _write(tile: Tile, form: Natural, made: DeviceSums, task: Task) -> None:
    """Write joint log-densities, or responsibilities and log p(x), where the task says."""
    joint = made.log_joint(tile)
    if len(task.log_prob):
        (log_prob,) = normalise(joint, cupy.ones_like(tile.weights), made.bounds)
        task.log_prob[tile.span] = cupy.asnumpy(log_prob)
    task.out[:, tile.span] = cupy.asnumpy(joint)
