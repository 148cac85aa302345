"""From arrays of rows to blocks of them: with what rides along, and in sequences."""

import dask.array as da
import numpy as np

from daskem.data.blocks import WEIGHT
from daskem.data.blocks.dask import DaskBlocks
from daskem.data.blocks.joining import Omit
from daskem.data.blocks.local import LocalBlocks
from daskem.data.cluster.memory import CACHES
from daskem.data.inputs.arrays import Array
from daskem.data.inputs.kinds import Lengths, Riders, Values
from daskem.data.inputs.lengths import cut
from daskem.data.inputs.riders import as_riders
from daskem.errors import ParameterError

# Which rows are left out, by what is to become of those that lack values.
MISSING: dict[str, Omit] = {"raise": "none", "omit": "any", "model": "all"}


def as_blocks(
    array: Array,
    weights: Values | None = None,
    missing: str = "raise",
    cache: str = "none",
    *,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    origin: str = "the data",
) -> LocalBlocks | DaskBlocks:
    """Blocks of the rows of an array.

    Parameters
    ----------
    array : ndarray or dask Array, (..., feature)
        As `opened` returns it.
    weights : array-like, (...), optional
        How many times each row counts.
    missing : {"raise", "omit", "model"}
        Whether rows with any NaN are left out, or those that have nothing else, rather than met by
        whoever cannot use them.
    cache : {"auto", "memory", "none"}
        Whether chunks of Dask arrays are kept in memory after they are first read.
    along : mapping of str to array-like, (..., *own axes), optional
        Other arrays that belong to the rows, by name.
    lengths : sequence of int, or int, optional
        Rows of every sequence, in the order of the flattened rows; no sequence is parted.
    origin : str
        What errors call the data.

    Raises
    ------
    DataError
        If `weights`, `along` or `lengths` do not match the rows.
    ParameterError
        If `missing` or `cache` is something else.
    """
    for name, value, known in (("missing", missing, MISSING), ("cache", cache, CACHES)):
        if value not in known:
            raise ParameterError(f"{name}={value!r} is not one of {list(known)}")
    array, edges, notes = cut(array, lengths)
    given = {} if weights is None else {WEIGHT: weights}
    riders = as_riders({**given, **(along or {})}, array)
    omit, (*samples, n_features) = MISSING[missing], array.shape
    if isinstance(array, da.Array):
        return DaskBlocks(array, riders, omit, cache, notes, edges, origin=origin)
    n_rows, n_axes = int(np.prod(samples)), len(samples)
    flat = {name: r.reshape(n_rows, *r.shape[n_axes:]) for name, r in riders.items()}
    in_memory = None if edges is None else np.asarray(edges)
    return LocalBlocks(array.reshape(n_rows, n_features), flat, omit, edges=in_memory)
