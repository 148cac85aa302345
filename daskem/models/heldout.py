"""Rows that a fit does not see, by which to judge it: a model around a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.parameters import Parameter, Params
from daskem.core.statistics import Statistics
from daskem.models.asking import allowed, demand
from daskem.models.protocol import Batches, Conditioned, Declares, Model, Penalises, Reports
from daskem.models.views import Block


@dataclass(frozen=True)
class HeldOut:
    """A model fitted to some of the rows, and judged by the others in the same read.

    Parameters
    ----------
    model : Model
        With the members of `Batches` and `Declares`.
    fraction : float
        Of the rows that are held out, chosen by a hash of their position; of whole sequences.
    seed : int
        Of the hash.

    Notes
    -----
    Statistics: those of `model` on the rows that are fitted, their weight ``fitted_weight``,
    and ``heldout_log_likelihood`` and ``heldout_weight`` of the others.
    """

    model: Model
    fraction: float = 0.1
    seed: int = 0

    def e_step(self, block: Block, params: Params) -> Statistics:
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        model = demand(self.model, Batches, "holding rows out")
        is_judge = block.keys(self.seed) < self.fraction * 2.0**64
        fitted, judges = block[~is_judge], block[is_judge]
        pairs = zip(
            model.e_steps(fitted, candidates), model.e_steps(judges, candidates), strict=True
        )
        return [
            {
                **statistics,
                "fitted_weight": fitted.weight,
                "heldout_log_likelihood": judged["log_likelihood"],
                "heldout_weight": judges.weight,
            }
            for statistics, judged in pairs
        ]

    def m_step(self, statistics: Statistics, params: Params) -> Mapping[str, np.ndarray]:
        return self.model.m_step(statistics, params)

    def log_prior(self, params: Params, weight: float) -> float:
        return self.model.log_prior(params, weight) if isinstance(self.model, Penalises) else 0.0

    def magnitude(self, params: Params) -> float | None:
        return self.model.magnitude(params) if isinstance(self.model, Conditioned) else None

    def events(self, statistics: Statistics, params: Params) -> Sequence[str]:
        return self.model.events(statistics, params) if isinstance(self.model, Reports) else []

    def allowed(self, params: Params) -> Params:
        return allowed(self.model, params)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return demand(self.model, Declares, "holding rows out").parameters
