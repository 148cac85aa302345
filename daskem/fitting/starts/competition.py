"""The best of many starts: fitted to ever larger parts of a sample, which costs no read."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, count_free, whole
from daskem.data.blocks import Survey
from daskem.data.blocks.local import LocalBlocks
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.loop import Run, Stop, passes
from daskem.fitting.starts.begin import Start, begin
from daskem.fitting.starts.thinning import joined, thinned

# Some rows (sample, feature) of a sample, and their weights (sample,).
Part = tuple[np.ndarray, np.ndarray]
# A start, after its objective on rows that it is not fitted to.
Judged = tuple[float, Draft]

# Seeds for each component, in the crowds of one round. Of as many as there are components, some
# come to lie in one cluster and none in another, which EM does not mend; of more, those that are
# missed least are taken out.
_CROWDS = (1.0, 1.0, 1.5)
# Rounds, at most, in which the best then loses a component, gets more seeds and is thinned again;
# for so many components it gets one seed.
_REGROWN, _TO_A_SEED = 4, 4
# Passes over a part of the sample before the better ones go on to a part that is this much larger;
# rows for each free parameter, in the smallest part.
_BRIEF, _GROWTH = Stop(0.0, 8), 4
_ROWS_PER_PARAMETER, _FEWEST_ROWS = 8, 2**12
# Over the last two parts: until what is left to gain is this fraction of what a sample of that size
# can tell, p/2n nats per row.
_POLISH, _MOST_PASSES = 0.01, 100


def best_start(
    model: Any,
    seen: Survey,
    n_components: int | None,
    given: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Draft:
    """Params to start from, in the coordinates of the model: the best of many, on the sample.

    Where nothing is given, several starts compete on the sample of the survey: short runs on a
    small part of it, some with more components than wanted, of which those that are missed least
    are then taken out; the better ones go on to larger parts, and one is fitted to all of it
    (Biernacki, Celeux and Govaert 2003). In between, the best loses a component, gets more seeds
    and is thinned again, a few times, which takes components from where there are too many to where
    one is missing (as the splits and merges of Ueda et al. 2000). What the last fit has learned of
    the curvature goes on to the data. It takes the parameters of `begin`.
    """
    if given or n_components in (None, 1) or not hasattr(model, "from_labels"):
        return Draft(begin(model, seen, n_components, given, init_params, rng))
    k = whole("n_components", n_components)
    return best_starts(model, seen, k, init_params, rng)[0]


def best_starts(
    model: Any,
    seen: Survey,
    n_components: int,
    init_params: str,
    rng: np.random.Generator,
    n_rounds: int = 1,
    n_kept: int = 1,
) -> list[Draft]:
    """The `n_kept` best starts, of `n_rounds` rounds of seeds, the best one first."""
    here = seen.sample_weights > 0
    rows, weights = seen.sample[here], seen.sample_weights[here]
    most = max(n_components, len(rows) // 2)
    crowds = [min(int(crowd * n_components), most) for crowd in _CROWDS] * n_rounds
    sizes = _sizes(model, len(rows), rows.shape[1], max(crowds), init_params)
    small, *larger = [(rows[:size], weights[:size]) for size in sizes]
    first = replace(seen, sample=small[0], sample_weights=small[1])

    def seeds(k: int) -> Params:
        return begin(model, first, k, None, init_params, rng)

    def tried(crowds: Sequence[Params]) -> list[Judged]:
        starts = _thinned(model, map(Draft, crowds), small, n_components)
        return _judged(model, starts, larger[0])

    def regrown(best: Params) -> Params:
        # Before there are seeds, which then compete for the free place: beside them, half of a
        # cluster that has two components would seem to be missed more than a small new cluster.
        fewer = thinned(model, best, *small, n_components - 1)
        return joined(model, fewer, seeds(max(2, n_components // _TO_A_SEED)))

    with one_blas_thread():
        ranked = tried([seeds(k) for k in crowds])
        for _ in range(min(_REGROWN, n_components // 2)):
            ranked = _ranked([*ranked, *tried([regrown(ranked[0][1].params)])])
        return _compete(model, ranked, larger, n_kept)


def _sizes(model: Any, n: int, n_features: int, n_components: int, init_params: str) -> list[int]:
    """Rows of growing parts of a sample of `n` rows, the last of which is all of it."""
    lengths = {"component": n_components, "feature": n_features}
    shapes = {
        name: tuple(lengths.get(dim.removesuffix("_2"), 1) for dim in parameter.dims)
        for name, parameter in model.parameters.items()
    }
    n_parameters = sum(model.parameters[name].support.free(shapes[name]) for name in shapes)
    least = max(_FEWEST_ROWS, _ROWS_PER_PARAMETER * n_parameters)
    sizes = [n]
    # Rows that k-means|| has found are as rare in the first part of the sample as in the data.
    while sizes[0] // _GROWTH >= least and init_params != "k-means||":
        sizes.insert(0, sizes[0] // _GROWTH)
    return sizes if len(sizes) > 1 else [n, n]


def _thinned(model: Any, crowds: Iterable[Draft], part: Part, n_components: int) -> list[Draft]:
    """Where `crowds` lead in a short climb, and in another without the components too many."""
    ended = _climbed(model, crowds, part, _BRIEF)
    starts = [Draft(thinned(model, draft.params, *part, n_components)) for draft in ended]
    return _climbed(model, starts, part, _BRIEF)


def _compete(model: Any, ranked: list[Judged], parts: Sequence[Part], n_kept: int) -> list[Draft]:
    """The best on ever larger parts, `ranked` by the first; with many passes on the last two."""
    for number, part in enumerate(parts, 1):
        polish = number >= len(parts) - 1
        n_on = n_kept if polish else max(n_kept, -(-len(ranked) // _GROWTH))
        going_on = [draft for _, draft in ranked[:n_on]]
        tol = _POLISH * count_free(model.parameters, going_on[0].params) / (2 * len(part[0]))
        ended = _climbed(model, going_on, part, Stop(tol, _MOST_PASSES) if polish else _BRIEF)
        if number < len(parts):
            ranked = _judged(model, ended, parts[number])
    return ended


def _judged(model: Any, drafts: Sequence[Draft], part: Part) -> list[Judged]:
    """The best one first, as judged by a part that they are not fitted to.

    Most rows of a larger part are new, so that what was gained by fitting the accidents of the
    smaller one does not count.
    """
    looked = _fitted(model, drafts, part, Stop(0.0, 1))
    objectives = [run.history[0].objective for run in looked]
    return _ranked(zip(objectives, drafts, strict=True))


def _ranked(judged: Iterable[Judged]) -> list[Judged]:
    return sorted(judged, key=lambda own: -own[0])


def _climbed(model: Any, drafts: Iterable[Draft], part: Part, stop: Stop) -> list[Draft]:
    """Where `drafts` lead that are fitted to a part of a sample, the best one first."""
    ended = _fitted(model, drafts, part, stop)
    ended.sort(key=lambda run: -run.history[-1].objective)
    return [Draft(run.state.accepted, run.state.memory) for run in ended]


def _fitted(model: Any, drafts: Iterable[Draft], part: Part, stop: Stop) -> list[Run]:
    rows, weights = part
    # Rows in memory cost nothing to read, so that one point a pass is best.
    algorithm = Squarem()
    blocks = LocalBlocks(rows, None if (weights == 1).all() else weights)
    runs = [Run(model, algorithm, draft.start(algorithm)) for draft in drafts]
    (ended,) = deque(passes(runs, blocks, stop), maxlen=1)
    return ended
