"""Running: a fit from its arguments to its result, here or on a scheduler. No mathematics."""

from daskem.running.handle import Handle, attach, send, stopping

__all__ = ["Handle", "attach", "send", "stopping"]
