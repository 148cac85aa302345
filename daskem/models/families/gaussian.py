"""Gaussian components: N(x | mean_k, covariance_k), with four structures of covariance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskem.core.frames import Frame, whitening
from daskem.core.numerics import EPS
from daskem.core.parameters import REAL, DataParams, Parameter, Params
from daskem.errors import ParameterError
from daskem.models.families.covariances import STRUCTURES, upper_triangle
from daskem.models.kernels.centred import GuardedKernel
from daskem.models.protocol import Survey

LOG_2PI = np.log(2 * np.pi)


@dataclass(frozen=True)
class Gaussian:
    """K multivariate normal distributions.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        A matrix for each component, one matrix for all, a variance for each component and
        feature, a variance for each component.
    reg_covar : float, default 1e-6
        Weak conjugate prior on the covariances: every component gets, besides its rows,
        ``reg_covar * N`` imaginary ones with the covariance of the whole data set (as the
        family's frame measures it) around its own mean. Free of units, and the M step maximises
        the penalised likelihood exactly, so that neither can break the ascent. No component
        gets narrower than about ``reg_covar`` times the data's variance. 0 is maximum likelihood.

    Notes
    -----
    Parameters: ``means`` (component, feature) in the units of the data, and ``covariances`` in
    their squares, with the dims of the structure. Statistics, with z in the family's frame and
    m_k the means at which they were taken: ``counts`` sum r, ``first`` sum r (z - m_k),
    ``second`` the quadratics of sum r (z - m_k)(z - m_k)^T; Bishop (2006), section 9.2.2.
    """

    covariance_type: str = "full"
    reg_covar: float = 1e-6

    def __post_init__(self) -> None:
        if self.covariance_type not in STRUCTURES:
            raise ParameterError(
                f"covariance_type={self.covariance_type!r} is not one of {list(STRUCTURES)}"
            )
        if not self.reg_covar >= 0:
            raise ParameterError(f"reg_covar={self.reg_covar!r} should be a number >= 0")

    @property
    def structure(self) -> Any:
        return STRUCTURES[self.covariance_type]

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "means": Parameter(("component", "feature"), REAL),
            "covariances": self.structure.declared,
        }

    domain = "finite numbers"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return np.isfinite(rows)

    # Coordinates: the largest group of affine maps under which the structure stays what it is.

    @property
    def cross_moments(self) -> bool:
        return self.structure.frame is whitening

    def frame(self, survey: Survey) -> Frame:
        measured = survey.covariance if self.cross_moments else survey.variances
        return self.structure.frame(survey.mean, measured)

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        return Params(self._convert(params, frame.apply, frame.linear))

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        return DataParams(self._convert(params, frame.restore, frame.inverse))

    def _convert(
        self, params: Mapping[str, np.ndarray], points: Any, linear: np.ndarray
    ) -> dict[str, np.ndarray]:
        maps = {"means": points, "covariances": lambda c: self.structure.transform(c, linear)}
        return {name: maps.get(name, np.asarray)(value) for name, value in params.items()}

    # log N(z | m, C) = [log|R| - (|R m|^2 + d log 2 pi) / 2] + (P m) . z - z^T P z / 2,  P = R^T R

    def n_statistics(self, n_features: int) -> int:
        quadratics = 0 if self.structure.pooled else self.structure.n_quadratics(n_features)
        return 1 + n_features + quadratics

    def features(self, z: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1 : 1 + len(z)] = z
        if not self.structure.pooled:
            self.structure.quadratics(z, out[1 + len(z) :])

    def natural(self, params: Params) -> np.ndarray:
        means, root = params["means"], self.root(params)
        linear = self.structure.linear(root, means)
        constant = self.log_norm(root, means) - np.einsum("ki,ki->k", linear, means) / 2
        columns = [constant[:, None], linear]
        if not self.structure.pooled:
            columns.append(self.structure.quadratic(root))
        return np.concatenate(columns, axis=1)

    def root(self, params: Params) -> np.ndarray:
        return self.structure.root(params["covariances"], len(params["means"]))

    def log_norm(self, root: np.ndarray, means: np.ndarray) -> np.ndarray:
        """The log-density at the mean, (component,)."""
        d = means.shape[1]
        return self.structure.log_det(root, d) - d * LOG_2PI / 2

    # A tied quadratic is the same for all components: it needs no place in the two products.

    def log_base(self, z: np.ndarray, params: Params) -> np.ndarray | float:
        if not self.structure.pooled:
            return 0.0
        return -0.5 * np.square(self.root(params)[0] @ z).sum(axis=0)

    def common(self, z: np.ndarray, weights: np.ndarray | None) -> np.ndarray | float:
        if not self.structure.pooled:
            return 0.0
        return (z @ z.T if weights is None else (z * weights) @ z.T)[upper_triangle(len(z))]

    def statistics(
        self, moments: np.ndarray, common: np.ndarray | float, params: Params
    ) -> dict[str, Any]:
        means = params["means"]
        counts, first, second = np.split(moments, [1, 1 + means.shape[1]], axis=1)
        log_likelihood = 0.0
        if self.structure.pooled:
            second = np.asarray(common)[None]
            log_likelihood = float(self.structure.quadratic(self.root(params)[:1])[0] @ common)
        first = first - counts * means
        shift = first / np.where(counts > 0, counts, 1.0)
        moved = counts * (self._quadratics(means + shift) - self._quadratics(shift))
        return {
            "log_likelihood": log_likelihood,
            "counts": counts[:, 0],
            "first": first,
            "second": second - self._pool(moved),
        }

    def around(self, centres: np.ndarray) -> Params:
        """Components of unit covariance at `centres` (component, feature), in the frame."""
        scatter = np.zeros((len(centres), self.structure.n_quadratics(centres.shape[1])))
        ones = self._pool(np.ones(len(centres)))
        covariances = self.structure.covariances(
            self._pool(scatter), 0 * ones, 1.0, centres.shape[1]
        )
        return Params({"means": centres, "covariances": covariances})

    def kernel(self, *args: Any) -> GuardedKernel:
        return GuardedKernel(self, *args)

    def m_step(self, statistics: dict[str, Any], params: Params) -> Params:
        counts, pseudo = statistics["counts"], self.reg_covar * statistics["counts"].sum()
        shift, scatter = self._centred(statistics)
        d = shift.shape[1]
        covariances = self.structure.covariances(scatter, self._pool(counts), pseudo, d)
        if pseudo == 0:
            left = self._left(statistics, params)
            covariances = self.structure.held(covariances, params["covariances"], *left, d)
        return Params({"means": params["means"] + shift, "covariances": covariances})

    def log_prior(self, params: Params, n_rows: float) -> float:
        """Log-density of the prior of `reg_covar`, 0 at the covariance of the whole data."""
        root, d = self.root(params), params["means"].shape[1]
        each = self.structure.log_det(root, d) - (self.structure.trace(root, d) - d) / 2
        return float(self.reg_covar * n_rows * (each[0] if self.structure.pooled else each.sum()))

    def events(self, statistics: dict[str, Any], params: Params) -> list[str]:
        """What the M step of these statistics had to work around, in words."""
        left, d = self._left(statistics, params), params["means"].shape[1]
        lost = np.flatnonzero(self.structure.degenerate(*left, d))
        if not len(lost):
            return []
        cure = "held open by reg_covar" if self.reg_covar else "kept there; set reg_covar > 0"
        return [
            f"covariance of component {k}: no spread left in some direction "
            f"(repeated rows, a constant feature, or too few rows); {cure}"
            for k in (["all"] if self.structure.pooled else lost)
        ]

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        means = params["means"]
        factors = np.linalg.cholesky(self.structure.expand(params["covariances"], *means.shape))
        rows = rng.standard_normal((len(components), means.shape[1]))
        for k in range(len(means)):
            mine = components == k
            rows[mine] = means[k] + rows[mine] @ factors[k].T
        return rows

    def _quadratics(self, vectors: np.ndarray) -> np.ndarray:
        """The quadratics of each vector, (component, feature) to (component, quadratic)."""
        out = np.empty((self.structure.n_quadratics(vectors.shape[1]), len(vectors)))
        self.structure.quadratics(np.ascontiguousarray(vectors.T), out)
        return out.T

    def _pool(self, values: np.ndarray) -> np.ndarray:
        return values.sum(axis=0, keepdims=True) if self.structure.pooled else values

    def _centred(self, statistics: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """How far each mean moves, and the scatter about where it moves to."""
        counts = statistics["counts"][:, None]
        present = counts > EPS * counts.sum()
        shift = np.where(present, statistics["first"] / np.where(present, counts, 1.0), 0.0)
        return shift, statistics["second"] - self._pool(counts * self._quadratics(shift))

    def _left(self, statistics: dict[str, Any], params: Params) -> tuple[np.ndarray, np.ndarray]:
        """The scatter, and the size of the numbers of whose differences it is the rest."""
        counts, (shift, scatter) = statistics["counts"][:, None], self._centred(statistics)
        size = counts * self._quadratics(np.abs(params["means"]) + np.abs(shift))
        return scatter, np.abs(statistics["second"]) + self._pool(
            size + counts * self.structure.blur
        )
