"""From components to clusters: components that overlap are parts of one cluster of free shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import xarray as xr
from scipy.special import entr

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.settings import whole
from daskem.data.blocks import Block, Blocks
from daskem.data.inputs.kinds import Data, Riders, Values
from daskem.errors import ParameterError
from daskem.fitting.starts.first_read import surveyed
from daskem.models.asking import demand
from daskem.models.clusters import Clusters, members
from daskem.models.mixture import Mixture
from daskem.models.protocol import Predicts, Starts
from daskem.results.fitted import Fitted, result_of
from daskem.results.result import Result
from daskem.results.tables import Table

Group = frozenset[int]

# Sets of components whose probabilities are added at a time.
_SETS = 64


@dataclass(frozen=True, eq=False, repr=False)
class Merging:
    """How the components of a mixture combine, one pair of clusters after the other.

    Attributes
    ----------
    result : Result
    steps : sequence of (tuple of int, tuple of int)
        The components of the two clusters that each step unites, K - 1 of them.
    entropies : ndarray, (K,)
        Of the responsibilities of K, K - 1, ..., 1 clusters, in nats, summed over rows.
    n_reads : int
        Full reads of the data that it took.
    """

    result: Result
    steps: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
    entropies: np.ndarray
    n_reads: int

    @property
    def entropy(self) -> xr.DataArray:
        """Entropy by number of clusters; where it stops falling, merging stops being free."""
        counts = np.arange(len(self.entropies), 0, -1)
        return xr.DataArray(self.entropies, {"n_clusters": counts}, name="entropy")[::-1]

    def cut(self, n_clusters: int) -> Result:
        """A result whose predictions are of `n_clusters` clusters, the largest one first."""
        weights = self.result.best.framed["weights"]
        if whole("n_clusters", n_clusters) > len(weights):
            raise ParameterError(
                f"n_clusters={n_clusters}, but there are {len(weights)} components"
            )
        groups: set[tuple[int, ...]] = {(k,) for k in range(len(weights))}
        for pair in self.steps[: len(weights) - n_clusters]:
            groups = groups - set(pair) | {tuple(sorted(pair[0] + pair[1]))}
        order = sorted(groups, key=lambda group: (-weights[list(group)].sum(), group))
        run = self.result.best
        model = Clusters(demand(run.model, Mixture, "cutting"), run.framed, tuple(order))
        params = Params({"weights": model.members @ weights})
        return replace(self.result, runs=[replace(run, model=model, framed=params)])

    def __repr__(self) -> str:
        k = len(self.entropies)
        return f"<daskem.Merging: {k} components to fewer clusters; print it, and .cut(n)>"

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().short().html()

    def _table(self) -> Table:
        pairs = [("", ""), *self.steps]
        rows = [
            {
                "clusters": len(pairs) - i,
                "entropy": float(self.entropies[i]),
                "merged": _words(pair),
            }
            for i, pair in enumerate(pairs)
        ]
        return Table.of(rows)


def merge(
    result: Result | Fitted,
    data: Data,
    sample_weight: Values | None = None,
    random_state: int | None = 0,
    along: Riders | None = None,
) -> Merging:
    """Merge components into clusters that need not have the shape of a component.

    Step by step, the two clusters are united whose union lowers the entropy of the
    responsibilities most: those that the model tells apart least (Baudry, Raftery, Celeux, Lo and
    Gottardo 2010). The density stays what it is.

    Parameters
    ----------
    result : Result, or GaussianMixture that is fitted
        Of a mixture.
    data, sample_weight, along : array-like
        As `daskem.fit` takes them.
    random_state : int
        Of the sample.

    Notes
    -----
    Every step depends on the one before. The sample of a survey, one read, says which steps to
    expect, and a second read measures on all of the data what these need. Where a step turns out
    otherwise, which is rare, one more read goes on from there. The steps are those of the
    complete data in any case; `Merging.n_reads` counts.

    References
    ----------
    Baudry et al. (2010), Combining mixture components for clustering, J. Comp. Graph. Stat. 19.
    """
    result = result_of(result)
    model, params = demand(result.model, Starts, "merging"), result.best.framed
    blocks = result.blocks(data, sample_weight, along)
    k, names = model.n_components(params), result.features.names
    sample = surveyed(model, blocks, random_state or 0, names, k).sample
    measure = _Measure(blocks, model, params, sample)
    groups = [frozenset([i]) for i in range(k)]
    steps, entropies = _combine(groups, measure)
    pairs = [(tuple(sorted(a)), tuple(sorted(b))) for a, b in steps]
    return Merging(result, pairs, np.array(entropies), 1 + measure.n_reads)


Measure = Callable[[Sequence[Group], Sequence[Group]], dict[Group, float]]


def _combine(
    groups: Sequence[Group], measure: Measure
) -> tuple[list[tuple[Group, Group]], list[float]]:
    """Greedy steps from `groups` to a single one, and the entropy before and after each.

    With s(g) = sum over rows of t log t, t the probability of g, uniting a and b lowers the
    entropy by s(a + b) - s(a) - s(b).
    """
    groups, entropies = list(groups), []
    steps: list[tuple[Group, Group]] = []
    s: dict[Group, float] = {}
    while True:
        pairs = list(combinations(groups, 2))
        wanted = [*groups, *(a | b for a, b in pairs)]
        s.update(measure(groups, [g for g in wanted if g not in s]))
        entropies.append(max(-sum(s[g] for g in groups), 0.0))
        if not pairs:
            return steps, entropies
        gains = [s[a | b] - s[a] - s[b] for a, b in pairs]
        a, b = pairs[int(np.argmax(gains))]
        steps.append((a, b))
        groups = [a | b if g == a else g for g in groups if g != b]


class _Measure:
    """s(g) on all of the data: what is not known yet is read with all that the sample foresees."""

    def __init__(self, blocks: Blocks, model: Predicts, params: Params, sample: Block) -> None:
        self._blocks, self._model, self._params, self._sample = blocks, model, params, sample
        self._known: dict[Group, float] = {}
        self.n_reads = 0

    def __call__(self, groups: Sequence[Group], sets: Sequence[Group]) -> dict[Group, float]:
        if any(g not in self._known for g in sets):
            foreseen = dict.fromkeys(sets)

            def on_the_sample(_: Sequence[Group], sets: Sequence[Group]) -> dict[Group, float]:
                foreseen.update(dict.fromkeys(sets))
                chosen = members(sets, self._model.n_components(self._params))
                return dict(zip(sets, self._sums(self._sample, chosen), strict=True))

            _combine(groups, on_the_sample)
            unknown = [g for g in foreseen if g not in self._known]
            args = (
                self._model,
                self._params,
                members(unknown, self._model.n_components(self._params)),
            )
            totals = self._blocks.sum(sums_of_t_log_t, *args, name="merge")
            self._known.update(zip(unknown, map(float, totals), strict=True))
            self.n_reads += 1
        return {g: self._known[g] for g in sets}

    def _sums(self, block: Block, members: np.ndarray) -> np.ndarray:
        return sums_of_t_log_t(block, self._model, self._params, members)


def sums_of_t_log_t(
    block: Block, model: Predicts, params: Params, members: np.ndarray
) -> np.ndarray:
    """Sum over rows of t log t, for the probability t of each set of components, (set,)."""
    totals = np.zeros(len(members))
    for span, _, r in model.posterior(block, params):
        weights = None if block.weights is None else block.weights[span]
        for start in range(0, len(members), _SETS):
            with one_blas_thread():
                t = members[start : start + _SETS] @ r
            t = -entr(t)
            totals[start : start + _SETS] += t.sum(axis=1) if weights is None else t @ weights
    return totals


def _words(pair: tuple[Sequence[object], Sequence[object]]) -> str:
    return " and ".join("+".join(map(str, group)) for group in pair if group)
