"""What a fit has found: its runs, the best of them, its params in the data's units, in words."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from daskem.core.parameters import DataParams
from daskem.data.inputs.names import Features
from daskem.fitting.record import Pass, Status, height, unfit
from daskem.models.asking import demand, kernel_of
from daskem.models.clusters import Clusters
from daskem.models.families.protocol import Composed
from daskem.models.protocol import Declares, Model, Noisy, Predicts
from daskem.results.fittedrun import FittedRun, Runs
from daskem.results.report import events, table, table_of_clusters
from daskem.results.tables import Table, paragraphs

# Models of which there is a table.
_TABLED = Composed | Clusters


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """What a `Result` is, apart from what it says of rows; there are its attributes."""

    runs: Sequence[FittedRun]
    n_features: int
    n_rows: float
    features: Features = field(default_factory=Features)
    notes: tuple[str, ...] = ()
    coordinator: str = ""
    missing: str = "raise"
    constant: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", Runs(self.runs))

    def stopped(self) -> Self:
        """The same, for a fit that does not go on."""
        runs = [
            dataclasses.replace(run, status=Status.STOPPED) if run.status is Status.RUNNING else run
            for run in self.runs
        ]
        return dataclasses.replace(self, runs=runs)

    @property
    def best(self) -> FittedRun:
        """The run with the best objective; among runs that differ in size, the best BIC.

        Any proper one wins over an improper one, see `flaws`, and any over one that has failed.
        """
        return min(self.runs, key=self._badness)

    def _badness(self, run: FittedRun) -> tuple[bool, bool, float]:
        if not run.history:
            return True, True, np.inf
        free = run.n_parameters if isinstance(run.model, Declares) else 0
        bic = free * np.log(self.n_rows) - 2 * self.n_rows * height(run.status, run.history)
        return (*unfit(run.status, run.history), bic)

    @property
    def flaws(self) -> tuple[str, ...]:
        """Why the best run is improper: what of it is no cluster; empty if it is proper."""
        return self.history[-1].flaws

    @property
    def resolution(self) -> np.ndarray | None:
        """The step of the grid on which each feature is recorded, (feature,), in its units.

        NaN for a feature that shows none, None for a model without a floor. No component is
        narrower than a rounding error, ``step / sqrt(12)``.
        """
        frame = self.model.frame if isinstance(self.model, Composed) else None
        return frame.resolution if frame is not None and frame.floor.any() else None

    @property
    def kernel(self) -> str:
        """How its E steps were computed, and predictions are: "compiled", "cupy" or "numpy".

        A model that is loaded where there is no numba, or no GPU, predicts with NumPy.
        """
        return kernel_of(self.model)

    @property
    def model(self) -> Model:
        return self.best.model

    @property
    def params(self) -> DataParams:
        """Params of the best run, in the units of the data."""
        return self.best.params

    @property
    def status(self) -> Status:
        return self.best.status

    @property
    def converged(self) -> bool:
        return self.status is Status.CONVERGED

    @property
    def history(self) -> tuple[Pass, ...]:
        """Every pass of the best run."""
        return self.best.history

    @property
    def log_likelihood(self) -> float:
        """Mean log p(x) per row, in nats, in the last pass: before its M step."""
        return self.history[-1].log_likelihood

    @property
    def n_components(self) -> int:
        return demand(self.model, Predicts, "counting components").n_components(self.best.framed)

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.best.n_parameters

    @property
    def _numbers(self) -> dict[str, float]:
        numbers = {"log_likelihood": self.log_likelihood, "n_rows": self.n_rows}
        return {**numbers, "n_passes": len(self.history)}

    @property
    def _noise(self) -> float | None:
        """The share of the rows that are noise; None for a model without."""
        model = self.model
        return model.noise_share(self.best.framed) if isinstance(model, Noisy) else None

    def table(self) -> str:
        """Size, location and shape of every cluster, for reading."""
        return str(self._table())

    def _table(self) -> Table:
        if isinstance(self.model, Clusters):
            return table_of_clusters(self.model, self.params)
        model = demand(self.model, Composed, "the table of clusters")
        return table(model, self.params, self.features, self.constant)

    def __repr__(self) -> str:
        return f"<daskem.Result: {type(self.model).__name__}, {self.best.told}>"

    def __str__(self) -> str:
        table = [str(self._table().short())] if isinstance(self.model, _TABLED) else []
        return "\n".join([*self._words(), *table])

    def _repr_html_(self) -> str:
        clusters = self._table().short().html() if isinstance(self.model, _TABLED) else ""
        runs = Runs(self.runs)._repr_html_() if len(self.runs) > 1 else ""
        return paragraphs(self._words()) + clusters + runs

    def _words(self) -> list[str]:
        notes = [f"note: {note}" for note in self.notes]
        flaws = [f"improper: {flaw}" for flaw in self.flaws]
        noise = [] if self._noise is None else [f"noise: {self._noise:.4f} of the rows"]
        return [self.best.told, *notes, *flaws, *events(self.history), *noise]
