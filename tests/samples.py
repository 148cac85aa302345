"""Data that several files of tests share."""

import dask.array as da
import numpy as np

from daskem.models import Mixture


def overlapping(n=20_000, seed=0, d=2):
    """Five overlapping clusters, (sample, feature)."""
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.normal(size=(5, d))
    return centres[rng.integers(5, size=n)] + rng.normal(size=(n, d))


def scattered(n=400, d=2, groups=3):
    """Overlapping groups of different widths, (sample, feature)."""
    rng = np.random.default_rng(0)
    group, scales = rng.integers(groups, size=n), rng.uniform(0.3, 2.0, (groups, d))
    return 2 * rng.normal(size=(groups, d))[group] + scales[group] * rng.normal(size=(n, d))


def planted(k, d=2, n=2000, seed=0, apart=6.0):
    """`k` round clusters whose centres lie at least `apart` standard deviations apart."""
    rng = np.random.default_rng([k, d, seed])
    centres = np.empty((0, d))
    while len(centres) < k:
        new = apart * k ** (1 / d) * rng.uniform(-1, 1, size=d)
        if not len(centres) or np.linalg.norm(centres - new, axis=1).min() > apart:
            centres = np.vstack([centres, new])
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def chunked(rows, size=150):
    """A Dask array with, for the rows of most tests, more chunks than the tree joins at a time."""
    return da.from_array(rows, chunks=(size, -1))


def counting(rows, chunk, calls, lock):
    """A Dask array whose chunks count how often they are made."""

    def made(block, block_info=None):
        with lock:
            calls[block_info[None]["chunk-location"]] += 1
        return block

    return da.map_blocks(made, da.from_array(rows, (chunk, -1)), dtype=rows.dtype, meta=rows[:0])


def count_rows(monkeypatch, k=None):
    """A list of one number: how many rows mixtures have taken through E steps since.

    With `k`, in rows of so many components.
    """

    def size(params):
        return 1 if k is None else len(params["weights"]) / k

    counted, e_steps, posterior = [0], Mixture.e_steps, Mixture.posterior

    def counting_e_steps(self, block, candidates):
        counted[0] += len(block) * sum(map(size, candidates))
        return e_steps(self, block, candidates)

    def counting_posterior(self, block, params):
        counted[0] += len(block) * size(params)
        return posterior(self, block, params)

    monkeypatch.setattr(Mixture, "e_steps", counting_e_steps)
    monkeypatch.setattr(Mixture, "posterior", counting_posterior)
    return counted
