"""Algorithms: where the next E steps should be, and what to make of their statistics."""

from daskem.algorithms.em import EM

__all__ = ["EM"]
