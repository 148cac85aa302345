"""Several mixtures of normals at once: all of their components, which share nothing.

Of a few rows, what is asked of each mixture alone takes longer than what it computes.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from daskem.core.frames import Frame, identity
from daskem.core.parameters import Parameter, Params, count_free
from daskem.core.segments import Segments
from daskem.core.statistics import Statistics
from daskem.models.families.degenerate import may_be_odd
from daskem.models.families.moving import moved
from daskem.models.families.structure import Structure
from daskem.models.families.together import joined, parted

# Params that have an entry for each component, unless it is tied.
OF_COMPONENTS = ("means", "covariances")


class ManyNormals(ABC):
    """A family of `means` and `covariances`, and several of its params at once."""

    reg_covar: float

    @property
    @abstractmethod
    def structure(self) -> Structure: ...
    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Parameter]: ...
    @abstractmethod
    def m_step(self, statistics: Statistics, params: Params, frame: Frame | None) -> Params: ...
    @abstractmethod
    def allowed(self, params: Params, frame: Frame | None) -> Params: ...

    def m_steps(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params], frame: Frame | None
    ) -> list[Params]:
        if self.structure.pooled or self.reg_covar > 0:
            pairs = zip(statistics, candidates, strict=True)
            return [self.m_step(sums, params, frame) for sums, params in pairs]
        each = _each(candidates)
        moments = joined(statistics, ("counts", "first", "second"))
        old = Params(joined(candidates, OF_COMPONENTS))
        new = moved(self.structure, moments, old, frame, each.total(moments["counts"]))
        return list(map(Params, parted(new, each)))

    def all_allowed(self, candidates: Sequence[Params], frame: Frame | None) -> list[Params]:
        if self.structure.pooled:
            return [self.allowed(params, frame) for params in candidates]
        near = self.allowed(Params(joined(candidates, OF_COMPONENTS)), frame)["covariances"]
        pairs = zip(candidates, _each(candidates).parts(near), strict=True)
        return [Params({**params, "covariances": own}) for params, own in pairs]

    def suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params], frame: Frame | None
    ) -> Sequence[bool]:
        """All that have a component that may be one; a matrix of all components tells of none."""
        if self.structure.pooled or self.reg_covar > 0:
            return [self.reg_covar == 0] * len(candidates)
        params, each = Params(joined(candidates, OF_COMPONENTS)), _each(candidates)
        counts, d = joined(statistics, ["counts"])["counts"], params["means"].shape[1]
        odd = may_be_odd(self.structure, params, counts, frame or identity(d), each)
        # As many as `events` counts, of as many components.
        one = count_free(self.parameters, {name: value[:1] for name, value in params.items()})
        p = np.array(each.lengths) * (1 + one) - 1
        return ((p > each.sums(counts)) | odd).tolist()


def _each(candidates: Sequence[Params]) -> Segments:
    return Segments([len(params["means"]) for params in candidates])
