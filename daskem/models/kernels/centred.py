"""The careful form of a Gaussian kernel, for components that are narrow beside their distance.

It takes every component about its own mean, with the Cholesky factor of its covariance: several
times slower than the product form, and accurate however narrow a component is beside its distance
from the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from daskem.core.numerics import NOTHING
from daskem.core.statistics import Statistics
from daskem.core.triangular import MANY
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiles import spans

# Numbers of as many components as are looked at together, at most: calls of NumPy for each of them
# would take longer than few rows do.
_TOGETHER = 2**14


class Structure(Protocol):
    """What the form needs to know of the structure of the covariances."""

    @property
    def pooled(self) -> bool:
        """Whether all components share one covariance, and so one scatter."""

    @property
    def terms(self) -> Terms:
        """What the second-order features of a row are."""

    def n_quadratics(self, d: int) -> int:
        """How many there are of a row of `d` features."""

    def whiten(self, root: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """``R u`` of tiles (component, feature, row)."""

    def solve(self, factor: np.ndarray, u: np.ndarray, out: np.ndarray) -> np.ndarray:
        """The same by L, the inverse of R."""

    def scatter(self, u: np.ndarray, r: np.ndarray, spare: np.ndarray) -> np.ndarray:
        """The sums of the quadratics of tiles with responsibilities (component, row), (component,
        quadratic).
        """


class Normal(Protocol):
    """K normal distributions: log p(x) = log_norm - |R (x - mean)|^2 / 2."""

    @property
    def structure(self) -> Structure: ...
    @property
    def means(self) -> np.ndarray: ...  # (component, feature)
    @property
    def factors(self) -> np.ndarray: ...  # (component, ...), L of each component
    @property
    def roots(self) -> np.ndarray: ...  # (component, ...), R = L^-1
    @property
    def log_norm(self) -> np.ndarray: ...  # (component,)


@dataclass(frozen=True, eq=False)
class CentredForm:
    """Same statistics as the product form; see there for the attributes."""

    candidates: Sequence[Normal]
    offsets: Sequence[np.ndarray]

    @property
    def bounds(self) -> np.ndarray:
        return np.cumsum([0, *map(len, self.offsets)])

    @property
    def constants(self) -> np.ndarray:
        """The log-density at the mean, with the offset, (component,) of all candidates."""
        log_norms = [candidate.log_norm for candidate in self.candidates]
        return np.concatenate(log_norms) + np.concatenate(self.offsets)

    def n_statistics(self, n_features: int) -> int:
        return n_features

    def log_base(self, x: np.ndarray, candidate: int) -> float:
        return 0.0

    def sums(self, n_features: int, width: int) -> "CentredSums":
        return CentredSums(self, n_features, width)

    def statistics(
        self, counts: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> list[Statistics]:
        """Moments about the means (component, ...) as the statistics of each candidate."""
        pooled, spans = self.candidates[0].structure.pooled, pairwise(self.bounds.tolist())
        return [
            {
                "log_likelihood": 0.0,
                "counts": counts[span],
                "first": first[span],
                "second": second[span].sum(axis=0, keepdims=True) if pooled else second[span],
            }
            for span in (slice(*ends) for ends in spans)
        ]


class CentredSums:
    """The moments of the tiles of one sweep about the means; the features are the rows."""

    def __init__(self, form: CentredForm, n_features: int, width: int) -> None:
        candidates, self._form = form.candidates, form
        self._structure = candidates[0].structure
        self._means = np.concatenate([candidate.means for candidate in candidates])
        self._n_rows = 0
        self._constants = form.constants
        together = min(max(_TOGETHER // (n_features * width + 1), 1), len(self._means))
        self._groups = list(spans(len(self._means), together))
        self._u, self._v = np.empty((2, together, n_features, width))
        self._counts = np.zeros(len(self._means))
        self._first = np.zeros_like(self._means)
        self._second = np.zeros((len(self._means), self._structure.n_quadratics(n_features)))

    def features(self, x: np.ndarray) -> np.ndarray:
        return x

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        """c_k - |R_k (z - m_k)|^2 / 2, (component, row)."""
        d, n = features.shape
        # To invert L costs about as much as to solve for as many rows as there are features.
        self._n_rows += n
        few = d >= MANY and self._n_rows <= d
        halves = self._factors if few else self._roots
        whiten = self._structure.solve if few else self._structure.whiten
        for span in self._groups:
            u = self._about(features, span)
            v = whiten(np.array(halves[span]), u, out=self._v[: len(u), :, :n])
            np.einsum("kij,kij->kj", v, v, out=out[span])
        out *= -0.5
        out += self._constants[:, None]
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        for span in self._groups:
            rows, r = features, responsibilities[span]
            # Of clusters that lie apart most components have nothing of most rows.
            some = np.flatnonzero((r > NOTHING).any(axis=0))
            if 2 * len(some) <= r.shape[1]:
                rows, r = features[:, some], r[:, some]
            u = self._about(rows, span)
            self._counts[span] += r.sum(axis=1)
            self._first[span] += np.matmul(r[:, None], u.swapaxes(1, 2))[:, 0]
            spare = self._v[: len(u), :, : r.shape[1]]
            self._second[span] += self._structure.scatter(u, r, spare=spare)

    # No stacks: those of a tied covariance are one matrix, seen many times.

    @property
    def _roots(self) -> list[np.ndarray]:
        return [root for candidate in self._form.candidates for root in candidate.roots]

    @property
    def _factors(self) -> list[np.ndarray]:
        return [factor for candidate in self._form.candidates for factor in candidate.factors]

    def _about(self, rows: np.ndarray, span: slice) -> np.ndarray:
        """A tile about some means, (component, feature, row), in a buffer that the next one
        overwrites.
        """
        means = self._means[span, :, None]
        return np.subtract(rows, means, out=self._u[: len(means), :, : rows.shape[1]])

    def statistics(self) -> list[Statistics]:
        return self._form.statistics(self._counts, self._first, self._second)
