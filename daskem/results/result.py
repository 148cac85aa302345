"""A fitted model: its scores, its params with labels, its file.

What it has found lives in `outcome`, what it says of rows in `predictor`.
"""

import os

import numpy as np
import xarray as xr

from daskem.core.settings import RandomState, generator
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.models.asking import demand
from daskem.models.families.protocol import Composed, Labelled
from daskem.models.protocol import Declares, Samples
from daskem.results import modelfile, predictions
from daskem.results.description import describe, plain_names
from daskem.results.named_dims import along_features, labelled
from daskem.results.predictor import Predictor


class Result(Predictor):
    """What `daskem.fit` returns, and what `daskem.iterate` yields after every pass.

    The components of a mixture are numbered by size, 0 the largest, in params, predictions and
    files alike; those of a run from a start that says something of each component (``means``, for
    example) keep the order of the start.

    Attributes
    ----------
    runs : sequence of FittedRun
        One for each start, in their order.
    n_features : int
    n_rows : float
        Rows that were fitted, or the sum of their weights.
    features : Features
        What the features are called.
    notes : tuple of str
        What had to be done to the data, and how to do without.
    coordinator : str
        Where the loop and the M step ran, and why there.
    missing : {"raise", "omit", "model"}
        What becomes of rows with a NaN, in the fit and in predictions and scores.
    constant : tuple of int
        Numbers of the features that have one value in all rows of the fit.
    """

    def score(
        self,
        data: Data,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        lengths: Lengths | None = None,
    ) -> float:
        """Mean log p(x) per row of `data`, in nats; one pass over it."""
        return self.total(data, sample_weight, along, lengths)[0]

    def bic(
        self,
        data: Data,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        lengths: Lengths | None = None,
    ) -> float:
        """Bayesian information criterion, -2 L + p log n (Schwarz 1978); lower is better."""
        mean, n = self.total(data, sample_weight, along, lengths)
        return float(self.n_parameters * np.log(n) - 2 * n * mean)

    def aic(
        self,
        data: Data,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        lengths: Lengths | None = None,
    ) -> float:
        """Akaike information criterion, -2 L + 2 p; lower is better."""
        mean, n = self.total(data, sample_weight, along, lengths)
        return float(2 * self.n_parameters - 2 * n * mean)

    def total(
        self,
        data: Data,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[float, float]:
        """Mean log p(x) per row of `data`, in nats, and the number of rows, or their weight."""
        args = (predictions.statistics, self._domain(self.model), self.model, self.best.framed)
        blocks = self.blocks(data, sample_weight, along, lengths)
        sums = blocks.sum(predictions.checked, *args, name="score")
        return sums["statistics"][0][0]["log_likelihood"] / sums["weight"], sums["weight"]

    def sample(
        self, n_samples: int, random_state: RandomState = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (sample, feature) and the component (sample,) that made each."""
        model = demand(self.model, Samples, "drawing rows")
        return model.sample(self.best.framed, n_samples, generator(random_state))

    def to_dataset(self) -> xr.Dataset:
        """The params as a labelled Dataset, dims ``component`` and ``feature``, in data units.

        Where other dimensions than the rows' were columns (`sample_dims`), params have the shape
        of the data: ``TEMP`` (component, depth) is where the components lie, and
        ``covariances_TEMP_PSAL`` (component, depth, depth_2) is of a pair of variables.
        """
        declared = demand(self.model, Declares, "labelling").parameters
        dataset = labelled(declared, self.params, self.features).assign_attrs(self._numbers)
        if not (isinstance(self.model, Composed) and isinstance(self.model.family, Labelled)):
            return dataset
        known = self.features.names
        names = list(range(self.n_features) if known is None else known)
        coords = self.model.family.coordinates(self.params, names, self.features.labels)
        return dataset.assign_coords(
            {n: c for n, c in coords.items() if {*c[0]} <= {*dataset.dims}}
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the best run to a zarr store that `daskem.load` reads; see `modelfile`.

        Parameters
        ----------
        path : path or URL
            A sound model that is there already, alone, is replaced; a save that fails leaves it
            as it was.

        Raises
        ------
        ParameterError
            If `path` holds anything else, the family is not registered, or a model of your own
            declares no ``parameters``.
        """
        about, state = describe(self.best, self.features)
        about |= {
            "missing": self.missing,
            "constant": self.constant,
            "n_features": self.n_features,
            "n_rows": self.n_rows,
        }
        declared = demand(self.model, Declares, "saving").parameters
        readable = along_features(declared, self.params, plain_names(self.features.names))
        modelfile.write(path, about, state, readable.assign_attrs(self._numbers))
