"""Plain EM (Dempster, Laird and Rubin 1977): theta' = m_step(S(theta), theta)."""

from dataclasses import dataclass

from daskem.fitting.algorithms.climb import Climb


@dataclass(frozen=True)
class EM(Climb):
    """One E step and one M step for each pass over the data."""
