"""What a model sees of the data, and what it says of rows."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

import numpy as np

from daskem.core.resolution import Resolution


class Block(Protocol):
    """Some rows of the data, as an E step sees them; `daskem.data.blocks.Block` is one."""

    @property
    def rows(self) -> np.ndarray: ...  # (sample, feature)
    @property
    def weights(self) -> np.ndarray | None: ...  # (sample,), how many times each row counts
    @property
    def counts(self) -> np.ndarray: ...  # the weights, or ones
    @property
    def weight(self) -> float: ...  # the sum of the weights, or the number of rows
    @property
    def along(self) -> Mapping[str, np.ndarray]: ...  # riders (sample, ...), see `Needs`
    @property
    def edges(self) -> np.ndarray | None: ...  # (sequence + 1,), see `Block`
    @property
    def kept(self) -> np.ndarray | None: ...  # which of the rows that `edges` count are observed
    def __len__(self) -> int: ...
    def place(self, row: int) -> str: ...  # where a row comes from, in words
    def hash(self, seed: int) -> np.ndarray: ...  # uint64 (sample,), whatever the chunks
    def keys(self, seed: int) -> np.ndarray: ...  # the same, but one for all rows of a sequence
    def weighted(self, weights: np.ndarray) -> Self: ...  # the same, counted so many times
    def __getitem__(self, chosen: slice | np.ndarray) -> Self: ...  # some of the rows


class Levels(Protocol):
    """The distinct values of each feature in the data."""

    @property
    def values(self) -> tuple[np.ndarray, ...]: ...  # of each feature, (level,), sorted
    @property
    def weights(self) -> tuple[np.ndarray, ...]: ...  # of the rows that have each
    @property
    def names(self) -> tuple[str, ...]: ...  # what errors call the features


class Survey(Protocol):
    """What the first read tells of the data, whatever the number of components."""

    @property
    def weight(self) -> float: ...  # the sum of the weights, or the number of rows
    @property
    def mean(self) -> np.ndarray: ...  # (feature,)
    @property
    def variances(self) -> np.ndarray: ...  # (feature,)
    @property
    def covariance(self) -> np.ndarray: ...  # (feature, feature), if the model has `cross_moments`
    @property
    def spans(self) -> np.ndarray: ...  # the lowest value and the highest one, (feature, 2)
    @property
    def resolution(self) -> Resolution: ...  # how finely each feature is recorded
    @property
    def levels(self) -> Levels | None: ...  # of a model that is `categorical`


class Flaw(str):
    """An event that says why params are no clusters: any fit without one wins over such a fit.

    Attributes
    ----------
    component : int or None
        The component that is none; None where it is not one of them.
    """

    component: int | None

    def __new__(cls, text: str, component: int | None = None) -> Self:
        flaw = super().__new__(cls, text)
        flaw.component = component
        return flaw


class Tile(NamedTuple):
    """What a model says of some rows of a block.

    Responsibilities add to 1, but for what is noise, see `Noisy`.
    """

    span: slice
    log_prob: np.ndarray  # (row,), log p(x) in nats, in the units of the data
    responsibilities: np.ndarray  # (component, row), in a buffer that the next tile overwrites


class Decoded(NamedTuple):
    """The most probable path of every sequence of a block as a whole."""

    states: np.ndarray  # int, (sample,)
    log_prob: np.ndarray  # (sequence with rows,), log p(x, path) in nats
