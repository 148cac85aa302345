"""Families: K distributions at once, on rows. They know no latent structure and no data source."""

from daskem.models.families.bernoulli import Bernoulli
from daskem.models.families.gaussian import Gaussian
from daskem.models.families.poisson import Poisson
from daskem.models.families.registry import FAMILIES, register

__all__ = ["FAMILIES", "Bernoulli", "Gaussian", "Poisson", "register"]
