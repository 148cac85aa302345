"""Rows that a fit does not see, by which to judge it: a model around a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskem.core.parameters import Params


@dataclass(frozen=True)
class HeldOut:
    """A model fitted to some of the rows, and judged by the others in the same read.

    Parameters
    ----------
    model : object with e_step and m_step
    fraction : float
        Of the rows that are held out, chosen by a hash of their position.
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

    def e_step(self, block: Any, params: Params) -> dict[str, Any]:
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Any, candidates: Sequence[Params]) -> list[dict[str, Any]]:
        held = block.hash(self.seed) < self.fraction * 2.0**64
        fitted, judged = _part(block, ~held), _part(block, held)
        return [
            {
                **own,
                "fitted_weight": _weight(fitted),
                "heldout_log_likelihood": other["log_likelihood"],
                "heldout_weight": _weight(judged),
            }
            for own, other in zip(
                self.model.e_steps(fitted, candidates),
                self.model.e_steps(judged, candidates),
                strict=True,
            )
        ]

    def m_step(self, statistics: dict[str, Any], params: Params) -> Params:
        return self.model.m_step(statistics, params)

    def log_prior(self, params: Params, n_rows: float) -> float:
        return self.model.log_prior(params, n_rows)

    def events(self, statistics: dict[str, Any], params: Params) -> list[str]:
        return self.model.events(statistics, params)

    @property
    def parameters(self) -> Any:
        return self.model.parameters


def _part(block: Any, here: np.ndarray) -> Any:
    weights = None if block.weights is None else block.weights[here]
    return replace(block, rows=block.rows[here], weights=weights, pieces=(), kept=None)


def _weight(block: Any) -> float:
    return float(len(block) if block.weights is None else block.weights.sum())
