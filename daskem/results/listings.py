"""What there are several of in a result, as tables: passes, runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskem.fitting.record import Pass
from daskem.results.tables import Listing


class History(Listing[Pass]):
    """Every pass of a run, in their order."""

    __slots__ = ()

    def row(self, number: int, item: Pass) -> dict[str, Any]:
        taken = next((c.name for c in item.candidates if c.taken), "none")
        return {
            "pass": number + 1,
            "log-likelihood": f"{item.log_likelihood:.9g}",
            "left to gain": f"{item.remaining:.2g}",
            "step": taken,
            "seconds": f"{item.seconds:.3g}",
            "events": len(item.events) + len(item.flaws),
        }


def ending(status: str, history: Sequence[Pass]) -> dict[str, Any]:
    """How a run has come to where it is, as cells."""
    last = history[-1] if history else None
    improper = "improper, " if last is not None and last.flaws else ""
    return {
        "status": improper + status.lower().replace("_", " "),
        "passes": len(history),
        "log-likelihood": "" if last is None else f"{last.log_likelihood:.9g}",
        "left to gain": "" if last is None else f"{last.remaining:.2g}",
    }


class Shown(dict[str, np.ndarray]):
    """Params that print with their shapes, and the first and last of many values."""

    def __repr__(self) -> str:
        with np.printoptions(threshold=24, edgeitems=2, precision=6, suppress=True):
            texts = [f"{name} {np.shape(value)}:\n{value}" for name, value in self.items()]
        return "\n".join(texts)
