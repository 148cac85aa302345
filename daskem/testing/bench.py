"""The bench: a model of somebody's own, the rows it is tried on, and params to try it at."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

import numpy as np

from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.fitting.starts.first_read import first_read
from daskem.fitting.starts.seedbed import begin
from daskem.models.protocol import Model
from daskem.testing.differences import sizes

Args = TypeVarTuple("Args")
Answer = TypeVar("Answer")


class RaisedError(Exception):
    """The model itself raised an error; says where."""


@dataclass(frozen=True)
class Bench:
    """A model, the rows it is tried on, and params to try it at.

    The model gets copies of everything: one that writes into its arguments breaks one law by
    that, not all of them, and leaves the caller's data alone.
    """

    model: Model
    rows: np.ndarray
    start: Params

    def e_step(
        self, rows: np.ndarray, weights: np.ndarray | None = None, params: Params | None = None
    ) -> Any:
        block = Block(rows.copy(), copy.copy(weights))
        kind = "without" if weights is None else "with"
        place = f"e_step on a block of {len(rows)} rows {kind} weights"
        params = copy.deepcopy(self.start if params is None else params)
        return attempt(place, self.model.e_step, block, params)

    def m_step(self, statistics: Statistics, params: Params | None = None) -> Any:
        params = copy.deepcopy(self.start if params is None else params)
        return attempt("m_step", self.model.m_step, copy.deepcopy(statistics), params)

    def sizes(self) -> dict[str, float]:
        """Of the statistics, from parts of the rows: over all of them, terms may cancel."""
        parts = np.array_split(self.rows, min(4, len(self.rows)))
        return sizes([self.e_step(part) for part in parts])


def bench_of(
    model: Model, rows: np.ndarray, n_components: int | None, start: Mapping[str, Any] | None
) -> Bench:
    draws = np.random.default_rng(0)
    first = first_read(model, as_blocks(rows), draws, "k-means++", [n_components])
    rng = np.random.default_rng(0)
    return Bench(first.model, rows, begin(first, n_components, start, "k-means++", rng))


def attempt(place: str, f: Callable[[*Args], Answer], *args: *Args) -> Answer:
    try:
        return f(*args)
    except Exception as error:
        raise RaisedError(f"{place} raised {type(error).__name__}: {error}") from error
