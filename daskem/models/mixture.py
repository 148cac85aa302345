"""The mixture model: each row was made by picking a component, then drawing from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.numerics import NOTHING, one_blas_thread
from daskem.core.parameters import PROBABILITY, SIMPLEX, DataParams, Parameter, Params
from daskem.core.segments import Segments
from daskem.core.statistics import Statistics, add
from daskem.errors import ModelError, ParameterError
from daskem.models.asking import demand
from daskem.models.boxes import checked_box, log_widths
from daskem.models.composed import ComposedModel
from daskem.models.families.protocol import (
    Compiles,
    Draws,
    Ellipses,
    Simplifies,
)
from daskem.models.families.weighted import imputed
from daskem.models.kernels.backends import BACKENDS, NUMPY
from daskem.models.kernels.noise import noisy, without_noise
from daskem.models.kernels.protocol import Kernel
from daskem.models.known import (
    DOUBTED,
    Doubted,
    known_e_step,
    known_posterior,
    logs_of,
    unknown,
)
from daskem.models.views import Block, Survey, Tile

# The share of the rows that are noise where a fit begins.
_NOISE = 0.05


@dataclass(frozen=True)
class Mixture(ComposedModel):
    """A mixture of the components of a family: p(x) = sum_k weight_k p(x | component k).

    Parameters
    ----------
    family : Gaussian, StudentT, Poisson, Bernoulli, Categorical, Independent, or one of your own
        Any object with the members of `daskem.models.families.protocol.Family`.
    frame : Frame, optional
        Affine coordinates in which params are held and rows are seen, where the family has
        them. `given` chooses one; log-likelihoods are in the data's own units in any case.
    backend : {"numpy", "compiled", "cupy"}
        Where E steps are computed: the `kernel` of `daskem.fit`, which sets it.
    noise : bool, default False
        Whether there is noise beside the components: rows of no cluster, spread evenly over the
        box that the data span (Fraley and Raftery 1998).
    log_noise : float, optional
        The log of its density in the units of the data; by default that of the box, 1 over its
        volume.
    box : sequence of (float, float), optional
        Between which values of each feature noise lies; by default, and where no `log_noise` is
        given, the lowest and the highest one of the data, which the first read finds.

    Notes
    -----
    The number of components belongs to the params, not to the model. Statistics: those of the
    family, with ``log_likelihood`` the sum over rows of log p(x), in nats. With noise there is a
    parameter ``noise``, its share of all rows; the weights are then shares of the others.
    Responsibilities add to 1 with that of noise, and a row that it most probably made has the
    label after the last component's.
    """

    noise: bool = False
    log_noise: float | None = None
    box: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.noise, bool):
            raise ParameterError(
                f"noise={self.noise!r} should be True or False: how much noise there is the fit "
                "finds, `log_noise` is the log of its density"
            )
        if not self.noise and (self.box is not None or self.log_noise is not None):
            raise ParameterError("`box` and `log_noise` are of noise: pass noise=True with them")
        if self.box is not None:
            object.__setattr__(self, "box", checked_box(self.box))
            if self.log_noise is None:
                object.__setattr__(self, "log_noise", -float(log_widths(self.box).sum()))
        if self.noise and not isinstance(self.family, Ellipses):
            raise ParameterError(
                f"noise is spread over a box of real numbers, and components of "
                f"{type(self.family).__name__} make {self.domain}: it is for Gaussian and StudentT"
            )

    def with_incomplete(self, incomplete: bool) -> Self:
        if incomplete and self.log_noise is not None and self.box is None:
            raise ParameterError(
                f"log_noise={self.log_noise:.6g} is of whole rows, and of those that lack values "
                "the box of noise tells it: give box=[(lowest, highest), ...] in its place"
            )
        return super().with_incomplete(incomplete)

    def impute(self, block: Block, params: Params) -> np.ndarray:
        """With noise, whose mean is the middle of its box."""
        if self.box is None:
            return super().impute(block, params)
        # Of the components, (sample, 1).
        shares = np.empty((len(block), 1))

        def tiles() -> Iterator[Tile]:
            for span, log_prob, r in self.posterior(block, params):
                total = r.sum(axis=0)
                shares[span, 0] = total
                yield Tile(span, log_prob, r / np.where(total > 0, total, 1.0))

        rows = imputed(self.family, params, self.frame, block, tiles())
        expected = shares * rows + (1 - shares) * np.mean(self.box, axis=1)
        return np.where(np.isnan(block.rows), expected, rows)

    def given(self, survey: Survey) -> Self:
        model = super().given(survey)
        if self.box is not None and len(self.box) != len(survey.mean):
            raise ParameterError(
                f"the box of noise is of {len(self.box)} features; there are {len(survey.mean)}"
            )
        if not self.noise or self.log_noise is not None:
            return model
        return replace(model, box=survey.spans.tolist())

    def noise_share(self, params: Mapping[str, np.ndarray]) -> float | None:
        return float(params["noise"]) if self.noise else None

    @property
    def parameters(self) -> dict[str, Parameter]:
        noise = {"noise": Parameter((), PROBABILITY)} if self.noise else {}
        weights = Parameter(("component",), SIMPLEX)
        return {"weights": weights, **noise, **self.family.parameters}

    @property
    def backends(self) -> tuple[str, ...]:
        return BACKENDS if isinstance(self.family, Compiles) and not self.noise else (NUMPY,)

    def n_components(self, params: Params) -> int:
        return len(params["weights"])

    def shares(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        weights = params["weights"]
        return weights * (1 - params["noise"]) if self.noise else weights

    def e_step(self, block: Block, params: Params) -> Statistics:
        """Responsibilities of a block by Bayes' rule, summed into sufficient statistics."""
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        """The E steps of several params in one sweep over the rows of a block."""
        labels = self.known(block)
        if labels is None:
            return self._free_e_steps(block, candidates)
        free = [
            {**statistics, DOUBTED: Doubted()}
            for statistics in self._free_e_steps(unknown(block, labels), candidates)
        ]
        some = np.flatnonzero(labels >= 0)
        if not len(some):
            return free
        rows, known_labels = block[some], labels[some]
        return [
            add(statistics, known_e_step(self.kernel([params]), rows, known_labels))
            for statistics, params in zip(free, candidates, strict=True)
        ]

    def _free_e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        """The same of rows of which nothing is known."""
        if isinstance(candidates, Candidates):
            return candidates.made(self, self.kernel).e_step(block)
        return self.kernel(candidates).e_step(block)

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        """The params that maximise the expected (penalised) log-likelihood.

        A component without rows has weight 0, and takes no row from then on, however far that lies
        from all others.
        """
        of_family = self.family.m_step(statistics, params, self.frame)
        (shared,) = self._shared([statistics])
        return Params({**shared, **of_family})

    def m_steps(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> list[Params]:
        """The M step of each of some params."""
        if self._many is None:
            return list(map(self.m_step, statistics, candidates))
        of_family = self._many.m_steps(statistics, candidates, self.frame)
        pairs = zip(self._shared(statistics), of_family, strict=True)
        return [Params({**shared, **rest}) for shared, rest in pairs]

    def _shared(self, statistics: Sequence[Statistics]) -> list[dict[str, np.ndarray]]:
        """The M steps of what is the mixture's own."""
        counts = np.concatenate([sums["counts"] for sums in statistics])
        each = Segments([len(sums["counts"]) for sums in statistics])
        totals = each.sums(counts)
        weights = counts / each.spread(totals)
        shared = [{"weights": w} for w in each.parts(np.where(weights > NOTHING, weights, 0.0))]
        if self.noise:
            for own, sums, total in zip(shared, statistics, totals, strict=True):
                own["noise"] = np.asarray(sums["noise"] / (sums["noise"] + total))
        return shared

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
        noise = {"noise": np.array(_NOISE)} if self.noise else {}
        params = Params({"weights": np.full(k, 1 / k), **noise, **self.family.at(centres)})
        params = self.allowed(params)
        params = self.m_step(self.kernel([params]).hard(block, labels), params)
        return self.softened(Params({**params, **noise}), len(block))

    def softened(self, params: Params, n_rows: int) -> Params:
        """Params that were fitted to so many rows, off the edges of what they can be."""
        if self._softens is None:
            return params
        return self._softens.softened(params, n_rows * params["weights"], self.frame)

    @property
    def simpler(self) -> "Mixture | None":
        """A mixture of the simpler family, if there is one."""
        family = self.family.simpler if isinstance(self.family, Simplifies) else None
        return None if family is None else replace(self, family=family, frame=None)

    def grown(self, params: DataParams) -> Params:
        """Params of the simpler mixture, in the data's units, as params of this one."""
        grown = demand(self.family, Simplifies, "growing").grown(params)
        return self.allowed(self.to_frame(grown))

    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """Walk over the rows of a block in tiles."""
        with one_blas_thread():
            kernel = self.kernel([params])
        labels = self.known(block)
        if labels is None or not (labels >= 0).any():
            tiles = kernel.posterior(block)
        else:
            tiles = known_posterior(kernel, block, labels)
        return without_noise(tiles) if self.noise else tiles

    def sample(
        self, params: Params, n_samples: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (sample, feature), and the component (sample,) that made each; the number after
        the last one's says noise.
        """
        family, shares = demand(self.family, Draws, "drawing rows"), self.shares(params)
        if self.noise:
            shares = np.append(shares, params["noise"])
        components = rng.choice(len(shares), size=n_samples, p=shares / shares.sum())
        made = components < self.n_components(params)
        drawn = self.restore(family.sample(params, components[made], rng))
        if not self.noise:
            return drawn, components
        if self.box is None:
            raise ModelError(
                f"rows of noise lie in a box that log_noise={self.log_noise:.6g} alone does not "
                "tell: give it, Mixture(family, noise=True, box=[(lowest, highest), ...])"
            )
        lowest, highest = np.array(self.box).T
        rows = rng.uniform(lowest, highest, (n_samples, len(lowest)))
        rows[made] = drawn
        return rows, components

    def kernel(self, candidates: Sequence[Params]) -> Kernel:
        """E steps of several params, each with the logs of its weights as offsets."""
        shares = [self.shares(c) for c in candidates]
        logs = logs_of(np.concatenate(shares)) + self.log_det
        offsets = Segments(list(map(len, shares))).parts(logs)
        kernel = self.of_family(candidates, offsets)
        if self.noise:
            assert self.log_noise is not None
            log_noise = [float(logs_of(c["noise"])) + self.log_noise for c in candidates]
            if not self.incomplete:
                return noisy(kernel, log_noise)
            assert self.box is not None
            return noisy(kernel, log_noise, log_widths(self.box))
        return kernel
