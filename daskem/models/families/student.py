"""Student-t components: normal ones whose rows have scales of their own, which nobody sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import digamma

from daskem.core.frames import Frame, identity
from daskem.core.numerics import EPS, SQUARABLE, squarable
from daskem.core.parameters import POSITIVE, DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.families.densities import Normals
from daskem.models.families.gaps import Incomplete
from daskem.models.families.gaussian import Gaussian
from daskem.models.families.registry import register
from daskem.models.families.scaled import ScaledForm
from daskem.models.families.scaledrare import ScaledRareForm
from daskem.models.families.structure import Structure
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Survey

# Degrees of freedom that are fitted, at least: with fewer, a component is little but a spike on a
# row, whose likelihood has no bound.
LEAST = 0.5
# And at most: a t distribution of so many is a normal one, to a thousandth of a nat a row.
MOST = 300.0
# Where fitted degrees of freedom begin: heavy tails, and moments that exist.
_FIRST = 10.0
_FITTED = {"each": Parameter(("component",), POSITIVE), "tied": Parameter((), POSITIVE)}


@register
@dataclass(frozen=True)
class StudentT(Incomplete):
    """K multivariate t distributions, whose heavy tails take in rows that are far from all.

        x | u ~ N(mean_k, covariance_k / u),   u ~ Gamma(df_k / 2, df_k / 2)

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
        As for `daskem.Gaussian`.
    df : "each", "tied" or float
        Degrees of freedom: the fewer, the heavier the tails. Fitted for each component, fitted
        for all alike, or given; fitted ones lie between 0.5 and 300, where a t distribution is
        normal.
    resolution : "auto", float or sequence of float, default "auto"
        As for `daskem.Gaussian`.

    Notes
    -----
    Parameters: ``means``; ``covariances``, those of the normal of scale 1, times df / (df - 2)
    the covariance of the rows; and ``df`` if it is fitted. Statistics, with delta = |R (z - m)|^2
    and u = (df + d) / (df + delta) expected at the params: ``counts`` sum r, ``scales`` sum r u,
    ``logs`` sum r (E log u - u), ``first`` sum r u (z - m), ``second`` the quadratics of
    sum r u (z - m)(z - m)^T.

    References
    ----------
    Peel and McLachlan (2000), Robust mixture modelling using the t distribution, Statistics and
    Computing 10.
    """

    covariance_type: str = "full"
    df: str | float = "each"
    resolution: str | float | Sequence[float] = "auto"

    domain = SQUARABLE

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolution", self._normal.resolution)
        fixed = isinstance(self.df, int | float) and not isinstance(self.df, bool) and self.df > 0
        if not (fixed or self.df in _FITTED):
            raise ParameterError(f"df={self.df!r} should be a number > 0, or one of {[*_FITTED]}")

    @cached_property
    def _normal(self) -> Gaussian:
        """The family of the rows whose scale is 1, and of everything but the scales."""
        return Gaussian(self.covariance_type, 0.0, self.resolution)

    @property
    def structure(self) -> Structure:
        return self._normal.structure

    @property
    def parameters(self) -> dict[str, Parameter]:
        fitted = {"df": _FITTED[self.df]} if isinstance(self.df, str) else {}
        return {**self._normal.parameters, **fitted}

    @property
    def simpler(self) -> "StudentT | None":
        """The same without correlations; None if it has none."""
        return replace(self, covariance_type="diag") if self.cross_moments else None

    def grown(self, params: DataParams) -> DataParams:
        return self._normal.grown(params)

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return squarable(rows)

    @property
    def cross_moments(self) -> bool:
        return self._normal.cross_moments

    def frame(self, survey: Survey) -> Frame:
        return self._normal.frame(survey)

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        return self._normal.to_frame(params, frame)

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        return self._normal.from_frame(params, frame)

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        return params["means"]

    def covariances(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """Those of scale 1, as matrices whatever the structure, (component, feature, feature)."""
        return self._normal.covariances(params)

    def precision_factors(self, params: Params, frame: Frame) -> np.ndarray:
        return self._normal.precision_factors(params, frame)

    def at(self, centres: np.ndarray) -> Params:
        params = self._normal.at(centres)
        if isinstance(self.df, str):
            params["df"] = np.full(len(centres) if self.df == "each" else (), _FIRST)
        return params

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        normals = [Normals(self.structure, params) for params in candidates]
        freedom = [self._freedom(params) for params in candidates]
        return TiledKernel(ScaledForm(normals, freedom, offsets), frame)

    # The scale of a row depends on all of its features, whatever the structure.
    by_pattern = True

    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        freedom = [self._freedom(params) for params in candidates]
        frame = frame or identity(candidates[0]["means"].shape[1])
        return TiledKernel(ScaledRareForm(self.structure, candidates, freedom, offsets, frame))

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        """That of normals whose means move by first / scales, with scatters about where to."""
        counts, scales = statistics["counts"][:, None], statistics["scales"][:, None]
        structure = self.structure
        some = counts > EPS * counts.sum()
        shift = np.where(some, statistics["first"] / np.where(some, scales, 1.0), 0.0)
        moved = structure.pool((counts - scales) * structure.of_vectors(shift))
        as_normal = {
            "counts": statistics["counts"],
            "first": counts * shift,
            "second": statistics["second"] + moved,
        }
        new = self._normal.m_step(as_normal, params, frame)
        if isinstance(self.df, str):
            new["df"] = self._fitted(statistics, params["df"])
        return new

    def _fitted(self, statistics: Statistics, old: np.ndarray) -> np.ndarray:
        """The degrees of freedom where the derivative of the expected log-likelihood is zero:

            1 + log(df / 2) - digamma(df / 2) + mean of (E log u - u) = 0

        It falls with df, so that the nearest limit is best where there is no zero between them.
        """
        counts, logs = statistics["counts"], statistics["logs"]
        if self.df == "tied":
            counts, logs = counts.sum(keepdims=True), logs.sum(keepdims=True)
        some = counts > EPS * counts.sum()
        means = logs / np.where(some, counts, 1.0)
        new = np.where(some, [_best_df(float(mean)) for mean in means], old)
        return new.reshape(np.shape(old))

    def allowed(self, params: Params, frame: Frame | None) -> Params:
        return self.all_allowed([params], frame)[0]

    def all_allowed(self, candidates: Sequence[Params], frame: Frame | None) -> list[Params]:
        near = self._normal.all_allowed(candidates, frame)
        if isinstance(self.df, str):
            for params in near:
                params["df"] = np.clip(params["df"], LEAST, MOST)
        return near

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        return self._normal.softened(params, counts, frame)

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, whose logarithms are no larger than those of normals."""
        return self._normal.magnitudes(params)

    def events(self, statistics: Statistics, params: Params, frame: Frame | None) -> list[str]:
        return self._normal.events(statistics, params, frame)

    def suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params], frame: Frame | None
    ) -> Sequence[bool]:
        return self._normal.suspects(statistics, candidates, frame)

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        df = self._freedom(params)[components]
        u, centred = rng.chisquare(df) / df, Params({**params, "means": 0 * params["means"]})
        rows = self._normal.sample(centred, components, rng)
        return params["means"][components] + rows / np.sqrt(u)[:, None]

    def _freedom(self, params: Params) -> np.ndarray:
        """Degrees of freedom of every component, (component,)."""
        df = params["df"] if isinstance(self.df, str) else self.df
        return np.broadcast_to(np.asarray(df, dtype=np.float64), len(params["means"]))


def _best_df(mean: float) -> float:
    from scipy.optimize import brentq  # It takes a third of a second: not of every process.

    def slope(df: float) -> float:
        return float(1 + np.log(df / 2) - digamma(df / 2) + mean)

    if slope(LEAST) <= 0:
        return LEAST
    return MOST if slope(MOST) >= 0 else float(brentq(slope, LEAST, MOST, xtol=1e-12, rtol=1e-14))
