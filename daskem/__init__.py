"""Soft clustering, and any model that EM can fit, on data larger than memory."""

from daskem.algorithms import EM
from daskem.coordinator import fit, iterate, submit
from daskem.estimators import GaussianMixture
from daskem.families import Bernoulli, Gaussian, Poisson
from daskem.fitting import Status
from daskem.models import Mixture
from daskem.remote import attach
from daskem.result import Result, load

__all__ = [
    "EM",
    "Bernoulli",
    "Gaussian",
    "GaussianMixture",
    "Mixture",
    "Poisson",
    "Result",
    "Status",
    "attach",
    "fit",
    "iterate",
    "load",
    "submit",
]

__version__ = "0.1.0"
