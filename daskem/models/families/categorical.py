"""Answers of several kinds: independent categorical features, given the component."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial

import numpy as np

from daskem.core.frames import Frame, in_units_of_the_data
from daskem.core.numerics import EPS
from daskem.core.parameters import SIMPLEX, DataParams, Parameter, Params, Support
from daskem.core.settings import number
from daskem.core.statistics import Statistics
from daskem.errors import DataError, ParameterError
from daskem.models.families.answers import Answers, MarginalAnswers
from daskem.models.families.independent import LEAST, SOFT
from daskem.models.families.registry import register
from daskem.models.kernels.counted import CountedKernel
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Survey

# What the codes of features stand for that were no numbers, by their names.
Labels = Mapping[Hashable, Sequence[Hashable]]
# Levels of a feature, at most: more are numbers, not categories.
MOST_LEVELS = 2**10
# Values that a message lists.
_SHOWN = 6


@register
@dataclass(frozen=True)
class Categorical:
    """K products of categorical distributions (latent class analysis).

    log p(x | k) = sum_j log p_kj[level of x_j]

    Parameters
    ----------
    levels : int or sequence of sequence of float, optional
        The values that each feature can have: the codes 0, 1, ... below a number, or a list for
        each feature. Default: those that it has in the data, as the first read finds them.
    prior_rows : float, default 0
        Imaginary rows, each with the shares of the levels in the whole data set, that every
        component gets besides its own: a conjugate prior, so that a level that none of its rows
        has is not impossible.

    Notes
    -----
    Parameters: ``probabilities`` (component, feature, category), in the order of the levels; 0
    beyond the last level of a feature that has fewer than others. Statistics: ``counts`` sum r,
    ``levels`` sum r [x_j is the level].
    """

    levels: int | Sequence[Sequence[float]] | None = None
    prior_rows: float = 0.0

    # Coordinates: those of the data; the frame knows the shares of the levels in all rows.
    cross_moments = False

    def __post_init__(self) -> None:
        if not number("prior_rows", self.prior_rows, 0) < np.inf:
            raise ParameterError("prior_rows=inf should be a number >= 0, and finite")
        if self.levels is not None and not isinstance(self.levels, int):
            object.__setattr__(self, "levels", tuple(tuple(map(float, v)) for v in self.levels))
        for values in self._listed:
            if not 1 <= len(values) <= MOST_LEVELS or list(values) != sorted(set(values)):
                raise ParameterError(
                    f"levels={values!r:.80} should be from 1 to {MOST_LEVELS} values that rise"
                )

    @property
    def _listed(self) -> tuple[Sequence[float], ...]:
        if isinstance(self.levels, int):
            return (range(self.levels),)
        return () if self.levels is None else tuple(self.levels)

    @cached_property
    def _sizes(self) -> np.ndarray:
        """How many levels there are, of each feature or of all alike."""
        return np.array([len(values) for values in self._listed])

    def table(self, n_features: int, n_levels: int) -> np.ndarray:
        """The value of each level, (feature, category); NaN beyond the last one."""
        table = np.full((n_features, n_levels), np.nan)
        for row, values in zip(table, self._each(n_features, n_levels), strict=True):
            row[: len(values)] = values
        return table

    def _each(self, n_features: int, n_levels: int) -> list[Sequence[float]]:
        listed = self._listed or (range(n_levels),)
        if len(listed) not in (1, n_features):
            raise ParameterError(f"levels has {len(listed)} lists; there are {n_features} features")
        return list(listed) if len(listed) > 1 else [*listed] * n_features

    @property
    def parameters(self) -> dict[str, Parameter]:
        dims = ("component", "feature", "category")
        return {"probabilities": Parameter(dims, _shares_of(tuple(self._sizes.tolist())))}

    @property
    def domain(self) -> str:
        if self.levels is None:
            return "whole numbers, each the code of a category"
        several = len(self._listed) > 1
        descriptions = [_words(values) for values in self._listed]
        if not several:
            return f"one of the levels {descriptions[0]}"
        each = "; ".join(f"{words} in column {j}" for j, words in enumerate(descriptions[:_SHOWN]))
        more = "; ..." if len(descriptions) > _SHOWN else ""
        return f"one of the levels of its column, {each}{more}"

    def valid(self, rows: np.ndarray) -> np.ndarray:
        if self.levels is None:
            with np.errstate(invalid="ignore"):
                return np.isfinite(rows) & (rows == np.floor(rows))
        each = self._each(rows.shape[1], 0)
        columns = [np.isin(rows[:, j], values) for j, values in enumerate(each)]
        return np.stack(columns, axis=1)

    def levelled(self, survey: Survey) -> "Categorical":
        """The same, with the levels that the features have in the data."""
        if self.levels is not None or survey.levels is None:
            return self
        for values, name in zip(survey.levels.values, survey.levels.names, strict=True):
            if len(values) > MOST_LEVELS:
                raise DataError(
                    f"{name} has more than {MOST_LEVELS} values, such as {_words(values)}, and so "
                    "is no category: leave it out, join values, or give it a family of numbers"
                )
        return replace(self, levels=tuple(tuple(v.tolist()) for v in survey.levels.values))

    def categories(self, names: Sequence[Hashable]) -> Sequence[Hashable]:
        """All columns may be strings."""
        return names

    def coordinates(
        self, params: Mapping[str, np.ndarray], names: Sequence[Hashable], labels: Labels
    ) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """The ``level`` (feature, category) that each probability is of."""
        table = self.table(*params["probabilities"].shape[1:])
        if not set(labels) & set(names):
            return {"level": (("feature", "category"), table)}
        words = np.full(table.shape, "", dtype=object)
        for (j, i), value in np.ndenumerate(table):
            known = labels.get(names[j])
            if np.isfinite(value):
                words[j, i] = f"{value:.15g}" if known is None else str(known[int(value)])
        return {"level": (("feature", "category"), words.astype(str))}

    def frame(self, survey: Survey) -> Frame:
        """Coordinates of the data, with the shares of the levels (feature, category)."""
        frame = in_units_of_the_data(survey.mean)
        if survey.levels is None or self.levels is None:
            return frame
        table = self.table(len(survey.mean), self._sizes.max())
        shares = np.zeros_like(table)
        for j, (values, weights) in enumerate(
            zip(survey.levels.values, survey.levels.weights, strict=True)
        ):
            shares[j, np.searchsorted(table[j, : np.isfinite(table[j]).sum()], values)] = weights
        return replace(frame, mean=shares / shares.sum(axis=1, keepdims=True))

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        return Params(params)

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        return DataParams(params)

    def _overall(self, frame: Frame | None, like: np.ndarray) -> np.ndarray:
        """The shares of the levels in all rows, (feature, category); even ones if unknown."""
        if frame is not None and frame.mean.ndim > 1:
            return frame.mean[:, : like.shape[2]]
        possible = np.isfinite(self.table(*like.shape[1:]))
        return possible / possible.sum(axis=1, keepdims=True)

    def at(self, centres: np.ndarray) -> Params:
        """Components that have the levels of `centres` (component, feature), each half of all."""
        n_levels = self._sizes.max() if self._listed else int(centres.max(initial=0)) + 1
        table = self.table(centres.shape[1], n_levels)
        even = np.isfinite(table) / np.isfinite(table).sum(axis=1, keepdims=True)
        return Params({"probabilities": ((centres[:, :, None] == table) + even) / 2})

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """The most probable level of each feature, (component, feature)."""
        probabilities = params["probabilities"]
        table = self.table(*probabilities.shape[1:])
        return table[np.arange(len(table)), probabilities.argmax(axis=2)]

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        kernel = self.gapped(candidates, offsets, frame)
        levels = self._each(*candidates[0]["probabilities"].shape[1:])
        return CountedKernel(kernel, tuple(np.array(values, np.float64) for values in levels))

    # Of rows that lack values: NaN is none of the levels, and so says and counts nothing.

    by_pattern = False

    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> TiledKernel:
        each = [params["probabilities"] for params in candidates]
        made = [Answers(p, self.table(*p.shape[1:])) for p in each]
        return TiledKernel(ProductForm(made, offsets))

    def marginal(
        self, params: Params, frame: Frame | None, observed: np.ndarray
    ) -> MarginalAnswers:
        p = params["probabilities"]
        return MarginalAnswers(p, self.table(*p.shape[1:]), observed)

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, (component,)."""
        p = params["probabilities"]
        return -(p * np.log(np.maximum(p, LEAST))).sum(axis=(1, 2))

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        counts, levels = statistics["counts"][:, None, None], statistics["levels"]
        present = counts > EPS * counts.sum()
        if self.prior_rows > 0:
            levels = levels + self.prior_rows * self._overall(frame, levels)
        # Of the levels themselves, so that rounding does not keep shares from adding to 1.
        total = levels.sum(axis=2, keepdims=True)
        shares = levels / np.where(total > 0, total, 1.0)
        return Params({"probabilities": np.where(present, shares, params["probabilities"])})

    def log_prior(self, params: Params, weight: float, frame: Frame | None) -> float:
        """Log-density of the prior of `prior_rows`, 0 where all shares are those of all data."""
        if self.prior_rows == 0:
            return 0.0
        p = params["probabilities"]
        overall = self._overall(frame, p)
        apart = np.log(np.maximum(p, LEAST)) - np.log(np.maximum(overall, LEAST))
        return float(self.prior_rows * (overall * apart).sum())

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        """The same, no level less probable than rows without it and one of all data make it."""
        if frame is None:
            return params
        p, counts = params["probabilities"], counts[:, None, None]
        other = np.where(counts > 0, SOFT / (counts + SOFT), 0.0)
        raised = np.maximum(p, other * self._overall(frame, p))
        return Params({**params, "probabilities": raised / raised.sum(axis=2, keepdims=True)})

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        limits = params["probabilities"].cumsum(axis=2)
        limits /= limits[:, :, -1:]
        u = rng.random((len(components), limits.shape[1]))
        places = np.zeros(u.shape, dtype=np.intp)
        for level in range(limits.shape[2] - 1):
            places += u >= limits[components, :, level]
        table = self.table(*limits.shape[1:])
        return table[np.arange(len(table)), places]


