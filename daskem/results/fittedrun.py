"""How one start has fared, as a person sees it."""

from dataclasses import dataclass

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import DataParams, Params, count_free
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.record import Pass, Status
from daskem.fitting.run import Run
from daskem.models.protocol import Declares, Frames, Model, demand
from daskem.results.numbering import by_size


@dataclass(frozen=True, eq=False)
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
            return DataParams(self.framed)
        with one_blas_thread():
            return self.model.from_frame(self.framed)

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return count_free(demand(self.model, Declares, "counting").parameters, self.framed)
