"""Riders: arrays that belong to the rows, such as their weights, and go wherever these go."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskem.core.known_labels import COMPONENT
from daskem.data.blocks import WEIGHT
from daskem.data.inputs.arrays import Array, as_array, features_in_one_chunk
from daskem.data.inputs.kinds import Riders, Values
from daskem.data.inputs.names import Rows
from daskem.data.inputs.sources import Table, opened_source
from daskem.data.inputs.sources.declared import decoded
from daskem.errors import DataError, DataTypeError

_LABELS = (
    "labels are numbers of components, and these are none; pandas.Series(words).astype('category')"
    ".cat.codes numbers words as they are sorted, with -1 for what is missing"
)


def aligned(
    rows: Rows, sample_weight: Values | None = None, along: Riders | None = None
) -> dict[str, Any]:
    """The riders of `rows` by name, the weights first; labelled ones laid out by their dims.

    A rider is repeated along dimensions of the rows that it lacks. Dimensions of its own go last.

    Raises
    ------
    DataError
        If a rider has no dimension of the rows, or other coordinates along one.
    """
    riders = {} if sample_weight is None else {WEIGHT: sample_weight}
    for name, values in (along or {}).items():
        if name in riders:
            raise DataError(f"{name} is given twice, by itself and in along={{...}}")
        riders[name] = values
    if WEIGHT in riders:
        riders[WEIGHT] = _without_noise(riders[WEIGHT])
    return {name: _naming(name, _aligned, values, rows) for name, values in riders.items()}


def _naming(name: str, f: Callable[..., Any], values: Values, *args: Any) -> Any:
    """`f` of a rider, whose errors of type say which one it is, and of labels how to make them."""
    try:
        return f(name, values, *args)
    except DataTypeError as error:
        raise DataTypeError(f"{name}: {_LABELS if name == COMPONENT else error}") from error


def _aligned(name: str, values: Values, rows: Rows) -> Any:
    values = opened_source(rows.beside[values] if isinstance(values, str) else values)
    if isinstance(values, Table):
        return _like_index(name, values, rows)
    if not isinstance(values, xr.DataArray):
        return values
    array = as_array(values.data)
    values = values.copy(data=decoded(array, values.attrs, name))
    if rows.labels is None:
        return values.data
    own_dims = [dim for dim in values.dims if dim not in rows.dims]
    if own_dims and (name == WEIGHT or len(own_dims) == values.ndim):
        raise DataError(f"{name} has dims {values.dims}, but the rows have {rows.dims}")
    shape = rows.array.shape[:-1]
    if rows.is_point:
        return np.broadcast_to(np.asarray(values.data), (*shape, *values.shape))
    _check_coordinates(name, values, rows)
    axes = [axis for axis, dim in enumerate(rows.dims) if dim in values.dims]
    array = values.transpose(*(rows.dims[axis] for axis in axes), *own_dims).data
    place = tuple(slice(None) if dim in values.dims else None for dim in rows.dims)
    whole = tuple(values.sizes[dim] for dim in own_dims)
    if not isinstance(rows.array, da.Array):
        return np.broadcast_to(np.asarray(array)[place], (*shape, *whole))
    # In the chunks of the rows from the start: one chunk of them all would be as long as the data.
    chunks = rows.array.chunks[:-1]
    own_chunks = tuple((size,) for size in whole)
    array = da.asarray(array).rechunk((*(chunks[axis] for axis in axes), *own_chunks))
    return da.broadcast_to(array[place], (*shape, *whole), (*chunks, *own_chunks))


def _check_coordinates(name: str, values: xr.DataArray, rows: Rows) -> None:
    assert rows.labels is not None
    for dim, length in zip(rows.dims, rows.array.shape[:-1], strict=True):
        if dim not in values.dims:
            continue
        index, of_rows = values.indexes.get(dim), rows.labels.indexes.get(dim)
        other = index is not None and of_rows is not None and not index.equals(of_rows)
        if other or values.sizes[dim] != length:
            near = values.sizes[dim] == length
            way = f"assign_coords({dim}=data[{dim!r}])" if near else f"sel({dim}=data[{dim!r}])"
            raise DataError(
                f"{name} has other coordinates along {dim!r} than the rows; give it theirs, with "
                f"{name}.{way}{', if they are the same but for rounding' if near else ''}, or with "
                f"{name}.reindex({dim}=data[{dim!r}], method='nearest')"
            )


def _like_index(name: str, table: Table, rows: Rows) -> Array:
    """The only column of a table in the order of the rows, by the labels of both.

    Raises
    ------
    DataError
        If their labels are not the same.
    """
    of_rows = None if rows.table is None else rows.table.index
    values, of_table, index = as_array(table), table.index, of_rows
    if of_table is None or index is None or of_table.equals(index):
        return values
    places = of_table.get_indexer(index) if of_table.is_unique else np.full(len(index), -1)
    if len(of_table) != len(index) or (places < 0).any():
        lost = index[places < 0] if of_table.is_unique else index
        raise DataError(
            f"{name} has another index than the rows: {len(lost):,} of their {len(index):,} labels "
            f"are not in it just once, the first of them {list(lost[:1])}; give it theirs, or pass "
            "its to_numpy() if it is in the order of the rows"
        )
    return values[places]


def _without_noise(weights: Values) -> Any:
    """Zero where `weights` are negative by rounding only, as cos(lat) is at a pole in float32."""
    if isinstance(weights, xr.DataArray):
        return weights.copy(data=_without_noise(weights.data))
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f":
        return weights
    if isinstance(weights, np.memmap | np.ma.MaskedArray):
        return weights
    noise = np.finfo(weights.dtype).eps * np.abs(weights).max(initial=0)
    return np.where((weights < 0) & (weights >= -noise), 0, weights)


def as_riders(along: Riders, array: Array) -> dict[str, Any]:
    """What rides along with the rows of `array`: of the same kind as that, in the same chunks.

    Raises
    ------
    DataError, DataTypeError
        If one of them does not match the rows, or holds no real numbers.
    """
    return {name: _naming(name, _rider, values, array) for name, values in along.items()}


def _rider(name: str, values: Values, array: Array) -> Array:
    values = as_array(values)
    if values.dtype.kind not in "fiub":
        raise DataTypeError(
            f"{values.dtype}, where what rides along with rows must be real numbers"
        )
    n_axes = array.ndim - 1
    known = not np.isnan([*values.shape, *array.shape]).any()
    has_axes = values.ndim == n_axes if name == WEIGHT else values.ndim >= n_axes
    if not has_axes or (known and values.shape[:n_axes] != array.shape[:-1]):
        entry = "one number" if name == WEIGHT else "a number or an array"
        raise DataError(
            f"{name} has shape {values.shape}, but there should be {entry} for each of the rows, "
            f"{array.shape[:-1]}; a DataArray broadcasts by the names of its dimensions"
        )
    own_shape = values.shape[n_axes:]
    if isinstance(array, np.ndarray):
        return np.asarray(values, dtype=np.float64 if name == WEIGHT else None)
    if known:
        whole = tuple((length,) for length in own_shape)
        return da.asarray(values).rechunk((*array.chunks[:-1], *whole))
    if not isinstance(values, da.Array) or values.numblocks[:n_axes] != array.numblocks[:-1]:
        raise DataError(
            f"the rows are in chunks of unknown length, so {name} must be a Dask array in "
            f"chunks of the same rows, {array.numblocks[:-1]} of them: a column of the same table, "
            "or its name; of an array, call array.compute_chunk_sizes() first"
        )
    return features_in_one_chunk(values, len(own_shape))
