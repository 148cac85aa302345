"""Seeds: rows that lie far from one another, around which a mixture starts its components."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from daskem.data.blocks import Block
from daskem.data.survey.far import far_in
from daskem.data.survey.moments import available_moments

# The share of the rows in the densest interval of a feature, and how wide it is for a normal one.
_DENSEST = 0.2
_WIDTH = 2 * float(ndtri((1 + _DENSEST) / 2))
# Rounds of k-means, at most: EM goes on from there in any case.
MOST_ROUNDS = 30

Seeder = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]


def kmeans_plus_plus(
    points: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next one is drawn with probability proportional to its squared distance from those
    chosen, the best of a few draws; from all rows alike once every distinct row is taken.
    """
    first = int(rng.choice(len(points), p=weights / weights.sum()))
    others = seeds_beside(points, weights, points[[first]], n_components - 1, rng)
    return np.array([first, *others])


def seeds_beside(
    points: np.ndarray,
    weights: np.ndarray,
    centres: np.ndarray,
    n_seeds: int,
    rng: np.random.Generator,
) -> list[int]:
    """Indices of rows (seed,) chosen as by k-means++ after `centres` (component, feature)."""
    n_trials, chosen = 2 + int(np.log(len(centres) + n_seeds)), list[int]()
    distance = cdist(centres, points, "sqeuclidean").min(axis=0)
    for _ in range(n_seeds):
        potential = weights * distance
        total = potential.sum()
        p = potential / total if total > 0 else weights / weights.sum()
        trials = rng.choice(len(points), size=n_trials, p=p)
        distances = np.minimum(distance, cdist(points[trials], points, "sqeuclidean"))
        best = int(np.argmin([weights @ d for d in distances]))
        chosen.append(int(trials[best]))
        distance = distances[best]
    return chosen


def random_rows(
    points: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) drawn at random, without replacement."""
    return rng.choice(len(points), size=n_components, replace=False, p=weights / weights.sum())


def lloyd(points: np.ndarray, weights: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, float]:
    """The partition (sample,) of k-means from `centres` (component, feature), and its inertia.

    Lloyd's iterations: each row to the nearest centre, each centre to the mean of its rows; one
    that has none stays.
    """
    labels = np.full(len(points), -1)
    for _ in range(MOST_ROUNDS):
        closeness = points @ centres.T - np.square(centres).sum(axis=1) / 2
        before, labels = labels, closeness.argmax(axis=1)
        if (labels == before).all():
            break
        members = (labels == np.arange(len(centres))[:, None]) * weights
        totals = members.sum(axis=1, keepdims=True)
        means = members @ points / np.where(totals > 0, totals, 1.0)
        centres = np.where(totals > 0, means, centres)
    return labels, float(weights @ np.square(points - centres[labels]).sum(axis=1))


SEEDERS: dict[str, Seeder] = {
    "k-means++": kmeans_plus_plus,
    "random_from_data": random_rows,
    "k-means||": kmeans_plus_plus,
}


def standardised(sample: Block) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every feature (feature,), the latter 1 where it is 0.

    Whitening would hide the very directions in which the components lie apart, so distances are
    taken between features that are scaled one by one. Values far from all others have no part in
    it: beside a fill value of 1e20 all other rows would be one point.
    """
    far, present = far_in(sample), ~np.isnan(sample.rows)
    if far is not None or not present.all():
        mean, covariance = (
            available_moments(sample, present) if far is None else far.moments(sample)
        )
        deviation = np.sqrt(np.diagonal(covariance))
        return mean, np.where(deviation > 0, deviation, 1.0)
    mean = np.average(sample.rows, axis=0, weights=sample.counts)
    squares = np.square(sample.rows - mean)
    deviation = np.sqrt(np.average(squares, axis=0, weights=sample.counts))
    return mean, np.where(deviation > 0, deviation, 1.0)


def completed(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Rows (sample, feature) with the mean of each feature where they lack it.

    A rough guess, from which distances are taken; fits know that it is none of the data.
    """
    absent = np.isnan(rows)
    return np.where(absent, mean, rows) if absent.any() else rows


def denser(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standardised points (sample, feature), in units of the densest interval of each feature.

    Where a feature has several clusters, its standard deviation has their distances in it, which
    are hidden that way among many features of no clusters. The interval lies within one of them.
    A feature most of whose values are one stays as it is.
    """
    widths = np.array([_densest(column, weights) for column in points.T]) / _WIDTH
    return points / np.where(widths > 0, widths, 1.0)


def _densest(values: np.ndarray, weights: np.ndarray) -> float:
    """The width of the shortest interval that has a share of the rows."""
    order = values.argsort(kind="stable")
    values, reached = values[order], weights[order].cumsum()
    last = np.searchsorted(reached, reached + _DENSEST * reached[-1] * (1 - 1e-9))
    inside = last < len(values)
    return float((values[last[inside]] - values[inside]).min())
