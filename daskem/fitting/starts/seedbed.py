"""Params that a model makes of rows around seeds, beside those that a person gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.settings import whole
from daskem.data.blocks import Block
from daskem.errors import DataError, ParameterError
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.named import Named
from daskem.fitting.starts.seeds import (
    MOST_ROUNDS,
    SEEDERS,
    completed,
    denser,
    lloyd,
    seeds_beside,
    standardised,
)
from daskem.fitting.starts.start_params import Start, params_in_start
from daskem.models.asking import allowed
from daskem.models.protocol import Declares, Starts

# Partitions by k-means from other seeds, of which the best is taken: a single one leaves a cluster
# without a seed, or two with one, in every third or fourth sample.
_PARTITIONS = 4
# Rounds of k-means that tell which is the best: in the mean of fifteen samples its inertia is .1 %
# above the least of the four, and that of any one of them 2 %.
_TELLING_ROUNDS = 8
# Rounds of k-means of each of them, at most.
MOST_PARTITION_ROUNDS = _PARTITIONS * _TELLING_ROUNDS + MOST_ROUNDS

# The components (sample,) of rows, and where these begin, (component, feature).
Partition = tuple[np.ndarray, np.ndarray]


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
    known = params_in_start(model, start, len(first.survey.mean), n_components)
    if not isinstance(model, Declares):
        return known
    if set(known) == set(model.parameters):
        return allowed(model, known)
    if n_components is None or not isinstance(model, Starts):
        missing = sorted(set(model.parameters) - set(known))
        raise ParameterError(f"pass n_components, or start with {missing} in it")
    k = whole("n_components", n_components)
    (seeded,) = Seedbed(model, first.survey.start_sample, init_params).seeded(k, [rng])
    return allowed(model, Params({**seeded, **known}))


def n_units(n_features: int) -> int:
    """How many starts are from partitions: in units of standard deviations, and of the densest
    intervals. Where rows are far out there are as many again.
    """
    return min(n_features, 2)


@dataclass(frozen=True, eq=False)
class Seedbed:
    """The rows of a sample in which components of a model are seeded.

    Attributes
    ----------
    model : Starts
    sample : Block
    init_params : str
    n_out : int
        Its first so many rows are far out.
    """

    model: Starts
    sample: Block
    init_params: str
    n_out: int = 0

    def seeded(self, n_components: int, rngs: Sequence[np.random.Generator]) -> list[Params]:
        """The M step for rows each of which belongs to the nearest of some seeds, for each of
        `rngs`.
        """
        return [self._params_of(*c) for c in self._centres(n_components, self._points, rngs)]

    def unnamed(self, n_components: int, rng: np.random.Generator) -> Params:
        """The same, of seeds that no label has anything to do with."""
        (seeds,) = self._seeds(n_components, self._points, [rng])
        return self._params_of(*self._at(seeds, self._points))

    def partitioned(
        self, n_components: int, rngs: Sequence[np.random.Generator]
    ) -> list[list[Params]]:
        """The M steps for partitions by k-means, by which spread features are measured, for each
        of `rngs`; the same object for partitions that are equal.

        Rows far out draw all seeds, however few they are and however many clusters the others have.
        So there are partitions, too, in which they are one component together.
        """
        parted = [self._partitions(n_components, points, rngs) for points in self._units]
        inner, n_inner = self._inner, n_components - 1
        if inner is not None and 0 < n_inner <= len(inner.sample) and self._named is None:
            inside = [inner._partitions(n_inner, points, rngs) for points in inner._units]
            parted += [[self._with_outer(*p) for p in partitions] for partitions in inside]
        made: dict[bytes, Params] = {}
        starts = []
        for partitions in zip(*parted, strict=True):
            of_one = {_key(p): p for p in partitions}
            made |= {key: self._of(*p) for key, p in of_one.items() if key not in made}
            starts.append([made[key] for key in of_one])
        return starts

    def _params_of(self, seeds: np.ndarray, centres: np.ndarray) -> Params:
        nearest = cdist(self._points, seeds, "sqeuclidean").argmin(axis=1)
        return self._of(nearest, centres)

    def _partitions(
        self, n_components: int, points: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> list[Partition]:
        """The best of some partitions, each from other seeds; and where its components begin."""
        dice = [rng for rng in rngs for _ in range(_PARTITIONS)]
        begun = self._centres(n_components, points, dice)
        counts, seeds = self.sample.counts, np.stack([seeds for seeds, _ in begun])
        _, centres, inertias = lloyd(points, counts, seeds, _TELLING_ROUNDS)
        firsts = range(0, len(dice), _PARTITIONS)
        best = [i + int(inertias[i : i + _PARTITIONS].argmin()) for i in firsts]
        labels, *_ = lloyd(points, counts, centres[best])
        found = [(of_best, begun[i][1]) for i, of_best in zip(best, labels, strict=True)]
        return found if self._named is not None else [_numbered(*p) for p in found]

    def _with_outer(self, labels: np.ndarray, centres: np.ndarray) -> Partition:
        """A partition of the other rows, with a last component of those far out."""
        outer = np.full(self.n_out, len(centres))
        return np.append(outer, labels), np.vstack([centres, self._rows[:1]])

    def _of(self, labels: np.ndarray, centres: np.ndarray) -> Params:
        """The M step for rows that belong to these components, or to those that are known."""
        if self._named is not None:
            labels = self._named.obeyed(labels)
        return self.model.from_labels(self.sample, labels, centres)

    @cached_property
    def _inner(self) -> "Seedbed | None":
        """The rows that are not far out, None where no row is."""
        if self.n_out == 0:
            return None
        return Seedbed(self.model, self.sample[self.n_out :], self.init_params)

    @cached_property
    def _named(self) -> Named | None:
        return Named.among(self.sample)

    def _centres(
        self, n_components: int, points: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Where components begin, among `points` and in the units of the data, for each of `rngs`.

        Those of which rows are known, in the middle of them; the others around seeds.
        """
        if self._named is None:
            return [self._at(seeds, points) for seeds in self._seeds(n_components, points, rngs)]
        self._check_enough(n_components)
        return [self._beside(self._named, n_components, points, rng) for rng in rngs]

    def _beside(
        self, named: Named, n_components: int, points: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same around seeds beside those of which rows are known."""
        counts, rows = self.sample.counts, self._rows
        n_free = n_components - len(named.numbers)
        seeds = seeds_beside(points, counts, named.means(points, counts), n_free, rng)
        return (
            named.beside(points[seeds], named.means(points, counts)),
            named.beside(rows[seeds], named.means(rows, counts)),
        )

    def _at(self, seeds: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points[seeds], self._rows[seeds]

    @cached_property
    def _points(self) -> np.ndarray:
        """The rows with every feature standardised, (sample, feature)."""
        mean, scale = self._standard
        return (self._rows - mean) / scale

    @cached_property
    def _units(self) -> list[np.ndarray]:
        """The same, and in units of the densest intervals; of one feature, all partitions by
        k-means are those in any unit.
        """
        if n_units(self._points.shape[1]) == 1:
            return [self._points]
        return [self._points, denser(self._points, self.sample.counts)]

    @cached_property
    def _rows(self) -> np.ndarray:
        """The rows, those that lack values with the means of these, (sample, feature)."""
        return completed(self.sample.rows, self._standard[0])

    @cached_property
    def _standard(self) -> tuple[np.ndarray, np.ndarray]:
        return standardised(self.sample)

    def _seeds(
        self, n_components: int, points: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Numbers of the rows that are seeds, (trial, component), drawn from each of `rngs`."""
        self._check_enough(n_components)
        return SEEDERS[self.init_params](points, self.sample.counts, n_components, rngs)

    def _check_enough(self, n_components: int) -> None:
        if len(self.sample) < n_components:
            raise DataError(
                f"Expected n_samples >= n_components but got n_components = {n_components}, "
                f"n_samples = {len(self.sample)}"
            )


def _numbered(labels: np.ndarray, centres: np.ndarray) -> Partition:
    """A partition whose components are numbered in the order of their first rows."""
    mine = labels == np.arange(len(centres))[:, None]
    # Those without rows come last.
    order = np.where(mine.any(axis=1), mine.argmax(axis=1), len(labels)).argsort(kind="stable")
    return order.argsort()[labels], centres[order]


def _key(partition: Partition) -> bytes:
    """What tells a partition from others: where components without rows lie, it is no other."""
    labels, centres = partition
    is_full = bool(np.bincount(labels, minlength=len(centres)).all())
    return labels.tobytes() if is_full else labels.tobytes() + centres.tobytes()
