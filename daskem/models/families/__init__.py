"""Families: K distributions at once, on rows. They know no latent structure and no data source.

The registry has a line for each of them: what is imported here is known everywhere.
"""

from daskem.models.families.bernoulli import Bernoulli as Bernoulli
from daskem.models.families.categorical import Categorical as Categorical
from daskem.models.families.columns import Independent as Independent
from daskem.models.families.gaussian import Gaussian as Gaussian
from daskem.models.families.poisson import Poisson as Poisson
from daskem.models.families.registry import FAMILIES as FAMILIES
from daskem.models.families.registry import register as register
from daskem.models.families.student import StudentT as StudentT
