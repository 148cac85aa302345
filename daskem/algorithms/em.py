"""Plain EM (Dempster, Laird and Rubin 1977): theta' = m_step(S(theta), theta)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daskem.parameters import Params


@dataclass(frozen=True, eq=False)
class State:
    """Where a run stands; a checkpoint is this and the history.

    Attributes
    ----------
    params : Params
        The current iterate, where the next E step is wanted.
    accepted : Params or None
        The iterate before it: the last one whose statistics are known.
    statistics : dict or None
        The statistics at `accepted`.
    """

    params: Params
    accepted: Params | None = None
    statistics: dict[str, Any] | None = None


@dataclass(frozen=True)
class EM:
    """One E step and one M step for each pass over the data."""

    def start(self, params: Params) -> State:
        return State(params)

    def ask(self, state: State) -> Sequence[Params]:
        """The params at which the next pass should take its statistics."""
        return [state.params]

    def tell(self, model: Any, state: State, statistics: Sequence[dict[str, Any]]) -> State:
        """The next state, given the statistics of every params asked for."""
        (own,) = statistics
        return State(model.m_step(own, state.params), accepted=state.params, statistics=own)
