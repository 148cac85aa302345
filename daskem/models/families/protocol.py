"""The contract of a family, on one screen: what it must have, what it may have, what each buys.

A family is K distributions at once, on rows; it knows no latent structure and no data source. It is
any object with the members of `Family`: no base class. Each protocol below it is a group of members
that a family may have besides; its docstring begins with what they buy. A frozen dataclass that is
registered (`daskem.register_family`) can be saved and loaded.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from daskem.core.frames import Frame
from daskem.core.parameters import DataParams, Parameter, Params
from daskem.core.statistics import Statistics
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.terms import Terms
from daskem.models.views import Survey


@runtime_checkable
class Family(Protocol):
    """What every family must have; it buys `Mixture(family)`: fits, selections, predictions."""

    @property
    def parameters(self) -> Mapping[str, Parameter]: ...  # its own: the weights are the mixture's
    @property
    def domain(self) -> str: ...  # the values that it can have made, in words

    def valid(self, rows: np.ndarray) -> np.ndarray:
        """Which values it can have made, bool, (sample, feature)."""

    def at(self, centres: np.ndarray) -> Params:
        """Components at `centres` (component, feature), as wide as all of the data."""

    def locations(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """Where the components lie, (component, feature): in the coordinates of the params."""

    def kernel(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        """E steps of `candidates`, with what is added to each log-density, (component,): the log
        of its weight, and -1e300 for none.

        Their statistics have ``counts`` (component,), the sum of the responsibilities. It may be
        `kernels.tiled.TiledKernel`, of any form of log-densities: see `kernels.protocol`.
        """

    def m_step(
        self, statistics: Statistics, params: Params, frame: Frame | None
    ) -> Mapping[str, np.ndarray]:
        """The params that maximise the expected log-likelihood, with the prior if there is one.

        `params` are those at which the statistics were taken: unseen besides its component may be
        what the family expects of a row there, as the scales of which heavy tails are mixed.
        """


@runtime_checkable
class Compiles(Protocol):
    """E steps in machine code, or on a GPU: if `kernel` is a `TiledKernel` of a `ProductForm`."""

    @property
    def terms(self) -> Terms: ...  # what T(x) has besides 1 and x


class Expected(Protocol):
    """What is expected of all features, where some are seen."""

    def expected(self, rows: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        """The mean of all features given the component and `rows` (sample, feature), in the units
        of the data, averaged by responsibilities (component, sample); (sample, feature).
        """


class Marginal(Expected, Protocol):
    """Components as some of the features see them; rows with these alone are complete for them."""

    @property
    def params(self) -> Params: ...
    @property
    def frame(self) -> Frame | None: ...
    def completed(self, statistics: Statistics) -> Statistics:
        """Statistics of these components as those of all features, with what is expected of the
        others, given these.
        """


@runtime_checkable
class Imputes(Protocol):
    """`impute`, and with one of the two groups below `missing="model"`."""

    def marginal(self, params: Params, frame: Frame | None, observed: np.ndarray) -> Expected:
        """The components of the features that are `observed`, bool (feature,)."""


@runtime_checkable
class Marginals(Imputes, Protocol):
    """`missing="model"`, `impute`: rows that lack values take part with those that they have."""

    def marginal(self, params: Params, frame: Frame | None, observed: np.ndarray) -> Marginal: ...


@runtime_checkable
class Gapped(Imputes, Protocol):
    """The same at a cost that does not grow with the number of patterns in which values lack."""

    @property
    def by_pattern(self) -> bool: ...  # whether, with `Marginals`, many rows of one are faster
    def gapped(
        self, candidates: Sequence[Params], offsets: Sequence[np.ndarray], frame: Frame | None
    ) -> Kernel:
        """As `kernel`, of rows in which NaN is no value; they may lack all."""


@runtime_checkable
class Coordinates(Protocol):
    """Accuracy whatever the units of the data: params that are held in a frame."""

    @property
    def cross_moments(self) -> bool: ...  # whether `frame` wants the covariance of the data
    def frame(self, survey: Survey) -> Frame: ...
    def to_frame(self, params: DataParams, frame: Frame) -> Params: ...
    def from_frame(self, params: Params, frame: Frame) -> DataParams: ...


@runtime_checkable
class Levelled(Protocol):
    """A family of categories: which there are is known from the data, unless it is given."""

    def levelled(self, survey: Survey) -> Family: ...  # the same, of the levels of a survey
    def categories(self, names: Sequence[Hashable]) -> Collection[Hashable]: ...  # among columns


@runtime_checkable
class Named(Protocol):
    """A family of columns that it knows by their names."""

    @property
    def features(self) -> Sequence[Hashable] | None: ...  # in their order; None for any columns


@runtime_checkable
class Labelled(Protocol):
    """Coordinates of its own dimensions in `Result.to_dataset`."""

    def coordinates(
        self,
        params: Mapping[str, np.ndarray],
        names: Sequence[Hashable],
        labels: Mapping[Hashable, Sequence[Hashable]],
    ) -> Mapping[str, tuple[tuple[str, ...], np.ndarray]]:
        """Dims and values by name; `labels` are those of codes in the columns called `names`."""


@runtime_checkable
class Ellipses(Protocol):
    """Principal axes in the table, plots, precisions: components with a covariance."""

    def covariances(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """(component, feature, feature), in the coordinates of the params."""

    def precision_factors(self, params: Params, frame: Frame) -> np.ndarray:
        """Upper triangular U with precision U U^T in data units, (component, feature, feature)."""


@runtime_checkable
class Simplifies(Protocol):
    """Starts where parameters are many: a family of fewer, whose clusters it can begin with."""

    @property
    def simpler(self) -> Family | None: ...  # None if there is none
    def grown(self, params: DataParams) -> DataParams: ...  # of the simpler one, for this one


@runtime_checkable
class Prior(Protocol):
    """An objective with a prior: what is added to the log-likelihood of `weight` rows."""

    def log_prior(self, params: Params, weight: float, frame: Frame | None) -> float: ...


@runtime_checkable
class MaximisesMany(Protocol):
    """M steps of several params at once, for little more than one costs."""

    def m_steps(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params], frame: Frame | None
    ) -> Sequence[Params]: ...


@runtime_checkable
class Softens(Protocol):
    """Starts off the edges of what params can be, where neither EM nor leaps would leave them."""

    def softened(self, params: Params, counts: np.ndarray, frame: Frame | None) -> Params:
        """Components that were fitted to `counts` (component,) rows, as a fit may begin with."""


@runtime_checkable
class Conditioned(Protocol):
    """A fall of the objective that its rounding does not explain is seen, however small it is."""

    def magnitudes(self, params: Params) -> np.ndarray:
        """The terms of the log-density without their signs, summed, as the mean over the rows of
        each component, (component,).
        """


@runtime_checkable
class Events(Protocol):
    """Events in the history, and flaws: what a person should know of params and statistics."""

    def events(
        self, statistics: Statistics, params: Params, frame: Frame | None
    ) -> Sequence[str]: ...  # see `daskem.models.views.Flaw`


@runtime_checkable
class Suspects(Protocol):
    """Flaws of several params: a glance at all of them, and `events` of few."""

    def suspects(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params], frame: Frame | None
    ) -> Sequence[bool]: ...  # which of them `events` may call flawed


@runtime_checkable
class Bounded(Protocol):
    """Leaps and given starts where the M step cannot lead: the nearest params where it can."""

    def allowed(self, params: Params, frame: Frame | None) -> Params: ...


@runtime_checkable
class BoundsMany(Protocol):
    """The same of several params at once, for little more than one costs."""

    def all_allowed(
        self, candidates: Sequence[Params], frame: Frame | None
    ) -> Sequence[Params]: ...


@runtime_checkable
class Draws(Protocol):
    """`Result.sample`: one row (sample, feature) for each entry of `components` (sample,)."""

    def sample(
        self, params: Params, components: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray: ...


@runtime_checkable
class Composed(Protocol):
    """Numbering by size, table, plots, files: a model whose components are those of a family."""

    @property
    def family(self) -> Family: ...
    @property
    def frame(self) -> Frame | None: ...
    def shares(self, params: Mapping[str, np.ndarray]) -> np.ndarray: ...  # of rows, (component,)


def is_bounded(model: object) -> bool:
    """Whether no params make a few rows as likely as one likes: means have no width."""
    if not isinstance(model, Composed) or isinstance(model.family, Ellipses):
        return False
    return isinstance(model.family, Softens)
