"""Who computes: machines whose processors or libraries differ may differ in the last bits."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

from daskem.core.numerics import arithmetic
from daskem.errors import MixedClusterError


@dataclass(frozen=True)
class Machines:
    """Who has read some blocks; those of neighbouring blocks add.

    Attributes
    ----------
    hosts : dict of str
        By the arithmetic of those who read, the host of one of them.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def current(cls) -> "Machines":
        """The machine of this process."""
        return cls({arithmetic(): platform.node()})

    @property
    def mixed(self) -> str | None:
        """What is said where not all compute the same last bits."""
        if len(self.hosts) < 2:
            return None
        hosts = ", ".join(sorted(self.hosts.values()))
        return (
            f"the workers (of {hosts}) compute {len(self.hosts)} different last bits: their "
            "processors or libraries differ, and so may the last digits of the next fit"
        )

    def check(self, strict: bool) -> None:
        """Raise MixedClusterError if that is not to be, and is."""
        if strict and self.mixed is not None:
            raise MixedClusterError(
                f"{self.mixed}. Give it workers of one kind, or leave strict=True out"
            )

    def __add__(self, other: "Machines") -> "Machines":
        return Machines({**other.hosts, **self.hosts})
