"""Where a fit begins: the survey, then components around rows that lie far from one another."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from daskem.blocks import Block, Survey, survey
from daskem.errors import DataError, ParameterError
from daskem.parameters import Params, check, sizes, whole

Start = Mapping[str, np.ndarray]


def kmeans_plus_plus(
    rows: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each next one is drawn with probability proportional to its squared distance from those
    chosen, the best of a few draws; from all rows alike once every distinct row is taken.
    """
    n_trials = 2 + int(np.log(n_components))
    chosen = [int(rng.choice(len(rows), p=weights / weights.sum()))]
    distance = np.square(rows - rows[chosen[0]]).sum(axis=1)
    for _ in range(1, n_components):
        potential = weights * distance
        total = potential.sum()
        p = potential / total if total > 0 else weights / weights.sum()
        trials = rng.choice(len(rows), size=n_trials, p=p)
        distances = [
            np.minimum(distance, np.square(rows - rows[trial]).sum(axis=1)) for trial in trials
        ]
        best = int(np.argmin([weights @ d for d in distances]))
        chosen.append(int(trials[best]))
        distance = distances[best]
    return np.array(chosen)


def random_rows(
    rows: np.ndarray, weights: np.ndarray, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Indices of rows (component,) drawn at random, without replacement."""
    return rng.choice(len(rows), size=n_components, replace=False, p=weights / weights.sum())


SEEDERS = {"k-means++": kmeans_plus_plus, "random_from_data": random_rows}


def surveyed(model: Any, blocks: Any, seed: int) -> tuple[Any, Survey]:
    """Read the data once: the model in the coordinates that suit them, and their survey.

    Raises
    ------
    DataError
        If there are no rows, or values that the model cannot use; says where.
    """
    valid = getattr(model, "valid", np.isfinite)
    domain = getattr(model, "domain", "finite numbers")
    cross = getattr(model, "cross_moments", False)
    seen = blocks.sum(survey, valid, domain, seed, cross, name="survey")
    if seen.bad is not None:
        raise DataError(seen.bad)
    if not seen.n_rows:
        raise DataError("the data have no rows: every chunk is empty")
    if not seen.weight > 0:
        raise DataError("every sample_weight is zero")
    return (model.given(seen.mean, seen.spread) if hasattr(model, "given") else model), seen


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
    if init_params not in SEEDERS:
        raise ParameterError(f"init_params={init_params!r} is not one of {list(SEEDERS)}")
    if len(rows) < n_components:
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {n_components}, "
            f"n_samples = {len(rows)}"
        )
    # Whitening would hide the very directions in which the components lie apart, so distances
    # are taken between features that are scaled one by one.
    points = rows - np.average(rows, axis=0, weights=weights)
    spread = np.sqrt(np.average(np.square(points), axis=0, weights=weights))
    points /= np.where(spread > 0, spread, 1.0)
    seeds = SEEDERS[init_params](points, weights, n_components, rng)
    distances = np.stack([np.square(points - seed).sum(axis=1) for seed in points[seeds]])
    centres = model.coordinates(rows[seeds])
    return model.from_labels(Block(rows, weights), distances.argmin(axis=0), centres)
