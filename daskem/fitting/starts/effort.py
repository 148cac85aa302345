"""How much the search for a start does: with which model, on how many rows, how often at most.

The unit is a row of the sample, taken through the E step of one start of as many components as
wanted; of twice as many, it counts twice. (A round of k-means costs a row less than that, and
counts as much.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daskem.data.blocks import Block
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.outlying import outlying_first
from daskem.fitting.starts.seedbed import MOST_PARTITION_ROUNDS, n_units
from daskem.fitting.stopping import Stop
from daskem.models.families.protocol import is_bounded
from daskem.models.protocol import Declares, Simplifies

# Seeds for each component, in each start. Of as many as there are components, some
# come to lie in one cluster and none in another, which EM does not mend; of more, those that are
# missed least are pruned.
_OVERFITS = (1.0, 1.5)
# The same where rows are few and the likelihood has a bound: with these one start of digits, as ink
# or as counts, reached what 30 runs of plain EM did for 34 of 36 seeds, without the last for 32.
_BOUNDED_OVERFITS = (1.0, 1.5, 2.0, 3.0)
# Components wanted, to each new seed of a start that is regrown.
_TO_A_SEED = 4
# Times, at most, that the best start loses a component, gets more seeds and is pruned again: after
# four, every cluster of 0.6 % of the rows had its component for 12 of 12 seeds (d = 20, K = 30).
_MOST_REGROWN = 4
# Both where rows are few and the likelihood has a bound. Of digits as ink, in ten classes, one
# start reached the best of 30 runs of plain EM for 28 of 32 seeds, with the former two for 13.
_BOUNDED_TO_A_SEED = 1
_BOUNDED_MOST_REGROWN = 8
# Passes over a part of the sample before the better starts go on to a larger part.
BRIEF = Stop(None, 8)
# How many times larger the next part is.
GROWTH = 4
# Rows of the smallest part for each free parameter: fewer fit their own accidents.
_ROWS_PER_PARAMETER = 8
# Rows of the sample for each free parameter, at least: in fewer a simpler model looks for clusters.
_FEWEST_ROWS_PER_PARAMETER = 2
# Rows of the smallest part, at least: fewer cost as much, for what each pass costs besides.
_FEWEST_ROWS = 2**11
# Starts that are fitted to the last two parts besides, at most, while all of them are improper.
_MOST_OTHERS = 4
# Passes over the last two parts, at most: 300 led to as few reads of the data.
MOST_PASSES = 100
# What is used of short and long climbs, and of the rounds of k-means: the middle of a few dozen
# searches.
_LIKELY_BRIEF, _LIKELY_LONG = 0.6, 0.3
_QUICK = 0.1


@dataclass(frozen=True)
class Effort:
    """What the search for a start does.

    Attributes
    ----------
    n_components : int
    counts : tuple of int
        How many components each start with seeds begins with.
    sizes : tuple of int
        Rows of growing parts of the sample, the last of which is all of it.
    n_regrown : int
        How often the best start is regrown,
    n_seeds : int
        each time around so many new seeds.
    n_partitioned : int
        Starts from partitions.
    n_others : int
        Starts that have another chance, at most, while all are improper.
    """

    n_components: int
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    n_regrown: int
    n_seeds: int
    n_partitioned: int
    n_others: int

    @classmethod
    def of(
        cls,
        model: Declares,
        n_components: int,
        n_features: int,
        n: int,
        init_params: str,
        n_named: int = 0,
        n_out: int = 0,
    ) -> "Effort":
        """With a model of a number of components, on `n` rows, of which so many are far out.

        Labels say where `n_named` of the components begin.
        """
        counts, to_a_seed = _counts(_OVERFITS, n_components, n), _TO_A_SEED
        n_regrown = min(_MOST_REGROWN, n_components // 2)
        p, most = (_n_free(model, k, n_features) for k in (n_components, max(counts)))
        sizes = _sizes(p, most, n, init_params)
        if n < _ROWS_PER_PARAMETER * most and is_bounded(model):
            # The most likely fit is the best: there is nothing to hold rows out for.
            counts, sizes = _counts(_BOUNDED_OVERFITS, n_components, n), [n, n]
            to_a_seed = _BOUNDED_TO_A_SEED
            n_regrown = min(_BOUNDED_MOST_REGROWN, n_components - 1)
        # Each component wants a row, however many are held out.
        sizes[0] = min(max(sizes[0], max(counts)), n)
        if n_named == n_components:
            # Labels say where each begins: none is too many, and none can go.
            counts, n_regrown = (n_components,), 0
        n_others = _MOST_OTHERS
        if p > n:
            # Every fit has more parameters than rows, and no other start mends that.
            n_regrown = n_others = 0
        n_seeds = max(2, n_components // to_a_seed)
        n_partitioned = n_units(n_features) * (2 if n_out and not n_named else 1)
        done = n_regrown, n_seeds, n_partitioned, n_others
        return cls(n_components, counts, tuple(sizes), *done)

    @property
    def most_rows(self) -> float:
        """At most: about 900 passes over a small sample, 300 over a large."""
        rounds = MOST_PARTITION_ROUNDS * self.n_partitioned
        return self._rows(self.n_others, BRIEF.max_passes, MOST_PASSES, rounds)

    @property
    def likely_rows(self) -> float:
        """The same, as expected, within a factor of three or so."""
        rounds = _QUICK * MOST_PARTITION_ROUNDS * self.n_partitioned
        brief, long = _LIKELY_BRIEF * BRIEF.max_passes, _LIKELY_LONG * MOST_PASSES
        return self._rows(0, brief, long, rounds)

    def _rows(
        self, n_others: int, brief_passes: float, long_passes: float, partition_rounds: float
    ) -> float:
        small, k = self.sizes[0], self.n_components
        seeded = [*self.counts, *[k - 1 + self.n_seeds] * self.n_regrown]
        number = len(seeded) + self.n_partitioned
        # Each start climbs twice, and is pruned in between; what is regrown, before that as well.
        wide = sum(seeded) / k + self.n_partitioned
        once = sum(count for count in seeded if count > k) / k + self.n_regrown
        rows = (brief_passes * (wide + number) + once + partition_rounds) * small
        rows += number * self.sizes[1]
        last = len(self.sizes) - 1
        for i in range(1, last + 1):
            long = i >= last - 1
            n_on = 1 if long else -(-number // GROWTH)
            tried = min(n_on + n_others, number) if long else n_on
            rows += tried * (long_passes if long else brief_passes) * self.sizes[i]
            rows += n_on * self.sizes[i + 1] if i < last else 0
            number = n_on
        return rows


def searched_rows(model: object, sample: Block) -> tuple[Block, int]:
    """The rows of a sample in which a start is looked for; so many of them, the first, are far out.

    A rare answer is far from all others, and none that a component were smeared by.
    """
    sample = sample[sample.counts > 0]
    return (sample, 0) if is_bounded(model) else outlying_first(sample)


def simpler_read(first: FirstRead, n_components: int, n_features: int, n: int) -> FirstRead | None:
    """The first read for a simpler model, if there is one and `n` rows are few for this one."""
    model = first.model
    assert isinstance(model, Declares)
    simpler = model.simpler if isinstance(model, Simplifies) else None
    enough = _FEWEST_ROWS_PER_PARAMETER * _n_free(model, n_components, n_features)
    return None if simpler is None or n >= enough else first.of(simpler)


def _counts(factors: Sequence[float], n_components: int, n: int) -> tuple[int, ...]:
    """How many components each start with seeds begins with, on `n` rows."""
    most = max(n_components, n // 2)
    return tuple(min(int(factor * n_components), most) for factor in factors)


def _n_free(model: Declares, n_components: int, n_features: int) -> int:
    """The free parameters of a model with a number of components."""
    lengths = {"component": n_components, "feature": n_features}
    return sum(
        p.support.free(tuple(lengths.get(dim.removesuffix("_2"), 1) for dim in p.dims))
        for p in model.parameters.values()
    )


def _sizes(n_parameters: int, most_parameters: int, n: int, init_params: str) -> list[int]:
    """Rows of growing parts of a sample of `n` rows, the last of which is all of it.

    A start has so many parameters, and more while it has components too many.
    """
    least = max(_FEWEST_ROWS, _ROWS_PER_PARAMETER * most_parameters)
    sizes = [n]
    # Rows that k-means|| has found are as rare in the first part of the sample as in the data.
    while sizes[0] // GROWTH >= least and init_params != "k-means||":
        sizes.insert(0, sizes[0] // GROWTH)
    if len(sizes) > 1:
        return sizes
    # Where all are few, some are held out: without those too many, fits are compared by them.
    return [n - n // GROWTH if n < _ROWS_PER_PARAMETER * n_parameters else n, n]
