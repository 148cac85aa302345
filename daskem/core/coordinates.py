"""Params as one vector, in coordinates without bounds or in steady ones, and back."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from daskem.core.parameters import Parameter, Params, Support
from daskem.core.segments import Segments

# Numbers in params, up to which it is kept where their coordinates lie: of more, the numbers that
# say so would fill a memory, and are made in a fraction of the time of a sweep.
_FEW = 2**14


def to_free(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates without bounds of `params`, (coordinate,); infinite on an edge."""
    (free,) = to_free_each(declared, [params])
    return free


def to_free_each(declared: Mapping[str, Parameter], many: Sequence[Params]) -> list[np.ndarray]:
    """The coordinates without bounds of each of `many`; in one go, whatever their shapes."""
    return _to_each(declared, many, lambda support, values: support.to_free(values))


def to_steady(declared: Mapping[str, Parameter], params: Params) -> np.ndarray:
    """The coordinates of `params` that rows tell about equally well everywhere, (coordinate,)."""
    (steady,) = to_steady_each(declared, [params])
    return steady


def to_steady_each(declared: Mapping[str, Parameter], many: Sequence[Params]) -> list[np.ndarray]:
    """The same of each of `many`; in one go."""
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
    are none. Those of several numbers of components come in one go.
    """
    if not likes:
        return []
    inside, made = np.ones(len(likes), dtype=bool), [dict(like) for like in likes]
    layout = _layout_of(declared, likes)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for group, part in zip(layout.groups, layout.columns(points), strict=True):
            value = np.asarray(group.support.from_free(part))
            # What rounding has carried to the edge has lost its coordinates on the way.
            same = np.isfinite(group.support.to_free(value)) == np.isfinite(part)
            for answers in (group.support.contains(value), same):
                if not np.all(answers):
                    inside[group.numbers] &= group.every(np.asarray(answers))
            for i, own in zip(group.numbers, group.parted(value), strict=True):
                made[i][group.name] = own
    return [
        Params(values) if is_inside else None
        for values, is_inside in zip(made, inside.tolist(), strict=True)
    ]


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
    """The coordinates (coordinate,) of each of `many` that `to` has for its values."""
    if not many:
        return []
    layout = _layout_of(declared, many)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [to(group.support, group.joined(many)) for group in layout.groups]
    return layout.points(columns)


Shape = tuple[int, ...]


class _Group:
    """Values of one parameter, of some of many params, that are computed in one go.

    Parameters
    ----------
    name : str
        Of the parameter.
    support : Support
    member : tuple of int
        The shape of a member of the support.
    shapes : mapping of int to tuple of int
        Of the values, by the numbers of the params.
    """

    def __init__(
        self, name: str, support: Support, member: Shape, shapes: dict[int, Shape]
    ) -> None:
        self.name, self.member = name, member
        self.numbers, self._shapes = list(shapes), list(shapes.values())
        size, n_coordinates = math.prod(member), math.prod(support.coordinates(member))
        self._of_each = Segments([math.prod(shape) // size for shape in self._shapes])
        self.owners = np.repeat(self.numbers, n_coordinates * np.array(self._of_each.lengths))
        self.support = support
        if support.of_segments is not None:
            lengths = [s[-1] for s in self._shapes for _ in range(math.prod(s[:-1]))]
            self.support = support.of_segments(Segments(lengths))

    def joined(self, many: Sequence[Params]) -> np.ndarray:
        """The values of all, (member of the support, ...)."""
        values = [many[i][self.name] for i in self.numbers]
        return np.concatenate(values, axis=None, dtype=np.float64).reshape(-1, *self.member)

    def parted(self, value: np.ndarray) -> list[np.ndarray]:
        """The inverse."""
        parts = zip(self._of_each.parts(value), self._shapes, strict=True)
        return [part.reshape(shape) for part, shape in parts]

    def every(self, answers: np.ndarray) -> np.ndarray:
        """Whether all answers, (member of the support, ...), are yes, for each of the params."""
        return self._of_each.every(_every(answers))


class _Layout:
    """Where the coordinates of many params lie when those of each parameter are joined.

    Parameters
    ----------
    declared : sequence of (str, Support)
    shapes : sequence of tuple
        Of all values of each of the params.
    """

    def __init__(
        self, declared: Sequence[tuple[str, Support]], shapes: Sequence[tuple[Shape, ...]]
    ) -> None:
        self.groups = [
            group
            for (name, support), own in zip(declared, zip(*shapes, strict=True), strict=True)
            for group in _groups(name, support, own)
        ]
        owners = np.concatenate([group.owners for group in self.groups])
        self._order = np.argsort(owners, kind="stable")
        self._of_groups = Segments([len(group.owners) for group in self.groups])
        self._of_each = Segments(np.bincount(owners).tolist())

    def points(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The coordinates (coordinate,) of each, of those of each group."""
        return self._of_each.parts(np.concatenate([c.reshape(-1) for c in columns])[self._order])

    def columns(self, points: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The inverse, in the shape that supports give."""
        values = np.empty(len(self._order))
        values[self._order] = np.concatenate(points)
        parts = zip(self.groups, self._of_groups.parts(values), strict=True)
        return [part.reshape(-1, *group.support.coordinates(group.member)) for group, part in parts]


def _groups(name: str, support: Support, shapes: Sequence[Shape]) -> list[_Group]:
    """The values of a parameter, of these shapes, in as few groups as can be."""
    if support.axes == 0 or support.of_segments:
        return [_Group(name, support, (), dict(enumerate(shapes)))]
    of_members: dict[Shape, dict[int, Shape]] = {}
    for i, shape in enumerate(shapes):
        n_alike = 0 if support.axes is None else len(shape) - support.axes
        of_members.setdefault(shape[n_alike:], {})[i] = shape
    return [_Group(name, support, member, own) for member, own in of_members.items()]


def _layout_of(declared: Mapping[str, Parameter], many: Sequence[Params]) -> _Layout:
    supports = tuple([(name, p.support) for name, p in declared.items()])
    shapes = tuple([tuple([np.shape(p[n]) for n in declared]) for p in many])
    is_small = len(shapes) * sum(map(math.prod, shapes[0])) <= _FEW
    return (_kept if is_small else _Layout)(supports, shapes)


# Climbs in step ask for the same one pass after pass.
_kept = lru_cache(maxsize=64)(_Layout)


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


def _steadied(support: Support, values: np.ndarray) -> np.ndarray:
    return (support.to_steady or support.to_free)(values)


def _every(answers: np.ndarray) -> np.ndarray:
    """Whether all answers of a stack are yes, of each of its entries."""
    return np.asarray(np.reshape(answers, (len(answers), -1)).all(axis=1))
