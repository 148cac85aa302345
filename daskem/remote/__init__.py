"""Fits that run on the scheduler of a cluster: the jobs there, and the handles on them here."""

from daskem.remote.handle import Handle, attach, send, stopping

__all__ = ["Handle", "attach", "send", "stopping"]
