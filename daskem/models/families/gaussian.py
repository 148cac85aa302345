"""Gaussian components: N(x | mean_k, covariance_k), with four structures of covariance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.frames import Frame, identity
from daskem.core.numerics import SQUARABLE, squarable
from daskem.core.parameters import REAL, DataParams, Parameter, Params, count_free
from daskem.core.resolution import Resolution
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.families.covariances import STRUCTURES
from daskem.models.families.degenerate import Oddity, few
from daskem.models.families.densities import Normals
from daskem.models.families.gaps import Incomplete, gapped
from daskem.models.families.many_normals import OF_COMPONENTS, ManyNormals
from daskem.models.families.moving import moved
from daskem.models.families.rare import RareForm
from daskem.models.families.registry import register
from daskem.models.families.structure import Structure
from daskem.models.families.together import joined
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.guard import Guard
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Flaw, Survey


@register
@dataclass(frozen=True)
class Gaussian(Incomplete, ManyNormals):
    """K multivariate normal distributions.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        A matrix for each component, one matrix for all, a variance for each component and
        feature, a variance for each component.
    reg_covar : float, default 0
        Conjugate prior on the covariances. Every component gets, besides its rows,
        ``reg_covar * N`` imaginary ones with the covariance of the whole data set (as the
        family's frame measures it; of no more rows than features, their variances alone) around
        its own mean. Free of units, and the M step maximises the penalised likelihood exactly, so
        that neither can break the ascent. The variance of a component grows by
        ``reg_covar / weight`` times that of the data, so that small and narrow ones are smeared. 0
        is maximum likelihood.
    resolution : "auto", float or sequence of float, default "auto"
        The step h of the grid on which each feature is recorded, in its units. No
        component is narrower, covariance >= diag(h^2 / 12), the variance of rounding to the grid.
        "auto" finds the grid in a sample of the rows. 0 is for values that lie on none: the floor
        is then what the floating-point numbers resolve.

    Notes
    -----
    Parameters: ``means`` (component, feature) in the units of the data, and ``covariances`` in
    their squares, with the dims of the structure. Statistics, with z in the family's frame and
    m_k the means at which they were taken: ``counts`` sum r, ``first`` sum r (z - m_k),
    ``second`` the quadratics of sum r (z - m_k)(z - m_k)^T; Bishop (2006), section 9.2.2.
    """

    covariance_type: str = "full"
    reg_covar: float = 0.0
    resolution: str | float | Sequence[float] = "auto"

    def __post_init__(self) -> None:
        if self.covariance_type not in STRUCTURES:
            raise ParameterError(
                f"covariance_type={self.covariance_type!r} is not one of {list(STRUCTURES)}"
            )
        if not self.reg_covar >= 0:
            raise ParameterError(f"reg_covar={self.reg_covar!r} should be a number >= 0")
        if isinstance(self.resolution, list | np.ndarray):
            object.__setattr__(self, "resolution", tuple(np.asarray(self.resolution).tolist()))
        if not _is_resolution(self.resolution):
            raise ParameterError(
                f"resolution={self.resolution!r} should be 'auto', a number >= 0, or one for each "
                "feature"
            )

    @property
    def structure(self) -> Structure:
        return STRUCTURES[self.covariance_type]

    @property
    def terms(self) -> Terms:
        return Terms.LINEAR if self.structure.pooled else self.structure.terms

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            "means": Parameter(("component", "feature"), REAL),
            "covariances": self.structure.declared,
        }

    @property
    def simpler(self) -> "Gaussian | None":
        """The same without correlations; None if it has none."""
        return replace(self, covariance_type="diag") if self.cross_moments else None

    def grown(self, params: DataParams) -> DataParams:
        """The same components, with their variances as matrices, or the mean of these."""
        variances = params["covariances"]
        matrices = np.zeros((*variances.shape, variances.shape[1]))
        np.einsum("kii->ki", matrices)[...] = variances
        pooled = matrices.mean(axis=0) if self.structure.pooled else matrices
        return DataParams({**params, "covariances": pooled})

    domain = SQUARABLE

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return squarable(rows)

    # Coordinates: the largest group of affine maps under which the structure stays what it is.

    @property
    def cross_moments(self) -> bool:
        return self.structure.cross_moments

    def frame(self, survey: Survey) -> Frame:
        # The covariance of few rows has directions without any width: there is nothing to measure.
        whitened = self.cross_moments and survey.weight > len(survey.mean)
        measured = survey.covariance if whitened else survey.variances
        frame = self.structure.frame(survey.mean, measured)
        return frame.resolving(self._resolution(survey.resolution))

    def _resolution(self, surveyed: Resolution) -> Resolution:
        """The resolution that was asked for, or that was found in the data."""
        if self.resolution == "auto":
            return surveyed
        given = np.asarray(self.resolution, dtype=float)
        if given.shape not in ((), surveyed.grid.shape):
            raise ParameterError(
                f"resolution has {len(given)} numbers; there are {len(surveyed.grid)} features"
            )
        return replace(surveyed, grid=np.broadcast_to(given, surveyed.grid.shape))

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        return Params(self._convert(params, frame.apply, frame.linear))

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        return DataParams(self._convert(params, frame.restore, frame.inverse))

    def _convert(
        self,
        params: Mapping[str, np.ndarray],
        points: Callable[[np.ndarray], np.ndarray],
        linear: np.ndarray,
    ) -> dict[str, np.ndarray]:
        converted = {name: np.asarray(value) for name, value in params.items()}
        if "means" in params:
            converted["means"] = points(converted["means"])
        if "covariances" in params:
            converted["covariances"] = self.structure.transform(converted["covariances"], linear)
        return converted

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        return params["means"]

    def covariances(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """As matrices whatever the structure, (component, feature, feature)."""
        return self.structure.expand(params["covariances"], *params["means"].shape)

    def precision_factors(self, params: Params, frame: Frame) -> np.ndarray:
        """Upper triangular U with precision U U^T in data units, (component, feature, feature).

        From the frame, where the covariances are well conditioned even if they are not in the units
        of the data: precision = W^T W with W = root @ linear, and a QL factorisation of W gives U.
        """
        whiteners = self.structure.whiteners(self._root(params), frame.linear)
        lower = np.linalg.qr(whiteners[..., ::-1]).R[..., ::-1, ::-1]
        signs = np.sign(np.diagonal(lower, axis1=-2, axis2=-1))
        return (lower * signs[..., None]).swapaxes(-1, -2)

    def _root(self, params: Params) -> np.ndarray:
        return self.structure.root(params["covariances"], len(params["means"]))

    def at(self, centres: np.ndarray) -> Params:
        """Components of unit covariance at `centres` (component, feature), in the frame."""
        k, d = centres.shape
        nothing = np.zeros((k, self.structure.n_quadratics(d)))
        no_counts = 0 * self.structure.pool(np.ones(k))
        covariances = self.structure.covariances(self.structure.pool(nothing), no_counts, 1.0, d)
        return Params({"means": centres, "covariances": covariances})

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        def careful(numbers: list[int]) -> CentredForm:
            of_some = self._normals([candidates[i] for i in numbers])
            return CentredForm(of_some, [offsets[i] for i in numbers])

        normals = self._normals(candidates)
        product, centred = ProductForm(normals, offsets), CentredForm(normals, offsets)
        return TiledKernel(product, frame, Guard(product, centred, normals, careful))

    def _normals(self, candidates: Sequence[Params]) -> list[Normals]:
        """Those of each of the candidates, or of all where they share nothing."""
        if len(candidates) > 1 and not self.structure.pooled:
            candidates = [Params(joined(candidates, OF_COMPONENTS))]
        return [Normals(self.structure, params) for params in candidates]

    @property
    def by_pattern(self) -> bool:
        return self.structure.correlated

    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        if self.by_pattern:
            d = candidates[0]["means"].shape[1]
            return TiledKernel(RareForm(self.structure, candidates, offsets, frame or identity(d)))
        return gapped(self.structure, candidates, offsets, frame)

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        # Rows of noise count as well: the prior is as strong as it is in the objective.
        total = statistics["counts"].sum()
        pseudo = self.reg_covar * (total + statistics.get("noise", 0.0))
        return moved(self.structure, statistics, params, frame, total, pseudo)

    def allowed(self, params: Params, frame: Frame | None) -> Params:
        """The params above the floors that are nearest to `params`."""
        covariances = params["covariances"]
        frame = frame or identity(params["means"].shape[1])
        return Params({**params, "covariances": self.structure.allowed(covariances, frame)})

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        """The same, with components wider by the data's that are a few rows far from all others.

        Without a width of its own such a component never gets the next row like them.
        """
        if not few(self.structure, params, counts).any():
            return params
        means, covariances = params["means"], params["covariances"]
        alone = Oddity(self.structure, params, counts, frame or identity(means.shape[1])).alone
        if not alone.any():
            return params
        covariances = covariances.copy()
        covariances[alone] += self.at(means)["covariances"][alone]
        return Params({**params, "covariances": covariances})

    def log_prior(self, params: Params, weight: float, frame: Frame | None) -> float:
        """Log-density of the prior of `reg_covar`, 0 at the covariance of the whole data."""
        if self.reg_covar == 0:
            return 0.0
        root, d = self._root(params), params["means"].shape[1]
        each = self.structure.log_det(root, d) - (self.structure.trace(root, d) - d) / 2
        return float(self.reg_covar * weight * (each[0] if self.structure.pooled else each.sum()))

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, with s_i^2 = m_i^2 + C_ii, (component,)."""
        means = params["means"]
        variances = self.structure.variances(params["covariances"], *means.shape)
        squares = np.square(means) + variances
        precisions = self.structure.precision(self._root(params))
        return self.structure.magnitudes(precisions, np.sqrt(squares))

    def events(self, statistics: Statistics, params: Params, frame: Frame | None) -> list[str]:
        """No flaws under a prior, which bounds the objective whatever the rows."""
        counts, (k, d) = statistics["counts"], params["means"].shape
        p, n = k - 1 + count_free(self.parameters, params), counts.sum()
        if p > n:
            # Hardly a component has rows enough, and there is nothing to tell them apart by.
            message = f"{p:,} parameters for {n:,.6g} rows"
            return [message] if self.reg_covar > 0 else [Flaw(message), message]
        told_of = Oddity(self.structure, params, counts, frame or identity(d)).events()
        return [e for e in told_of if not (self.reg_covar > 0 and isinstance(e, Flaw))]

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        means = params["means"]
        factors = np.linalg.cholesky(self.covariances(params))
        rows = rng.standard_normal((len(components), means.shape[1]))
        for k in range(len(means)):
            mine = components == k
            rows[mine] = means[k] + rows[mine] @ factors[k].T
        return rows


def _is_resolution(value: object) -> bool:
    """Whether `value` is "auto", a number >= 0, or some of these."""
    if isinstance(value, str):
        return value == "auto"
    values = np.asarray(value)
    return values.dtype.kind in "iuf" and values.ndim < 2 and bool((values >= 0).all())
