"""Columns of several kinds: a family for each, independent of one another given the component."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.asking import demand
from daskem.models.families.columngaps import ExpectedColumns
from daskem.models.families.members import (
    Arrays,
    Member,
    SideBySideFamilies,
    dim_of,
    statistics_of,
)
from daskem.models.families.piecewise import PartOfSurvey, joined, part_of
from daskem.models.families.protocol import (
    Coordinates,
    Draws,
    Family,
    Gapped,
    Imputes,
    Labelled,
    Levelled,
)
from daskem.models.families.registry import register
from daskem.models.kernels.parts import Part, SideBySide
from daskem.models.kernels.protocol import Kernel, Tiled
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Survey


@register
@dataclass(frozen=True)
class Independent(SideBySideFamilies):
    """K distributions of columns of several kinds, which are independent given the component.

    log p(x | k) = sum over families f of log p_f(x of its columns | k)

    Parameters
    ----------
    families : mapping of str, or tuple of str, to a family
        By the columns that each is of, which are the features of the fit, in this order:
        ``{"T": Gaussian(), ("lon", "lat"): Gaussian("full"), "type": Categorical()}``. Numbers,
        the places of the columns, where these have no names.

    Notes
    -----
    Parameters: those of the families, called after the columns: ``means_T`` (component,
    T_feature), ``covariances_lon_lat``, ``probabilities_type`` (component, type_feature,
    type_category). Statistics: ``counts``, and those of the families, as ``T.first``.
    """

    families: Any

    def __post_init__(self) -> None:
        given = self.families
        pairs = given.items() if isinstance(given, Mapping) else given
        families = tuple((tuple(c) if isinstance(c, tuple | list) else (c,), f) for c, f in pairs)
        object.__setattr__(self, "families", families)
        names = [name for columns, _ in families for name in columns]
        labels = {member.label for member in self.members}
        if not names or len(set(names)) < len(names) or len(labels) < len(families):
            raise ParameterError(
                f"the columns of the families are {names}: each should be there once, and called "
                "otherwise than the others"
            )
        if self.features is None and sorted(names) != list(range(len(names))):
            raise ParameterError(f"the columns {names} should be all places from 0, or names")
        for _, family in families:
            if isinstance(family, type) or not (
                isinstance(family, Family) and isinstance(family, Coordinates)
            ):
                raise ParameterError(f"{family!r:.80} is no family, such as daskem.Gaussian()")

    def _with(self, families: Sequence[Family]) -> "Independent":
        pairs = zip(self.families, families, strict=True)
        return replace(self, families=tuple((columns, f) for (columns, _), f in pairs))

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {
            f"{name}_{member.label}": replace(
                parameter, dims=tuple(dim_of(dim, member.label) for dim in parameter.dims)
            )
            for member in self.members
            for name, parameter in member.family.parameters.items()
        }

    # The values.

    @property
    def domain(self) -> str:
        domains = [f"{m.family.domain} ({m.label})" for m in self.members]
        return "; ".join(domains)

    def valid(self, rows: np.ndarray) -> np.ndarray:
        answers = np.zeros(rows.shape, dtype=bool)
        for _, places, family in self.members:
            answers[:, places] = family.valid(rows[:, places])
        return answers

    def levelled(self, survey: Survey) -> "Independent":
        """The same, with the levels that the columns of categories have in the data."""
        return self._with(
            [
                m.family.levelled(PartOfSurvey(survey, m.places))
                if isinstance(m.family, Levelled)
                else m.family
                for m in self.members
            ]
        )

    @property
    def categorical(self) -> bool:
        return any(isinstance(family, Levelled) for _, family in self.families)

    def categories(self, names: Sequence[Hashable]) -> Collection[Hashable]:
        """The columns of categories may be strings."""
        levelled = [m.places for m in self.members if isinstance(m.family, Levelled)]
        return [names[place] for places in levelled for place in places]

    # Coordinates: those of each family.

    @property
    def cross_moments(self) -> bool:
        families = (family for _, family in self.families)
        return any(isinstance(f, Coordinates) and f.cross_moments for f in families)

    def frame(self, survey: Survey) -> Frame:
        frames = []
        for _, places, family in self.members:
            asked = demand(family, Coordinates, "Independent")
            frames.append((places, asked.frame(PartOfSurvey(survey, places))))
        return joined(frames)

    def to_frame(self, params: DataParams, frame: Frame) -> Params:
        parts = (
            demand(m.family, Coordinates, "a frame").to_frame(
                DataParams(of_family), part_of(frame, m)
            )
            for m, of_family in self._each(params)
        )
        return Params({**params, **self._joined(list(parts))})

    def from_frame(self, params: Params, frame: Frame) -> DataParams:
        parts = (
            demand(m.family, Coordinates, "a frame").from_frame(of_family, part_of(frame, m))
            for m, of_family in self._each(params)
        )
        return DataParams({**params, **self._joined(list(parts))})

    def at(self, centres: np.ndarray) -> Params:
        return Params(self._joined([m.family.at(centres[:, m.places]) for m in self.members]))

    def locations(self, params: Arrays) -> np.ndarray:
        n_features = sum(len(member.places) for member in self.members)
        locations: np.ndarray | None = None
        for (_, places, family), of_family in self._each(params):
            located = family.locations(of_family)
            locations = np.empty((len(located), n_features)) if locations is None else locations
            locations[:, places] = located
        assert locations is not None
        return locations

    def coordinates(
        self, params: Arrays, names: Sequence[Hashable], labels: Mapping[Hashable, Any]
    ) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """The names of the columns of each family, and its own coordinates."""
        coordinates: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        for (label, places, family), of_family in self._each(params):
            called = [names[place] for place in places]
            feature = dim_of("feature", label)
            coordinates[feature] = ((feature,), np.array([str(name) for name in called]))
            if isinstance(family, Labelled):
                for name, (dims, values) in family.coordinates(of_family, called, labels).items():
                    called_so = tuple(dim_of(dim, label) for dim in dims)
                    coordinates[f"{name}_{label}"] = (called_so, values)
        return coordinates

    # E step and M step.

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        return self._beside(lambda family: family.kernel, candidates, offsets, frame)

    def _beside(
        self,
        made_by: Callable[[Family], Callable[..., Kernel]],
        candidates: Sequence[Params],
        offsets: Sequence[np.ndarray],
        frame: Frame | None,
    ) -> Kernel:
        """The kernels that `made_by` makes for each family, side by side."""
        nothing = [np.zeros(len(offset)) for offset in offsets]
        each = [[of_family for _, of_family in self._each(params)] for params in candidates]
        parts = []
        for member, of_family in zip(self.members, zip(*each, strict=True), strict=True):
            kernel = made_by(member.family)(of_family, nothing, part_of(frame, member))
            parts.append(_part(member, kernel))
        return TiledKernel(SideBySide(parts, offsets))

    # Of rows that lack values: each family sees to those of its own columns.

    by_pattern = False

    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        purpose = 'missing="model" beside other families'
        return self._beside(lambda f: demand(f, Gapped, purpose).gapped, candidates, offsets, frame)

    def marginal(
        self, params: Params, frame: Frame | None, observed: np.ndarray
    ) -> ExpectedColumns:
        parts = []
        for m, of_family in self._each(params):
            family = demand(m.family, Imputes, "imputing")
            marginal = family.marginal(of_family, part_of(frame, m), observed[m.places])
            parts.append((m.places, marginal))
        return ExpectedColumns(parts, observed)

    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params:
        new = [
            member.family.m_step(
                statistics_of(statistics, member.label), of_family, part_of(frame, member)
            )
            for member, of_family in self._each(params)
        ]
        return Params(self._joined(new))

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one row (sample, feature) for each entry of `components` (sample,)."""
        rows = np.empty((len(components), sum(len(member.places) for member in self.members)))
        for (_, places, family), of_family in self._each(params):
            rows[:, places] = demand(family, Draws, "drawing rows").sample(
                of_family, components, rng
            )
        return rows


def _part(member: Member, kernel: Kernel) -> Part:
    if not isinstance(kernel, Tiled):
        raise ParameterError(f"{type(kernel).__name__} cannot be side by side with others")
    return Part(member.label, member.places, kernel)
