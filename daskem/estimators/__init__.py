"""scikit-learn's and hmmlearn's manners over the verbs; no mathematics and no data source."""

from daskem.estimators.hmm import GaussianHMM
from daskem.estimators.mixture import GaussianMixture

__all__ = ["GaussianHMM", "GaussianMixture"]
