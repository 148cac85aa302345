"""Params that a model makes of rows around seeds, beside those that a person gives."""

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
# Starts from partitions: in units of standard deviations, and of the densest intervals. Where rows
# are far out there are as many again.
N_PARTITIONED = 2
# Rounds of k-means of each of them, at most.
MOST_PARTITION_ROUNDS = _PARTITIONS * MOST_ROUNDS


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
    seeded = Seedbed(model, first.survey.start_sample, init_params).seeded(k, rng)
    return allowed(model, Params({**seeded, **known}))


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

    def seeded(self, n_components: int, rng: np.random.Generator) -> Params:
        """The M step for rows each of which belongs to the nearest of some seeds."""
        return self._params_of(*self._centres(n_components, self._points, rng))

    def unnamed(self, n_components: int, rng: np.random.Generator) -> Params:
        """The same, of seeds that no label has anything to do with."""
        return self._params_of(
            *self._at(self._seeds(n_components, self._points, rng), self._points)
        )

    def partitioned(self, n_components: int, rng: np.random.Generator) -> list[Params]:
        """The M steps for partitions by k-means, by which spread features are measured.

        Rows far out draw all seeds, however few they are and however many clusters the others have.
        So there are partitions, too, in which they are one component together.
        """
        both = self._points, self._denser
        parted = [self._of(*self._partition(n_components, points, rng)) for points in both]
        inner, n_inner = self._inner, n_components - 1
        if inner is None or not 0 < n_inner <= len(inner.sample) or self._named is not None:
            return parted
        both = inner._points, inner._denser
        partitions = [inner._partition(n_inner, points, rng) for points in both]
        return parted + [self._with_outer(*partition) for partition in partitions]

    def _params_of(self, seeds: np.ndarray, centres: np.ndarray) -> Params:
        nearest = cdist(self._points, seeds, "sqeuclidean").argmin(axis=1)
        return self._of(nearest, centres)

    def _partition(
        self, n_components: int, points: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best of some partitions, each from other seeds; and where its components begin."""
        trials = []
        for _ in range(_PARTITIONS):
            seeds, centres = self._centres(n_components, points, rng)
            partition = lloyd(points, self.sample.counts, seeds)
            trials.append((centres, *partition))
        centres, labels, _ = min(trials, key=lambda trial: trial[2])
        return labels, centres

    def _with_outer(self, labels: np.ndarray, centres: np.ndarray) -> Params:
        """The M step for a partition of the other rows, and a last component of those far out."""
        outer = np.full(self.n_out, len(centres))
        return self._of(np.append(outer, labels), np.vstack([centres, self._rows[:1]]))

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
        self, n_components: int, points: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where components begin, among `points` and in the units of the data.

        Those of which rows are known, in the middle of them; the others around seeds.
        """
        if self._named is None:
            return self._at(self._seeds(n_components, points, rng), points)
        self._check_enough(n_components)
        counts, rows = self.sample.counts, self._rows
        named = self._named
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
    def _denser(self) -> np.ndarray:
        """The same in units of the densest intervals."""
        return denser(self._points, self.sample.counts)

    @cached_property
    def _rows(self) -> np.ndarray:
        """The rows, those that lack values with the means of these, (sample, feature)."""
        return completed(self.sample.rows, self._standard[0])

    @cached_property
    def _standard(self) -> tuple[np.ndarray, np.ndarray]:
        return standardised(self.sample)

    def _seeds(self, n_components: int, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the rows that are seeds, (component,)."""
        self._check_enough(n_components)
        seeder = SEEDERS[self.init_params]
        return seeder(points, self.sample.counts, n_components, rng)

    def _check_enough(self, n_components: int) -> None:
        if len(self.sample) < n_components:
            raise DataError(
                f"Expected n_samples >= n_components but got n_components = {n_components}, "
                f"n_samples = {len(self.sample)}"
            )
