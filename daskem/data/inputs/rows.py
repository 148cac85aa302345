"""The door: whatever holds rows comes in here, and its labels are put aside."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from daskem.data.inputs import as_array, open_labelled
from daskem.data.inputs.columns import stack
from daskem.data.inputs.labels import Features, Rows, labels_of
from daskem.errors import DataError


def as_rows(
    data: Any,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
) -> Rows:
    """The rows in `data`, and what they and their features are called.

    Parameters
    ----------
    data : Dataset, DataArray, DataFrame, path or URL of a zarr store, or any array
    features : sequence of str, optional
        The variables of a Dataset or of a zarr group, the columns of a DataFrame, or the
        coordinates of a DataArray that are used. Default: all.
    sample_dims : sequence of str, optional
        The dimensions that number the rows. Others are flattened into columns. Default: all but
        `feature_dim`, if every variable has the same ones.
    feature_dim : str, optional
        Where a single dimension holds features, its name. Default: ``"feature"`` or ``"variable"``
        if there is such a dimension; else, in a DataArray of two, the last one.

    Raises
    ------
    DataError
        If there is no such dimension or variable, or it could be any of several.
    """
    names = _listed(features)
    data = open_labelled(data, names)
    if not isinstance(data, xr.Dataset | xr.DataArray):
        if sample_dims is not None:
            raise DataError("sample_dims=... needs an xarray object: these data have no dimensions")
        return _pick(_bare(data, names), names)
    variables = _variables(data, names)
    dims = _feature_dims(data, variables, _listed(sample_dims), feature_dim)
    rows = _labelled(data, variables, dims)
    return _pick(rows, names) if isinstance(data, xr.DataArray) else rows


def rows_like(data: Any, fitted: Features) -> Rows:
    """The rows in `data` with the features of the data that a model was fitted to, in their order.

    Raises
    ------
    DataError
        If they are not all there.
    """
    names = None if fitted.names is None else list(fitted.names)
    wanted = names if fitted.variables is None else list(fitted.variables)
    data = open_labelled(data, wanted)
    if not isinstance(data, xr.Dataset | xr.DataArray):
        return _pick(_bare(data, names), names, strict=False)
    variables, dims = _variables(data, wanted), fitted.dims
    there = [dim for variable in variables.values() for dim in variable.dims]
    single = isinstance(data, xr.DataArray)
    if dims is None or (single and len(fitted.variables or ()) > 1):
        dims = _usual(there) or (tuple(there[-1:]) if single else ())
    if single and not set(dims) <= set(there):
        raise DataError(
            f"the features lie along {dims} in what the model was fitted to, and the data have "
            f"{data.dims}"
        )
    rows = _labelled(data, variables, tuple(dim for dim in dims if dim in there))
    return _pick(rows, names, strict=False)


def _listed(names: Sequence[Hashable] | str | None) -> list[Hashable] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _bare(data: Any, names: list[Hashable] | None) -> Rows:
    """Rows of arrays and tables, which have no dimensions."""
    if not hasattr(data, "columns"):
        return Rows(data)
    if names is not None and set(names) <= set(data.columns):
        data = data[names]
    # Dask's tables have partitions, which stay the chunks.
    table = data.to_dask_array() if hasattr(data, "to_dask_array") else data.to_numpy()
    return Rows(table, Features(np.asarray(data.columns)))


def _variables(
    data: xr.Dataset | xr.DataArray, names: list[Hashable] | None
) -> dict[Hashable, xr.DataArray]:
    """The variables that hold the features, in their order."""
    if isinstance(data, xr.DataArray):
        return {data.name: data}
    for name in names or []:
        if name not in data.variables:
            raise DataError(f"the Dataset has no variable {name!r}; it has {list(data.data_vars)}")
    return {name: data[name] for name in (list(data.data_vars) if names is None else names)}


def _usual(dims: Sequence[Hashable]) -> tuple[Hashable, ...]:
    return tuple([dim for dim in ("feature", "variable") if dim in dims][:1])


def _feature_dims(
    data: xr.Dataset | xr.DataArray,
    variables: Mapping[Hashable, xr.DataArray],
    sample_dims: list[Hashable] | None,
    feature_dim: Hashable | None,
) -> tuple[Hashable, ...]:
    """The dimensions that hold features."""
    there = list(dict.fromkeys(dim for v in variables.values() for dim in v.dims))
    for dim in [*(sample_dims or []), *([] if feature_dim is None else [feature_dim])]:
        if dim not in there:
            raise DataError(f"there is no dimension {dim!r}; the data have {tuple(there)}")
    if sample_dims is not None:
        if feature_dim in sample_dims:
            raise DataError(f"{feature_dim!r} is both the feature_dim and one of the sample_dims")
        return tuple(dim for dim in there if dim not in sample_dims)
    feature_dims = _usual(there) if feature_dim is None else (feature_dim,)
    if isinstance(data, xr.DataArray) and not feature_dims:
        if len(there) > 2:
            raise DataError(
                f"which of the dimensions {data.dims} holds the features? Pass feature_dim=..., or "
                "sample_dims=[...], the dimensions that number the rows"
            )
        return tuple(there[-1:])
    shapes = {name: [d for d in v.dims if d not in feature_dims] for name, v in variables.items()}
    if len({frozenset(shape) for shape in shapes.values()}) > 1:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"the variables have different dimensions: {listed}. Choose among them with "
            "features=[...], or pass sample_dims=[...], the dimensions that number the rows: "
            "others become columns, and a variable is repeated along those that it lacks"
        )
    return feature_dims


def _labelled(
    data: xr.Dataset | xr.DataArray,
    variables: Mapping[Hashable, xr.DataArray],
    feature_dims: tuple[Hashable, ...],
) -> Rows:
    """Rows of `variables`, whose dims but for `feature_dims` number the rows."""
    by_size = sorted(variables.values(), key=lambda variable: -variable.ndim)
    dims = dict.fromkeys(dim for variable in by_size for dim in variable.dims)
    sample_dims = tuple(dim for dim in dims if dim not in feature_dims)
    labels = labels_of(data, sample_dims)
    if isinstance(data, xr.DataArray) and len(feature_dims) == 1:
        index = data.indexes.get(feature_dims[0])
        features = Features(None if index is None else index.to_numpy(), feature_dims)
        return Rows(data.transpose(..., *feature_dims).data, features, labels, sample_dims)
    array, notes = stack(variables, sample_dims)
    names = np.array([n for v in variables.items() for n in _names(*v, feature_dims)])
    chosen = tuple(variables) if isinstance(data, xr.Dataset) else None
    features = Features(names if chosen or data.name is not None else None, feature_dims, chosen)
    return Rows(array, features, labels, sample_dims, notes)


def _names(name: Hashable, variable: xr.DataArray, feature_dims: tuple[Hashable, ...]) -> list[str]:
    """What the columns are called that a variable is flattened into."""
    axes = [
        variable.indexes[dim] if dim in variable.indexes else range(variable.sizes[dim])
        for dim in variable.dims
        if dim in feature_dims
    ]
    places = [", ".join(map(str, place)) for place in product(*axes)]
    return [f"{name}[{place}]" if place else str(name) for place in places]


def _pick(rows: Rows, names: list[Hashable] | None, strict: bool = True) -> Rows:
    """`rows` with the features `names`, in that order.

    Where `strict` is false, features that have no names are taken for those.
    """
    labels = rows.features.names
    found = None if labels is None else list(labels)
    if names is None or (found is None and not strict) or found == names:
        return rows
    if labels is None or found is None:
        raise DataError("features=[...] needs data whose features have names, and these have none")
    if not set(names) <= set(found) or len(set(found)) < len(found):
        verb = "you asked for" if strict else "the model was fitted to"
        raise DataError(
            f"the features are {', '.join(map(str, found))}, but {verb} "
            f"{', '.join(map(str, names))}"
        )
    order = [found.index(name) for name in names]
    features = replace(rows.features, names=labels[order])
    return replace(rows, array=as_array(rows.array)[..., order], features=features)
