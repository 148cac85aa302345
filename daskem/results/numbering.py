"""The numbers of components in results: the largest one is 0, unless a start says otherwise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Parameter, Params
from daskem.fitting.record import Pass
from daskem.models.families.protocol import Composed
from daskem.models.protocol import Declares, Frames, Model


def fixes_order(model: Model, start: Mapping[str, np.ndarray] | None) -> bool:
    """Whether a start numbers the components: something in it is said of each of them."""
    declared = model.parameters if isinstance(model, Declares) else {}
    return any(_axes(declared[name]) for name in start or {} if name in declared)


@one_blas_thread()
def by_size(
    model: Model, params: Params, history: Sequence[Pass]
) -> tuple[Params, tuple[Pass, ...]]:
    """Params and history of a model, with its components from the largest to the smallest.

    Of equal ones that is first whose location is, feature by feature. A model that is not made of
    a family numbers its components itself.
    """
    if not (isinstance(model, Composed) and isinstance(model, Declares)):
        return params, tuple(history)
    shares = model.shares(params)
    order = np.argsort(-shares)
    # Only ties need params in the units of the data, which are products of large matrices.
    if len(np.unique(shares)) < len(order):
        in_data_units = model.from_frame(params) if isinstance(model, Frames) else params
        order = np.lexsort((*model.family.locations(in_data_units).T[::-1], -shares))
    ordered = dict(params)
    for name, parameter in model.parameters.items():
        for axis in _axes(parameter):
            ordered[name] = ordered[name].take(order, axis)
    return Params(ordered), tuple(_renumbered(record, np.argsort(order)) for record in history)


def _axes(parameter: Parameter) -> list[int]:
    """Along which a parameter says something of each component."""
    named = enumerate(dim.removesuffix("_2") for dim in parameter.dims)
    return [axis for axis, dim in named if dim in ("component", "state")]


def _renumbered(record: Pass, numbers: np.ndarray) -> Pass:
    """A record whose texts call each component by its new number."""

    def told(texts: Sequence[str]) -> tuple[str, ...]:
        number = r"\bcomponent (\d+)"
        return tuple(
            re.sub(number, lambda match: f"component {numbers[int(match[1])]}", text)
            for text in texts
        )

    return replace(record, events=told(record.events), flaws=told(record.flaws))
