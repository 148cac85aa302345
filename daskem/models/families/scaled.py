"""The form of a kernel for normal components whose rows have scales of their own.

    log t(z | m, C, df) = log_norm - (df + d) / 2  log(1 + delta / df),    delta = |R (z - m)|^2

The features of a tile are the delta of all components, which both the log-densities and the
expected scales u = (df + d) / (df + delta) are made from; see `StudentT`.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import betaln, digamma, gammaln

from daskem.core.statistics import Statistics
from daskem.models.families.densities import LOG_2PI, Normals


class ScaledForm:
    """Of some candidates, their components stacked; see `daskem.models.kernels.protocol.Form`.

    Parameters
    ----------
    candidates : sequence of Normals
        Of scale 1.
    freedom : sequence of ndarray, (component,)
        The degrees of freedom of each candidate.
    offsets : sequence of ndarray, (component,)
        What is added to the log-density of each component: the log of its weight.
    """

    def __init__(
        self,
        candidates: Sequence[Normals],
        freedom: Sequence[np.ndarray],
        offsets: Sequence[np.ndarray],
    ) -> None:
        self.structure = candidates[0].structure
        self.bounds = np.cumsum([0, *map(len, freedom)])
        self.means = np.concatenate([normals.means for normals in candidates])
        self.roots = [root for normals in candidates for root in normals.roots]
        self.df, d = np.concatenate(freedom), self.means.shape[1]
        half = (self.df + d) / 2
        of_normal = np.concatenate([normals.log_norm for normals in candidates])
        # log Gamma((df + d) / 2) / Gamma(df / 2), without the difference of two large numbers.
        gammas = gammaln(d / 2) - betaln(self.df / 2, d / 2)
        tails = gammas + d / 2 * (LOG_2PI - np.log(np.pi * self.df))
        self.constants = of_normal + tails + np.concatenate(offsets)
        # E log u = digamma((df + d) / 2) - log((df + delta) / 2).
        self.log_scale = digamma(half) + np.log(2)

    def n_statistics(self, n_features: int) -> int:
        return len(self.means)

    def log_base(self, x: np.ndarray, candidate: int) -> float:
        return 0.0

    def sums(self, n_features: int, width: int) -> "ScaledSums":
        return ScaledSums(self, n_features, width)


class ScaledSums:
    """The moments of the tiles of one sweep about the means, each row times its scale."""

    def __init__(self, form: ScaledForm, n_features: int, width: int) -> None:
        k = len(form.means)
        self._form = form
        self._delta, self._spare = np.empty((2, k, width))
        self._u, self._v = np.empty((2, n_features, width))
        self._counts, self._scales, self._logs = np.zeros((3, k))
        self._first = np.zeros((k, n_features))
        self._second = np.zeros((k, form.structure.n_quadratics(n_features)))

    def features(self, x: np.ndarray) -> np.ndarray:
        delta, v = self._delta[:, : x.shape[1]], self._v[:, : x.shape[1]]
        for k, root in enumerate(self._form.roots):
            self._form.structure.whiten(root, self._centred(x, k), out=v)
            np.einsum("ij,ij->j", v, v, out=delta[k])
        return delta

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        df = self._form.df[:, None]
        np.divide(features, df, out=out)
        np.log1p(out, out=out)
        out *= -(df + len(self._u)) / 2
        out += self._form.constants[:, None]
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        df, structure = self._form.df[:, None], self._form.structure
        total = np.add(features, df, out=self._spare[:, : x.shape[1]])
        logs = (responsibilities * np.log(total)).sum(axis=1)
        scaled = np.divide(responsibilities, total, out=total)
        scaled *= df + len(x)
        counts, scales = responsibilities.sum(axis=1), scaled.sum(axis=1)
        self._counts += counts
        self._scales += scales
        self._logs += counts * self._form.log_scale - logs - scales
        for k, r in enumerate(scaled):
            u = self._centred(x, k)
            self._first[k] += u @ r
            self._second[k] += structure.scatter(u, r, spare=self._v[:, : x.shape[1]])

    def statistics(self) -> list[Statistics]:
        ends, pooled = self._form.bounds[1:-1], self._form.structure.pooled
        sums = (self._counts, self._scales, self._logs, self._first, self._second)
        return [
            {
                "log_likelihood": 0.0,
                "counts": counts,
                "scales": scales,
                "logs": logs,
                "first": first,
                "second": second.sum(axis=0, keepdims=True) if pooled else second,
            }
            for counts, scales, logs, first, second in zip(
                *(np.split(each, ends) for each in sums), strict=True
            )
        ]

    def _centred(self, x: np.ndarray, k: int) -> np.ndarray:
        return np.subtract(x, self._form.means[k][:, None], out=self._u[:, : x.shape[1]])
