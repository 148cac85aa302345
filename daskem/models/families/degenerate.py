"""Components of a fit that are no clusters, or that look as if they were none.

Without a grid of the record the likelihood of normals has no bound: a component that shrinks on a
few rows, or on rows that happen to lie in a plane, gains as much as rounding allows. Such a fit is
improper. Two things look alike and are real: many rows with exactly one value, which no continuous
distribution makes, and rows so far from all others that they would smear whatever took them in.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betaincinv

from daskem.core.frames import Frame
from daskem.core.parameters import Params
from daskem.core.segments import Segments
from daskem.models.families.chance import CHANCE, by_chance, may_be_by_chance
from daskem.models.families.covariance_floor import SPURIOUS
from daskem.models.families.structure import Narrow, Structure
from daskem.models.views import Flaw

# Rows for each coordinate, from which on repeated values are no accident.
_MANY = 10
# Rows of a component that is about to lose them all: no cluster, but none to mind either.
_SOME = 0.1
# Rows beyond those that a covariance needs: with one, it would rule out no distance at all.
_LEAST_FREE = 2.0
# With more of them it is as if it were known.
_MOST_FREE = 1e8
# Rows that are told as a whole number.
_WHOLE = 100
# Coordinates of a place that are written out.
_SHOWN = 4

_HELD = (
    "no spread left in some direction (repeated rows, a constant feature, or too few rows); held "
    "at what the record resolves"
)
_TOO_FEW = "fewer rows than its covariance needs"
_BY_CHANCE = "as narrow as chance makes a component of so few rows"
_UNBOUNDED = "so narrow in some direction that nothing but rounding bounds its likelihood"


@dataclass(frozen=True, eq=False)
class Oddity:
    """The components of a fit beside the floors of a frame.

    Attributes
    ----------
    structure : Structure
    params : Params
        In the frame.
    counts : ndarray, (component,)
        Rows of each.
    frame : Frame
    """

    structure: Structure
    params: Params
    counts: np.ndarray
    frame: Frame

    def events(self) -> list[str]:
        """What is to be said of components that are narrow, or have too few rows."""
        at_floor = _where(np.add(*self._narrow))
        events = [f"covariance of component {k}: {_HELD}" for k in at_floor]
        for k in _where(self._suspects):
            point, place = self._repeated(k), self._place(k)
            if len(point) and self.counts[k] >= _MANY * (len(place) + 1):
                values = ", ".join(f"{place[j]:.6g} in feature {j}" for j in point[:_SHOWN])
                events.append(f"{self._who(k)}: all are exactly {values}")
            elif self._is_isolated(k):
                where = ", ".join(f"{value:.6g}" for value in place[:_SHOWN])
                events.append(f"{self._who(k)}: far from all others, around ({where})")
            else:
                why = _UNBOUNDED if self._excess[k] > 0 else _BY_CHANCE
                why = _TOO_FEW if self._few[k] else why
                events.append(Flaw(f"{self._who(k)}: {why}", k))
        return events

    @property
    def alone(self) -> np.ndarray:
        """Which have fewer rows than their covariance needs, far from all others, (component,)."""
        alone = self._few.copy()
        for k in _where(self._few):
            alone[k] = self._is_isolated(k)
        return alone

    def _who(self, k: int) -> str:
        n = f"{self.counts[k]:,.0f}" if self.counts[k] >= _WHOLE else f"{self.counts[k]:.3g}"
        return f"component {k} ({n} {'row' if n == '1' else 'rows'})"

    def _place(self, k: int) -> np.ndarray:
        """Where a component lies, in data units; 0 where no more than rounding parts it from 0."""
        place = self.frame.restore(self.params["means"][k])
        return np.where(np.square(place) > self.frame.floor, place, 0.0)

    @cached_property
    def _narrow(self) -> Narrow:
        narrow = self.structure.narrow(self.params["covariances"], self.frame)
        # One that all components share is narrow for each of them.
        each = np.ones(len(self.counts), int)
        return Narrow(narrow.recorded * each, narrow.rounding * each)

    @cached_property
    def _total(self) -> np.ndarray:
        """The covariance of the whole data, as of one component."""
        shares = self.counts / self.counts.sum()
        return self.structure.total(self.params["covariances"], self.params["means"], shares)

    @cached_property
    def _excess(self) -> np.ndarray:
        """Directions in which a component has no width, though the data as a whole have."""
        if not self._narrow.rounding.any():
            return self._narrow.rounding
        whole = self.structure.narrow(self._total, self.frame)
        return self._narrow.rounding - whole.rounding

    @cached_property
    def _few(self) -> np.ndarray:
        return few(self.structure, self.params, self.counts)

    @cached_property
    def _suspects(self) -> np.ndarray:
        return (self._excess > 0) | self._few | self._by_chance

    @cached_property
    def _by_chance(self) -> np.ndarray:
        if self.structure.pooled:
            return np.zeros(len(self.counts), bool)
        covariances, means = self.params["covariances"], self.params["means"]
        # Matrices of many features would cost a pass, and of one feature are its variance.
        if not self.structure.correlated or means.shape[1] == 1:
            covariances = self.structure.variances(covariances, *means.shape)
        return by_chance(covariances, means, self.counts)

    def _repeated(self, k: int) -> np.ndarray:
        """The features in which all rows of a component have one value, if it is narrow in these
        only.
        """
        if self._excess[k] <= 0:
            return np.empty(0, int)
        structure, shape = self.structure, self.params["means"].shape
        mine = self.frame.variances(structure.expand(self.params["covariances"], *shape)[k])
        whole = self.frame.variances(structure.expand(self._total, 1, shape[1])[0])
        floor = SPURIOUS * np.where(self.frame.recorded, 0.0, self.frame.floor)
        features = np.flatnonzero((mine <= floor) & (whole > floor))
        return features if self._excess[k] <= len(features) else features[:0]

    def _is_isolated(self, k: int) -> bool:
        """Whether no other component can have made the rows of one, or takes them in unharmed."""
        others, means = self._clusters, self.params["means"]
        if not len(others):
            return False
        apart = (means[k] - means[others])[:, :, None]
        white = self.structure.whiten(self._roots[others], apart, np.empty_like(apart))
        squares = np.square(white).sum(axis=(1, 2))
        smeared = self.counts[k] * squares > self.counts[others]
        return bool(np.all((squares > self._farthest) & smeared))

    @cached_property
    def _clusters(self) -> np.ndarray:
        """The components that are no suspects, as numbers."""
        return np.flatnonzero(~self._suspects & (self.counts > 0))

    @cached_property
    def _farthest(self) -> np.ndarray:
        """How far from its mean the rows of each of `_clusters` lie, (component,), squared and in
        its covariance.

        A new row lies as Hotelling's T^2 has it, as a covariance of few rows is too small:

            (n + 1) (1 / c - 1),  c ~ Beta((n - m) / 2, d / 2)

        with n the rows that the covariance is of, of which it is singular on m.
        """
        d, n = self.params["means"].shape[1], self.counts[self._clusters]
        n = np.full_like(n, self.counts.sum()) if self.structure.pooled else n
        m = max(self.structure.fewest(d) - 1, 0)
        free = np.clip(n - m, _LEAST_FREE, _MOST_FREE)
        c = betaincinv(free / 2, d / 2, CHANCE / self.counts.sum())
        return np.asarray((free + m + 1) * (1 / c - 1))

    @cached_property
    def _roots(self) -> np.ndarray:
        return self.structure.root(self.params["covariances"], len(self.counts))


def may_be_odd(
    structure: Structure, params: Params, counts: np.ndarray, frame: Frame, each: Segments
) -> np.ndarray:
    """Which of several fits may have components that are flaws, (fit,).

    Their components lie one after the other, and share nothing.
    """
    narrow = structure.narrow(params["covariances"], frame).rounding > 0
    too_few = few(structure, params, counts)
    seldom = may_be_by_chance(params["covariances"], params["means"].shape[1], counts, each)
    return each.sums(narrow | too_few | seldom) > 0


def few(structure: Structure, params: Params, counts: np.ndarray) -> np.ndarray:
    """Components with fewer rows than their covariance needs, (component,)."""
    least = structure.fewest(params["means"].shape[1])
    return (counts > _SOME) & (counts < least - 0.5)


def _where(chosen: np.ndarray) -> list[int]:
    return [int(k) for k in np.flatnonzero(chosen)]
