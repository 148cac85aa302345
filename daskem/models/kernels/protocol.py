"""The contract of a kernel, and of the forms in which it computes, on one screen.

A kernel owns the sweep over the rows of a block: tiles, softmax and sums. It is made of params by a
family, knows no model and no data source, and keeps nothing of the blocks that it has seen: it may
be used again, and by several threads at a time. `tiled.TiledKernel` is one around any `Form`: a
family says what its log-densities and its moments of a tile are, and leaves the sweep to it. Of
every exponential family `product.ProductForm` is the form; `compiled.CompiledKernel` is the same
sweep in machine code and `gpu.GpuKernel` on a GPU, for the features that `terms.Terms` names.
"""

from collections.abc import Iterator
from typing import Protocol, Self, runtime_checkable

import numpy as np

from daskem.core.frames import Frame
from daskem.core.statistics import Statistics
from daskem.models.views import Tile


class Rows(Protocol):
    """What an E step needs of a block."""

    @property
    def rows(self) -> np.ndarray: ...  # (sample, feature)
    @property
    def weights(self) -> np.ndarray | None: ...  # (sample,), how often each row counts


class Weighted(Rows, Protocol):
    """What a kernel sees of a block; some of its rows are such a block again."""

    def __len__(self) -> int: ...
    def __getitem__(self, chosen: slice | np.ndarray) -> Self: ...


class Kernel(Protocol):
    """The E steps of some candidates, each of them params of one family, in one sweep."""

    def e_step(self, block: Weighted) -> list[Statistics]:
        """Expected sufficient statistics of each candidate, with its `log_likelihood`."""

    def posterior(self, block: Weighted) -> Iterator[Tile]:
        """What the only candidate says of the rows, tile by tile."""

    def hard(self, block: Weighted, labels: np.ndarray) -> Statistics:
        """Statistics of the only candidate for rows whose component is known, `labels` (sample,).

        Those of an E step with responsibilities of 0 and 1, without `log_likelihood`.
        """

    def log_densities(self, block: Weighted) -> np.ndarray:
        """Offset plus log-density of the only candidate, (component, sample), of all rows at once.

        Whoever needs them of many rows, but not together, asks for some rows at a time.
        """

    def soft(self, block: Weighted, responsibilities: np.ndarray) -> Statistics:
        """Statistics of the only candidate for rows whose responsibilities are known.

        Those of an E step with them, (component, sample), without `log_likelihood`.
        """


@runtime_checkable
class Tiled(Protocol):
    """`Independent`: a form for each tile, beside which the forms of other columns can stand."""

    @property
    def frame(self) -> Frame | None: ...  # in which the candidates hold their params
    def usual(self, n_features: int) -> "Form": ...  # of most tiles
    def accurate(self, x: np.ndarray) -> "Form": ...  # for this tile, (feature, row)


class Form(Protocol):
    """A way to compute the log-densities and the moments of a tile, (feature, row), in the frame.

    The components of all candidates are stacked, one candidate after the other.
    """

    @property
    def bounds(self) -> np.ndarray: ...  # (candidate + 1,): which components each one has
    def n_statistics(self, n_features: int) -> int: ...  # numbers of a row in `Sums.features`
    def log_base(self, x: np.ndarray, candidate: int) -> np.ndarray | float:
        """What the log-density of a candidate has besides `Sums.log_joint`, (row,)."""

    def sums(self, n_features: int, width: int) -> "Sums":
        """Empty sums for one sweep over tiles of at most `width` rows."""


class Sums(Protocol):
    """The sums of one sweep in one form, and the buffers that it needs."""

    def features(self, x: np.ndarray) -> np.ndarray:
        """What both methods below need of a tile, (statistic, row); the next one overwrites it."""

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Offset plus log-density of every component, (component, row), but for `log_base`."""

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        """Add the moments of a tile; the responsibilities are weighted already."""

    def statistics(self) -> list[Statistics]:
        """One for each candidate; `log_likelihood` is the sum of `log_base` over the rows."""
