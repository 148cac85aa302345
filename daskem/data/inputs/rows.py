"""From anything that holds rows to an array of them, with the labels of rows and features aside."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.inputs.arrays import Array, check_numbers, opened, without_mask, without_objects
from daskem.data.inputs.categories import Chosen, coded
from daskem.data.inputs.categories import notes as told_of
from daskem.data.inputs.columns import stack
from daskem.data.inputs.dimensions import Variables, dims_of_features
from daskem.data.inputs.grids import grids_of
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.named_riders import beside
from daskem.data.inputs.names import Features, Rows, labels_of
from daskem.data.inputs.naming import check_names
from daskem.data.inputs.sources import Table, opened_source
from daskem.data.inputs.sources.declared import decoded
from daskem.data.inputs.wanted import Wanted, ending_in, listed, order_of, picked
from daskem.errors import DataError, DataTypeError

# Columns that a note writes out.
_SHOWN = 9
_ALL = (
    "the features are all columns that there are, {}; choose among them with features=[...], so "
    "that none is an identifier"
)


def as_rows(
    data: Data,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    beside: Sequence[Hashable] = (),
    sequence_dim: Hashable | None = None,
    categories: Chosen | None = None,
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
    beside : sequence of str
        Columns, variables or coordinates that ride along with the rows.
    sequence_dim : str, optional
        The dimension along which rows follow one another; it becomes the last of the rows.
    categories : callable, optional
        ``names -> names``: which columns of a table may be strings, or categoricals of pandas, of
        which the rows have the codes.

    Raises
    ------
    DataError
        If there is no such dimension or variable, or it could be any of several.
    """
    samples = listed(sample_dims)
    rows = _rows(
        data,
        Wanted(
            listed(features),
            sample_dims=None if samples is None else tuple(samples),
            feature_dims=None if feature_dim is None else (feature_dim,),
            beside=beside,
            sequence_dim=sequence_dim,
            categories=categories,
        ),
    )
    check_names(rows.features.names, rows.features.variables)
    return rows


def rows_like(data: Data, fitted: Features, beside: Sequence[Hashable] = ()) -> Rows:
    """The rows in `data` with the features of the data that a model was fitted to, in their order.

    Raises
    ------
    DataError
        If they are not all there.
    """
    names = None if fitted.names is None else list(fitted.names)
    return _rows(
        data,
        Wanted(
            names,
            fitted.variables,
            feature_dims=fitted.dims,
            fitted=True,
            beside=beside,
            sequence_dim=fitted.sequence_dim,
            labels=fitted.labels,
        ),
    )


def _rows(data: Any, wanted: Wanted) -> Rows:
    data = opened_source(data, wanted.of_group)
    riders = beside(data, wanted.beside)
    if not isinstance(data, xr.Dataset | xr.DataArray):
        if wanted.sample_dims is not None:
            raise DataError("sample_dims=... needs an xarray object: these data have no dimensions")
        if wanted.sequence_dim is not None and not wanted.fitted:
            raise DataError(
                "sequence_dim=... needs an xarray object: these data have no dimensions; pass "
                "lengths=[...], the rows of each sequence"
            )
        rows = _tabular(data, wanted) if isinstance(data, Table) else _opened(data, Features())
        return replace(rows if isinstance(data, Table) else picked(rows, wanted), beside=riders)
    variables = _variables(data, wanted)
    feature_dims = dims_of_features(variables, wanted, isinstance(data, xr.DataArray))
    rows = _labelled(data, variables, feature_dims, wanted.sequence_dim)
    if rows.is_point and not wanted.fitted:
        shape = tuple(data.sizes.values())
        raise DataError(
            f"Expected rows and features, got an array of shape {shape}. Reshape your data with "
            "array.reshape(-1, 1) if it has a single feature, or data.expand_dims('sample') if it "
            "is a single row"
        )
    # The variables of a Dataset have been picked already.
    whole = not wanted.fitted and isinstance(data, xr.Dataset)
    return replace(rows if whole else picked(rows, wanted), beside=riders)


def _tabular(table: Table, wanted: Wanted) -> Rows:
    """Rows of the columns of a table."""
    names = table.names
    notes: tuple[str, ...] = ()
    places = order_of(names, wanted)
    if places is None:
        chosen = wanted.features or ()
        places = [i for i, n in enumerate(names) if n in chosen or n not in wanted.beside]
    table, labels = coded(table, places, wanted.categories, wanted.labels)
    check_numbers(table, places)
    if wanted.features is None and not wanted.fitted:
        shown = ", ".join(map(str, names[places][:_SHOWN]))
        more = f", ... {len(places):,} in all" if len(places) > _SHOWN else ""
        notes = (_ALL.format(shown + more),)
    notes = (*notes, *told_of(labels)) if not wanted.fitted else notes
    rows = _opened(table.rows(places), Features(names[places], labels=labels), notes=notes)
    return replace(rows, table=table)


