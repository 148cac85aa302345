"""The forms of correlated components for rows whose patterns of missing values are rare.

What a row has is whitened by the marginal of its own pattern, all patterns with as many features at
once: with C = cov z, a view V of orthonormal rows (`Frame.seen`) and S = V C V^T = L L^T,

    y = L^-1 V (z - m)        log p = -|y|^2 / 2 - log |L| + ..        G = C V^T L^-T
    E[z - m | y] = G y        Cov[z | y] = C - G G^T

Of rows it costs several times what those of one pattern cost, of patterns next to nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.families.densities import LOG_2PI
from daskem.models.families.structure import Structure
from daskem.models.kernels.incomplete import patterns


class Group(NamedTuple):
    """Rows of a tile that have the same number of features, of several patterns.

    Attributes
    ----------
    rows : ndarray of int, (row,)
    pattern : ndarray of int, (row,)
    lifts : ndarray, (pattern, component, feature, seen)
        G of each pattern.
    """

    rows: np.ndarray
    pattern: np.ndarray
    lifts: np.ndarray


class RareForm:
    """Of some candidates, their components stacked; tiles are of rows in the units of the data.

    Parameters
    ----------
    structure : Structure
    candidates : sequence of Params
        In the frame.
    offsets : sequence of ndarray, (component,)
        What is added to the log-density of each component, with the log-determinant of the frame.
    frame : Frame
    """

    def __init__(
        self,
        structure: Structure,
        candidates: Sequence[Params],
        offsets: Sequence[np.ndarray],
        frame: Frame,
    ) -> None:
        self.structure, self.frame = structure, frame
        self.bounds = np.cumsum([0, *map(len, offsets)])
        self.means = np.concatenate([params["means"] for params in candidates])
        shape = self.means.shape[1]
        matrices = [structure.expand(p["covariances"], len(p["means"]), shape) for p in candidates]
        self.covariances = np.concatenate(matrices)
        self.constants = np.concatenate(offsets) - frame.log_det

    def n_statistics(self, n_features: int) -> int:
        return len(self.means) * (2 + n_features + n_features**2)

    def log_base(self, x: np.ndarray, candidate: int) -> float:
        return 0.0

    def sums(self, n_features: int, width: int) -> "RareSums":
        return RareSums(self, n_features, width)


class RareSums:
    """The moments of the tiles of one sweep about the means; the features of a row are |y|^2."""

    def __init__(self, form: RareForm, n_features: int, width: int) -> None:
        k, d = form.means.shape
        self._form = form
        self._delta, self._log_norm = np.empty((2, k, width))
        # E[z - m] of every row, and how many features it has.
        self._lifted, self._seen = np.empty((k, d, width)), np.empty(width, dtype=np.intp)
        self._groups: list[Group] = []
        self._spare = np.empty((d, width))
        self._counts, self._first = np.zeros(k), np.zeros((k, d))
        self._second = np.zeros((k, form.structure.n_quadratics(d)))

    def features(self, x: np.ndarray) -> np.ndarray:
        self._groups = list(self._whitened(x))
        return self._delta[:, : x.shape[1]]

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        n = features.shape[1]
        np.multiply(features, -0.5, out=out)
        out += self._log_norm[:, :n]
        out += self._form.constants[:, None] - LOG_2PI / 2 * self._seen[:n]
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        self._add(responsibilities, responsibilities)

    def statistics(self) -> list[Statistics]:
        return self._divided(counts=self._counts, first=self._first, second=self._second)

    def _add(self, responsibilities: np.ndarray, scaled: np.ndarray) -> None:
        """Add the moments of a tile; `scaled` are responsibilities times the scales of rows."""
        structure, n = self._form.structure, responsibilities.shape[1]
        self._counts += responsibilities.sum(axis=1)
        for k, r in enumerate(scaled):
            u = self._lifted[k, :, :n]
            self._first[k] += u @ r
            self._second[k] += structure.scatter(u, r, spare=self._spare[:, :n])
        unseen = responsibilities.sum(axis=1)[:, None, None] * self._form.covariances
        for group in self._groups:
            totals = np.zeros((len(group.lifts), len(unseen)))
            np.add.at(totals, group.pattern, responsibilities[:, group.rows].T)
            lifts = group.lifts * np.sqrt(totals)[:, :, None, None]
            unseen -= (lifts @ lifts.swapaxes(-1, -2)).sum(axis=0)
        self._second += structure.of_matrices(unseen)

    def _divided(self, **sums: np.ndarray) -> list[Statistics]:
        """Sums over all components, (component, ...), as the statistics of each candidate."""
        ends, pooled = self._form.bounds[1:-1], self._form.structure.pooled
        parts = {name: np.split(each, ends) for name, each in sums.items()}
        if pooled:
            parts["second"] = [part.sum(axis=0, keepdims=True) for part in parts["second"]]
        return [
            {"log_likelihood": 0.0, **{name: part[c] for name, part in parts.items()}}
            for c in range(len(ends) + 1)
        ]

    def _whitened(self, x: np.ndarray) -> Iterator[Group]:
        """Write |y|^2, log |L^-1| and E[z - m] of a tile (feature, row), by how much rows have."""
        by_pattern = list(patterns(x.T))
        sizes = np.array([observed.sum() for observed, _ in by_pattern])
        for m in np.unique(sizes):
            chosen = [by_pattern[i] for i in np.flatnonzero(sizes == m)]
            columns = np.stack([np.flatnonzero(observed) for observed, _ in chosen])
            rows = np.concatenate([index for _, index in chosen])
            pattern = np.repeat(np.arange(len(chosen)), [len(index) for _, index in chosen])
            self._seen[rows] = m
            yield Group(rows, pattern, self._of_group(x, columns, rows, pattern))

    def _of_group(
        self, x: np.ndarray, columns: np.ndarray, rows: np.ndarray, pattern: np.ndarray
    ) -> np.ndarray:
        """The same for patterns that have `columns` (pattern, seen); returns their G."""
        form = self._form
        inverse = form.frame.inverse
        matrix = np.diag(inverse) if inverse.ndim == 1 else inverse
        # Of every pattern as `Frame.seen`: the frame's inverse there is upper^T view.
        views, upper = np.linalg.qr(matrix[columns].swapaxes(1, 2))
        centred = x[columns[pattern], rows[:, None]] - form.frame.origin[columns[pattern]]
        z = _each(np.linalg.inv(upper).swapaxes(1, 2)[pattern], centred)
        means, across = form.means @ views, form.covariances @ views[:, None]
        factors = np.linalg.cholesky(views.swapaxes(1, 2)[:, None] @ across)
        roots = np.linalg.inv(factors)
        lifts = across @ roots.swapaxes(-1, -2)
        log_norm = -np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)
        log_norm -= np.log(np.abs(np.diagonal(upper, axis1=1, axis2=2))).sum(axis=1)[:, None]
        self._log_norm[:, rows] = log_norm[pattern].T
        for k in range(len(form.means)):
            y = _each(roots[pattern, k], z - means[pattern, k])
            self._delta[k, rows] = np.einsum("ij,ij->i", y, y)
            self._lifted[k][:, rows] = _each(lifts[pattern, k], y).T
        return lifts


def _each(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Each matrix times its vector, (row, feature)."""
    return (matrices @ vectors[:, :, None])[:, :, 0]
