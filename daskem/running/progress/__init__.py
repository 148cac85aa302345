"""Signs of life: one line that says how far a fit has come; it knows no fit, only its outcomes."""

from daskem.running.progress.line import Line, followed, shown
from daskem.running.progress.screens import PROGRESS, Progress

__all__ = ["PROGRESS", "Line", "Progress", "followed", "shown"]
