"""Soft clustering, and any model that EM can fit, on data larger than memory."""

from daskem.algorithms import EM
from daskem.coordinator import fit, iterate, submit
from daskem.diagnostics import diagnose
from daskem.estimators import GaussianMixture
from daskem.families import Bernoulli, Gaussian, Poisson
from daskem.fitting import Status
from daskem.merging import Merging, merge
from daskem.models import Mixture
from daskem.planning import Plan, plan
from daskem.remote import attach
from daskem.result import Result, load
from daskem.selection import Selection, select

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
