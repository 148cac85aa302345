"""The form of `rare` for normal components whose rows have scales of their own: `StudentT`.

Some features of such a row are one of the marginal, with the same degrees of freedom and scale.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import betaln, digamma, gammaln

from daskem.core.frames import Frame
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.families.rare import RareForm, RareSums
from daskem.models.families.structure import Structure


class ScaledRareForm(RareForm):
    """As `RareForm`, with the degrees of freedom of each candidate, (component,)."""

    def __init__(
        self,
        structure: Structure,
        candidates: Sequence[Params],
        freedom: Sequence[np.ndarray],
        offsets: Sequence[np.ndarray],
        frame: Frame,
    ) -> None:
        super().__init__(structure, candidates, offsets, frame)
        self.df = np.concatenate(freedom)[:, None]
        # Of every number of features that a row may have, (component, feature + 1).
        n_seen = np.arange(self.means.shape[1] + 1)
        # A row of none, which has features of other families, has density 1 here.
        some = np.maximum(n_seen, 1)
        gammas = gammaln(some / 2) - betaln(self.df / 2, some / 2)
        self.tails = np.where(n_seen > 0, gammas - n_seen / 2 * np.log(np.pi * self.df), 0.0)
        self.log_scales = digamma((self.df + n_seen) / 2) + np.log(2)

    def sums(self, n_features: int, width: int) -> "ScaledRareSums":
        return ScaledRareSums(self, n_features, width)


class ScaledRareSums(RareSums):
    """The moments of the tiles of one sweep about the means, each row times its scale."""

    def __init__(self, form: ScaledRareForm, n_features: int, width: int) -> None:
        super().__init__(form, n_features, width)
        self._scaled = form
        self._scales, self._logs = np.zeros((2, len(form.means)))

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        form, n = self._scaled, features.shape[1]
        n_seen = self._seen[:n]
        np.log1p(np.divide(features, form.df, out=out), out=out)
        out *= -(form.df + n_seen) / 2
        out += self._log_norm[:, :n] + form.tails[:, n_seen]
        out += form.constants[:, None]
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        form, n_seen = self._scaled, self._seen[: x.shape[1]]
        total = features + form.df
        scaled = responsibilities * (form.df + n_seen) / total
        logs = form.log_scales[:, n_seen] - np.log(total)
        self._scales += scaled.sum(axis=1)
        self._logs += (responsibilities * logs - scaled).sum(axis=1)
        self._add(responsibilities, scaled)

    def statistics(self) -> list[Statistics]:
        scale_sums = {"scales": self._scales, "logs": self._logs}
        return self._divided(
            counts=self._counts, **scale_sums, first=self._first, second=self._second
        )
