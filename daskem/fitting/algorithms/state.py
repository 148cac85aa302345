"""The contract of an algorithm, and the state that it goes by: a checkpoint is that state."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from daskem.core.brief import Brief
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.fitting.algorithms.secants import Pair
from daskem.models.protocol import Model

# The last iterates of a fit to a sample, which are as near to its end as a prediction needs.
_NEAR = 3


@runtime_checkable
class Algorithm(Protocol):
    """How to climb: where the next statistics should be taken, and what to make of them."""

    def start(self, params: Params) -> "State":
        """The state before the first pass."""

    def ask(self, state: "State") -> Sequence[Params]:
        """The params at which the next pass takes its statistics, at least one."""

    def tell(
        self,
        model: Model,
        state: "State",
        statistics: Sequence[Statistics],
        objectives: Sequence[float],
    ) -> "State":
        """The next state, given statistics and objective of every params asked for, in order."""


@dataclass(frozen=True)
class Candidate:
    """What became of one of the params that a pass evaluated.

    Attributes
    ----------
    name : str
        ``"em"`` for the plain EM step, else the kind of leap.
    objective : float
        Per row, in nats; NaN if it was never asked for.
    taken : bool
    reason : str
    """

    name: str
    objective: float
    taken: bool
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class State(Brief):
    """Where a run stands; a checkpoint is this and the history.

    Attributes
    ----------
    params : Params
        The plain EM step from `accepted`: where a fit that ends now ends.
    accepted : Params or None
        The best iterate whose statistics are known.
    statistics : dict or None
        The statistics at `accepted`.
    objective : float
        At `accepted`, per row, in nats.
    asked : tuple of (str, Params or None)
        Where the next E steps are wanted; None for a leap that led out of the model.
    memory : tuple of Pair
        The last accepted iterates, the newest last.
    step_length : float
        How far a leap goes, or may go, as a multiple of the EM step; algorithms adapt it.
    candidates : tuple of Candidate
        What the last pass evaluated, and what came of it.
    steepness : float or None
        What the last EM step gained for its squared length in free coordinates.
    slowness : tuple of float
        What was left to gain, for the same, as estimated at the last two accepted iterates.
    remaining : float or None
        The algorithm's own prediction of what is left to gain, per row; None for none.
    warm : tuple of Pair
        The memory of a fit to a sample, to look back on until there are iterates of its own.
    expected : float
        What the fit to a sample that is all of the data has predicted to be left to gain from
        where this one begins; infinite if nothing.
    """

    params: Params
    accepted: Params | None = None
    statistics: Statistics | None = None
    objective: float = -math.inf
    asked: tuple[tuple[str, Params | None], ...] = ()
    memory: tuple[Pair, ...] = ()
    step_length: float = 2.0
    candidates: tuple[Candidate, ...] = ()
    steepness: float | None = None
    slowness: tuple[float, ...] = ()
    remaining: float | None = None
    warm: tuple[Pair, ...] = ()
    expected: float = math.inf

    @property
    def tried(self) -> list[tuple[str, Params]]:
        """Those of `asked` that a pass evaluates."""
        return [(name, params) for name, params in self.asked if params is not None]


@dataclass(frozen=True, eq=False, repr=False)
class Draft(Brief):
    """Where a fit to a sample ended, and its last iterates, of which that is the newest.

    Attributes
    ----------
    params : Params
    memory : tuple of Pair
    step : Params or None
        The EM step from `params` by the rows of `sample`, if a fit to these may go on from there.
    sample : Block or None
    remaining : float
        What the rows of `sample` leave to gain from `params`, by two predictions; infinite where
        there are none.
    """

    params: Params
    memory: tuple[Pair, ...] = ()
    step: Params | None = None
    sample: Block | None = None
    remaining: float = math.inf

    def start(self, algorithm: Algorithm) -> State:
        """The first state of a fit to all of the data: it goes on, where the sample is all."""
        if self.step is None:
            return replace(algorithm.start(self.params), warm=self.memory)
        # What was gained on the way, far from where it ended, says little of what is left.
        far, near = self.memory[:-_NEAR], self.memory[-_NEAR:]
        return replace(
            algorithm.start(self.step),
            accepted=self.params,
            objective=near[-1].objective,
            expected=self.remaining,
            memory=(*(replace(pair, objective=math.nan) for pair in far), *near),
        )

    def elsewhere(self) -> "Draft":
        """The same for fits to other rows, to which each iterate is new."""
        return Draft(self.params, self.memory)

    def moved(self, params: Params) -> "Draft":
        """The same but at other params, if they are others."""
        return self if params is self.params else Draft(params, self.memory)
