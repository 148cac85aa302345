"""The components of `Categorical` as kernels see them: of whole rows, and of some features."""

from dataclasses import dataclass

import numpy as np

from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.families.independent import LEAST


@dataclass(frozen=True, eq=False)
class Answers:
    """The components of a `Categorical` as its kernel sees them: T(x) = (1, [x_j is level l]).

    Attributes
    ----------
    probabilities : ndarray, (component, feature, category)
    table : ndarray, (feature, category)
        The value of each level; NaN beyond the last one.
    """

    probabilities: np.ndarray
    table: np.ndarray

    @property
    def natural(self) -> np.ndarray:
        logs = np.log(np.maximum(self.probabilities, LEAST))
        return np.column_stack([np.zeros(len(logs)), logs.reshape(len(logs), -1)])

    def log_base(self, x: np.ndarray) -> float:
        return 0.0

    def statistics(self, moments: np.ndarray, common: np.ndarray | float) -> Statistics:
        levels = moments[:, 1:].reshape(self.probabilities.shape)
        return {"log_likelihood": common, "counts": moments[:, 0], "levels": levels}

    def n_statistics(self, n_features: int) -> int:
        return 1 + n_features * self.table.shape[1]

    def features(self, x: np.ndarray, out: np.ndarray) -> None:
        out[0] = 1.0
        out[1:] = (x[:, None, :] == self.table[:, :, None]).reshape(len(out) - 1, -1)

    def common(self, x: np.ndarray, weights: np.ndarray | None) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class MarginalAnswers:
    """The components of a `Categorical` as some features see them: these tell nothing of others."""

    probabilities: np.ndarray
    table: np.ndarray
    observed: np.ndarray

    frame = None

    @property
    def params(self) -> Params:
        return Params({"probabilities": self.probabilities[:, self.observed]})

    def completed(self, statistics: Statistics) -> Statistics:
        """Nothing is counted of the other features: shares of levels are of those who answered."""
        levels = np.zeros_like(self.probabilities)
        levels[:, self.observed] = statistics["levels"]
        return {**statistics, "levels": levels}

    def expected(self, rows: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        """The most probable level of each feature, as the mean of categories is none."""
        probabilities = np.tensordot(responsibilities, self.probabilities, (0, 0))
        return self.table[np.arange(len(self.table)), probabilities.argmax(axis=2)]