def _opened(
    values: Array,
    features: Features,
    labels: xr.Dataset | None = None,
    dims: tuple[Hashable, ...] = (),
    notes: tuple[str, ...] = (),
) -> Rows:
    array, gathered = opened(values)
    return Rows(array, features, labels, dims, notes=(*notes, *gathered))


def _variables(data: xr.Dataset | xr.DataArray, wanted: Wanted) -> Variables:
    """The variables that hold the features, in their order."""
    if isinstance(data, xr.DataArray):
        return {data.name: _bare(data, "the DataArray")}
    names = wanted.members
    of_model = " that the model was fitted to" if wanted.fitted else ""
    for name in names or []:
        if name not in data.variables:
            present = list(data.data_vars)
            raise DataError(f"the Dataset has no variable {name!r}{of_model}; it has {present}")
    if names is None:
        names = [name for name in data.data_vars if name not in wanted.beside]
    if not names:
        raise DataError(
            f"the Dataset has no data variables that could be features, only {list(data.variables)}"
            "; choose among its coordinates with features=[...], or data.reset_coords()"
        )
    return {name: _bare(data[name], f"variable {name!r}") for name in names}


def _bare(variable: xr.DataArray, what: str) -> xr.DataArray:
    """A variable whose values are an array without units or masks, and decoded."""
    if len(set(variable.dims)) < variable.ndim:
        raise DataError(
            f"{what} has a dimension twice, {variable.dims}, and nobody knows which is meant; make "
            "it again with a name for each of its axes"
        )
    values = opened_source(variable.data)
    if isinstance(values, Table):
        raise DataTypeError(
            f"{what} has the fields {list(values.names)} in each of its values; make a variable of "
            "each, data.data[field], in a Dataset"
        )
    if isinstance(values, da.Array):
        values = without_mask(values)
    elif isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = without_objects(values)
    values = decoded(values, variable.attrs, what)
    return variable if values is variable.data else variable.copy(data=values)


def _labelled(
    data: xr.Dataset | xr.DataArray,
    variables: Variables,
    feature_dims: tuple[Hashable, ...],
    sequence_dim: Hashable | None,
) -> Rows:
    """Rows of `variables`, whose dims but for `feature_dims` number the rows."""
    by_size = sorted(variables.values(), key=lambda variable: -variable.ndim)
    dims = dict.fromkeys(dim for variable in by_size for dim in variable.dims)
    order = tuple(dim for dim in dims if dim not in feature_dims)
    sample_dims = order if sequence_dim is None else ending_in(sequence_dim, order, feature_dims)
    rows = _arranged(data, variables, feature_dims, sample_dims)
    features = replace(rows.features, sequence_dim=sequence_dim)
    return replace(rows, order=order, features=features)


def _arranged(
    data: xr.Dataset | xr.DataArray,
    variables: Variables,
    feature_dims: tuple[Hashable, ...],
    sample_dims: tuple[Hashable, ...],
) -> Rows:
    """Rows of `variables` along `sample_dims`, in this order."""
    labels = labels_of(data, sample_dims)
    grids = grids_of(variables, feature_dims, isinstance(data, xr.DataArray))
    if isinstance(data, xr.DataArray) and len(feature_dims) == 1:
        index = data.indexes.get(feature_dims[0])
        features = Features(None if index is None else index.to_numpy(), feature_dims, grids=grids)
        (variable,) = variables.values()
        array = variable.transpose(*sample_dims, *feature_dims).data
        return _opened(_row(array, sample_dims), features, labels, sample_dims)
    array, notes = stack(variables, sample_dims)
    array = _row(array, sample_dims)
    names = np.array([n for v in variables.items() for n in _names(*v, feature_dims)])
    chosen = tuple(variables) if isinstance(data, xr.Dataset) else None
    named = chosen or data.name is not None
    features = Features(names if named else None, feature_dims, chosen, grids)
    return _opened(array, features, labels, sample_dims, notes)


def _row(array: Array, sample_dims: tuple[Hashable, ...]) -> Array:
    """A single point, which no dimension numbers, as one row."""
    return array if sample_dims else array[None]


def _names(name: Hashable, variable: xr.DataArray, feature_dims: tuple[Hashable, ...]) -> list[str]:
    """What the columns are called that a variable is flattened into."""
    axes = [
        variable.indexes[dim] if dim in variable.indexes else range(variable.sizes[dim])
        for dim in variable.dims
        if dim in feature_dims
    ]
    places = [", ".join(map(str, place)) for place in product(*axes)]
    return [f"{name}[{place}]" if place else str(name) for place in places]
