"""The mixture model: each row was made by picking a component, then drawing from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.numerics import NOTHING, one_blas_thread
from daskem.core.parameters import SIMPLEX, DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.models.composed import ComposedModel
from daskem.models.families.protocol import Compiles, Draws, Simplifies, Softens
from daskem.models.kernels.backends import BACKENDS, NUMPY
from daskem.models.kernels.protocol import Kernel
from daskem.models.protocol import Block, Tile, demand

# The log of no weight: below any log-density, and finite, as matrix products want numbers.
_LOG_OF_NONE = -1e300


@dataclass(frozen=True)
class Mixture(ComposedModel):
    """A mixture of the components of a family: p(x) = sum_k weight_k p(x | component k).

    Parameters
    ----------
    family : Gaussian, Poisson, Bernoulli, or one of your own
        Any object with the members of `daskem.models.families.protocol.Family`.
    frame : Frame, optional
        Affine coordinates in which params are held and rows are seen, where the family has
        them. `given` chooses one; log-likelihoods are in the data's own units in any case.
    backend : {"numpy", "compiled", "cupy"}
        Where E steps are computed: the `kernel` of `daskem.fit`, which sets it.
    incomplete : bool, default False
        Whether rows may lack values (NaN), and take part with those that they have; the `missing`
        of `daskem.fit` sets it.

    Notes
    -----
    The number of components belongs to the params, not to the model. Statistics: those of the
    family, with ``log_likelihood`` the sum over rows of log p(x), in nats.
    """

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {"weights": Parameter(("component",), SIMPLEX), **self.family.parameters}

    @property
    def backends(self) -> tuple[str, ...]:
        return BACKENDS if isinstance(self.family, Compiles) else (NUMPY,)

    def n_components(self, params: Params) -> int:
        return len(params["weights"])

    def shares(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        return params["weights"]

    def e_step(self, block: Block, params: Params) -> Statistics:
        """Responsibilities of a block by Bayes' rule, summed into sufficient statistics."""
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        """The E steps of several params in one sweep over the rows of a block."""
        if isinstance(candidates, Candidates):
            return candidates.made(self, self.kernel).e_step(block)
        return self.kernel(candidates).e_step(block)

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        """The params that maximise the expected (penalised) log-likelihood.

        A component without rows has weight 0, and takes no row from then on, however far that lies
        from all others.
        """
        weights = statistics["counts"] / statistics["counts"].sum()
        weights = np.where(weights > NOTHING, weights, 0.0)
        return Params({"weights": weights, **self.family.m_step(statistics, params, self.frame)})

    @one_blas_thread()
    def from_labels(self, block: Block, labels: np.ndarray, centres: np.ndarray) -> Params:
        """The M step for rows whose component is known.

        Parameters
        ----------
        block : Block
        labels : ndarray of int, (sample,)
        centres : ndarray, (component, feature)
            Rows in the data's units, where components without rows of their own stay.
        """
        k = len(centres)
        centres = centres if self.frame is None else self.frame.apply(centres)
        params = self.allowed(Params({"weights": np.full(k, 1 / k), **self.family.at(centres)}))
        params = self.m_step(self.kernel([params]).hard(block, labels), params)
        return self.softened(params, len(block))

    def softened(self, params: Params, n_rows: int) -> Params:
        """Params that were fitted to so many rows, off the edges of what they can be."""
        if not isinstance(self.family, Softens):
            return params
        return self.family.softened(params, n_rows * params["weights"], self.frame)

    @property
    def simpler(self) -> "Mixture | None":
        """A mixture of the simpler family, if there is one."""
        family = self.family.simpler if isinstance(self.family, Simplifies) else None
        return None if family is None else Mixture(family, None, self.backend, self.incomplete)

    def grown(self, params: DataParams) -> Params:
        """Params of the simpler mixture, in the data's units, as params of this one."""
        grown = demand(self.family, Simplifies, "growing").grown(params)
        return self.allowed(self.to_frame(grown))

    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """Walk over the rows of a block in tiles."""
        with one_blas_thread():
            kernel = self.kernel([params])
        return kernel.posterior(block)

    def sample(
        self, params: Params, n_samples: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (sample, feature), and the component (sample,) that made each."""
        family, weights = demand(self.family, Draws, "drawing rows"), params["weights"]
        components = rng.choice(len(weights), size=n_samples, p=weights / weights.sum())
        return self.restore(family.sample(params, components, rng)), components

    def kernel(self, candidates: Sequence[Params]) -> Kernel:
        """E steps of several params, each with the logs of its weights as offsets."""
        offsets = [_log(c["weights"]) + self.log_det for c in candidates]
        return self.of_family(candidates, offsets)


def _log(weights: np.ndarray) -> np.ndarray:
    some = weights > 0
    return np.where(some, np.log(np.where(some, weights, 1.0)), _LOG_OF_NONE)
