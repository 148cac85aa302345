"""What models whose components are those of a family share: the family's part, and its frame."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import EPS
from daskem.core.parameters import DataParams, Params
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.asking import demand, lacking
from daskem.models.families.protocol import (
    Bounded,
    BoundsMany,
    Compiles,
    Conditioned,
    Coordinates,
    Events,
    Family,
    Levelled,
    Marginals,
    MaximisesMany,
    Named,
    Prior,
    Softens,
    Suspects,
)
from daskem.models.families.weighted import imputed, with_gaps
from daskem.models.kernels.backends import NUMPY
from daskem.models.kernels.choice import computed
from daskem.models.kernels.protocol import Kernel
from daskem.models.known import doubts, known
from daskem.models.views import Block, Survey, Tile


@dataclass(frozen=True)
class ComposedModel(ABC):
    """A model whose params are its own, which have no units, and those of K members of a family.

    Models extend it with the structure that is not seen: which component a row is of.
    """

    family: Family
    frame: Frame | None = None
    backend: str = NUMPY
    incomplete: bool = False

    def __post_init__(self) -> None:
        name = type(self).__name__
        advice = f"{name}({self.family!r}) needs a family, such as {name}(daskem.Gaussian())"
        if isinstance(self.family, type):
            raise ParameterError(advice)
        if not isinstance(self.family, Family):
            missing = ", ".join(f"`{member}`" for member in lacking(self.family, Family))
            raise ParameterError(f"{advice}; {type(self.family).__name__} lacks {missing}")

    @abstractmethod
    def shares(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """How many of all rows are of each component, (component,), which sum to 1."""

    def known(self, block: Block) -> np.ndarray | None:
        """The components of the rows that are known, (sample,), -1 for the others."""
        return known(block)

    @abstractmethod
    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """What it says of the rows of a block, tile by tile."""

    def valid(self, rows: np.ndarray) -> np.ndarray:
        valid = self.family.valid(rows)
        return valid | np.isnan(rows) if self.incomplete else valid

    def with_incomplete(self, incomplete: bool) -> Self:
        """The same for rows that may lack values, or may not."""
        if incomplete:
            demand(self.family, Marginals, 'missing="model"')
        return replace(self, incomplete=incomplete)

    def impute(self, block: Block, params: Params) -> np.ndarray:
        """The rows (sample, feature), with what is expected of the values that they lack."""
        return imputed(self.family, params, self.frame, block, self.posterior(block, params))

    @property
    def domain(self) -> str:
        return self.family.domain

    @property
    def cross_moments(self) -> bool:
        """Whether `given` wants the covariance of the data, rather than their variances."""
        return isinstance(self.family, Coordinates) and self.family.cross_moments

    @property
    def log_det(self) -> float:
        """What the frame adds to a log-density, in nats, for that in the data's units."""
        return 0.0 if self.frame is None else self.frame.log_det

    def given(self, survey: Survey) -> Self:
        """The same model in the coordinates that suit the data of a survey."""
        family = self.family.levelled(survey) if isinstance(self.family, Levelled) else self.family
        if not isinstance(family, Coordinates):
            return replace(self, family=family)
        return replace(self, family=family, frame=family.frame(survey))

    @property
    def features(self) -> Sequence[Hashable] | None:
        """The columns that the family knows by name, in their order."""
        return self.family.features if isinstance(self.family, Named) else None

    @property
    def categorical(self) -> bool:
        """Whether `given` wants the distinct values of the features."""
        return isinstance(self.family, Levelled)

    def categories(self, names: Sequence[Hashable]) -> Collection[Hashable]:
        """Which of the columns of a table may be strings."""
        return self.family.categories(names) if isinstance(self.family, Levelled) else ()

    def to_frame(self, params: DataParams) -> Params:
        """Params in the data's units to those of the frame."""
        if self.frame is None:
            return Params(params)
        return demand(self.family, Coordinates, "a frame").to_frame(params, self.frame)

    def from_frame(self, params: Params) -> DataParams:
        """Params of the frame to the data's units."""
        if self.frame is None:
            return DataParams(params)
        return demand(self.family, Coordinates, "a frame").from_frame(params, self.frame)

    def with_kernel(self, backend: str) -> Self:
        return replace(self, backend=backend)

    def of_family(self, candidates: Sequence[Params], offsets: Sequence[np.ndarray]) -> Kernel:
        """The kernel of the family, on the backend of the model where it can be."""
        kernel = self.family.kernel(candidates, offsets, self.frame)
        if self._compiled is not None:
            kernel = computed(kernel, self.backend, self._compiled.terms)
        if not self.incomplete:
            return kernel
        return with_gaps(kernel, self.family, candidates, offsets, self.frame)

    def restore(self, rows: np.ndarray) -> np.ndarray:
        """Rows of the frame in the data's units, (sample, feature)."""
        return rows if self.frame is None else self.frame.restore(rows)

    def allowed(self, params: Params) -> Params:
        """The params nearest to these where the M step can lead."""
        return params if self._bounded is None else self._bounded.allowed(params, self.frame)

    def all_allowed(self, candidates: Sequence[Params]) -> Sequence[Params]:
        """The same of each of some params."""
        if self._bounds_many is None:
            return [self.allowed(params) for params in candidates]
        return self._bounds_many.all_allowed(candidates, self.frame)

    def log_prior(self, params: Params, weight: float) -> float:
        """What is added to the log-likelihood in the objective that EM climbs."""
        return 0.0 if self._prior is None else self._prior.log_prior(params, weight, self.frame)

    def magnitude(self, params: Params) -> float | None:
        """The mean over rows of the terms of log p(x), without their signs; None if unknown."""
        if self._conditioned is None:
            return None
        return float(self.shares(params) @ self._conditioned.magnitudes(params))

    def events(self, statistics: Statistics, params: Params) -> list[str]:
        """What a person should know of params and their statistics."""
        counts = statistics["counts"]
        empty = np.flatnonzero(counts <= EPS * counts.sum())
        lost = [f"component {k} has lost all its rows" for k in empty] + doubts(statistics)
        if self._events is None:
            return lost
        return [*lost, *self._events.events(statistics, params, self.frame)]

    def suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> Sequence[bool]:
        """Which of some params may have flaws, which are those of the family."""
        if self._suspects is None:
            return [self._events is not None] * len(candidates)
        return self._suspects.suspects(statistics, candidates, self.frame)

    # What is asked for each of many params: the family says once whether it has it.

    @cached_property
    def _bounded(self) -> Bounded | None:
        return self.family if isinstance(self.family, Bounded) else None

    @cached_property
    def _bounds_many(self) -> BoundsMany | None:
        return self.family if isinstance(self.family, BoundsMany) else None

    @cached_property
    def _compiled(self) -> Compiles | None:
        return self.family if isinstance(self.family, Compiles) else None

    @cached_property
    def _prior(self) -> Prior | None:
        return self.family if isinstance(self.family, Prior) else None

    @cached_property
    def _softens(self) -> Softens | None:
        return self.family if isinstance(self.family, Softens) else None

    @cached_property
    def _conditioned(self) -> Conditioned | None:
        return self.family if isinstance(self.family, Conditioned) else None

    @cached_property
    def _events(self) -> Events | None:
        return self.family if isinstance(self.family, Events) else None

    @cached_property
    def _suspects(self) -> Suspects | None:
        return self.family if isinstance(self.family, Suspects) else None

    @cached_property
    def _many(self) -> MaximisesMany | None:
        return self.family if isinstance(self.family, MaximisesMany) else None
