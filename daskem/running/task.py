"""The contract of what can be run here or on a scheduler, and of what it yields."""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self, TypeVar

from distributed import Client

from daskem.data.blocks import Blocks, Watch
from daskem.fitting.record import Pass, Status


class Outcome(Protocol):
    """How a task stands after a pass: a `Result`, a `Selection`."""

    @property
    def status(self) -> Status: ...
    @property
    def history(self) -> Sequence[Pass]: ...
    @property
    def flaws(self) -> Sequence[str]: ...
    def stopped(self) -> Self:
        """The same, of a task that does not go on."""


OutcomeT = TypeVar("OutcomeT", bound=Outcome)
Yielded = TypeVar("Yielded", bound=Outcome, covariant=True)


class Task(Protocol[Yielded]):
    """Something to do with data, prepared: a fit, a selection."""

    @property
    def blocks(self) -> Blocks: ...
    @property
    def checkpoint(self) -> str | None: ...  # where it is written down
    def on(self, client: Client) -> Self:
        """The same on the cluster of a client; what has travelled is on none."""

    def watched(self, watch: Watch) -> Self:
        """The same, of which `watch` is told how far it has come."""

    def results(self, coordinator: str) -> Iterator[Yielded]:
        """How it stands after each pass; `coordinator` says where it runs, and why there."""
