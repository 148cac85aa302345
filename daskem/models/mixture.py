"""The mixture model: each row was made by picking a component, then drawing from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import EPS, exponentiate, one_blas_thread, sum_of_logs
from daskem.core.parameters import SIMPLEX, DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.errors import ParameterError
from daskem.models.protocol import Block, Survey, Tile

# Working memory of a tile, in bytes: what stays in a shared cache, within bounds that keep the
# cost of a NumPy call (and of waiting for the interpreter's lock) small beside its work, and the
# total small beside a chunk.
_CACHE, _MOST = 2**23, 2**24
_FEWEST_ROWS, _MOST_ROWS = 2**10, 2**14


@dataclass(frozen=True)
class Mixture:
    """A mixture of the components of a family: p(x) = sum_k weight_k p(x | component k).

    Parameters
    ----------
    family : Gaussian, Poisson, Bernoulli, or any object with their methods
    frame : Frame, optional
        Affine coordinates in which params are held and rows are seen, where the family has
        them. `given` chooses one; log-likelihoods are in the data's own units in any case.

    Notes
    -----
    The number of components belongs to the params, not to the model. Statistics: those of the
    family, with ``log_likelihood`` the sum over rows of log p(x), in nats.
    """

    family: Any
    frame: Frame | None = None

    def __post_init__(self) -> None:
        if isinstance(self.family, type) or not hasattr(self.family, "kernel"):
            raise ParameterError(
                f"Mixture({self.family!r}) needs a family, such as Mixture(daskem.Gaussian())"
            )

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {"weights": Parameter(("component",), SIMPLEX), **self.family.parameters}

    def valid(self, rows: np.ndarray) -> np.ndarray:
        return self.family.valid(rows)

    @property
    def domain(self) -> str:
        return self.family.domain

    @property
    def cross_moments(self) -> bool:
        """Whether `given` wants the covariance of the data, rather than their variances."""
        return getattr(self.family, "cross_moments", False)

    def given(self, survey: Survey) -> "Mixture":
        """The same model in the coordinates that suit the data of a survey."""
        if not hasattr(self.family, "frame"):
            return self
        return replace(self, frame=self.family.frame(survey))

    def to_frame(self, params: DataParams) -> Params:
        """Params in the data's units to those of the frame."""
        return Params(params) if self.frame is None else self.family.to_frame(params, self.frame)

    def from_frame(self, params: Params) -> DataParams:
        """Params of the frame to the data's units."""
        if self.frame is None:
            return DataParams(params)
        return self.family.from_frame(params, self.frame)

    def n_components(self, params: Params) -> int:
        return len(params["weights"])

    def e_step(self, block: Block, params: Params) -> Statistics:
        """Responsibilities of a block by Bayes' rule, summed into sufficient statistics."""
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        """The E steps of several params in one sweep over the rows of a block."""
        kernel, width = self._kernel(block.rows.shape[1], candidates)
        bounds = np.cumsum([0, *(len(params["weights"]) for params in candidates)])
        log_likelihood, spare = np.zeros(len(candidates)), np.empty((2, width))
        for here, x in self._tiles(block.rows, width):
            weights = None if block.weights is None else block.weights[here]
            joint = kernel.log_joint(x)
            for c in range(len(candidates)):
                own = joint[bounds[c] : bounds[c + 1]]
                log_likelihood[c] += _normalise(own, weights, spare)
            kernel.accumulate(x, joint, weights)
        statistics = kernel.statistics()
        for own, log_likelihood_c in zip(statistics, log_likelihood, strict=True):
            own["log_likelihood"] = own["log_likelihood"] + log_likelihood_c
        return statistics

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        """The params that maximise the expected (penalised) log-likelihood."""
        counts = statistics["counts"]
        return Params({"weights": counts / counts.sum(), **self.family.m_step(statistics, params)})

    def log_prior(self, params: Params, weight: float) -> float:
        """What is added to the log-likelihood in the objective that EM climbs."""
        prior = getattr(self.family, "log_prior", None)
        return 0.0 if prior is None else prior(params, weight)

    def events(self, statistics: Statistics, params: Params) -> list[str]:
        """What a person should know of the M step of these statistics."""
        counts = statistics["counts"]
        told = getattr(self.family, "events", None)
        empty = np.flatnonzero(counts <= EPS * counts.sum())
        return [
            *(f"component {k} has lost all its rows" for k in empty),
            *([] if told is None else told(statistics, params)),
        ]

    def from_labels(self, block: Block, labels: np.ndarray, centres: np.ndarray) -> Params:
        """The M step for rows whose component is known.

        Parameters
        ----------
        block : Block
        labels : ndarray of int, (sample,)
        centres : ndarray, (component, feature)
            Rows in the data's units, where components without rows of their own stay.
        """
        k, d = centres.shape
        centres = centres if self.frame is None else self.frame.apply(centres)
        params = Params({"weights": np.full(k, 1 / k), **self.family.around(centres)})
        with one_blas_thread():
            kernel, width = self._kernel(d, [params])
            for here, x in self._tiles(block.rows, width):
                weights = None if block.weights is None else block.weights[here]
                members = (labels[here] == np.arange(k)[:, None]).astype(np.float64)
                kernel.log_joint(x)
                kernel.accumulate(x, members if weights is None else members * weights, weights)
            return self.m_step(kernel.statistics()[0], params)

    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """Walk over the rows of a block in tiles."""
        rows = block.rows
        with one_blas_thread():
            kernel, width = self._kernel(rows.shape[1], [params])
        spare = np.empty((2, width))
        for here, x in self._tiles(rows, width):
            with one_blas_thread():
                joint = kernel.log_joint(x)
                base = kernel.log_base(x, 0)
            peak, total = exponentiate(joint, spare)
            joint /= total
            yield Tile(here, peak + np.log(total) + base, joint)

    def sample(
        self, params: Params, n_samples: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (sample, feature), and the component (sample,) that made each."""
        weights = params["weights"]
        components = rng.choice(len(weights), size=n_samples, p=weights / weights.sum())
        rows = self.family.sample(params, components, rng)
        return (rows if self.frame is None else self.frame.restore(rows)), components

    def _kernel(self, n_features: int, candidates: Sequence[Params]) -> tuple[Any, int]:
        """A kernel for tiles of a width that depends on nothing but the sizes of the model."""
        n_components = sum(len(params["weights"]) for params in candidates)
        row = 8 * (self.family.n_statistics(n_features) + n_components + 2 * n_features)
        width = min(max(_CACHE // row, _FEWEST_ROWS), _MOST_ROWS, max(_MOST // row, 1))
        log_det = 0.0 if self.frame is None else self.frame.log_det
        tiny = np.finfo(np.float64).tiny
        offsets = [np.log(np.maximum(c["weights"], tiny)) + log_det for c in candidates]
        return self.family.kernel(candidates, offsets, n_features, width), width

    def _tiles(self, rows: np.ndarray, width: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Runs of rows as (feature, row) in the frame, in a buffer that is used again."""
        n, d = rows.shape
        out, spare = np.empty((2, d, min(width, n)))
        for start in range(0, n, width):
            here = slice(start, min(start + width, n))
            size = here.stop - here.start
            x = out[:, :size]
            if self.frame is None:
                x[...] = rows[here].T
            else:
                self.frame.tile(rows[here], out=x, spare=spare[:, :size])
            yield here, x


def _normalise(joint: np.ndarray, weights: np.ndarray | None, spare: np.ndarray) -> float:
    """Log-joint (component, row) to weighted responsibilities, in place; returns sum log p(x)."""
    peak, total = exponentiate(joint, spare)
    if weights is None:
        joint /= total
        return float(peak.sum()) + sum_of_logs(total, len(joint))
    joint *= weights / total
    return float(weights @ (peak + np.log(total)))
