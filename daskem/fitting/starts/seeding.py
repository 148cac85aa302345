"""Seeds: rows that lie far from one another, around which a mixture starts its components."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from daskem.data.blocks import Block, Survey

# Rounds of k-means||, a read of the data each, and the rows that one of them draws.
ROUNDS, DRAWN = 3, 2**11
_FOREVER = 1e300


def kmeans_plus_plus(
    points: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next one is drawn with probability proportional to its squared distance from those
    chosen, the best of a few draws; from all rows alike once every distinct row is taken.
    """
    n_trials = 2 + int(np.log(n_components))
    chosen = [int(rng.choice(len(points), p=weights / weights.sum()))]
    distance = cdist(points[chosen], points, "sqeuclidean")[0]
    for _ in range(1, n_components):
        potential = weights * distance
        total = potential.sum()
        p = potential / total if total > 0 else weights / weights.sum()
        trials = rng.choice(len(points), size=n_trials, p=p)
        distances = np.minimum(distance, cdist(points[trials], points, "sqeuclidean"))
        best = int(np.argmin([weights @ d for d in distances]))
        chosen.append(int(trials[best]))
        distance = distances[best]
    return np.array(chosen)


def random_rows(
    points: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) drawn at random, without replacement."""
    return rng.choice(len(points), size=n_components, replace=False, p=weights / weights.sum())


SEEDERS = {
    "k-means++": kmeans_plus_plus,
    "random_from_data": random_rows,
    "k-means||": kmeans_plus_plus,
}


def distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distance (sample,) of each row from the nearest of `centres` (component, feature)."""
    nearest = np.full(len(rows), np.inf)
    for centre in centres:
        np.minimum(nearest, np.square(rows - centre).sum(axis=1), out=nearest)
    return nearest


@dataclass(frozen=True)
class Drawn:
    """Rows of a run of blocks, drawn by weight; those of neighbouring runs add.

    Attributes
    ----------
    rows, weights : ndarray, (sample, feature) and (sample,)
    times : ndarray, (sample,)
        When each row arrives, Exp(weight * squared distance); the first to arrive are kept.
    names : ndarray of uint64, (sample,)
        What tells rows apart.
    n_drawn : int
        The most that are kept.
    """

    rows: np.ndarray
    weights: np.ndarray
    times: np.ndarray
    names: np.ndarray
    n_drawn: int

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.names, other.names]),
            self.n_drawn,
        )._first()

    @property
    def deadline(self) -> float:
        """The time by which the rows have arrived that were kept; all of them, if there is room."""
        return float(self.times[-1]) if len(self.times) == self.n_drawn else _FOREVER

    def _first(self) -> "Drawn":
        first = np.argsort(self.times, kind="stable")[: self.n_drawn]
        return Drawn(
            self.rows[first],
            self.weights[first],
            self.times[first],
            self.names[first],
            self.n_drawn,
        )


def draw(
    block: Block,
    centres: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    n_drawn: int,
    seed: int,
    name: int,
) -> Drawn:
    """Draw rows with probability proportional to their squared distance from `centres`.

    A race of exponential times needs to know neither the number of rows nor the sum of the
    distances beforehand (Efraimidis and Spirakis 2006), so that a round is one read of the data.
    """
    weights = np.ones(len(block)) if block.weights is None else block.weights
    uniform = (block.hash(seed) + 0.5) / 2.0**64
    rates = weights * distances((block.rows - mean) / scale, centres)
    there = rates > 0
    times = -np.log(uniform[there]) / rates[there]
    names = block.hash(name)[there]
    rows = block.rows[there].astype(np.float64)
    return Drawn(rows, weights[there], times, names, n_drawn)._first()


def oversampled(
    blocks: Any, seen: Survey, n_components: int, name: int, rng: np.random.Generator
) -> Survey:
    """The survey with rows in its sample that lie far from the others, however rare (k-means||).

    Each round reads the data once and draws rows by their squared distance from seeds among
    the rows that are known so far (Bahmani et al. 2012). Every row then counts as the inverse of
    the probability that it came into the sample at all (Horvitz and Thompson 1952), so that sums
    over the sample remain unbiased.

    Parameters
    ----------
    blocks : LocalBlocks or DaskBlocks
    seen : Survey
    n_components : int
        Seeds from which distances are taken.
    name : int
        Seed of the survey's own hash, which tells whether a row is in the sample already.
    rng : numpy Generator
    """
    if len(seen.sample) == seen.n_rows:
        return seen
    mean, scale = standardised(seen.sample, seen.sample_weights)
    rows, counts, names = seen.sample, seen.sample_weights, seen.keys
    missed = np.full(len(rows), 1 - len(rows) / seen.n_rows)
    rounds: list[tuple[np.ndarray, float]] = []
    for _ in range(ROUNDS):
        points, weights = (rows - mean) / scale, counts / (1 - missed)
        centres = points[kmeans_plus_plus(points, weights, min(n_components, len(rows)), rng)]
        args = (centres, mean, scale, DRAWN, int(rng.integers(2**63)), name)
        drawn = blocks.sum(draw, *args, name="k-means||")
        rounds.append((centres, drawn.deadline))
        names, kept = np.unique(np.concatenate([names, drawn.names]), return_index=True)
        rows = np.concatenate([rows, drawn.rows])[kept]
        counts = np.concatenate([counts, drawn.weights])[kept]
        missed = np.full(len(rows), 1 - len(seen.sample) / seen.n_rows)
        for centres, deadline in rounds:
            rates = counts * distances((rows - mean) / scale, centres)
            # A centre is never drawn; where all the others were, none of them was missed.
            missed *= np.exp(-rates * deadline)
    order = rng.permutation(len(rows))
    weights = counts / (1 - missed)
    return replace(seen, sample=rows[order], sample_weights=weights[order], keys=names[order])


def standardised(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every feature (feature,), the latter 1 where it is 0.

    Whitening would hide the very directions in which the components lie apart, so distances are
    taken between features that are scaled one by one.
    """
    mean = np.average(rows, axis=0, weights=weights)
    spread = np.sqrt(np.average(np.square(rows - mean), axis=0, weights=weights))
    return mean, np.where(spread > 0, spread, 1.0)
