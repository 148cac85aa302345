"""K normal distributions whose params are known, as a kernel sees them."""

from functools import cached_property

import numpy as np

from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.core.triangular import MANY
from daskem.models.families.conditional import upper
from daskem.models.families.structure import Structure

LOG_2PI = np.log(2 * np.pi)


class Normals:
    """What the E steps of a Gaussian mixture need, computed once for all of them.

        log N(z | m, C) = [log|R| - (|R m|^2 + d log 2 pi) / 2] + (P m) . z - z^T P z / 2

    with R the root of the covariance and P = R^T R the precision; see `covariances`.

    Parameters
    ----------
    structure : Structure
        Of the covariances.
    params : Params
        In the family's frame.

    Attributes
    ----------
    means : ndarray, (component, feature)
    factors, roots : ndarray, (component, ...)
        L with C = L L^T, and R = L^-1.
    log_norm : ndarray, (component,)
        The log-density at the mean.
    natural : ndarray, (component, statistic)
        Coefficients of 1, z and its quadratics in the log-density. A tied quadratic is the same
        for all components: it needs no place in the two products.
    sharpness : ndarray, (component,), or (1,) where all share one
        A bound, within sqrt(feature), on the largest eigenvalue of each precision.
    """

    def __init__(self, structure: Structure, params: Params) -> None:
        self.structure, self.means = structure, params["means"]
        self.factors = structure.factor(params["covariances"], len(self.means))

    @cached_property
    def log_norm(self) -> np.ndarray:
        d = self.means.shape[1]
        # Of few features the inverses are wanted in any case.
        few, structure = d < MANY, self.structure
        log_det = structure.log_det(self.roots, d) if few else -structure.log_det(self.factors, d)
        return log_det - d * LOG_2PI / 2

    # What the careful form does without, at as many operations as all else.

    @cached_property
    def roots(self) -> np.ndarray:
        return self.structure.inverse(self.factors)

    @cached_property
    def _precisions(self) -> np.ndarray:
        return self.structure.precision(self.roots[:1] if self.structure.pooled else self.roots)

    @cached_property
    def _quadratic(self) -> np.ndarray:
        return self.structure.quadratic(self._precisions)

    @cached_property
    def natural(self) -> np.ndarray:
        linear = self.structure.linear(self.roots, self.means)
        constant = self.log_norm - np.einsum("ki,ki->k", linear, self.means) / 2
        columns = [constant[:, None], linear]
        return np.concatenate(columns if self.structure.pooled else [*columns, self._quadratic], 1)

    @cached_property
    def sharpness(self) -> np.ndarray:
        return self.structure.sharpness(self._precisions)

    def n_statistics(self, n_features: int) -> int:
        quadratics = 0 if self.structure.pooled else self.structure.n_quadratics(n_features)
        return 1 + n_features + quadratics

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1 : 1 + len(x)] = x
        if not self.structure.pooled:
            self.structure.quadratics(x, out[1 + len(x) :])

    def log_base(self, x: np.ndarray) -> np.ndarray | float:
        if not self.structure.pooled:
            return 0.0
        return -0.5 * np.square(self.roots[0] @ x).sum(axis=0)

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> np.ndarray | float:
        if not self.structure.pooled:
            return 0.0
        # `matmul` would keep the interpreter's lock.
        return upper(np.dot(x if weights is None else x * weights, x.T))

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> Statistics:
        """The moments about the means; see `Gaussian`."""
        structure, means = self.structure, self.means
        d = means.shape[1]
        counts, first, second = moments[:, :1], moments[:, 1 : 1 + d], moments[:, 1 + d :]
        log_likelihood = 0.0
        if structure.pooled:
            second = np.asarray(common)[None]
            log_likelihood = float(self._quadratic[0] @ common)
        first = first - counts * means
        shift = first / np.where(counts > 0, counts, 1.0)
        moved = counts * (structure.of_vectors(means + shift) - structure.of_vectors(shift))
        return {
            "log_likelihood": log_likelihood,
            "counts": counts[:, 0],
            "first": first,
            "second": second - structure.pool(moved),
        }
