"""Statistics: nested dicts of arrays that add, and the fixed tree in which they are added."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

# What an E step returns: arrays that add, in dicts that may be nested.
Statistics = dict[str, Any]
Summand = TypeVar("Summand")  # whatever `add` adds

# Partial sums that are added together at a time. It fixes the shape of the tree, and with it
# the last bits of every sum, whatever computes the parts and in whatever order they arrive.
FAN_IN = 16


def add(a: Any, b: Any) -> Any:
    """Add two statistics: dicts key by key, sequences item by item, anything else with ``+``."""
    if isinstance(a, dict):
        return {key: add(value, b[key]) for key, value in a.items()}
    if isinstance(a, list | tuple):
        return type(a)(add(x, y) for x, y in zip(a, b, strict=True))
    return a + b


def add_all(parts: Sequence[Summand]) -> Summand:
    """Add a sequence of statistics from left to right."""
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return total


class TreeSum(Generic[Summand]):
    """The tree of `FAN_IN` for parts that arrive one by one, in order.

    Holds at most ``FAN_IN`` partial sums per level, and gives the same bits as adding the parts
    in groups of `FAN_IN`, then those sums in groups of `FAN_IN`, and so on.
    """

    def __init__(self) -> None:
        self._levels: list[list[Summand]] = []

    def push(self, part: Summand, level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
        group = self._levels[level]
        group.append(part)
        if len(group) == FAN_IN:
            self._levels[level] = []
            self.push(add_all(group), level + 1)

    def total(self) -> Summand:
        """The sum of all parts pushed so far; needs at least one."""
        carried: list[Summand] = []
        for group in self._levels:
            group = group + carried
            carried = [add_all(group)] if group else []
        return carried[0]
