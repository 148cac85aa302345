"""What chunks must be, plain arrays in which NaN is missing, and what becomes of other kinds."""

import numpy as np

from daskem.errors import DataTypeError


def plain_numbers(chunk: object) -> np.ndarray:
    """A chunk of rows as an array of numbers.

    Raises
    ------
    DataTypeError
        If it has none, whatever its collection has said.
    """
    array = plain(chunk)
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise DataTypeError(
            f"chunks of the data are {array.dtype} of shape {array.shape}, although they were said "
            "to be rows of numbers; make them such, for instance with "
            "array.map_blocks(lambda chunk: chunk.astype(float))"
        )
    return array


def plain(chunk: object) -> np.ndarray:
    """A chunk as an array of no special kind; values under a mask become NaN.

    Raises
    ------
    DataTypeError
        If there is no array in it, as in a sparse one.
    """
    if isinstance(chunk, np.ma.MaskedArray):
        if chunk.mask is np.ma.nomask or not chunk.mask.any() or chunk.dtype.kind not in "fiub":
            return np.asarray(chunk.data)
        real = chunk.dtype if chunk.dtype.kind == "f" else np.dtype(np.float64)
        return np.where(np.ma.getmaskarray(chunk), real.type(np.nan), chunk.data.astype(real))
    if isinstance(chunk, np.ndarray):
        return chunk
    try:
        return np.asarray(chunk)
    except Exception as error:
        kind = f"{type(chunk).__module__}.{type(chunk).__qualname__}"
        raise DataTypeError(
            f"chunks of the data are {kind}, which does not become a NumPy array ({error!s:.120}); "
            "make them such, for instance with array.map_blocks(lambda chunk: chunk.todense()), or "
            "chunk.get() of those on a GPU"
        ) from error
