"""The first read of the data: how many rows, whether all can be used, where they lie, a sample."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from daskem.core.brief import Brief
from daskem.core.resolution import Resolution
from daskem.data.blocks.block import WEIGHT, Block
from daskem.data.survey.domain import Domain
from daskem.data.survey.extremes import Extremes, extremes
from daskem.data.survey.far import Far, judged
from daskem.data.survey.fingerprint import fingerprint
from daskem.data.survey.labelled import Labelled, labelled
from daskem.data.survey.levels import Levels, levels
from daskem.data.survey.machines import Machines
from daskem.data.survey.moments import Moments, available_moments, moments
from daskem.data.survey.outermost import Outermost, outermost

# Rows of a sample: enough to start from, and few enough to be fitted in no time.
_MOST_SAMPLED = 2**16
# No more than this where rows are long.
_SAMPLE_BYTES = 2**23
# Rows that go into the choice of a sample, as a multiple of it: some of them may be missing.
_SPARE = 4


@dataclass(frozen=True, repr=False)
class Survey(Brief):
    """What one read tells about some blocks; surveys of neighbouring blocks add.

    Where some values are far from all others (`far`), mean and covariance are those of the near
    values of the sample: a single 1e20 would leave nothing of the other rows in its coordinates.

    Attributes
    ----------
    n_rows : int
    n_missing : int
        Rows that were left out because of NaN.
    weight : float
        Sum of the weights, the number of rows where there are none.
    moments : Moments
        Of each feature in the rows that have a value of it.
    sample : Block
        A uniform sample of the rows, without replacement, with their weights and other riders;
        of whole sequences, where there are sequences.
    keys : ndarray, (sample,)
        Of each sampled row, see `Block.keys`; the rows with the smallest ones are kept.
    extremes : Extremes
    outermost : Outermost
    prints : ndarray of uint64, (block, 2)
        The number of the chunk with which each block begins, and its fingerprint.
    bad : str or None
        The first entry that the model cannot use: value, chunk, row, column and remedy.
    rounded : str or None
        The first integer that is no floating point number, and so loses digits.
    machines : Machines
        Of those who read the blocks.
    labelled : Labelled or None
        Rows whose component is known, where any is.
    levels : Levels or None
        The distinct values of each feature; only of a survey of categories.
    """

    n_rows: int
    n_missing: int
    weight: float
    moments: Moments
    sample: Block
    keys: np.ndarray
    extremes: Extremes
    outermost: Outermost
    prints: np.ndarray
    bad: str | None = None
    rounded: str | None = None
    machines: Machines = field(default_factory=Machines)
    labelled: Labelled | None = None
    levels: Levels | None = None

    @property
    def n_named(self) -> int:
        """How many components the labels of rows may speak of."""
        return 0 if self.labelled is None else self.labelled.n_named

    @property
    def start_sample(self) -> Block:
        """Where a fit looks for its start: the rows of `reaching_sample`, labelled ones first."""
        if self.labelled is None:
            return self.reaching_sample
        return self.labelled.before(*self._reaching)[0]

    @property
    def reaching_sample(self) -> Block:
        """The sample, with the rows far beyond all others, which come first, see `Outermost`."""
        return self._reaching[0]

    @cached_property
    def _reaching(self) -> tuple[Block, np.ndarray]:
        share = self.sample.weight / self.weight
        return self.outermost.before(self.sample, self.keys, share)

    @property
    def fingerprint(self) -> int:
        """Of all blocks: the sum of theirs, modulo 2^64."""
        return int(self.prints[:, 1].sum(dtype=np.uint64))

    @cached_property
    def far(self) -> Far | None:
        """The values that are far from all others, None where there are none."""
        return judged(self.extremes, self.sample)

    @cached_property
    def _near(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and covariance without the far values, None where there are none."""
        return None if self.far is None else self.far.moments(self.sample)

    @property
    def mean(self) -> np.ndarray:
        """(feature,), in the units of the data."""
        return self.moments.mean if self._near is None else self._near[0]

    @property
    def variances(self) -> np.ndarray:
        """(feature,), by maximum likelihood."""
        return self.moments.variances if self._near is None else np.diagonal(self._near[1])

    @property
    def covariance(self) -> np.ndarray:
        """(feature, feature), by maximum likelihood; only of a survey of cross moments.

        Where rows lack values, with the correlations of the sample, of the rows that have both.
        """
        if self._near is not None:
            return self._near[1]
        if not self.moments.n_incomplete:
            return self.moments.covariance
        _, covariance = available_moments(self.sample, ~np.isnan(self.sample.rows))
        measured = np.diagonal(covariance)
        scale = np.sqrt(self.variances / np.where(measured > 0, measured, 1.0))
        covariance = covariance * np.outer(scale, scale)
        np.fill_diagonal(covariance, self.variances)
        return covariance

    @property
    def spans(self) -> np.ndarray:
        """The lowest and the highest value of each feature, (feature, 2)."""
        return np.array([self.extremes.span(j) for j in range(self.sample.rows.shape[1])])

    @cached_property
    def resolution(self) -> Resolution:
        """How finely the values of each feature are recorded, by the sample."""
        return Resolution.of(self.sample.rows)

    def __add__(self, other: "Survey") -> "Survey":
        n_missing = self.n_missing + other.n_missing
        prints = np.concatenate([self.prints, other.prints])
        machines = self.machines + other.machines
        if not (self.n_rows and other.n_rows):
            some = self if self.n_rows else other
            return replace(some, n_missing=n_missing, prints=prints, machines=machines)
        keys = np.concatenate([self.keys, other.keys])
        both = Block.joined(self.sample, other.sample)
        smallest = _smallest(keys, both.rows.shape[1], both.edges is not None, two_sorted=True)
        both_extremes = self.extremes + other.extremes
        return Survey(
            self.n_rows + other.n_rows,
            n_missing,
            self.weight + other.weight,
            self.moments + other.moments,
            both[smallest],
            keys[smallest],
            both_extremes,
            self.outermost.with_others(other.outermost, both_extremes),
            prints,
            self.bad or other.bad,
            self.rounded or other.rounded,
            machines,
            self._labelled_with(other),
            None if self.levels is None or other.levels is None else self.levels + other.levels,
        )

    def _labelled_with(self, other: "Survey") -> Labelled | None:
        if self.labelled is None or other.labelled is None:
            return self.labelled or other.labelled
        return self.labelled + other.labelled


