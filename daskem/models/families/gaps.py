"""Normal components for rows that lack values; see `conditional` for the formulas.

A row that has some features is one of the marginal of these, whose frame is chosen so that it sees
the components as well conditioned as the frame of all features does.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from daskem.core.frames import Frame, identity
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.families.densities import LOG_2PI, Normals
from daskem.models.families.structure import Structure
from daskem.models.kernels.gapped import Gapped, GappedCentredForm, GappedGuard
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.tiled import TiledKernel


class Incomplete(ABC):
    """A family of `means` and `covariances`, for rows that lack values: see `Marginals`."""

    @property
    @abstractmethod
    def structure(self) -> Structure: ...

    def marginal(
        self, params: Params, frame: Frame | None, observed: np.ndarray
    ) -> "MarginalNormals":
        frame = frame or identity(len(observed))
        return MarginalNormals(self.structure, params, frame, *frame.seen(observed))


@dataclass(frozen=True, eq=False)
class MarginalNormals:
    """Normal components as some features see them, with scales of rows or without.

    Attributes
    ----------
    structure : Structure
    whole : Params
        Of all features, in the frame `coordinates`.
    coordinates : Frame
    frame : Frame
    view : ndarray, (feature, feature_2)
        See `Frame.seen`.
    """

    structure: Structure
    whole: Params
    coordinates: Frame
    frame: Frame
    view: np.ndarray

    @property
    def params(self) -> Params:
        marginal = {
            "means": self.whole["means"] @ self.view.T,
            "covariances": self.structure.seen(self.whole["covariances"], self.view),
        }
        return Params({**self.whole, **marginal})

    @cached_property
    def _regression(self) -> np.ndarray:
        return self.structure.regression(self.whole["covariances"], self.view)

    def completed(self, statistics: Statistics) -> Statistics:
        """About the means, as the statistics are.

        Of a row with a scale u, the sum u Cov[z | seen, u] is free of it, as Cov is C / u.
        """
        structure, regression = self.structure, self._regression
        first = (regression @ statistics["first"][:, :, None])[:, :, 0]
        unseen = structure.unseen(self.whole["covariances"], self.view, regression)
        second = structure.lifted(statistics["second"], regression)
        second = second + structure.pool(statistics["counts"])[:, None] * unseen
        return {**statistics, "first": first, "second": second}

    def expected(self, rows: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        k, n = responsibilities.shape
        d_seen, d = self.view.shape
        each = np.broadcast_to(self._regression, (k, d, d_seen))
        z, mean = self.frame.apply(rows), np.zeros((n, d))
        for m, b, r in zip(self.whole["means"], each, responsibilities, strict=True):
            mean += r[:, None] * (m + (z - self.view @ m) @ b.T)
        return self.coordinates.restore(mean)


def gapped(
    structure: Structure,
    candidates: Sequence[Params],
    offsets: Sequence[np.ndarray],
    frame: Frame | None,
) -> Kernel:
    """The kernel of rows in which NaN is no value, of features that are not correlated."""
    normals = [Normals(structure, params) for params in candidates]
    matrices = [structure.expand(p["covariances"], *p["means"].shape) for p in candidates]
    variances = [np.diagonal(each, axis1=1, axis2=2) for each in matrices]
    log_linear = 0.0 if frame is None else np.log(np.abs(frame.linear))
    at_mean = [log_linear - (LOG_2PI + np.log(v)) / 2 for v in variances]
    filled = [
        Gapped(each, log_prob - each.means**2 / v / 2, partial(_expected, structure, each.means, v))
        for each, log_prob, v in zip(normals, at_mean, variances, strict=True)
    ]
    product, unseen = ProductForm(filled, offsets), [structure.separate(v) for v in variances]
    centred = GappedCentredForm(normals, offsets, at_mean, unseen)
    return TiledKernel(product, frame, GappedGuard(product, centred, normals))


def _expected(
    structure: Structure, means: np.ndarray, variances: np.ndarray, absent: np.ndarray
) -> Statistics:
    """Of values that are filled with 0, about the means, to what is expected of them."""
    apart = structure.separate(variances - means**2)
    return {"first": absent * means, "second": np.einsum("kj,kjq->kq", absent, apart)}
