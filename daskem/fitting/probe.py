"""Steps aside: how fast EM gathers again what has strayed from an iterate, or that it does not.

The steps of a climb show the directions that it has taken. A saddle, or a direction so slow that
its gains have yet to begin, they do not show; a small step in a random direction does. The steps
are taken in the sample of the survey, and so cost no read: what differs between the sample and the
data is where the optimum lies, rather than how fast EM goes there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.coordinates import (
    from_steady,
    from_steady_each,
    nearest_edges,
    to_steady,
    to_steady_each,
)
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.models.asking import EmSteps, allowed, log_prior_of
from daskem.models.families.protocol import is_bounded
from daskem.models.protocol import Declares, Model

# Rows of the sample that are looked at, at most.
ROWS = 2**14
# Steps aside in one sweep over these rows.
_WIDTH = 4
# Steps aside, at most.
_MOST = 48
# Steps aside before a rate is believed,
_FEW = 12
# and what more of them may change, relative to how far the rate is from 1.
_SETTLED = 0.2
# The furthest that a step aside moves a coordinate: a root of the rounding of EM steps, as then
# rounding and curvature spoil the difference about equally little.
_ASIDE = 1e-5
# How much shorter a step along a vector is that has to show its rate, within this fraction of it.
_SHORTER, _AGREEING = 0.2, 0.5
# What is left of a direction that lies in the span of the others, relative to its length.
_DEPENDENT = 1e-7
# Rates up to here a sample tells well enough.
SURE = 0.9
# 1 - rate below which a direction is flat, as far as steps aside can tell.
FLAT = 1e-3
# rate - 1 beyond which EM leaves an iterate, however slowly: the rates of steps aside are known to
# about their length.
LEAVES = 1e-4
# Lengths of a way out of a saddle, of which the best is taken: from what a few EM steps go to a
# coordinate's whole range.
_WAYS = 0.05 * 2.0 ** np.arange(6)


@dataclass(frozen=True)
class Slowest:
    """The direction in which EM is slowest around an iterate, or that it leaves on its own.

    Attributes
    ----------
    rate : float
        The largest eigenvalue of the Jacobian J of the EM step, and what it may be wrong by; NaN
        where steps aside cannot tell, as some component is narrower than they are long.
    direction : ndarray, (coordinate,)
        In steady coordinates.
    out : Params or None
        Where EM is slow, or leaves, the best params that it reaches in the sample from places
        along that direction, if they are better than the iterate.
    gains : float
        What they gain in the sample, nats per row.
    """

    rate: float
    direction: np.ndarray
    out: Params | None = None
    gains: float = 0.0

    def aside(self, model: Declares, params: Params) -> Params | None:
        """A small step along the direction, if it leads anywhere inside the supports."""
        longest = np.abs(self.direction).max()
        if not longest > 0:
            return None
        step = to_steady(model.parameters, params) + _ASIDE / longest * self.direction
        return from_steady(model.parameters, params, step)


@one_blas_thread()
def slowest(model: Model, sample: Block, params: Params) -> Slowest:
    """The largest eigenvalue of J at `params`, and where its vector leads.

    Parameters
    ----------
    model : Model
        With the members of `Declares`.
    sample : Block
        Rows like those of the data, in any order.
    params : Params
        An iterate.
    """
    neighbourhood = _Neighbourhood(model, sample.head(ROWS), params)
    inside, edges = _inside(neighbourhood), neighbourhood.at_edges()
    rate, direction = max(inside, edges, key=lambda eigenpair: eigenpair[0])
    # Behind the shoulders of a likelihood without a bound there is mostly what no cluster is.
    if rate <= SURE or (rate <= 1 + LEAVES and not is_bounded(model)):
        return Slowest(rate, direction)
    if rate <= 1 + LEAVES:
        return Slowest(rate, direction, *neighbourhood.way_ahead(direction))
    if rate == inside[0] and not neighbourhood.confirms(rate, direction):
        return Slowest(np.nan, direction)
    return Slowest(rate, direction, *neighbourhood.way_out(direction))


def _inside(neighbourhood: "_Neighbourhood") -> tuple[float, np.ndarray]:
    """The rate and the direction of J among coordinates that are on no edge (Arnoldi 1951)."""
    basis = _extended(np.empty((0, len(neighbourhood.origin))), neighbourhood.directions)
    images, rates, vector = np.empty_like(basis[:0]), [0.0], np.zeros(len(neighbourhood.origin))
    while len(images) < len(basis):
        new = neighbourhood.images(basis[len(images) :])
        images = np.concatenate([images, new])
        basis = _extended(basis, new)
        rate, vector = _largest(basis, images)
        rates.append(rate)
        changed = abs(rate - rates[max(len(rates) - 3, 0)])
        if len(images) >= _MOST or (len(images) >= _FEW and changed <= _SETTLED * abs(1 - rate)):
            return rate + changed, vector
    return rates[-1], vector  # Of all directions that there are, or that these lead to.


class _Neighbourhood:
    """The EM steps of a model around an iterate, in steady coordinates.

    Where a value is at an edge, J says of its coordinate only how the EM step changes its distance,
    as an EM step that starts on an edge stays there.

    Attributes
    ----------
    origin : ndarray, (coordinate,)
        The iterate.
    directions : ndarray, (direction, coordinate)
        Random ones, along the edges.
    """

    def __init__(self, model: Model, sample: Block, params: Params) -> None:
        assert isinstance(model, Declares)
        self._model, self._sample, self._params = model, sample, params
        self._of_em = EmSteps(model)
        self._declared = model.parameters
        (step,) = self._steps([params])
        self.origin, self._image = to_steady_each(self._declared, [params, step])
        self._edges = nearest_edges(self._declared, params)
        self._at_edge = np.abs(self.origin - self._edges) < 2 * _ASIDE
        self._free = np.isfinite(self.origin) & np.isfinite(self._image) & ~self._at_edge
        random = np.random.default_rng(0).standard_normal((_WIDTH, len(self.origin)))
        self.directions = np.where(self._free, random, 0.0)

    def confirms(self, rate: float, direction: np.ndarray) -> bool:
        """Whether a shorter step along a vector of J shows about the same rate."""
        unit = direction / np.linalg.norm(direction)
        (image,) = self.images(unit[None], _ASIDE * _SHORTER)
        return bool(np.linalg.norm(image - rate * unit) <= _AGREEING * rate)

    def images(self, directions: np.ndarray, aside: float = _ASIDE) -> np.ndarray:
        """What J makes of each direction, (direction, coordinate); 0 where one cannot go."""
        lengths = aside / np.abs(directions).max(axis=1)
        points = self._each_at(lengths[:, None] * directions)
        inside = [i for i, point in enumerate(points) if point is not None]
        steps = to_steady_each(self._declared, self._steps([p for p in points if p is not None]))
        images = np.zeros_like(directions)
        with np.errstate(invalid="ignore"):
            for i, step in zip(inside, steps, strict=True):
                images[i] = np.where(self._free, (step - self._image) / lengths[i], 0.0)
        return np.where(np.isfinite(images), images, 0.0)

    def at_edges(self) -> tuple[float, np.ndarray]:
        """The largest factor by which an EM step changes a small distance from an edge, and the
        way from all edges that EM steps leave; what is on an edge is meant to be there.
        """
        near = self._at_edge & (self.origin != self._edges)
        inwards = np.where(self._edges == 0, 1.0, -1.0) * near
        point = self._at(np.where(near, self._edges + _ASIDE * inwards - self.origin, 0.0))
        if point is None or not near.any():
            return 0.0, inwards
        (step,) = self._steps([point])
        left = np.abs(to_steady(self._declared, step) - self._edges) / _ASIDE
        factors = np.where(near & np.isfinite(left), left, 0.0)
        return float(factors.max()), inwards * (factors > 1)

    def way_out(self, direction: np.ndarray) -> tuple[Params | None, float]:
        """The best params along a direction, either way, if they are better than here; what they
        gain, nats per row.
        """
        return self._best(self._along(np.concatenate([direction[None], -direction[None]])))

    def way_ahead(self, direction: np.ndarray) -> tuple[Params | None, float]:
        """The same of where two EM steps lead from params along a direction, the way EM goes.

        Slopes that nearly end may go on behind a shoulder. A straight way does not follow a valley.
        """
        moves = np.where(self._free, self._image - self.origin, 0.0)
        way = direction * (1.0 if moves @ direction >= 0 else -1.0)
        if not np.abs(way).max() > 0:
            return None, 0.0
        points = self._along(way[None])
        for _ in range(2):
            points = self._steps(points) if points else points
        return self._best(points)

    def _along(self, ways: np.ndarray) -> list[Params]:
        """Params at growing lengths along ways, (way, coordinate), that the model allows."""
        units = ways / np.abs(ways).max(axis=1, keepdims=True)
        steps = (_WAYS[:, None, None] * units).reshape(-1, ways.shape[1])
        return [allowed(self._model, p) for p in self._each_at(steps) if p is not None]

    def _best(self, points: Sequence[Params]) -> tuple[Params | None, float]:
        points = [self._params, *points]
        objectives = self._objectives(points)
        best = int(np.nanargmax(objectives))
        gained = (objectives[best] - objectives[0]) / self._sample.weight
        return (points[best], gained) if best else (None, 0.0)

    def _at(self, step: np.ndarray) -> Params | None:
        return from_steady(self._declared, self._params, self.origin + step)

    def _each_at(self, steps: np.ndarray) -> list[Params | None]:
        return from_steady_each(self._declared, self._params, self.origin + steps)

    def _steps(self, points: Sequence[Params]) -> list[Params]:
        return self._of_em.m_steps(self._sums(points), points)

    def _objectives(self, points: Sequence[Params]) -> list[float]:
        log_prior = log_prior_of(self._model)
        return [
            float(sums["log_likelihood"]) + log_prior(point, self._sample.weight)
            for sums, point in zip(self._sums(points), points, strict=True)
        ]

    def _sums(self, points: Sequence[Params]) -> list[Statistics]:
        return self._of_em.e_steps(self._sample, points)


def _largest(basis: np.ndarray, images: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest Ritz value of J, and its vector (coordinate,)."""
    v = basis[: len(images)]
    values, vectors = np.linalg.eig(v @ images.T)
    largest = int(values.real.argmax())
    return float(values[largest].real), vectors[:, largest].real @ v


def _extended(basis: np.ndarray, more: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of both, of which `basis` is the beginning."""
    for v in more:
        rest = v
        for _ in range(2):  # Once leaves what rounding has left.
            rest = rest - (basis @ rest) @ basis
        size = np.linalg.norm(rest)
        if size > _DEPENDENT * np.linalg.norm(v):
            basis = np.concatenate([basis, rest[None] / size])
    return basis
