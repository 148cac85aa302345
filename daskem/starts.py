"""Where a fit begins: the survey, then the best of many short fits to its sample."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from daskem.algorithms import Draft, Squarem
from daskem.blocks import Block, Survey, Usable, survey
from daskem.blocks.local import LocalBlocks
from daskem.errors import DataError, ParameterError
from daskem.fitting import Run, Stop, passes
from daskem.numerics import one_blas_thread
from daskem.parameters import Params, check, count_free, sizes, whole
from daskem.seeding import SEEDERS, oversampled, standardised

Start = Mapping[str, np.ndarray]

# Seeds that compete for a start; passes over a part of the sample before the better ones go on
# to a part that is this much larger; rows for each free parameter, in the smallest part.
SEEDS, SHORT, GROWTH = 8, 8, 4
_ROWS_PER_PARAMETER, _FEWEST_ROWS = 8, 2**10
# Over the last two parts: until what is left to gain is this fraction of what a sample of that size
# can tell, p/2n nats per row.
_POLISH, _MOST_PASSES = 0.01, 300


def surveyed(
    model: Any, blocks: Any, seed: int, names: np.ndarray | None = None
) -> tuple[Any, Survey]:
    """Read the data once: the model in the coordinates that suit them, and their survey.

    Errors call the features by their `names`.

    Raises
    ------
    DataError
        If there are no rows, or values that the model cannot use; says where.
    """
    cross = getattr(model, "cross_moments", False)
    seen = blocks.sum(survey, Usable.by(model, names), seed, cross, name="survey")
    if seen.bad is not None:
        raise DataError(seen.bad)
    if not seen.n_rows:
        empty = f"all {n:,} rows have a NaN" if (n := seen.n_missing) else "every chunk is empty"
        raise DataError(f"there are no rows to fit: {empty}")
    if not seen.weight > 0:
        raise DataError("every sample_weight is zero")
    return framed(model, seen), seen


def framed(model: Any, seen: Survey) -> Any:
    """The model in the coordinates that suit the data of a survey."""
    if not hasattr(model, "given"):
        return model
    spread = seen.spread
    if spread.ndim == 2 and not getattr(model, "cross_moments", False):
        spread = np.diagonal(spread)
    return model.given(seen.mean, spread)


def sampled(
    blocks: Any,
    seen: Survey,
    init_params: str,
    counts: Sequence[int | None],
    seed: int,
    rng: np.random.Generator,
) -> Survey:
    """The survey with the sample that `init_params` wants; `seed` is that of the survey."""
    if init_params != "k-means||":
        return seen
    most = max(whole("n_components", 1 if k is None else k) for k in counts)
    return oversampled(blocks, seen, most, seed, rng)


def best_start(
    model: Any,
    seen: Survey,
    n_components: int | None,
    given: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Draft:
    """Params to start from, in the coordinates of the model: the best of many, on the sample.

    Where nothing is given, several seeds compete on the sample of the survey, which costs no read
    of the data: short runs on a small part of it, the better ones go on to larger parts, and one
    is fitted to all of it (Biernacki, Celeux and Govaert 2003). What that fit has learned of the
    curvature goes on to the data. It takes the parameters of `begin`.
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
    n_seeds: int = SEEDS,
    n_kept: int = 1,
) -> list[Draft]:
    """The `n_kept` best of `n_seeds` starts, the best one first; see `best_start`."""
    here = seen.sample_weights > 0
    rows, weights = seen.sample[here], seen.sample_weights[here]
    n, d = rows.shape
    sizes = _sizes(model, n, d, n_components, init_params)
    first = replace(seen, sample=rows[: sizes[0]], sample_weights=weights[: sizes[0]])
    with one_blas_thread():
        seeds = [begin(model, first, n_components, None, init_params, rng) for _ in range(n_seeds)]
        return _compete(model, seeds, rows, weights, sizes, n_kept)


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
    while sizes[0] // GROWTH >= least and init_params != "k-means||":
        sizes.insert(0, sizes[0] // GROWTH)
    return sizes if len(sizes) > 1 else [n, n]


def _compete(
    model: Any,
    starts: Sequence[Params],
    rows: np.ndarray,
    weights: np.ndarray,
    sizes: Sequence[int],
    n_kept: int,
) -> list[Draft]:
    """The best of `starts` on ever larger parts of a sample: few passes, but many on the last two.

    A larger part decides, before it is fitted, who goes on to it: most of its rows are new, so
    that what was gained by fitting the accidents of the smaller part does not count.
    """
    counts = None if (weights == 1).all() else weights
    # Rows in memory cost nothing to read, so that one point a pass is best.
    algorithm = Squarem()
    drafts = [Draft(params) for params in starts]
    for number, size in enumerate(sizes):
        blocks = LocalBlocks(rows[:size], None if counts is None else counts[:size])
        polish = number >= max(1, len(sizes) - 2)
        tol = _POLISH * count_free(model.parameters, starts[0]) / (2 * size)
        stop = Stop(tol, _MOST_PASSES if polish else SHORT)
        runs = [Run(model, algorithm, draft.start(algorithm)) for draft in drafts]
        if number:
            n_on = n_kept if polish else max(n_kept, -(-len(runs) // GROWTH))
            looked = next(passes(runs, blocks, stop))
            runs = sorted(looked, key=lambda run: -run.history[0].objective)[:n_on]
        (ended,) = deque(passes(runs, blocks, stop), maxlen=1)
        ended.sort(key=lambda run: -run.history[-1].objective)
        drafts = [Draft(run.state.accepted, run.state.memory) for run in ended]
    return drafts


def begin(
    model: Any,
    seen: Survey,
    n_components: int | None,
    given: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params to start from, in the coordinates of the model.

    Parameters
    ----------
    model : object with e_step and m_step
    seen : Survey
    n_components : int or None
    given : dict or None
        What the user knows of the params, in the units of the data; a mixture finds the rest.
    init_params : {"k-means++", "random_from_data"}
    rng : numpy Generator

    Raises
    ------
    ParameterError
        If `given` does not suit the model or the data, or nothing says how many components.
    """
    declared = getattr(model, "parameters", None)
    if declared is None:
        if given is None:
            raise ParameterError(
                f"{type(model).__name__} declares no parameters, so it needs some to start from: "
                "pass start={...}"
            )
        return dict(given)
    given = given or {}
    if not set(given) <= set(declared):
        raise ParameterError(
            f"the start has {sorted(given)}, but the params are {sorted(declared)}"
        )
    known = check({name: declared[name] for name in declared if name in given}, given)
    _check_sizes(declared, known, {"feature": len(seen.origin), "component": n_components})
    found = {}
    if set(known) != set(declared):
        if n_components is None or not hasattr(model, "from_labels"):
            missing = sorted(set(declared) - set(known))
            raise ParameterError(f"pass n_components, or start with {missing} in it")
        found = _around_seeds(
            model,
            seen.sample,
            seen.sample_weights,
            whole("n_components", n_components),
            init_params,
            rng,
        )
    return {**found, **(model.to_frame(known) if hasattr(model, "to_frame") else known)}


def _check_sizes(declared: Any, known: Params, expected: dict[str, int | None]) -> None:
    lengths = sizes({name: declared[name] for name in known}, known)
    for dim, wanted in expected.items():
        if wanted is not None and lengths.get(dim, wanted) != wanted:
            guilty = [name for name in known if dim in declared[name].dims]
            raise ParameterError(
                f"{', '.join(guilty)}: the start has {lengths[dim]} along {dim!r}, but there "
                f"should be {wanted}"
            )


def _around_seeds(
    model: Any,
    rows: np.ndarray,
    weights: np.ndarray,
    n_components: int,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params of a mixture whose components are the rows nearest to each of `n_components` seeds."""
    if len(rows) < n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {len(rows)}"
        )
    mean, scale = standardised(rows, weights)
    points = (rows - mean) / scale
    seeds = SEEDERS[init_params](points, weights, n_components, rng)
    nearest = cdist(points, points[seeds], "sqeuclidean").argmin(axis=1)
    return model.from_labels(Block(rows, weights), nearest, model.coordinates(rows[seeds]))
