"""The contract of a model, on one screen: what it must have, what it may have, what each buys.

A model is any object with the two methods of `Model`: no base class, no registration. Each protocol
below it is a group of members that a model may have besides; its docstring begins with what they
buy. `isinstance(model, Predicts)` asks for a group; `asking.demand(model, Predicts, ...)` insists.
"""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np

from daskem.core.parameters import DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.models.views import Block, Decoded, Survey, Tile


@runtime_checkable
class Model(Protocol):
    """What every model must have; it buys `fit`, on any data, anywhere."""

    def e_step(self, block: Block, params: Params) -> Statistics:
        """Expected sufficient statistics of a block: arrays that add, and `log_likelihood`."""

    def m_step(self, statistics: Statistics, params: Params) -> Mapping[str, np.ndarray]:
        """The params that maximise the expected log-likelihood; the statistics are of `params`."""


@runtime_checkable
class Declares(Protocol):
    """Acceleration, BIC and AIC, checks of a start, labelled params: what its params are."""

    @property
    def parameters(self) -> Mapping[str, Parameter]: ...


@runtime_checkable
class Checks(Protocol):
    """An error that names the first value that it cannot use; else all finite numbers are."""

    @property
    def domain(self) -> str: ...  # in words
    def valid(self, rows: np.ndarray) -> np.ndarray: ...  # bool, (sample, feature)


@runtime_checkable
class Needs(Protocol):
    """Arrays beside the rows, in ``block.along``: an error at the door where one is missing."""

    needs: Sequence[str]  # what `fit(..., along={name: array})` and predictions must name


@runtime_checkable
class Supervised(Protocol):
    """`along={"component": labels}`: the components of rows that are known, -1 for the others."""

    def known(self, block: Block) -> np.ndarray | None: ...  # int, (sample,); None without labels


@runtime_checkable
class Frames(Protocol):
    """Coordinates of order one: the model in a frame that suits the data, and params in and out."""

    @property
    def cross_moments(self) -> bool: ...  # whether `given` wants the covariance of the data
    def given(self, survey: Survey) -> Model: ...
    def to_frame(self, params: DataParams) -> Params: ...
    def from_frame(self, params: Params) -> DataParams: ...


@runtime_checkable
class Categorises(Protocol):
    """Distinct values in the survey that `given` sees, and strings of tables as codes."""

    @property
    def categorical(self) -> bool: ...  # whether it wants them
    def categories(self, names: Sequence[Hashable]) -> Collection[Hashable]: ...  # which may be


@runtime_checkable
class Names(Protocol):
    """Features that are chosen by the model, where nobody asks for others."""

    @property
    def features(self) -> Sequence[Hashable] | None: ...  # in their order; None for any


@runtime_checkable
class Batches(Protocol):
    """Several candidates in one sweep over the rows of a block, for little more than one costs."""

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> Sequence[Statistics]: ...


