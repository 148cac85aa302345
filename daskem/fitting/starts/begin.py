"""Where a fit begins: the survey of the data, and params made from it or given."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, check, sizes, whole
from daskem.data.blocks import Block, Survey, Usable, survey
from daskem.errors import DataError, ParameterError
from daskem.fitting.starts.seeding import SEEDERS, oversampled, standardised

Start = Mapping[str, np.ndarray]


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


@one_blas_thread()
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


@one_blas_thread()
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
