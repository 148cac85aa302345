"""Params as one vector, in coordinates without bounds or in steady ones, and back."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from daskem.core.parameters import Parameter, Params, Support


def to_free(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates without bounds of `params`, (coordinate,); infinite on an edge."""
    return _coordinates({name: p.support.to_free for name, p in declared.items()}, params)


def to_steady(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates of `params` that rows tell about equally well everywhere, (coordinate,)."""
    return _coordinates(
        {name: p.support.to_steady or p.support.to_free for name, p in declared.items()}, params
    )


def nearest_edges(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The edge nearest to every steady coordinate, (coordinate,); NaN where there is none."""

    def nearest(support: Support, value: np.ndarray) -> np.ndarray:
        steady = (support.to_steady or support.to_free)(value)
        if not support.edges:
            return np.full(np.shape(steady), np.nan)
        edges = np.array(support.edges)
        return edges[np.abs(steady[..., None] - edges).argmin(axis=-1)]

    return _coordinates({name: partial(nearest, p.support) for name, p in declared.items()}, params)


def from_free(
    declared: Mapping[str, Parameter], like: Params, coordinates: np.ndarray
) -> Params | None:
    """The params, of the shapes of `like`, at these coordinates; None where there are none."""
    params = Params({})
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, part in _parts(declared, like, coordinates).items():
            support = declared[name].support
            value = np.asarray(support.from_free(part))
            # What rounding has carried to the edge has lost its coordinates on the way.
            kept = np.all(support.contains(value)) and np.array_equal(
                np.isfinite(support.to_free(value)), np.isfinite(part)
            )
            if not kept:
                return None
            params[name] = value
    return Params({**like, **params})


def from_steady(
    declared: Mapping[str, Parameter], like: Params, coordinates: np.ndarray
) -> Params | None:
    """The inverse of `to_steady`, but that a value of `like` stays whose coordinates are infinite.

    None where the coordinates lead out of the supports.
    """
    params = Params({})
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, part in _parts(declared, like, coordinates).items():
            if not np.isfinite(part).all():
                continue
            support = declared[name].support
            value = np.asarray((support.from_steady or support.from_free)(part))
            if not np.all(support.contains(value)):
                return None
            params[name] = value
    return Params({**like, **params})


def _coordinates(
    to: Mapping[str, Callable[[np.ndarray], np.ndarray]], params: Params
) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {name: np.asarray(params[name], dtype=np.float64) for name in to}
        return np.concatenate([np.ravel(to[name](value)) for name, value in values.items()])


def _parts(
    declared: Mapping[str, Parameter], like: Params, coordinates: np.ndarray
) -> dict[str, np.ndarray]:
    """The coordinates of each parameter, in the shape that its support gives them."""
    parts, start = {}, 0
    for name, p in declared.items():
        shape = p.support.coordinates(np.shape(like[name]))
        parts[name] = coordinates[start : start + math.prod(shape)].reshape(shape)
        start += parts[name].size
    return parts
