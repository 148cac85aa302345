"""The numbers of components in results: the largest one is 0, unless a start says otherwise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.fitting.record import Pass
from daskem.models.mixture import Mixture
from daskem.models.protocol import Declares, Model


def fixes_order(model: Model, start: Mapping[str, np.ndarray] | None) -> bool:
    """Whether a start numbers the components: something in it is said of each of them."""
    declared = model.parameters if isinstance(model, Declares) else {}
    return any("component" in declared[name].dims for name in start or {} if name in declared)


@one_blas_thread()
def by_size(
    model: Model, params: Params, history: Sequence[Pass]
) -> tuple[Params, tuple[Pass, ...]]:
    """Params and history of a mixture, with its components from the largest to the smallest.

    Of equal ones that is first whose location is, feature by feature. A model that is no mixture
    numbers its components itself.
    """
    if not isinstance(model, Mixture):
        return params, tuple(history)
    locations = model.family.locations(model.from_frame(params))
    order = np.lexsort((*locations.T[::-1], -params["weights"]))
    axes = {name: parameter.dims for name, parameter in model.parameters.items()}
    ordered = {
        name: value.take(order, axes[name].index("component"))
        if "component" in axes[name]
        else value
        for name, value in params.items()
    }
    return Params(ordered), tuple(_renumbered(record, np.argsort(order)) for record in history)


def _renumbered(record: Pass, numbers: np.ndarray) -> Pass:
    """A record whose texts call each component by its new number."""

    def told(texts: Sequence[str]) -> tuple[str, ...]:
        number = r"\bcomponent (\d+)"
        return tuple(
            re.sub(number, lambda found: f"component {numbers[int(found[1])]}", text)
            for text in texts
        )

    return replace(record, events=told(record.events), flaws=told(record.flaws))
