"""The contract of blocks: the rows of some data in blocks, and one verb, their tree sum."""

from collections.abc import Callable, Sequence
from typing import Protocol, Self

from dask.typing import Key
from distributed import Client

from daskem.data.blocks.block import Block
from daskem.data.blocks.partitions import Args, Outline, Result
from daskem.data.blocks.watch import Watch


class Blocks(Protocol):
    """The rows of an array in memory, or of a Dask array; sums have the same bits on either."""

    @property
    def n_features(self) -> int: ...
    @property
    def outline(self) -> Outline: ...  # how much there is to read
    @property
    def notes(self) -> Sequence[str]: ...  # what a person should know of how they are read
    @property
    def watch(self) -> Watch: ...  # who is told how far a sum has come
    @property
    def client(self) -> Client | None: ...  # of the cluster that sums; None for this machine

    def sum(
        self, f: Callable[[Block, *Args], Result], *args: *Args, name: str = "sum", source: str = ""
    ) -> Result:
        """The tree sum of ``f(block, *args)``.

        Dashboards show the sum as `name`, and `args` as their `source`: what has made them.
        """

    def watched(self, watch: Watch) -> Self:
        """The same, of whose sums `watch` is told how far they have come."""

    def unomitted(self) -> Self:
        """The same with the rows that have a NaN."""

    def partition(self, number: int) -> Self:
        """One partition of them alone."""

    def keys_on_cluster(self) -> Sequence[Key]:
        """Keys of what lies on the cluster already, which its client is made to hold."""
