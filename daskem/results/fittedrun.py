"""How one start has fared, as a person sees it."""

from dataclasses import dataclass
from typing import Any

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import DataParams, Params, count_free
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.models.asking import demand
from daskem.models.protocol import Declares, Frames, Model, Predicts
from daskem.results.listings import History, Shown, ending
from daskem.results.numbering import by_size
from daskem.results.tables import Listing


@dataclass(frozen=True, eq=False, repr=False)
class FittedRun:
    """How one start has fared, as a person sees it.

    Attributes
    ----------
    model : Model
    framed : Params
        In the coordinates of the model.
    history : tuple of Pass
    status : Status
    algorithm : Algorithm or None
        None for a model from a file, which has forgotten it.
    choice : str
        Why this algorithm.
    failure : str
        Why it could not go on, if its status is FAILED.
    """

    model: Model
    framed: Params
    history: tuple[Pass, ...]
    status: Status
    algorithm: Algorithm | None = None
    choice: str = ""
    failure: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", History(self.history))

    def __repr__(self) -> str:
        return f"<run of {type(self.model).__name__}: {self.told}>"

    @property
    def told(self) -> str:
        """How it stands, in a few words."""
        if self.status is Status.FAILED or not self.history:
            return f"{self.status.name.lower()} {self.failure:.200}".strip()
        how = ending(self.status.name, self.history)["status"]
        likelihood = f"log-likelihood {self.history[-1].log_likelihood:.6g} per row"
        return f"{how} after {len(self.history)} passes, {likelihood}"

    @classmethod
    def of(cls, run: Run, order_fixed: bool) -> "FittedRun":
        """What a run has found; its components by size, unless their order is fixed."""
        params, history = run.params, run.history
        if not order_fixed:
            params, history = by_size(run.model, params, history)
        failure = str(run.failure or "")
        return cls(run.model, params, history, run.status, run.algorithm, run.choice, failure)

    @property
    def params(self) -> DataParams:
        """In the units of the data."""
        if not isinstance(self.model, Frames):
            return DataParams(Shown(self.framed))
        with one_blas_thread():
            return DataParams(Shown(self.model.from_frame(self.framed)))

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return count_free(demand(self.model, Declares, "counting").parameters, self.framed)


class Runs(Listing[FittedRun]):
    """One run for each start, in their order."""

    __slots__ = ()

    def row(self, number: int, item: FittedRun) -> dict[str, Any]:
        sizes = item.model.n_components(item.framed) if isinstance(item.model, Predicts) else ""
        return {"run": number, "components": sizes, **ending(item.status.name, item.history)}
