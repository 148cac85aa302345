"""The contract of a source: how a container is told, and what it is opened to."""

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import dask.array as da
import numpy as np

Array = np.ndarray | da.Array
Names = Sequence[Hashable] | None


class Source(NamedTuple):
    """A kind of container.

    Attributes
    ----------
    holds : callable
        ``data -> bool``: whether this is one.
    open : callable
        ``(data, names) -> `` something nearer to an array; `names` as in `opened_source`.
    """

    holds: Callable[[object], bool]
    open: Callable[[Any, Names], Any]


@runtime_checkable
class Table(Protocol):
    """Columns with names, some of which are numbers; columns are asked for by their places."""

    @property
    def names(self) -> np.ndarray: ...  # (column,)
    @property
    def odd(self) -> Mapping[int, str]: ...  # columns that hold no real numbers: what they hold
    @property
    def index(self) -> Any: ...  # a pandas Index of the rows, or None
    def rows(self, places: Sequence[int]) -> Array: ...  # (row, column), NaN where missing
    def identifiers(self, place: int) -> np.ndarray: ...  # (row,), of any kind, in memory
    def like(self, answers: Array, name: str, columns: np.ndarray | None) -> Any:
        """Answers, (row,) or (row, column), as a table; columns without names are numbered."""


def kind(module: str, *classes: str) -> Callable[[object], bool]:
    """Whether something is of one of the classes of a module that nobody need have imported."""

    def holds(data: object) -> bool:
        loaded = sys.modules.get(module)
        known = (vars(loaded).get(name) for name in classes) if loaded is not None else ()
        return any(isinstance(one, type) and isinstance(data, one) for one in known)

    return holds


def alone(open_one: Callable[[Any], Any]) -> Callable[[Any, Names], Any]:
    """How to open what has no members to choose among."""
    return lambda data, names: open_one(data)
