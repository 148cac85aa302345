"""The one table of families that every law runs over, and rows that suit each of them.

Whatever is said of all families is said of one that is registered; `rows_for` makes its data.
"""

import numpy as np
import pytest

from daskem import Bernoulli, Gaussian, Poisson
from daskem.models.families import FAMILIES as REGISTERED
from daskem.models.families.covariances import STRUCTURES

KINDS = tuple(STRUCTURES)
# Maximum likelihood, and with the weak prior that keeps covariances open.
GAUSSIANS = [Gaussian(kind, reg_covar) for kind in KINDS for reg_covar in (0.0, 1e-6)]
# A family that is registered is in the table, whether or not anybody thinks of it.
COUNTS = [family() for family in REGISTERED.values() if family is not Gaussian]
FAMILIES = [*GAUSSIANS, *COUNTS]
# One of each kind, where a law takes long and a prior makes no difference to it.
PLAIN = [Gaussian(kind, 0.0) for kind in KINDS] + COUNTS

every_kind = pytest.mark.parametrize("kind", KINDS)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=repr)
every_plain_family = pytest.mark.parametrize("family", PLAIN, ids=repr)
every_plain_gaussian = pytest.mark.parametrize("family", PLAIN[: len(KINDS)], ids=repr)
every_gaussian = pytest.mark.parametrize("family", GAUSSIANS, ids=repr)
every_count = pytest.mark.parametrize("family", COUNTS, ids=repr)


def rows_for(family, n=400, d=2, seed=0, groups=3):
    """Overlapping groups of rows (sample, feature) that the family may have made."""
    rng = np.random.default_rng(seed)
    group = rng.integers(groups, size=n)
    if isinstance(family, Bernoulli):
        return (rng.random((n, d)) < rng.uniform(0.1, 0.9, (groups, d))[group]).astype(float)
    if isinstance(family, Poisson):
        return rng.poisson(rng.gamma(2.0, 3.0, (groups, d))[group]).astype(float)
    scales = rng.uniform(0.3, 2.0, (groups, d))
    return 2 * rng.normal(size=(groups, d))[group] + scales[group] * rng.normal(size=(n, d))
