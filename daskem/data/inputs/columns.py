"""Variables become the columns of rows, chunk by chunk: nothing is stacked, and no index made."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import format_bytes

from daskem.data.blocks.plain import plain
from daskem.data.inputs.arrays import CATEGORIES, Array, features_in_one_chunk
from daskem.errors import DataTypeError

_GATHERED = (
    "{} lies in chunks of {} along {}, and is gathered into rows in every pass; a store that is "
    "read often is better written with whole rows in each chunk"
)
_ALIGNED = (
    "the variables are chunked differently, and are cut to common chunks in every pass: {}. A "
    "chunk that is cut is read once, and held until all its pieces are used; a store that is read "
    "often is better written with the same chunks for every variable"
)


@dataclass(frozen=True)
class _Part:
    """Some columns of the rows.

    Attributes
    ----------
    values : array, (*samples, column), or (*samples) where it is a single column
    axes : tuple of int
        Which of the sample dimensions it has.
    """

    values: Array
    axes: tuple[int, ...]

    def index(self, column: Hashable) -> tuple[Hashable, ...]:
        """Names of the axes of `values`, as `dask.array.blockwise` wants them."""
        return (*self.axes, column)[: self.values.ndim]

    def place(self, n_axes: int) -> tuple[slice | None, ...]:
        """What makes (*all samples, column) of a chunk: new axes where there are none."""
        axes = {*self.axes, *([n_axes] if self.values.ndim > len(self.axes) else [])}
        return tuple(slice(None) if axis in axes else None for axis in range(n_axes + 1))


def stack(
    variables: Mapping[Hashable, xr.DataArray], sample_dims: Sequence[Hashable]
) -> tuple[Array, tuple[str, ...]]:
    """Rows (*sample_dims, feature), and what had to be done to the chunks.

    The columns of one variable follow those of another. Dimensions that are not among
    `sample_dims` are flattened into columns; along sample dimensions that it lacks, a variable is
    repeated.

    Raises
    ------
    DataTypeError
        If a variable does not hold real numbers.
    """
    for name, variable in variables.items():
        if variable.dtype.kind not in "fiub":
            raise DataTypeError(
                f"variable {name!r} is {variable.dtype}; features must be real numbers. Choose "
                f"those that are with features=[...]. {CATEGORIES}, as in data.to_dataframe()"
            )
    parts, notes = [_part(variable, sample_dims) for variable in variables.values()], []
    for name, variable in variables.items():
        # Of the variable alone: its coordinates may lie in other chunks.
        lengths = variable.variable.chunksizes
        others = {dim: c for dim, c in lengths.items() if dim not in sample_dims}
        notes += [_GATHERED.format(name, c, dim) for dim, c in others.items() if len(c) > 1]
    if any(isinstance(part.values, da.Array) for part in parts):
        parts, note = _aligned(variables, parts)
        return _blockwise(parts, len(sample_dims)), (*notes, *note)
    places = [part.place(len(sample_dims)) for part in parts]
    return _rows(*(np.asarray(part.values) for part in parts), places=places), ()


def _part(variable: xr.DataArray, sample_dims: Sequence[Hashable]) -> _Part:
    axes = tuple(axis for axis, dim in enumerate(sample_dims) if dim in variable.dims)
    others = [dim for dim in variable.dims if dim not in sample_dims]
    values = variable.transpose(*(sample_dims[axis] for axis in axes), *others).data
    if isinstance(values, da.Array):
        values = features_in_one_chunk(values, len(others))
    if len(others) > 1:
        values = values.reshape(*values.shape[: len(axes)], -1)
    return _Part(values if isinstance(values, da.Array) else np.asarray(values), axes)


def _aligned(
    variables: Mapping[Hashable, xr.DataArray], parts: Sequence[_Part]
) -> tuple[list[_Part], list[str]]:
    """`parts` as Dask arrays that are cut at the same places along their sample axes."""
    arrays = [da.asarray(part.values) for part in parts]
    # Columns lie in one chunk each, and there need not be as many in one variable as in another.
    indices = [part.index(("columns", k)) for k, part in enumerate(parts)]
    pairs = chain.from_iterable(zip(arrays, indices, strict=True))
    _, cut = da.core.unify_chunks(*pairs, warn=False)
    changes = [
        f"{name}, {a.npartitions:,} chunks of {format_bytes(_largest(a))}, into "
        f"{b.npartitions:,} of {format_bytes(_largest(b))}"
        for (name, variable), a, b in zip(variables.items(), arrays, cut, strict=True)
        if variable.chunks is not None and a.numblocks != b.numblocks
    ]
    aligned = [replace(part, values=array) for part, array in zip(parts, cut, strict=True)]
    return aligned, [_ALIGNED.format("; ".join(changes))] if changes else []


def _blockwise(parts: Sequence[_Part], n_axes: int) -> da.Array:
    """One task for each chunk of rows, which dask fuses with those that load the variables."""
    widths = [part.values.shape[-1] if part.values.ndim > len(part.axes) else 1 for part in parts]
    wide = any(part.values.ndim > len(part.axes) for part in parts)
    grown = {n_axes: sum(widths)}
    return da.blockwise(
        _rows,
        range(n_axes + 1),
        *chain.from_iterable((part.values, part.index(n_axes)) for part in parts),
        places=[part.place(n_axes) for part in parts],
        token="rows",
        align_arrays=False,
        meta=np.empty((0,) * (n_axes + 1), np.result_type(*(part.values for part in parts))),
        **({"adjust_chunks": grown} if wide else {"new_axes": grown}),
    )


def _rows(*chunks: np.ndarray, places: Sequence[tuple[slice | None, ...]]) -> np.ndarray:
    columns = [plain(chunk)[place] for chunk, place in zip(chunks, places, strict=True)]
    shape = np.broadcast_shapes(*(column.shape[:-1] for column in columns))
    return np.concatenate(
        [np.broadcast_to(column, (*shape, column.shape[-1])) for column in columns], axis=-1
    )


def _largest(array: da.Array) -> int:
    return int(np.prod([max(lengths) for lengths in array.chunks]) * array.dtype.itemsize)