def _words(values: Sequence[float] | np.ndarray) -> str:
    shown = ", ".join(f"{value:.6g}" for value in values[:_SHOWN])
    return shown + (", ..." if len(values) > _SHOWN else "")


@cache
def _shares_of(sizes: tuple[int, ...]) -> Support:
    """Probabilities of so many levels of each feature, or of all alike; nothing beyond them."""
    if not sizes:
        return SIMPLEX
    name = f"probabilities that add to 1 over the levels of each feature, {sizes}"
    return replace(
        SIMPLEX,
        name=name,
        contains=partial(_is_shares, sizes),
        free=partial(_free, sizes),
        axes=2,
        of_segments=None,
    )


def _is_shares(sizes: tuple[int, ...], p: np.ndarray) -> np.ndarray:
    beyond = np.arange(p.shape[-1]) >= np.array(sizes)[:, None]
    if p.shape[-1] != max(sizes) or len(sizes) not in (1, p.shape[-2]):
        return np.zeros(p.shape[:-1], dtype=bool)
    return np.asarray(SIMPLEX.contains(p)) & ~(beyond & (p > 0)).any(axis=-1)


def _free(sizes: tuple[int, ...], shape: tuple[int, ...]) -> int:
    each = np.broadcast_to(np.array(sizes) - 1, shape[-2])
    return int(np.prod(shape[:-2]) * each.sum())
