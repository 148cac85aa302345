"""What a zarr store does not say: chunks that it lacks read as its fill value, bits may change."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync

from daskem.core.addresses import hidden
from daskem.data.inputs.checksums import unchecked
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.sources.zarr_stores import address, is_address, is_index
from daskem.errors import MissingChunksError, ParameterError

_CHOICES = ("raise", "fill")
# Chunks that an error names one by one.
_SHOWN = 3


def absent_chunks(data: Data, features: Sequence[Hashable] | None, missing: str) -> tuple[str, ...]:
    """Notes on chunks that the stores of the data lack, found by listing them; nothing is read.

    And on stores that have no checksums, whose chunks may be damaged without a word.

    Parameters
    ----------
    data : anything
        Paths, URLs, zarr arrays and groups, and what xarray has opened and not changed, are looked
        at.
    features : sequence of str or None
        Which arrays of a group are used.
    missing : {"raise", "fill"}
        Whether such chunks are an error. None are where the fill value is NaN.

    Raises
    ------
    MissingChunksError
        If there are such chunks; says which, of which store, and what to do.
    ParameterError
        If `missing` is something else.
    """
    if missing not in _CHOICES:
        raise ParameterError(f"missing_chunks={missing!r} is not one of {list(_CHOICES)}")
    notes, arrays = [], list(_arrays(data, features))
    for array in arrays:
        absent = _absent(array)
        if absent and missing == "raise":
            raise MissingChunksError(
                f"{_note(array, absent)}. Write them (zarr leaves out chunks that hold nothing "
                "but the fill value unless its config array.write_empty_chunks is set), or, if "
                'that value is meant, pass missing_chunks="fill" (--missing-chunks fill)'
            )
        if absent:
            notes.append(_note(array, absent))
    return (*notes, *unchecked(arrays))


def _note(array: zarr.Array, absent: Sequence[tuple[int, ...]]) -> str:
    chunks = ", ".join(str(index[0] if len(index) == 1 else index) for index in absent[:_SHOWN])
    more = f" and {len(absent) - _SHOWN:,} more" if len(absent) > _SHOWN else ""
    n_chunks = int(np.prod(_grid(array)))
    return (
        f"{hidden(str(array.store_path))} lacks {len(absent):,} of {n_chunks:,} chunks: {chunks}"
        f"{more}; they are read as {array.fill_value}"
    )


def _arrays(data: Data, features: Sequence[Hashable] | None) -> Iterator[zarr.Array]:
    """The arrays of numbers in stores that the features are read from."""
    node, like = _opened(data), data if isinstance(data, xr.Dataset) else None
    if isinstance(node, zarr.Array):
        yield node
    for name, array in node.arrays() if isinstance(node, zarr.Group) else ():
        used = not is_index(name, array) if features is None else name in features
        if like is not None:
            used &= name in like.data_vars and like[name].shape == array.shape
        if used and array.dtype.kind in "fiub":
            yield array


def _opened(data: Data) -> zarr.Array | zarr.Group | None:
    """The node of a store that data come from; None where that is not known."""
    if isinstance(data, zarr.Array | zarr.Group):
        return data
    where: Any = data.encoding.get("source") if isinstance(data, xr.Dataset) else data
    where = address(where) if is_address(where) else where
    if not isinstance(where, str | Store):
        return None
    try:
        return zarr.open(where, mode="r")
    except Exception:  # Whoever opens them next says what is wrong.
        return None


def _absent(array: zarr.Array) -> list[tuple[int, ...]]:
    """Indices of the stored chunks (shards, where there are any) that are not in the store."""
    fill = array.fill_value
    code = array.attrs.get("_FillValue")
    if fill is not None and (fill != fill or (code is not None and code == fill)):
        return []  # They are read as missing values.
    present = set(_listed(array))
    if not present & {"zarr.json", ".zarray"}:
        return []  # Not even what describes the array is listed: this store cannot be.
    encode = array.metadata.encode_chunk_key
    return [index for index in np.ndindex(*_grid(array)) if encode(index) not in present]


def _grid(array: zarr.Array) -> tuple[int, ...]:
    """How many objects the array is stored in, along each axis."""
    sizes = array.shards or array.chunks
    return tuple(-(-n // size) for n, size in zip(array.shape, sizes, strict=True))


def _listed(array: zarr.Array) -> list[str]:
    """The keys of what is stored of an array; empty where a store does not say."""
    path = f"{array.path}/" if array.path else ""

    async def keys() -> list[str]:
        # As `nchunks_initialized` does, which looks every chunk up in a list of all.
        return [key.removeprefix(path) async for key in array.store.list_prefix(path)]

    try:
        return sync(keys())
    except Exception:
        return []
