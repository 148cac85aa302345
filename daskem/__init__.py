"""Soft clustering, and any model that EM can fit, on data larger than memory."""

from daskem.estimators import GaussianMixture
from daskem.fitting.algorithms import EM
from daskem.fitting.loop import Status
from daskem.models import Mixture
from daskem.models.families import Bernoulli, Gaussian, Poisson
from daskem.results.diagnostics import diagnose
from daskem.results.merging import Merging, merge
from daskem.results.result import Result, load
from daskem.running import attach
from daskem.running.coordinator import fit, iterate, submit
from daskem.running.planning import Plan, plan
from daskem.selection.selection import Selection, select

__all__ = [
    "EM",
    "Bernoulli",
    "Gaussian",
    "GaussianMixture",
    "Merging",
    "Mixture",
    "Plan",
    "Poisson",
    "Result",
    "Selection",
    "Status",
    "attach",
    "diagnose",
    "fit",
    "iterate",
    "load",
    "merge",
    "plan",
    "select",
    "submit",
]

__version__ = "0.1.0"
