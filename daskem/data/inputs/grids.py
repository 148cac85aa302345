"""The shape that the columns of a variable had: what gives params the dimensions of the data."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from daskem.core.brief import Brief
from daskem.data.inputs.spelling import spelled, spelled_all, unspelled, unspelled_all

# Names of dimensions that are of features, and of nothing in the data.
_PLAIN = {"feature", "variable"}


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Brief):
    """The dimensions along which the features of a variable lie.

    Attributes
    ----------
    name : str or None
        Of the variable.
    dims : tuple of str
    lengths : tuple of int
    labels : mapping of str to (str, ndarray)
        The coordinates of those dimensions that have some, each with its dimension.
    """

    name: Hashable
    dims: tuple[Hashable, ...]
    lengths: tuple[int, ...]
    labels: Mapping[Hashable, tuple[Hashable, np.ndarray]]

    @property
    def size(self) -> int:
        """How many features there are."""
        return int(np.prod(self.lengths, dtype=int))


def grids_of(
    variables: Mapping[Hashable, xr.DataArray], feature_dims: Sequence[Hashable], single: bool
) -> tuple[Grid, ...]:
    """The grids of variables, in their order; none where features are all that there is to say.

    That is so of a Dataset whose variables are one feature each, and of an array (`single`) whose
    last dimension holds features that are called so, or that nobody has named.
    """
    dims = [dim for dim in feature_dims if dim not in _PLAIN]
    unnamed = single and None in variables and len(feature_dims) == 1
    if not dims or unnamed:
        return ()
    return tuple(_grid(name, variable, feature_dims) for name, variable in variables.items())


def _grid(name: Hashable, variable: xr.DataArray, feature_dims: Sequence[Hashable]) -> Grid:
    dims = tuple(dim for dim in variable.dims if dim in feature_dims)
    labels: dict[Hashable, tuple[Hashable, np.ndarray]] = {}
    for dim in dims:
        if dim in variable.indexes:
            index = variable.indexes[dim]
            # A stacked dimension has a coordinate for each of those that it is made of.
            several = index.nlevels > 1
            names = index.names if several else [dim]
            levels = [index.get_level_values(i).to_numpy() for i in range(index.nlevels)]
            labels |= {n: (dim, v) for n, v in zip(names, levels, strict=True)}
    return Grid(name, dims, tuple(variable.sizes[dim] for dim in dims), labels)


def spelled_grids(grids: Sequence[Grid]) -> list[Any]:
    """Grids as JSON can hold them."""
    return [
        {
            "name": spelled(grid.name),
            "dims": [spelled(dim) for dim in grid.dims],
            "lengths": list(grid.lengths),
            "labels": [
                [spelled(name), spelled(dim), spelled_all(values)]
                for name, (dim, values) in grid.labels.items()
            ],
        }
        for grid in grids
    ]


def unspelled_grids(spellings: Sequence[Mapping[str, Any]]) -> tuple[Grid, ...]:
    """The grids that were spelled."""
    return tuple(
        Grid(
            unspelled(grid["name"]),
            tuple(unspelled(dim) for dim in grid["dims"]),
            tuple(grid["lengths"]),
            {unspelled(n): (unspelled(dim), unspelled_all(v)) for n, dim, v in grid["labels"]},
        )
        for grid in spellings
    )
