"""What is asked for by its name, to ride along with the rows: columns, variables, coordinates."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from daskem.data.inputs.kinds import Lengths, Riders, Values
from daskem.data.inputs.sources import Table
from daskem.errors import DataError


def names_among(
    sample_weight: Values | None, along: Riders | None, lengths: Lengths | None = None
) -> tuple[str, ...]:
    """Names that are given in the place of values.

    Raises
    ------
    DataError
        If `along` does not say what goes along.
    """
    if along is not None and not isinstance(along, Mapping):
        raise DataError(
            f"along is a {type(along).__name__}; pass a dict that says what goes along with the "
            'rows, as in along={"component": labels}'
        )
    values = [sample_weight, *(along or {}).values(), lengths]
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str)))


def beside(data: object, names: Sequence[Hashable]) -> dict[Hashable, Any]:
    """The columns of a table, or the variables and coordinates of labelled data, of these names.

    Raises
    ------
    DataError
        If there are none; says which there are.
    """
    return {name: _found(data, name) for name in names}


def _found(data: object, name: Hashable) -> Any:
    if isinstance(data, Table):
        present = list(data.names)
        if name in present:
            place = present.index(name)
            # Identifiers of sequences may be anything; whoever wants numbers says so.
            return data.identifiers(place) if place in data.odd else data.rows([place])[..., 0]
    elif isinstance(data, xr.Dataset | xr.DataArray):
        variables = data.variables if isinstance(data, xr.Dataset) else data.coords
        present = list(variables)
        if name in present:
            return data[name]
    else:
        raise DataError(
            f"{name!r} names a column or variable, and these data have none; pass the values"
        )
    raise DataError(f"there is no {name!r} to ride along with the rows; there are {present}")