def survey(
    block: Block, domain: Domain, seed: int, cross: bool = True, categorical: bool = False
) -> Survey:
    """Survey one block.

    Parameters
    ----------
    block : Block
    domain : Domain
        The values that the model can use.
    seed : int
        Of the hash that chooses the sample.
    cross : bool
        Whether the moments are to have products of features.
    categorical : bool
        Whether there are `levels`.
    """
    n_missing = 0 if block.kept is None else len(block.kept) - len(block)
    bad = domain.first_bad(block)
    # Nothing is computed of values that mean nothing.
    good = block if bad is None else block[:0]
    sample, keys = _sampled(block, seed)
    weight = block.weight if bad is None else 0.0
    good_extremes = extremes(good)
    return Survey(
        len(block),
        n_missing,
        weight,
        moments(good, weight, cross),
        sample,
        keys,
        good_extremes,
        outermost(good, good_extremes, seed),
        _prints(block),
        bad,
        domain.first_rounded(block),
        Machines.current(),
        None if domain.n_components is None else labelled(good, seed),
        levels(good) if categorical else None,
    )


def _prints(block: Block) -> np.ndarray:
    number = block.pieces[0].number if block.pieces else 0
    return np.array([[number, fingerprint(block)[0]]], np.uint64)


def _sampled(block: Block, seed: int) -> tuple[Block, np.ndarray]:
    """The rows of a block that may be in the sample of the whole input, and their keys."""
    keys = block.keys(seed)
    chosen = _candidates(block, keys)
    n_features, in_sequences = block.rows.shape[1], block.edges is not None
    chosen = chosen[_smallest(keys[chosen], n_features, in_sequences)]
    some = block[chosen]
    along = {**some.along, WEIGHT: some.counts}
    rows = some.rows.astype(np.float64)
    return Block(rows, along=along, edges=some.edges, kept=some.kept), keys[chosen]


def _candidates(block: Block, keys: np.ndarray) -> np.ndarray:
    """Which rows of a block may be in the sample of the whole input, where its length is known.

    Without this the surveys of all partitions would be as large as that of the whole. Of sequences
    there may be too few for it.
    """
    extent = block.pieces[0].extent if block.pieces else None
    n_rows = 0 if extent is None else int(np.prod(extent))
    enough = _SPARE * sample_size(block.rows.shape[1])
    if n_rows <= enough or block.edges is not None:
        return np.arange(len(keys))
    return np.flatnonzero(keys < np.uint64(enough / n_rows * 2.0**64))


def sample_size(n_features: int) -> int:
    """Rows of the sample of a survey, at most."""
    return min(_MOST_SAMPLED, max(_SAMPLE_BYTES // (8 * n_features), 1))


def _smallest(
    keys: np.ndarray, n_features: int, in_sequences: bool, two_sorted: bool = False
) -> np.ndarray:
    """Where the keys lie that a sample keeps, smallest first."""
    size = sample_size(n_features)
    if in_sequences:
        return _smallest_sequences(keys, size)
    if two_sorted:
        # This sort makes use of it, and takes an eighth of the time.
        return np.argsort(keys, kind="stable")[:size]
    if len(keys) > size:
        nearest = np.argpartition(keys, size)[:size]
        return nearest[np.argsort(keys[nearest])]
    return np.argsort(keys)


def _smallest_sequences(keys: np.ndarray, size: int) -> np.ndarray:
    """The same for whole sequences, whose rows share a key: one at least, as many as fit."""
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    ends = np.append(ends, len(keys))
    return order[: max(ends[0], ends[ends <= size].max(initial=0))]
