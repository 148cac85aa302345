"""A mixture whose components are merged into clusters of free shape: a model around a model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.brief import Brief
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import SIMPLEX, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.models.families.weighted import imputed
from daskem.models.known import known, known_posterior
from daskem.models.mixture import Mixture
from daskem.models.views import Block, Tile


@dataclass(frozen=True, eq=False, repr=False)
class Clusters(Brief):
    """What a row says of groups of components; labels of rows are numbers of groups.

    Attributes
    ----------
    mixture : Mixture
    components : Params
        Of the mixture, in its coordinates.
    groups : tuple of tuple of int
        The components of each cluster.
    """

    mixture: Mixture
    components: Params
    groups: tuple[tuple[int, ...], ...]

    parameters = {"weights": Parameter(("component",), SIMPLEX)}  # noqa: RUF012

    @property
    def members(self) -> np.ndarray:
        """Which components belong to each cluster, (cluster, component), 0 or 1."""
        return members(self.groups, self.mixture.n_components(self.components))

    def n_components(self, params: Params) -> int:
        return len(self.groups)

    def known(self, block: Block) -> np.ndarray | None:
        """The clusters of the rows that are known, (sample,), -1 for the others."""
        return known(block)

    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """As `Mixture.posterior`, with the responsibilities of clusters."""
        for span, log_prob, r in self._of_components(block):
            with one_blas_thread():
                merged = self.members @ r
            yield Tile(span, log_prob, merged)

    def _of_components(self, block: Block) -> Iterator[Tile]:
        """The same with the responsibilities of components."""
        labels, k = self.known(block), self.mixture.n_components(self.components)
        if labels is None:
            yield from self.mixture.posterior(block, self.components)
            return
        # Noise is of no cluster, after the last one.
        groups = np.append(self.members.argmax(axis=0), len(self.groups))
        with one_blas_thread():
            kernel = self.mixture.kernel([self.components])
        for tile in known_posterior(kernel, block, labels, groups):
            yield tile._replace(responsibilities=tile.responsibilities[:k])

    def noise_share(self, params: Mapping[str, np.ndarray]) -> float | None:
        return self.mixture.noise_share(self.components)

    @property
    def incomplete(self) -> bool:
        return self.mixture.incomplete

    def with_incomplete(self, incomplete: bool) -> "Clusters":
        return replace(self, mixture=self.mixture.with_incomplete(incomplete))

    def impute(self, block: Block, params: Params) -> np.ndarray:
        mixture, tiles = self.mixture, self._of_components(block)
        return imputed(mixture.family, self.components, mixture.frame, block, tiles)

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return self.mixture.valid(rows)

    @property
    def domain(self) -> str:
        return self.mixture.domain

    def e_step(self, block: Block, params: Params) -> Statistics:
        """That of the components; with labels only log p, as clusters are not fitted."""
        if self.known(block) is None:
            return self.mixture.e_step(block, self.components)
        counts, tiles = block.counts, self.posterior(block, params)
        return {"log_likelihood": sum(float(t.log_prob @ counts[t.span]) for t in tiles)}

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        """They stay what they are."""
        return params


def members(groups: Sequence[Sequence[int] | frozenset[int]], n_components: int) -> np.ndarray:
    """Which components (group, component) belong to each group, 0 or 1."""
    belongs = np.zeros((len(groups), n_components))
    for number, group in enumerate(groups):
        belongs[number, list(group)] = 1.0
    return belongs
