"""What a pass over a Dask array is made of, and what it is to sum."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dask.typing import Key
from distributed import Future

from daskem.data.blocks.bundles import Bundles
from daskem.data.blocks.recipes import Recipe
from daskem.data.cluster.graph import DataNode, Delayed, GraphNode, node
from daskem.data.cluster.stragglers import Spare


class Call(NamedTuple):
    """What is summed: `f`, its arguments, and names for dashboards."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    name: str
    source: str


@dataclass(frozen=True)
class Parts:
    """What a pass is made of.

    Attributes
    ----------
    sources : sequence of Delayed
        Recipe or loaded blocks of each partition.
    recipes : sequence of Recipe
        Empty where the blocks are loaded.
    shared : dict
        The tasks that recipes share, with all that they depend on.
    notes : sequence of str
    unloaded : Parts or None
        The same, as they are read, where they are loaded.
    sealed : bool
        Whether the scheduler cannot open what daskem makes: it has none, or is of another Python.
    late : set of str
        The workers that have kept the last sum waiting.
    held : list of Future
        Of sums that are over, see `Spare`.
    bundles : Bundles
        Partitions that share a task, where sums are short.
    """

    sources: Sequence[Delayed]
    recipes: Sequence[Recipe] = ()
    shared: dict[Key, GraphNode] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unloaded: "Parts | None" = None
    sealed: bool = False
    late: set[str] = field(default_factory=set)
    held: list[Future] = field(default_factory=list)
    bundles: Bundles = field(default_factory=Bundles)

    def spare(self, subtree: Callable[[int], Delayed], tasks: str, of: int) -> Spare:
        """How a sum over so many of the partitions is made elsewhere."""
        return Spare(subtree, tasks, of, self.late, self.held)

    @property
    def needs(self) -> list[Sequence[Key]]:
        """Keys of the shared tasks that each source needs."""
        return [recipe.shared for recipe in self.recipes] or [()] * len(self.sources)

    @property
    def keys(self) -> list[Sequence[Key]]:
        """Keys of all that each partition is made of: its own, and those that it needs."""
        return [(one.key, *names) for one, names in zip(self.sources, self.needs, strict=True)]

    @property
    def in_memory(self) -> bool:
        """Whether there is nothing to read or to compute."""
        tasks = (task for recipe in self.recipes for task in recipe.tasks.values())
        return all(isinstance(task, DataNode) for task in tasks)


def delayed(recipe: Recipe, sealed: bool) -> Delayed:
    """A recipe as a task of its own, see `node`."""
    key = f"partition-{uuid.uuid4().hex}"
    return Delayed(key, {key: node(key, recipe, sealed)})
