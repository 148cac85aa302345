"""Params that a person gives to start from: checked, and in the coordinates of the model."""

from collections.abc import Mapping

import numpy as np

from daskem.core.parameters import DataParams, Parameter, Params, check, sizes
from daskem.errors import ParameterError
from daskem.models.protocol import Declares, Frames, Model

Start = Mapping[str, np.ndarray]


def params_in_start(
    model: Model, start: Start | None, n_features: int, n_components: int | None
) -> Params:
    """The params of a start, in the coordinates of the model; some of them may be left out.

    Parameters
    ----------
    model : Model
    start : dict or None
        In the units of the data.
    n_features : int
    n_components : int or None

    Raises
    ------
    ParameterError
        If they do not suit the model or the data.
    """
    if not isinstance(model, Declares):
        if start is None:
            raise ParameterError(
                f"{type(model).__name__} declares no parameters, so it needs some to start from: "
                "pass start={...}"
            )
        return Params(dict(start))
    start, declared = start or {}, model.parameters
    if not set(start) <= set(declared):
        raise ParameterError(
            f"the start has {sorted(start)}, but the params are {sorted(declared)}"
        )
    # What is singular but for its rounding is where a fit of such data ends.
    known = check({n: declared[n] for n in declared if n in start}, start, mend=True)
    _check_sizes(
        declared, known, {"feature": n_features, "component": n_components, "state": n_components}
    )
    return model.to_frame(DataParams(known)) if isinstance(model, Frames) else Params(known)


def n_components_of(model: Model, n_components: int | None, start: Start | None) -> int | None:
    """How many components a fit has, as its start says if nobody else does; None if unknown."""
    if n_components is not None or start is None or not isinstance(model, Declares):
        return n_components
    for name, value in start.items():
        dims = model.parameters[name].dims if name in model.parameters else ()
        for axis, dim in enumerate(dims[: np.ndim(value)]):
            if dim in ("component", "state"):
                return np.shape(value)[axis]
    return None


def _check_sizes(
    declared: Mapping[str, Parameter], known: Start, expected: Mapping[str, int | None]
) -> None:
    lengths = sizes({name: declared[name] for name in known}, known)
    for dim, wanted in expected.items():
        if wanted is not None and lengths.get(dim, wanted) != wanted:
            guilty = [name for name in known if dim in declared[name].dims]
            raise ParameterError(
                f"{', '.join(guilty)}: the start has {lengths[dim]} along {dim!r}, but there "
                f"should be {wanted}"
            )
