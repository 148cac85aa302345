"""Algorithms: where the next E steps should be, and what to make of their statistics."""

from daskem.algorithms.anderson import Anderson
from daskem.algorithms.candidates import Candidates
from daskem.algorithms.choice import check_algorithm, choose
from daskem.algorithms.climb import Candidate, Draft
from daskem.algorithms.em import EM
from daskem.algorithms.squarem import Squarem

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
