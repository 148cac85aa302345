"""Soft clustering, and any model that EM can fit, on data larger than memory."""

from daskem.estimators import GaussianHMM, GaussianMixture
from daskem.fitting.algorithms import EM
from daskem.fitting.record import Status
from daskem.models import Mixture
from daskem.models.families import (
    Bernoulli,
    Categorical,
    Gaussian,
    Independent,
    Poisson,
    StudentT,
)
from daskem.models.families import register as register_family
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.results.diagnostics import diagnose
from daskem.results.loading import load
from daskem.results.merging import Merging, merge
from daskem.results.plot import plot
from daskem.results.result import Result
from daskem.running.planning import Plan, plan
from daskem.running.submitting import attach, submit
from daskem.running.verbs import fit, iterate
from daskem.selection.resuming import resume
from daskem.selection.selection import Selection
from daskem.selection.verbs import select, submit_selection

__all__ = [
    "EM",
    "Bernoulli",
    "Categorical",
    "Gaussian",
    "GaussianHMM",
    "GaussianMixture",
    "HiddenMarkov",
    "Independent",
    "Merging",
    "Mixture",
    "Plan",
    "Poisson",
    "Result",
    "Selection",
    "Status",
    "StudentT",
    "attach",
    "diagnose",
    "fit",
    "iterate",
    "load",
    "merge",
    "plan",
    "plot",
    "register_family",
    "resume",
    "select",
    "submit",
    "submit_selection",
]

__version__ = "0.1.0"
