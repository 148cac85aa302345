"""Rows that a fit does not see, by which to judge it: a model around a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.protocol import Block


@dataclass(frozen=True)
class HeldOut:
    """A model fitted to some of the rows, and judged by the others in the same read.

    Parameters
    ----------
    model : object with e_step and m_step
    fraction : float
        Of the rows that are held out, chosen by a hash of their position; of whole runs.
    seed : int
        Of the hash.

    Notes
    -----
    Statistics: those of `model` on the rows that are fitted, their weight ``fitted_weight``,
    and ``heldout_log_likelihood`` and ``heldout_weight`` of the others.
    """

    model: Any
    fraction: float = 0.1
    seed: int = 0

    def e_step(self, block: Block, params: Params) -> Statistics:
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        held = block.keys(self.seed) < self.fraction * 2.0**64
        fitted, judged = block[~held], block[held]
        return [
            {
                **own,
                "fitted_weight": fitted.weight,
                "heldout_log_likelihood": other["log_likelihood"],
                "heldout_weight": judged.weight,
            }
            for own, other in zip(
                self.model.e_steps(fitted, candidates),
                self.model.e_steps(judged, candidates),
                strict=True,
            )
        ]

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        return self.model.m_step(statistics, params)

    def log_prior(self, params: Params, weight: float) -> float:
        return self.model.log_prior(params, weight)

    def events(self, statistics: Statistics, params: Params) -> list[str]:
        return self.model.events(statistics, params)

    @property
    def parameters(self) -> Any:
        return self.model.parameters
