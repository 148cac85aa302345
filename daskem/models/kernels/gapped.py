"""The forms of features that know nothing of one another, for rows that lack some of them.

A value that a row lacks is filled with 0, and what it then says too much is taken off again: its
log-density, with one more feature of the row that says what is `absent`,

    log p(x_o | k) = natural_k . T(x filled) - absent . log p(z_j = 0 | k)

and its moments, in the place of which come the expected ones. The cost is that of a few more
features, however many patterns there are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskem.core.statistics import Statistics
from daskem.models.kernels.centred import CentredForm, CentredSums
from daskem.models.kernels.guard import Guard
from daskem.models.kernels.product import Exponential
from daskem.models.kernels.protocol import Form


@dataclass(frozen=True, eq=False)
class Gapped:
    """The components of a candidate in product form, of rows in which NaN is absent.

    Attributes
    ----------
    inner : Exponential
        Of complete rows.
    filled : ndarray, (component, feature)
        log p(z_j = 0) of each feature, in the units of the data.
    expected : callable
        ``absent (component, feature) -> statistics``: what is to be added to those of `inner`,
        which are of filled rows, for the weights of the rows that lack each feature.
    """

    inner: Exponential
    filled: np.ndarray
    expected: Callable[[np.ndarray], Statistics]

    @cached_property
    def natural(self) -> np.ndarray:
        return np.concatenate([self.inner.natural, -self.filled], axis=1)

    def log_base(self, x: np.ndarray) -> np.ndarray | float:
        return self.inner.log_base(filled(x))

    def n_statistics(self, n_features: int) -> int:
        return self.inner.n_statistics(n_features) + n_features

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        self.inner.features(filled(x), out[: -len(x)])
        np.isnan(x, out=out[-len(x) :], casting="unsafe")

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> np.ndarray | float:
        return self.inner.common(filled(x), weights)

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> Statistics:
        d = self.filled.shape[1]
        statistics = self.inner.statistics(moments[:, :-d], common)
        more = self.expected(moments[:, -d:])
        return {name: value + more.get(name, 0.0) for name, value in statistics.items()}


def filled(x: np.ndarray) -> np.ndarray:
    """A tile with 0 for NaN."""
    return np.where(np.isnan(x), 0.0, x)


@dataclass(frozen=True, eq=False)
class GappedGuard(Guard):
    """Which form is accurate for a tile in which NaN is absent."""

    def form(self, z: np.ndarray) -> Form:
        return super().form(filled(z))


@dataclass(frozen=True, eq=False)
class GappedCentredForm(CentredForm):
    """The centred form of rows in which NaN is absent.

    Attributes
    ----------
    at_mean : sequence of ndarray, (component, feature)
        log p(z_j = mean) of each feature, in the units of the data, for each candidate.
    unseen : sequence of ndarray, (component, feature, quadratic)
        What a row that lacks a feature is expected to add to the second moments.
    """

    at_mean: Sequence[np.ndarray]
    unseen: Sequence[np.ndarray]

    def sums(self, n_features: int, width: int) -> "GappedCentredSums":
        return GappedCentredSums(self, n_features, width)


class GappedCentredSums(CentredSums):
    """About its mean, a value that a row lacks is filled with 0."""

    def __init__(self, form: GappedCentredForm, n_features: int, width: int) -> None:
        super().__init__(form, n_features, width)
        self._at_mean, self._unseen = np.concatenate(form.at_mean), np.concatenate(form.unseen)

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        super().log_joint(features, out)
        out -= self._at_mean @ np.isnan(features).astype(np.float64)
        return out

    def _about(self, rows: np.ndarray, span: slice) -> np.ndarray:
        u = super()._about(rows, span)
        np.copyto(u, 0.0, where=np.isnan(u))
        return u

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        super().add(x, features, responsibilities, weights)
        absent = responsibilities @ np.isnan(x).astype(np.float64).T
        self._second += np.einsum("kj,kjq->kq", absent, self._unseen)
