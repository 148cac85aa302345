"""Algorithms: where the next E steps should be, and what to make of their statistics."""

from daskem.fitting.algorithms.anderson import Anderson
from daskem.fitting.algorithms.candidates import Candidates
from daskem.fitting.algorithms.choice import check_algorithm, choose
from daskem.fitting.algorithms.climb import Candidate, Draft
from daskem.fitting.algorithms.em import EM
from daskem.fitting.algorithms.squarem import Squarem

__all__ = [
    "EM",
    "Anderson",
    "Candidate",
    "Candidates",
    "Draft",
    "Squarem",
    "check_algorithm",
    "choose",
]
