"""k-means||: rows that lie far from the others, however rare, in a few reads of the data."""

from dataclasses import dataclass, replace

import numpy as np

from daskem.data.blocks import WEIGHT, Block, Blocks
from daskem.data.survey import Survey
from daskem.fitting.starts.seeds import completed, kmeans_plus_plus, standardised

# Rounds, each of which reads the data.
ROUNDS = 3
# Rows that one round draws.
DRAWN = 2**11
# A time by which every row has arrived.
_FOREVER = 1e300


def distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distance (sample,) of each row from the nearest of `centres` (component, feature)."""
    nearest = np.full(len(rows), np.inf)
    for centre in centres:
        np.minimum(nearest, np.square(rows - centre).sum(axis=1), out=nearest)
    return nearest


@dataclass(frozen=True)
class Drawn:
    """Rows of some blocks, drawn by weight; those of neighbouring blocks add.

    Attributes
    ----------
    sample : Block
        The rows, with weights and other riders.
    times : ndarray, (sample,)
        When each row arrives, Exp(weight * squared distance); the first to arrive are kept.
    names : ndarray of uint64, (sample,)
        What tells rows apart.
    n_drawn : int
        The most that are kept.
    """

    sample: Block
    times: np.ndarray
    names: np.ndarray
    n_drawn: int

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(
            Block.joined(self.sample, other.sample),
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
        return Drawn(self.sample[first], self.times[first], self.names[first], self.n_drawn)


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
    uniform = (block.hash(seed) + 0.5) / 2.0**64
    rates = block.counts * distances((completed(block.rows, mean) - mean) / scale, centres)
    possible = rates > 0
    times = -np.log(uniform[possible]) / rates[possible]
    drawn = block[possible]
    sample = Block(drawn.rows.astype(np.float64), along={**drawn.along, WEIGHT: drawn.counts})
    return Drawn(sample, times, block.hash(name)[possible], n_drawn)._first()


def oversampled(
    blocks: Blocks, survey: Survey, n_components: int, name: int, rng: np.random.Generator
) -> Survey:
    """The survey with rows in its sample that lie far from the others, however rare (k-means||).

    Each round reads the data once and draws rows by their squared distance from seeds among
    the rows that are known so far (Bahmani et al. 2012). Every row then counts as the inverse of
    the probability that it came into the sample at all (Horvitz and Thompson 1952), so that sums
    over the sample remain unbiased.

    Parameters
    ----------
    blocks : Blocks
    survey : Survey
    n_components : int
        Seeds from which distances are taken.
    name : int
        Seed of the survey's own hash, which tells whether a row is in the sample already.
    rng : numpy Generator
    """
    if len(survey.sample) == survey.n_rows:
        return survey
    mean, scale = standardised(survey.sample)
    sample, names = survey.sample, survey.keys
    missed = np.full(len(sample), 1 - len(sample) / survey.n_rows)
    rounds: list[tuple[np.ndarray, float]] = []
    for _ in range(ROUNDS):
        points = (completed(sample.rows, mean) - mean) / scale
        weights = sample.counts / (1 - missed)
        centres = points[
            kmeans_plus_plus(points, weights, min(n_components, len(sample)), [rng])[0]
        ]
        args = (centres, mean, scale, DRAWN, int(rng.integers(2**63)), name)
        drawn = blocks.sum(draw, *args, name="k-means||")
        rounds.append((centres, drawn.deadline))
        names, kept = np.unique(np.concatenate([names, drawn.names]), return_index=True)
        sample = Block.joined(sample, drawn.sample)[kept]
        missed = np.full(len(sample), 1 - len(survey.sample) / survey.n_rows)
        for centres, deadline in rounds:
            rates = sample.counts * distances(
                (completed(sample.rows, mean) - mean) / scale, centres
            )
            # A centre is never drawn; where all the others were, none of them was missed.
            missed *= np.exp(-rates * deadline)
    order = rng.permutation(len(sample))
    along = {**sample.along, WEIGHT: sample.counts / (1 - missed)}
    return replace(survey, sample=Block(sample.rows, along=along)[order], keys=names[order])
