"""Families: K distributions at once, on rows. They know no latent structure and no data source."""

from daskem.families.bernoulli import Bernoulli
from daskem.families.gaussian import Gaussian
from daskem.families.poisson import Poisson

__all__ = ["Bernoulli", "Gaussian", "Poisson"]
