"""Params as labelled data, for `to_dataset` and files: along features, or in the data's shape."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import xarray as xr

from daskem.core.parameters import Parameter
from daskem.data.inputs.grids import Grid
from daskem.data.inputs.names import Features, free

Declared = Mapping[str, Parameter]
Params = Mapping[str, np.ndarray]


def labelled(declared: Declared, params: Params, features: Features) -> xr.Dataset:
    """Params with the dimensions of the data, or with ``feature`` where these have none of theirs.

    Of params that say something of each feature, the first is called by the variables alone, as
    ``TEMP`` (component, depth), any other also by its own name, as ``covariances_TEMP_PSAL``.
    """
    if not features.grids:
        return along_features(declared, params, features.names)
    taken = {dim for grid in features.grids for dim in grid.dims}
    known = {dim for p in declared.values() for dim in p.dims}
    renamed = {dim: free(dim, taken) for dim in known}
    second = _second(taken, {*taken, *renamed.values()})
    reserved = {*declared, *taken, *known, *renamed.values()}
    first = next((n for n, p in declared.items() if _n_axes(p) == 1), None)
    variables: dict[Hashable, Any] = {}
    for name, parameter in declared.items():
        whose = _pieces(parameter, np.asarray(params[name]), features.grids, renamed, second)
        for owners, piece in whose.items():
            variables[_called(name, owners, name == first, reserved)] = piece
    return xr.Dataset(variables).assign_coords(_coordinates(declared, features.grids, second))


def along_features(declared: Declared, params: Params, names: np.ndarray | None) -> xr.Dataset:
    """Params with the dimension ``feature``."""
    dataset = xr.Dataset({n: (declared[n].dims, value) for n, value in params.items()})
    if names is not None:
        for dim in {"feature", "feature_2"} & set(dataset.dims):
            dataset = dataset.assign_coords(_named(dim, names))
    return dataset


def _named(dim: str, names: np.ndarray) -> Mapping[Any, Any]:
    """The coordinate of the features: with a level for each part of names that are tuples."""
    if not all(isinstance(name, tuple) for name in names):
        return {dim: names}
    import pandas as pd

    levels = [f"{dim}_level_{i}" for i in range(max(map(len, names)))]
    index = pd.MultiIndex.from_tuples(names, names=levels)
    return xr.Coordinates.from_pandas_multiindex(index, dim)


def _n_axes(parameter: Parameter) -> int:
    """Along how many axes a parameter says something of each feature."""
    return sum(dim in ("feature", "feature_2") for dim in parameter.dims)


def _called(
    name: str, owners: Sequence[Hashable], is_first: bool, reserved: set[Hashable]
) -> Hashable:
    """What a piece of a parameter is called: it is of one variable, of two, or of none."""
    if not owners or owners[0] is None:
        return name
    if is_first and owners[0] not in reserved:
        return owners[0]
    return "_".join([name, *map(str, owners)])


def _pieces(
    parameter: Parameter,
    value: np.ndarray,
    grids: Sequence[Grid],
    renamed: Mapping[str, str],
    second: Mapping[Hashable, Hashable],
) -> dict[tuple[Hashable, ...], tuple[tuple[Hashable, ...], np.ndarray]]:
    """The dims and values of a parameter, for each variable, or pair of them, that it is of."""
    edges = np.cumsum([0, *(grid.size for grid in grids)])
    spans = {id(g): slice(*edges[i : i + 2]) for i, g in enumerate(grids)}
    pieces: dict[tuple[Hashable, ...], tuple[tuple[Hashable, ...], np.ndarray]] = {}
    for owners in combinations_with_replacement(grids, _n_axes(parameter)):
        left, piece, shape = list(owners), value, list[int]()
        dims: list[Hashable] = []
        for axis, dim in enumerate(parameter.dims):
            if dim not in ("feature", "feature_2"):
                shape.append(value.shape[axis])
                dims.append(renamed[dim])
                continue
            grid, is_second = left.pop(0), len(left) + 1 < len(owners)
            piece = piece[(slice(None),) * axis + (spans[id(grid)],)]
            shape += grid.lengths
            dims += [second[d] if is_second else d for d in grid.dims]
        pieces[tuple(grid.name for grid in owners)] = (tuple(dims), piece.reshape(shape))
    return pieces


def _second(dims: Collection[Hashable], taken: Collection[Hashable]) -> dict[Hashable, Hashable]:
    """What dims are called along the second axis of a matrix."""
    names: dict[Hashable, Hashable] = {}
    for dim in sorted(dims, key=str):
        name = f"{dim}_2"
        while name in {*taken, *names.values()}:
            name += "_2"
        names[dim] = name
    return names


def _coordinates(
    declared: Declared, grids: Sequence[Grid], second: Mapping[Hashable, Hashable]
) -> xr.Coordinates:
    """The coordinates of the dimensions of the data, once more for the second axis of matrices."""
    twice = any(_n_axes(p) == 2 for p in declared.values())
    coordinates: dict[Hashable, Any] = {}
    for grid in grids:
        for name, (dim, values) in grid.labels.items():
            coordinates[name] = (dim, values)
            if twice:
                coordinates[second.get(name, f"{name}_2")] = (second[dim], values)
    return xr.Coordinates(coordinates)
