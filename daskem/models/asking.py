"""What the engine asks a model for: whether it has the members of a group, and what they say."""

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from daskem.core.known_labels import COMPONENT
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.errors import DataError, ModelError
from daskem.models.protocol import (
    Batches,
    Bounded,
    BoundsMany,
    Compiles,
    Incomplete,
    MaximisesMany,
    Model,
    Needs,
    Penalises,
    Sequential,
    Softens,
    Supervised,
)
from daskem.models.views import Block

Group = TypeVar("Group")
M = TypeVar("M", bound=Model)


def demand(model: object, group: type[Group], purpose: str) -> Group:
    """`model`, as one that has the members of `group`.

    Raises
    ------
    ModelError
        Naming the members that it lacks, and what they would buy.
    """
    if isinstance(model, group):
        return model
    buys = (inspect.getdoc(group) or "").replace("\n", " ")
    missing = ", ".join(f"`{name}`" for name in lacking(model, group))
    raise ModelError(
        f"{purpose} needs {missing}, which {type(model).__name__} does not have ({buys})"
    )


def lacking(model: object, group: type) -> list[str]:
    """The names of the members of `group` that `model` does not have."""
    return sorted(members(group) - set(dir(model)))


def members(group: type) -> set[str]:
    """The names of the members of a group, with those of the groups that it extends."""
    return {
        name
        for base in group.__mro__
        for name in (*vars(base), *inspect.get_annotations(base))
        if not name.startswith("_")
    }


def log_prior_of(model: object) -> Callable[[Params, float], float]:
    """The log-density of the prior for params and a weight of rows, 0 where there is none."""
    return model.log_prior if isinstance(model, Penalises) else _no_prior


def _no_prior(params: Params, weight: float) -> float:
    return 0.0


@dataclass(frozen=True, eq=False)
class EmSteps:
    """The steps of EM of several params at once; a model is asked once how it makes them.

    Attributes
    ----------
    model : Model
    """

    model: Model

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        """The statistics of one block for every params.

        Raises
        ------
        ModelError
            If any of these are no model.
        """
        try:
            if candidates and self._batches is not None:
                return list(self._batches.e_steps(block, candidates))
            return [self.model.e_step(block, params) for params in candidates]
        except np.linalg.LinAlgError as error:
            raise ModelError(f"the E step met params that are no model ({error})") from error

    def m_steps(
        self, statistics: Sequence[Statistics], candidates: Sequence[Params]
    ) -> list[Params]:
        """Where an M step leads from each of some params, given their statistics."""
        if statistics and self._many is not None:
            return list(self._many.m_steps(statistics, candidates))
        pairs = zip(statistics, candidates, strict=True)
        return [Params(dict(self.model.m_step(sums, params))) for sums, params in pairs]

    @cached_property
    def _batches(self) -> Batches | None:
        return self.model if isinstance(self.model, Batches) else None

    @cached_property
    def _many(self) -> MaximisesMany | None:
        return self.model if isinstance(self.model, MaximisesMany) else None


def allowed(model: object, params: Params) -> Params:
    """The params nearest to these where the M step of a model can lead."""
    return model.allowed(params) if isinstance(model, Bounded) else params


def all_allowed_of(model: object) -> Callable[[Sequence[Params]], Sequence[Params]]:
    """What makes the same of each of some params."""
    if isinstance(model, BoundsMany):
        return lambda candidates: model.all_allowed(candidates) if candidates else []
    return lambda candidates: [allowed(model, params) for params in candidates]


def softened_of(model: object) -> Callable[[Params, int], Params]:
    """What takes params that were fitted to so many rows off the edges of what they can be."""
    return model.softened if isinstance(model, Softens) else lambda params, n_rows: params


def kernel_of(model: object) -> str:
    """Which kernel a model uses, in the words of a setting."""
    return model.backend if isinstance(model, Compiles) else "numpy"


def with_missing(model: M, missing: str) -> M:
    """The model with what a setting means for rows that lack values.

    Raises
    ------
    ModelError
        If they are to take part, and the model or its family knows no such rows.
    """
    if missing == "model":
        demand(model, Incomplete, 'missing="model"')
    return model.with_incomplete(missing == "model") if isinstance(model, Incomplete) else model


def check_riders(model: object, names: Collection[str]) -> None:
    """Raise DataError unless all that a model needs is among what rides along with the rows, and
    nothing else, where the model says what it knows.
    """
    needs = model.needs if isinstance(model, Needs) else ()
    if isinstance(model, Supervised):
        for name in sorted(set(names) - {COMPONENT, *needs}):
            raise DataError(
                f"{type(model).__name__} knows nothing of {name!r} that would ride along with the "
                f"rows, as in along={{{COMPONENT!r}: labels}}"
            )
    for name in needs:
        if name not in names:
            raise DataError(
                f"{type(model).__name__} needs {name!r} for each of the rows; pass it with them, "
                f"as in along={{{name!r}: array}}"
            )


def check_sequences(model: object, lengths: object) -> None:
    """Raise DataError if a model of sequences is not told which rows are one."""
    if isinstance(model, Sequential) and lengths is None:
        raise DataError(
            f"{type(model).__name__} wants to know which rows are a sequence: pass lengths=[...], "
            "the rows of each, in their order, and [len(data)] for a single one; of labelled data "
            "sequence_dim=..., such as 'time', says it"
        )
