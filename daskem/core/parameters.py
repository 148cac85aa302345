"""What a parameter is: its dimensions and its support, declared once and used everywhere."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import NewType

import numpy as np
from scipy.special import expit, logit

from daskem.core.numerics import definite, is_positive_definite
from daskem.core.segments import Segments
from daskem.core.triangular import cholesky
from daskem.errors import ParameterError

# Params in the coordinates of a model, in which E steps, M steps and algorithms work.
Params = NewType("Params", dict[str, np.ndarray])
# Params in the units of the data, as people give and get them. Models turn one into the other.
DataParams = NewType("DataParams", dict[str, np.ndarray])


@dataclass(frozen=True)
class Support:
    """The set of values that a parameter may take.

    Attributes
    ----------
    name : str
        In words, for messages.
    contains : callable
        ``array -> bool array``; one answer for each element, vector or matrix.
    free : callable
        ``shape -> int``; the number of free values in an array of that shape.
    coordinates : callable
        ``shape -> shape``: of the coordinates of an array, free or steady. Default: the same.
    mended : callable
        ``array -> array``: the nearest values inside, of those that are but for their rounding.
    to_free, from_free : callable
        ``array -> array``: to coordinates without bounds, in which one may extrapolate, and back.
        Values on the edge of the set have infinite coordinates. Default: the values themselves.
    to_steady, from_steady : callable
        The same, to as many coordinates in which rows tell a value about equally well everywhere,
        so that the edge is as near as it is for the likelihood. Default: the free ones.
    edges : tuple of float
        The steady coordinates of the edges of the set that belong to it, the lower one first.
    axes : int, optional
        How many of the last axes one member of the set takes: 0 for numbers, 1 for vectors, 2 for
        matrices; those of arrays that differ in other axes are computed in one go. Default: all.
    of_segments : callable, optional
        ``Segments -> Support``: the same set, of vectors of several lengths in one array.
    """

    name: str
    contains: Callable[[np.ndarray], np.ndarray]
    free: Callable[[tuple[int, ...]], int]
    to_free: Callable[[np.ndarray], np.ndarray] = np.asarray
    from_free: Callable[[np.ndarray], np.ndarray] = np.asarray
    to_steady: Callable[[np.ndarray], np.ndarray] | None = None
    from_steady: Callable[[np.ndarray], np.ndarray] | None = None
    edges: tuple[float, ...] = ()
    mended: Callable[[np.ndarray], np.ndarray] = np.asarray
    coordinates: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple
    axes: int | None = None
    of_segments: "Callable[[Segments], Support] | None" = None


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


class _LastAxis:
    """Vectors along the last axis, as `Segments` has them of several lengths."""

    def total(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values.sum(axis=-1, keepdims=True))

    def peak(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values.max(axis=-1, keepdims=True))


_Vectors = _LastAxis | Segments


def _centred_log(vectors: _Vectors, weights: np.ndarray) -> np.ndarray:
    """Log-ratios to the geometric mean (Aitchison 1982), which treat all components alike."""
    inside = weights > 0
    logs = np.log(weights)
    return logs - vectors.total(np.where(inside, logs, 0.0)) / vectors.total(inside.astype(float))


def _softmax(vectors: _Vectors, logs: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logs - vectors.peak(logs))
    return exponentials / vectors.total(exponentials)


def _shares(vectors: _Vectors, roots: np.ndarray) -> np.ndarray:
    squares = roots**2
    return squares / vectors.total(squares)


def _are_shares(vectors: _Vectors, values: np.ndarray) -> np.ndarray:
    return (values >= 0) & (np.abs(vectors.total(values) - 1) < 1e-6)


@cache
def _triangle(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The places of the lower triangle of a matrix, (entry,), and which are on its diagonal."""
    rows, columns = np.tril_indices(d)
    return rows, columns, rows == columns


def _log_cholesky(matrices: np.ndarray) -> np.ndarray:
    """The lower triangle of the Cholesky factor, (..., entry), with the log of its diagonal."""
    rows, columns, diagonal = _triangle(matrices.shape[-1])
    try:
        entries = cholesky(matrices)[..., rows, columns]
    except np.linalg.LinAlgError:
        # Each for itself: a matrix without a factor leaves theirs to the others.
        if matrices.ndim == 2:
            return np.full(len(rows), -np.inf)
        if len(matrices) == 1:
            return _log_cholesky(matrices[0])[None]
        return np.concatenate([_log_cholesky(half) for half in np.array_split(matrices, 2)])
    return np.where(diagonal, np.log(np.where(diagonal, entries, 1.0)), entries)


def _from_log_cholesky(entries: np.ndarray) -> np.ndarray:
    d = int(np.sqrt(2 * entries.shape[-1]))
    if d == 1:
        return np.square(np.exp(entries))[..., None]
    rows, columns, diagonal = _triangle(d)
    factors = np.zeros((*entries.shape[:-1], d, d))
    factors[..., rows, columns] = np.where(diagonal, np.exp(entries), entries)
    return factors @ factors.swapaxes(-1, -2)


