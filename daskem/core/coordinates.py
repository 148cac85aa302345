"""Params as one vector, in coordinates without bounds or in steady ones, and back."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from daskem.core.parameters import Parameter, Params, Support


def to_free(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates without bounds of `params`, (coordinate,); infinite on an edge."""
    (free,) = to_free_each(declared, [params])
    return free


def to_free_each(declared: Mapping[str, Parameter], many: Sequence[Params]) -> list[np.ndarray]:
    """The coordinates without bounds of each of `many`; those of equal shapes in one go."""
    return _to_each(declared, many, _freed)


def to_steady(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates of `params` that rows tell about equally well everywhere, (coordinate,)."""
    (steady,) = to_steady_each(declared, [params])
    return steady


def to_steady_each(declared: Mapping[str, Parameter], many: Sequence[Params]) -> list[np.ndarray]:
    """The same of each of `many`; those of equal shapes in one go."""
    return _to_each(declared, many, _steadied)


def nearest_edges(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The edge nearest to every steady coordinate, (coordinate,); NaN where there is none."""

    def nearest(support: Support, value: np.ndarray) -> np.ndarray:
        steady = _steadied(support, value)
        if not support.edges:
            return np.full(np.shape(steady), np.nan)
        edges = np.array(support.edges)
        return edges[np.abs(steady[..., None] - edges).argmin(axis=-1)]

    (edges,) = _to_each(declared, [params], nearest)
    return edges


def from_free_each(
    declared: Mapping[str, Parameter], likes: Sequence[Params], points: Sequence[np.ndarray]
) -> list[Params | None]:
    """The params, of the shapes of each of `likes`, at its point, (coordinate,); None where there
    are none. Those of equal shapes come in one go.
    """
    params: dict[int, Params | None] = {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for numbers in _alike(_values(declared, likes)):
            kept, values = np.ones(len(numbers), dtype=bool), {}
            stack = np.array([points[i] for i in numbers])
            for name, part in _parts(declared, likes[numbers[0]], stack).items():
                support = declared[name].support
                values[name] = value = np.asarray(support.from_free(part))
                # What rounding has carried to the edge has lost its coordinates on the way.
                same = np.isfinite(_freed(support, value)) == np.isfinite(part)
                kept &= _every(support.contains(value)) & _every(same)
            for at, i in enumerate(numbers):
                of_point = {name: value[at] for name, value in values.items()}
                params[i] = Params({**likes[i], **of_point}) if kept[at] else None
    return [params[i] for i in range(len(likes))]


def from_steady(
    declared: Mapping[str, Parameter], like: Params, coordinates: np.ndarray
) -> Params | None:
    """The inverse of `to_steady`, but that a value of `like` stays whose coordinates are infinite.

    None where the coordinates lead out of the supports.
    """
    (params,) = from_steady_each(declared, like, coordinates[None])
    return params


def from_steady_each(
    declared: Mapping[str, Parameter], like: Params, points: np.ndarray
) -> list[Params | None]:
    """The same at each of some points, (point, coordinate)."""
    kept, values = np.ones(len(points), dtype=bool), {}
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for name, part in _parts(declared, like, points).items():
            support, finite = declared[name].support, _every(np.isfinite(part))
            if finite.any():
                value = np.asarray((support.from_steady or support.from_free)(part))
                kept &= _every(support.contains(value)) | ~finite
                values[name] = value, finite
    return [
        Params({**like, **{n: value[i] for n, (value, finite) in values.items() if finite[i]}})
        if kept[i]
        else None
        for i in range(len(points))
    ]


def _to_each(
    declared: Mapping[str, Parameter],
    many: Sequence[Params],
    to: Callable[[Support, np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """The coordinates (coordinate,) of each of `many` that `to` has for stacks of values."""
    coordinates: dict[int, np.ndarray] = {}
    values = _values(declared, many)
    with np.errstate(divide="ignore", invalid="ignore"):
        for numbers in _alike(values):
            stacks = map(np.array, zip(*(values[i] for i in numbers), strict=True))
            columns = [
                to(p.support, stack).reshape(len(numbers), -1)
                for p, stack in zip(declared.values(), stacks, strict=True)
            ]
            coordinates.update(zip(numbers, np.concatenate(columns, axis=1), strict=True))
    return [coordinates[i] for i in range(len(many))]


def _parts(
    declared: Mapping[str, Parameter], like: Params, coordinates: np.ndarray
) -> dict[str, np.ndarray]:
    """The coordinates (..., coordinate) of each parameter, in the shape that its support gives."""
    parts, start = {}, 0
    for name, p in declared.items():
        shape = p.support.coordinates(np.shape(like[name]))
        part = coordinates[..., start : start + math.prod(shape)]
        parts[name] = part.reshape((*coordinates.shape[:-1], *shape))
        start += math.prod(shape)
    return parts


def _values(declared: Mapping[str, Parameter], many: Sequence[Params]) -> list[list[np.ndarray]]:
    """The values of each of `many`, in the order in which they are declared."""
    return [[np.asarray(params[name], dtype=np.float64) for name in declared] for params in many]


def _alike(values: Sequence[Sequence[np.ndarray]]) -> list[list[int]]:
    """The numbers of those whose values have the same shapes."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for i, arrays in enumerate(values):
        groups.setdefault(tuple([array.shape for array in arrays]), []).append(i)
    return list(groups.values())


def _freed(support: Support, values: np.ndarray) -> np.ndarray:
    """The free coordinates of a stack of values, each for itself where one of them is on an edge:
    a matrix that has no Cholesky factor leaves none to the others.
    """
    free = support.to_free(values)
    if len(values) == 1 or np.isfinite(free).all():
        return free
    return np.stack([support.to_free(value) for value in values])


def _steadied(support: Support, values: np.ndarray) -> np.ndarray:
    return _freed(support, values) if support.to_steady is None else support.to_steady(values)


def _every(answers: np.ndarray) -> np.ndarray:
    """Whether all answers of a stack are yes, of each of its entries."""
    return np.asarray(np.reshape(answers, (len(answers), -1)).all(axis=1))
