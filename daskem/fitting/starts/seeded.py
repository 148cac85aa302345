"""Params that a model makes of rows around seeds, beside those that a person gives."""

import numpy as np
from scipy.spatial.distance import cdist

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.settings import whole
from daskem.data.blocks import Block
from daskem.errors import DataError, ParameterError
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.given import Start, given_params
from daskem.fitting.starts.seeding import SEEDERS, lloyd, standardised
from daskem.models.protocol import Declares, Starts, allowed

# Partitions by k-means from other seeds, of which the best is taken: a single one leaves a cluster
# without a seed, or two with one, in every third or fourth sample.
_PARTITIONS = 4


@one_blas_thread()
def begin(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params to start from, in the coordinates of the model: given ones, the others seeded.

    Raises
    ------
    ParameterError
        If `start` does not suit the model or the data, or nothing says how many components.
    """
    model = first.model
    known = given_params(model, start, len(first.survey.mean), n_components)
    if not isinstance(model, Declares):
        return known
    if set(known) == set(model.parameters):
        return allowed(model, known)
    if n_components is None or not isinstance(model, Starts):
        missing = sorted(set(model.parameters) - set(known))
        raise ParameterError(f"pass n_components, or start with {missing} in it")
    k = whole("n_components", n_components)
    seeded = seeded_params(model, first.survey.sample, k, init_params, rng)
    return allowed(model, Params({**seeded, **known}))


def seeded_params(
    model: Starts, sample: Block, n_components: int, init_params: str, rng: np.random.Generator
) -> Params:
    """The M step for rows of a sample, each of which belongs to the nearest of some seeds."""
    points = _points(sample, n_components)
    seeds = SEEDERS[init_params](points, sample.counts, n_components, rng)
    nearest = cdist(points, points[seeds], "sqeuclidean").argmin(axis=1)
    return model.from_labels(sample, nearest, sample.rows[seeds])


def partitioned_params(
    model: Starts, sample: Block, n_components: int, init_params: str, rng: np.random.Generator
) -> Params:
    """The M step for the best of some partitions of a sample by k-means, each from other seeds."""
    points = _points(sample, n_components)
    trials = []
    for _ in range(_PARTITIONS):
        seeds = SEEDERS[init_params](points, sample.counts, n_components, rng)
        trials.append((seeds, *lloyd(points, sample.counts, points[seeds])))
    seeds, labels, _ = min(trials, key=lambda trial: trial[2])
    return model.from_labels(sample, labels, sample.rows[seeds])


def _points(sample: Block, n_components: int) -> np.ndarray:
    """The rows of a sample with every feature standardised, (sample, feature)."""
    if len(sample) < n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {len(sample)}"
        )
    mean, scale = standardised(sample)
    return (sample.rows - mean) / scale