@runtime_checkable
class MaximisesMany(Protocol):
    """M steps of several candidates at once, for little more than one costs: quick starts."""

    def m_steps(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> Sequence[Params]: ...


@runtime_checkable
class Compiles(Protocol):
    """`kernel="compiled"` or `"cupy"`: E steps in machine code, by numba, or on a GPU."""

    @property
    def backend(self) -> str: ...  # where its E steps are computed: a value of the model
    @property
    def backends(self) -> Collection[str]: ...  # where they can be
    def with_kernel(self, backend: str) -> Self: ...  # the same model otherwise


@runtime_checkable
class Incomplete(Protocol):
    """`missing="model"`, `impute`: rows that lack values take part with those that they have."""

    @property
    def incomplete(self) -> bool: ...  # whether rows may have NaN: a value of the model
    def with_incomplete(self, incomplete: bool) -> Self: ...  # the same model otherwise
    def impute(self, block: Block, params: Params) -> np.ndarray:
        """The rows (sample, feature), with what is expected of the values that they lack."""


@runtime_checkable
class Predicts(Protocol):
    """`predict`, `predict_proba`, `score_samples`, `merge`, `diagnose`: what it says of rows."""

    def n_components(self, params: Params) -> int: ...
    def posterior(self, block: Block, params: Params) -> Iterator[Tile]: ...


@runtime_checkable
class Sequential(Protocol):
    """Rows that depend on one another within sequences: `predict` is the most probable path."""

    def decode(self, block: Block, params: Params) -> Decoded: ...


@runtime_checkable
class Noisy(Protocol):
    """Rows of no component: a label more for `predict`, and what is left of responsibilities."""

    def noise_share(self, params: Mapping[str, np.ndarray]) -> float | None: ...  # None: no noise


@runtime_checkable
class Starts(Model, Declares, Predicts, Protocol):
    """`n_components` in the place of a `start`: params from rows whose component is known."""

    def from_labels(self, block: Block, labels: np.ndarray, centres: np.ndarray) -> Params: ...


@runtime_checkable
class Simplifies(Protocol):
    """Starts where parameters are many: a model of fewer, whose clusters it can begin with."""

    @property
    def simpler(self) -> Model | None: ...  # with `Starts` and `Frames`; None if there is none
    def grown(self, params: DataParams) -> Params: ...  # of the simpler one, for this one


@runtime_checkable
class Varies(Protocol):
    """Restarts that differ where the search for a start finds the same one each time."""

    def varied(self, params: Params, rng: np.random.Generator) -> Params: ...  # near to these


@runtime_checkable
class Penalises(Protocol):
    """An objective with a prior: what is added to the log-likelihood of `weight` rows."""

    def log_prior(self, params: Params, weight: float) -> float: ...


@runtime_checkable
class Conditioned(Protocol):
    """A fall of the objective that its rounding does not explain is seen, however small it is."""

    def magnitude(self, params: Params) -> float | None:
        """The terms of log p(x) without their signs, summed, as the mean over rows; in nats.

        An objective is known to so many times EPS. None if the model cannot tell.
        """


@runtime_checkable
class Reports(Protocol):
    """Events in the history, and flaws: what a person should know of params and statistics.

    A mixture's results number components by size, and so "component 3" in a text by its new number.
    """

    def events(self, statistics: Statistics, params: Params) -> Sequence[str]: ...  # see `Flaw`


@runtime_checkable
class Suspects(Protocol):
    """Flaws of several candidates: a glance at all of them, and `events` of few: quick starts."""

    def suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> Sequence[bool]: ...  # which of them `events` may call flawed


@runtime_checkable
class Bounded(Protocol):
    """Leaps and given starts where the M step cannot lead: the nearest params where it can."""

    def allowed(self, params: Params) -> Params: ...


@runtime_checkable
class BoundsMany(Protocol):
    """`allowed` of several params at once, for little more than one costs: quick starts."""

    def all_allowed(self, candidates: Sequence[Params]) -> Sequence[Params]: ...


@runtime_checkable
class Softens(Protocol):
    """Starts off the edges of what params can be, where neither EM nor leaps would leave them."""

    def softened(self, params: Params, n_rows: int) -> Params: ...  # fitted to so many rows


@runtime_checkable
class Samples(Protocol):
    """`sample`: rows (sample, feature) drawn from it, and the component (sample,) of each."""

    def sample(
        self, params: Params, n_samples: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]: ...


# What a model may have besides, one by one; `Starts` adds to `Declares` and `Predicts`.
GROUPS = (
    Declares,
    Checks,
    Needs,
    Supervised,
    Frames,
    Categorises,
    Names,
    Batches,
    MaximisesMany,
    Compiles,
    Incomplete,
    Predicts,
    Sequential,
    Noisy,
    Simplifies,
    Varies,
    Penalises,
    Conditioned,
    Reports,
    Suspects,
    Bounded,
    BoundsMany,
    Softens,
    Samples,
)
