"""Where a fit begins: components around rows that lie far from one another."""

from typing import Any

import numpy as np

from daskem.blocks.block import Block
from daskem.errors import DataError
from daskem.parameters import Params


def kmeans_plus_plus(
    rows: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next one is drawn with probability proportional to its squared distance from those
    chosen, the best of a few draws; from all rows alike once every distinct row is taken.
    """
    n_trials = 2 + int(np.log(n_components))
    chosen = [int(rng.choice(len(rows), p=weights / weights.sum()))]
    distance = np.square(rows - rows[chosen[0]]).sum(axis=1)
    for _ in range(1, n_components):
        potential = weights * distance
        total = potential.sum()
        p = potential / total if total > 0 else weights / weights.sum()
        trials = rng.choice(len(rows), size=n_trials, p=p)
        distances = [
            np.minimum(distance, np.square(rows - rows[trial]).sum(axis=1)) for trial in trials
        ]
        best = int(np.argmin([weights @ d for d in distances]))
        chosen.append(int(trials[best]))
        distance = distances[best]
    return np.array(chosen)


def random_rows(
    rows: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) drawn at random, without replacement."""
    return rng.choice(len(rows), size=n_components, replace=False, p=weights / weights.sum())


SEEDERS = {"k-means++": kmeans_plus_plus, "random_from_data": random_rows}


def begin(
    model: Any,
    rows: np.ndarray,
    weights: np.ndarray,
    n_components: int,
    rng: np.random.Generator,
    init_params: str = "k-means++",
) -> Params:
    """Params of a mixture whose components are the rows nearest to each of `n_components` seeds.

    Parameters
    ----------
    model : Mixture
    rows, weights : ndarray, (sample, feature) and (sample,)
        A sample of the data.
    n_components : int
    rng : numpy Generator
    init_params : {"k-means++", "random_from_data"}
    """
    if len(rows) < n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {len(rows)}"
        )
    # Whitening would hide the very directions in which the components lie apart, so distances
    # are taken between features that are scaled one by one.
    points = rows - np.average(rows, axis=0, weights=weights)
    spread = np.sqrt(np.average(np.square(points), axis=0, weights=weights))
    points /= np.where(spread > 0, spread, 1.0)
    seeds = SEEDERS[init_params](points, weights, n_components, rng)
    distances = np.stack([np.square(points - seed).sum(axis=1) for seed in points[seeds]])
    centres = model.coordinates(rows[seeds])
    return model.from_labels(Block(rows, weights), distances.argmin(axis=0), centres)
