"""Seeds: rows that lie far from one another, around which a mixture starts its components."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

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

# Numbers that trials side by side take at a time, as many trials as this leaves room for.
_MOST_NUMBERS = 2**20

# The rows (trial, component) that are seeds: each trial draws from its generator, in their order.
Seeder = Callable[[np.ndarray, np.ndarray, int, Sequence[np.random.Generator]], np.ndarray]


def kmeans_plus_plus(
    points: np.ndarray,
    weights: np.ndarray,
    n_components: int,
    rngs: Sequence[np.random.Generator],
) -> np.ndarray:
    """Rows (trial, component) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next one is drawn with probability proportional to its squared distance from those
    chosen, the best of a few draws; from all rows alike once every distinct row is taken.
    """
    n_draws, seeds = _n_draws(n_components), []
    dice = np.stack([rng.random(1 + (n_components - 1) * n_draws) for rng in rngs])
    for some in _side_by_side(dice, len(points) * n_draws):
        first = _drawn(np.broadcast_to(weights, (len(some), len(weights))), some[:, :1])
        distance = cdist(points[first[:, 0]], points, "sqeuclidean")
        next_dice = some[:, 1:].reshape(len(some), n_components - 1, n_draws)
        others = _greedy(points, weights, distance, next_dice)
        seeds.append(np.concatenate([first, others], axis=1))
    return np.concatenate(seeds)


def seeds_beside(
    points: np.ndarray,
    weights: np.ndarray,
    centres: np.ndarray,
    n_seeds: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Rows (seed,) chosen as by k-means++ after `centres` (component, feature)."""
    distance = cdist(centres, points, "sqeuclidean").min(axis=0)
    dice = rng.random((1, n_seeds, _n_draws(len(centres) + n_seeds)))
    return _greedy(points, weights, distance[None], dice)[0]


def _n_draws(n_components: int) -> int:
    return 2 + int(np.log(n_components))


def _greedy(
    points: np.ndarray, weights: np.ndarray, distance: np.ndarray, dice: np.ndarray
) -> np.ndarray:
    """Rows (trial, seed) beside others at a squared distance (trial, sample), by throws of dice
    (trial, seed, draw).
    """
    chosen, trials = np.empty(dice.shape[:2], np.intp), np.arange(len(dice))
    for number in range(dice.shape[1]):
        potential = weights * distance
        potential[~potential.any(axis=1)] = weights
        drawn = _drawn(potential, dice[:, number])
        distances = cdist(points[drawn.ravel()], points, "sqeuclidean")
        distances = np.minimum(distance[:, None], distances.reshape(*drawn.shape, -1))
        best = (distances @ weights).argmin(axis=1)
        chosen[:, number], distance = drawn[trials, best], distances[trials, best]
    return chosen


def _drawn(potential: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """Rows (trial, draw) as likely as they have of a potential (trial, sample)."""
    reached = potential.cumsum(axis=1)
    reached /= reached[:, -1:]
    pairs = zip(reached, dice, strict=True)
    return np.stack([of_trial.searchsorted(thrown, "right") for of_trial, thrown in pairs])


def random_rows(
    points: np.ndarray,
    weights: np.ndarray,
    n_components: int,
    rngs: Sequence[np.random.Generator],
) -> np.ndarray:
    """Rows (trial, component) drawn at random, without replacement."""
    n, p = len(points), weights / weights.sum()
    return np.stack([rng.choice(n, size=n_components, replace=False, p=p) for rng in rngs])


class Partitions(NamedTuple):
    """Partitions by k-means.

    Attributes
    ----------
    labels : ndarray of int, (trial, sample)
    centres : ndarray, (trial, component, feature)
        The means of their rows.
    inertias : ndarray, (trial,)
    """

    labels: np.ndarray
    centres: np.ndarray
    inertias: np.ndarray


def lloyd(
    points: np.ndarray, weights: np.ndarray, centres: np.ndarray, n_rounds: int = MOST_ROUNDS
) -> Partitions:
    """Partitions by k-means from `centres`, (trial, component, feature).

    Lloyd's iterations, so many at most: each row to the nearest centre, each centre to the mean of
    its rows; one that has none stays.
    """
    parts = _side_by_side(centres, len(points) * centres.shape[1])
    made = [_lloyd(points, weights, some, n_rounds) for some in parts]
    return Partitions(*map(np.concatenate, zip(*made, strict=True)))


def _lloyd(
    points: np.ndarray, weights: np.ndarray, centres: np.ndarray, n_rounds: int
) -> Partitions:
    """The same of all trials at a time."""
    centres, moving = centres.copy(), np.arange(len(centres))
    members = np.zeros((*centres.shape[:2], len(points)), bool)
    for _ in range(n_rounds):
        moved = centres[moving]
        closeness = moved @ points.T
        closeness -= np.square(moved).sum(axis=2)[:, :, None] / 2
        nearest = _first_largest(closeness)
        changed = (nearest != members[moving]).any(axis=(1, 2))
        moving, nearest = moving[changed], nearest[changed]
        if not len(moving):
            break
        members[moving] = nearest
        counts = nearest * weights
        totals = counts.sum(axis=2, keepdims=True)
        means = counts @ points / np.where(totals > 0, totals, 1.0)
        centres[moving] = np.where(totals > 0, means, moved[changed])
    labels = members.argmax(axis=1)
    ways = points - np.take_along_axis(centres, labels[:, :, None], axis=1)
    return Partitions(labels, centres, np.square(ways).sum(axis=2) @ weights)


def _first_largest(values: np.ndarray) -> np.ndarray:
    """Which component has the largest value of each row, bool (trial, component, sample)."""
    # NumPy's argmax takes eight times as long as this, but knows what to do where some are equal.
    largest = values == values.max(axis=1, keepdims=True)
    if np.count_nonzero(largest) == values[:, 0].size:
        return largest
    return values.argmax(axis=1)[:, None] == np.arange(values.shape[1])[:, None]


def _side_by_side(trials: np.ndarray, n_numbers: int) -> list[np.ndarray]:
    """Parts of some trials, each of which takes so many numbers."""
    n = max(_MOST_NUMBERS // n_numbers, 1)
    return [trials[i : i + n] for i in range(0, len(trials), n)]


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
    counts = sample.counts
    mean = np.einsum("i,ij->j", counts, sample.rows) / counts.sum()
    centred = sample.rows - mean
    deviation = np.sqrt(np.einsum("i,ij,ij->j", counts, centred, centred) / counts.sum())
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
