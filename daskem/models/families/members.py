"""Families side by side: whose the columns and the params are, and what all of them have."""

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import DataParams, Params
from daskem.core.statistics import Statistics
from daskem.models.families.piecewise import part_of
from daskem.models.families.protocol import (
    Bounded,
    Conditioned,
    Events,
    Family,
    Prior,
    Simplifies,
    Softens,
)

Arrays = Mapping[str, np.ndarray]


class Member(NamedTuple):
    """A family of some of the columns.

    Attributes
    ----------
    label : str
        What ends the names of its params, and begins those of its dimensions and statistics.
    places : list of int
        Where its columns are among all.
    family : Family
    """

    label: str
    places: list[int]
    family: Family


class SideBySideFamilies(ABC):
    """Several families, each of some of the columns: what `Independent` asks of all of them.

    Attributes
    ----------
    families : tuple of (tuple of column, Family)
    """

    families: Any

    @property
    def features(self) -> list[Hashable] | None:
        """The names of the columns, in their order; None where they are called by their places."""
        names = [name for columns, _ in self.families for name in columns]
        return None if all(isinstance(name, int) for name in names) else names

    @cached_property
    def members(self) -> list[Member]:
        members, first = [], 0
        for columns, family in self.families:
            label = "_".join(re.sub(r"\W+", "_", str(name)) for name in columns)
            named = self.features is not None
            places = list(range(first, first + len(columns))) if named else list(columns)
            members.append(Member(label, places, family))
            first += len(columns)
        return members

    @abstractmethod
    def _with(self, families: Sequence[Family]) -> Self:
        """The same columns, of other families."""

    def _each(self, params: Arrays) -> Iterator[tuple[Member, Params]]:
        """The families, and their own params of these."""
        for member in self.members:
            ends = {f"{name}_{member.label}": name for name in member.family.parameters}
            yield member, Params({short: params[n] for n, short in ends.items() if n in params})

    def _joined(self, params: Sequence[Arrays]) -> dict[str, np.ndarray]:
        """The params of all families as those of one."""
        return {
            f"{name}_{member.label}": value
            for member, of_family in zip(self.members, params, strict=True)
            for name, value in of_family.items()
        }

    # What the families have besides.

    def log_prior(self, params: Params, weight: float, frame: Frame | None) -> float:
        return sum(
            m.family.log_prior(of_family, weight, part_of(frame, m))
            for m, of_family in self._each(params)
            if isinstance(m.family, Prior)
        )

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        new = [
            m.family.softened(of_family, counts, part_of(frame, m))
            if isinstance(m.family, Softens)
            else of_family
            for m, of_family in self._each(params)
        ]
        return Params({**params, **self._joined(new)})

    def allowed(self, params: Params, frame: Frame | None) -> Params:
        new = [
            m.family.allowed(of_family, part_of(frame, m))
            if isinstance(m.family, Bounded)
            else of_family
            for m, of_family in self._each(params)
        ]
        return Params({**params, **self._joined(new)})

    def magnitudes(self, params: Params) -> np.ndarray:
        """Of the terms of the log-density, (component,); without bound where a family has none."""
        each = [
            m.family.magnitudes(of_family)
            if isinstance(m.family, Conditioned)
            else np.array([np.inf])
            for m, of_family in self._each(params)
        ]
        return np.sum(np.broadcast_arrays(*each), axis=0)

    def events(self, statistics: Statistics, params: Params, frame: Frame | None) -> list[str]:
        events: list[str] = []
        for m, of_family in self._each(params):
            if isinstance(m.family, Events):
                events += m.family.events(
                    statistics_of(statistics, m.label), of_family, part_of(frame, m)
                )
        return events

    @property
    def simpler(self) -> Self | None:
        """The same with the simpler family for each that has one; None if none has."""
        families = [family for _, family in self.families]
        simpler = [f.simpler if isinstance(f, Simplifies) else None for f in families]
        if not any(simpler):
            return None
        return self._with([s or f for s, f in zip(simpler, families, strict=True)])

    def grown(self, params: DataParams) -> DataParams:
        new = [
            m.family.grown(DataParams(of_family))
            if isinstance(m.family, Simplifies) and m.family.simpler is not None
            else of_family
            for m, of_family in self._each(params)
        ]
        return DataParams({**params, **self._joined(new)})


def statistics_of(statistics: Statistics, label: str) -> Statistics:
    """The statistics of one family."""
    begin = f"{label}."
    of_family = {n.removeprefix(begin): s for n, s in statistics.items() if n.startswith(begin)}
    return {"counts": statistics["counts"], **of_family}


def dim_of(dim: str, label: str) -> str:
    return dim if dim == "component" else f"{label}_{dim}"
