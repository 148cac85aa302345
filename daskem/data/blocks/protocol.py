"""The contract of blocks: the rows of some data in blocks, and one verb, their tree sum."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from distributed import Client

from daskem.data.blocks.partitions import Outline


class Blocks(Protocol):
    """The rows of an array in memory, or of a Dask array; sums have the same bits on either."""

    @property
    def n_features(self) -> int: ...
    @property
    def outline(self) -> Outline: ...  # how much there is to read
    @property
    def notes(self) -> Sequence[str]: ...  # what a person should know of how they are read
    @property
    def client(self) -> Client | None: ...  # of the cluster that sums; None for this machine

    def sum(self, f: Callable[..., Any], *args: Any, name: str = "e-step") -> Any:
        """The tree sum of ``f(block, *args)``; `name` is what dashboards show."""

    def partition(self, number: int) -> Self:
        """One partition of them alone."""

    def held(self) -> list[Any]:
        """Keys of what lies on the cluster already, which its client is made to hold."""