def _angles(probabilities: np.ndarray) -> np.ndarray:
    return 2 * np.arcsin(np.sqrt(probabilities))


def _from_angles(angles: np.ndarray) -> np.ndarray:
    return np.sin(angles / 2) ** 2


def _roots(values: np.ndarray) -> np.ndarray:
    return 2 * np.sqrt(values)


def _from_roots(roots: np.ndarray) -> np.ndarray:
    return roots**2 / 4


REAL = Support("finite numbers", np.isfinite, _size, axes=0)
POSITIVE = Support(
    "positive numbers",
    lambda a: np.isfinite(a) & (a > 0),
    _size,
    to_free=np.log,
    from_free=np.exp,
    axes=0,
)
NON_NEGATIVE = Support(
    "numbers >= 0",
    lambda a: np.isfinite(a) & (a >= 0),
    _size,
    to_free=np.log,
    from_free=np.exp,
    to_steady=_roots,
    from_steady=_from_roots,
    edges=(0.0,),
    axes=0,
)
PROBABILITY = Support(
    "probabilities in [0, 1]",
    lambda a: (a >= 0) & (a <= 1),
    _size,
    to_free=logit,
    from_free=expit,
    to_steady=_angles,
    from_steady=_from_angles,
    edges=(0.0, np.pi),
    axes=0,
)


def _simplex(vectors: _Vectors, contains: Callable[[np.ndarray], np.ndarray]) -> Support:
    return Support(
        "probabilities that add to 1",
        contains,
        lambda shape: _size(shape) - _size(shape[:-1]),
        to_free=partial(_centred_log, vectors),
        from_free=partial(_softmax, vectors),
        to_steady=_roots,
        from_steady=partial(_shares, vectors),
        edges=(0.0,),
        axes=1,
    )


SIMPLEX = replace(
    _simplex(_LastAxis(), lambda a: np.all(_are_shares(_LastAxis(), a), axis=-1)),
    of_segments=lambda segments: _simplex(segments, partial(_are_shares, segments)),
)
POSITIVE_DEFINITE = Support(
    "symmetric positive definite matrices",
    lambda a: (
        is_positive_definite(a)
        & (np.abs(a - a.swapaxes(-1, -2)).max(axis=(-1, -2)) <= 1e-8 * np.abs(a).max(axis=(-1, -2)))
    ),
    lambda shape: _size(shape[:-2]) * shape[-1] * (shape[-1] + 1) // 2,
    to_free=_log_cholesky,
    from_free=_from_log_cholesky,
    mended=definite,
    coordinates=lambda shape: (*shape[:-2], shape[-1] * (shape[-1] + 1) // 2),
    axes=2,
)


@dataclass(frozen=True)
class Parameter:
    """Declaration of one array of a model's params.

    Attributes
    ----------
    dims : tuple of str
        Names of its dimensions, such as ``("component", "feature")``. The second axis of a
        square matrix carries the suffix ``_2``, as labelled arrays want each name once.
    support : Support
        The values it may take.
    """

    dims: tuple[str, ...]
    support: Support


def sizes(declared: Mapping[str, Parameter], params: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The length of every dimension of `params`.

    Raises
    ------
    ParameterError
        If a parameter is missing, unknown, has the wrong number of dimensions, or disagrees
        with another one about a length.
    """
    if set(params) != set(declared):
        raise ParameterError(
            f"the parameters are {sorted(params)}, but this model has {sorted(declared)}"
        )
    lengths: dict[str, int] = {}
    for name, parameter in declared.items():
        shape = np.shape(params[name])
        dims = [dim.removesuffix("_2") for dim in parameter.dims]
        wanted = tuple(lengths.get(dim, dim) for dim in dims)
        fits = len(shape) == len(dims)
        fits = fits and all(lengths.setdefault(d, n) == n for d, n in zip(dims, shape, strict=True))
        if not fits:
            raise ParameterError(f"{name!r} has shape {shape}; it should be {wanted}")
    return lengths


def check(
    declared: Mapping[str, Parameter], params: Mapping[str, np.ndarray], mend: bool = False
) -> dict[str, np.ndarray]:
    """Return `params` as float64 arrays after checking names, shapes and supports.

    To `mend` is to take what is inside but for its rounding as the nearest that is.

    Raises
    ------
    ParameterError
        Naming the parameter, the place in it and what it should be.
    """
    params = {name: np.asarray(value, dtype=np.float64) for name, value in params.items()}
    sizes(declared, params)
    for name, parameter in declared.items():
        if mend:
            params[name] = parameter.support.mended(params[name])
        inside = np.asarray(parameter.support.contains(params[name]))
        if not inside.all():
            where = tuple(int(i) for i in np.argwhere(~inside)[0])
            place = f"{name}{list(where)}" if where else name
            raise ParameterError(
                f"{place} = {params[name][where]} is not among: {parameter.support.name}"
            )
    return params


def count_free(declared: Mapping[str, Parameter], params: Mapping[str, np.ndarray]) -> int:
    """The number of free parameters, as BIC and AIC count them."""
    return sum(p.support.free(np.shape(params[name])) for name, p in declared.items())
