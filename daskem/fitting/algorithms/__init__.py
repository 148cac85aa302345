"""Algorithms: where the next E steps should be, and what to make of their statistics."""

from daskem.fitting.algorithms.anderson import Anderson
from daskem.fitting.algorithms.candidates import Candidates
from daskem.fitting.algorithms.choice import check_algorithm, choose
from daskem.fitting.algorithms.em import EM
from daskem.fitting.algorithms.squarem import Squarem
from daskem.fitting.algorithms.state import Algorithm, Candidate, Draft, State

__all__ = [
    "EM",
    "Algorithm",
    "Anderson",
    "Candidate",
    "Candidates",
    "Draft",
    "Squarem",
    "State",
    "check_algorithm",
    "choose",
]
