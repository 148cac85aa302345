"""From anything that holds rows to an array of them, with the labels of rows and features aside."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from daskem.data.inputs.arrays import is_a, opened
from daskem.data.inputs.columns import stack
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.names import Features, Rows, labels_of
from daskem.data.inputs.stores import open_labelled
from daskem.errors import DataError

Variables = Mapping[Hashable, xr.DataArray]


@dataclass(frozen=True)
class _Wanted:
    """Which features somebody wants, and what is known of the dimensions.

    Attributes
    ----------
    features : list of str, or None
        What they are called; None for all.
    variables : tuple of str, or None
        The variables that they are in, where these have other names.
    sample_dims, feature_dims : tuple of str, or None
        The dimensions that number the rows, and those that hold features.
    fitted : bool
        Whether a model wants them. Features that have no names are then taken for its own, and its
        dimensions are looked for among those that there are.
    """

    features: list[Hashable] | None
    variables: tuple[Hashable, ...] | None = None
    sample_dims: tuple[Hashable, ...] | None = None
    feature_dims: tuple[Hashable, ...] | None = None
    fitted: bool = False

    @property
    def members(self) -> list[Hashable] | None:
        """What to take of a Dataset or of a group."""
        return self.features if self.variables is None else list(self.variables)


def as_rows(
    data: Data,
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
    samples = _listed(sample_dims)
    return _rows(
        data,
        _Wanted(
            _listed(features),
            sample_dims=None if samples is None else tuple(samples),
            feature_dims=None if feature_dim is None else (feature_dim,),
        ),
    )


def rows_like(data: Data, fitted: Features) -> Rows:
    """The rows in `data` with the features of the data that a model was fitted to, in their order.

    Raises
    ------
    DataError
        If they are not all there.
    """
    names = None if fitted.names is None else list(fitted.names)
    return _rows(data, _Wanted(names, fitted.variables, feature_dims=fitted.dims, fitted=True))


def _rows(data: Any, wanted: _Wanted) -> Rows:
    data = open_labelled(data, wanted.members)
    if not isinstance(data, xr.Dataset | xr.DataArray):
        if wanted.sample_dims is not None:
            raise DataError("sample_dims=... needs an xarray object: these data have no dimensions")
        return _unlabelled(data, wanted)
    variables = _variables(data, wanted.members)
    rows = _labelled(data, variables, _feature_dims(data, variables, wanted))
    # The variables of a Dataset have been picked already.
    return _pick(rows, wanted) if wanted.fitted or isinstance(data, xr.DataArray) else rows


def _listed(names: Sequence[Hashable] | str | None) -> list[Hashable] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _unlabelled(data: Any, wanted: _Wanted) -> Rows:
    """Rows of arrays and tables, which have no dimensions."""
    lazy = is_a(data, "dask.dataframe", "DataFrame")
    if not lazy and not is_a(data, "pandas", "DataFrame"):
        return _pick(_opened(data, Features()), wanted)
    if _order(np.asarray(data.columns), wanted) is not None:
        data = data[wanted.features]
    # Dask's tables have partitions, which stay the chunks.
    table = data.to_dask_array() if lazy else data.to_numpy()
    return _opened(table, Features(np.asarray(data.columns)))


def _opened(
    values: Any,
    features: Features,
    labels: xr.Dataset | None = None,
    dims: tuple[Hashable, ...] = (),
    notes: tuple[str, ...] = (),
) -> Rows:
    array, gathered = opened(values)
    return Rows(array, features, labels, dims, (*notes, *gathered))


def _variables(data: xr.Dataset | xr.DataArray, names: list[Hashable] | None) -> Variables:
    """The variables that hold the features, in their order."""
    if isinstance(data, xr.DataArray):
        return {data.name: data}
    for name in names or []:
        if name not in data.variables:
            raise DataError(f"the Dataset has no variable {name!r}; it has {list(data.data_vars)}")
    return {name: data[name] for name in (list(data.data_vars) if names is None else names)}


def _feature_dims(
    data: xr.Dataset | xr.DataArray, variables: Variables, wanted: _Wanted
) -> tuple[Hashable, ...]:
    """The dimensions that hold features; all others number the rows."""
    dims = tuple(dict.fromkeys(dim for v in variables.values() for dim in v.dims))
    if not wanted.fitted:
        _check_there(dims, wanted)
    if wanted.sample_dims is not None:
        return tuple(dim for dim in dims if dim not in wanted.sample_dims)
    single = isinstance(data, xr.DataArray)
    feature_dims = wanted.feature_dims
    # An array may hold what were several variables along a dimension of its own.
    if feature_dims is None or (single and len(wanted.variables or ()) > 1):
        feature_dims = tuple([dim for dim in ("feature", "variable") if dim in dims][:1])
        if single and not feature_dims:
            feature_dims = _last(dims, wanted.fitted)
    if not wanted.fitted:
        _check_alike(variables, feature_dims)
    elif single and not set(feature_dims) <= set(dims):
        raise DataError(
            f"the features lie along {feature_dims} in what the model was fitted to, and the data "
            f"have {dims}"
        )
    return tuple(dim for dim in feature_dims if dim in dims)


def _check_there(dims: tuple[Hashable, ...], wanted: _Wanted) -> None:
    """Raise DataError unless the dimensions that somebody names are there, each with one role."""
    samples, features = wanted.sample_dims or (), wanted.feature_dims or ()
    for dim in (*samples, *features):
        if dim not in dims:
            raise DataError(f"there is no dimension {dim!r}; the data have {dims}")
        if dim in samples and dim in features:
            raise DataError(f"{dim!r} is both the feature_dim and one of the sample_dims")


def _last(dims: tuple[Hashable, ...], fitted: bool) -> tuple[Hashable, ...]:
    """The last dimension of an array, of two, or of as many as there are if a model is `fitted`."""
    if len(dims) > 2 and not fitted:
        raise DataError(
            f"which of the dimensions {dims} holds the features? Pass feature_dim=..., or "
            "sample_dims=[...], the dimensions that number the rows"
        )
    return dims[-1:]


def _check_alike(variables: Variables, feature_dims: tuple[Hashable, ...]) -> None:
    """Raise DataError unless the same dimensions number the rows of all variables."""
    shapes = {name: [d for d in v.dims if d not in feature_dims] for name, v in variables.items()}
    if len({frozenset(shape) for shape in shapes.values()}) > 1:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"the variables have different dimensions: {listed}. Choose among them with "
            "features=[...], or pass sample_dims=[...], the dimensions that number the rows: "
            "others become columns, and a variable is repeated along those that it lacks"
        )


def _labelled(
    data: xr.Dataset | xr.DataArray, variables: Variables, feature_dims: tuple[Hashable, ...]
) -> Rows:
    """Rows of `variables`, whose dims but for `feature_dims` number the rows."""
    by_size = sorted(variables.values(), key=lambda variable: -variable.ndim)
    dims = dict.fromkeys(dim for variable in by_size for dim in variable.dims)
    sample_dims = tuple(dim for dim in dims if dim not in feature_dims)
    labels = labels_of(data, sample_dims)
    if isinstance(data, xr.DataArray) and len(feature_dims) == 1:
        index = data.indexes.get(feature_dims[0])
        features = Features(None if index is None else index.to_numpy(), feature_dims)
        return _opened(data.transpose(..., *feature_dims).data, features, labels, sample_dims)
    array, notes = stack(variables, sample_dims)
    names = np.array([n for v in variables.items() for n in _names(*v, feature_dims)])
    chosen = tuple(variables) if isinstance(data, xr.Dataset) else None
    features = Features(names if chosen or data.name is not None else None, feature_dims, chosen)
    return _opened(array, features, labels, sample_dims, notes)


def _names(name: Hashable, variable: xr.DataArray, feature_dims: tuple[Hashable, ...]) -> list[str]:
    """What the columns are called that a variable is flattened into."""
    axes = [
        variable.indexes[dim] if dim in variable.indexes else range(variable.sizes[dim])
        for dim in variable.dims
        if dim in feature_dims
    ]
    places = [", ".join(map(str, place)) for place in product(*axes)]
    return [f"{name}[{place}]" if place else str(name) for place in places]


def _pick(rows: Rows, wanted: _Wanted) -> Rows:
    """`rows` with the features that are wanted, in that order."""
    labels = rows.features.names
    order = _order(labels, wanted)
    if labels is None or order is None:
        return rows
    features = replace(rows.features, names=labels[order])
    return replace(rows, array=rows.array[..., order], features=features)


def _order(labels: np.ndarray | None, wanted: _Wanted) -> list[int] | None:
    """Where among `labels` the features are that are wanted; None if nothing need be moved."""
    names = wanted.features
    if names is None or (labels is None and wanted.fitted):
        return None
    if labels is None:
        raise DataError("features=[...] needs data whose features have names, and these have none")
    present = list(labels)
    if present == names:
        return None
    if not set(names) <= set(present) or len(set(present)) < len(present):
        verb = "the model was fitted to" if wanted.fitted else "you asked for"
        raise DataError(
            f"the features are {', '.join(map(str, present))}, but {verb} "
            f"{', '.join(map(str, names))}"
        )
    return [present.index(name) for name in names]
