"""The format of a checkpoint, one flat file: no pickles, nothing that could be executed.

    magic    8 bytes
    version  uint32, and the length of the header, uint64, both little-endian
    sha256   32 bytes, of the header
    header   JSON: {"about": anything, "arrays": {name: [dtype, shape, axes, blob]},
             "blobs": [[bytes, sha256], ...]}
    blobs    the values of the arrays, one after the other; arrays of equal bytes share one

`axes` are those of the array in the order in which they lie in memory: a product of matrices may
depend on it in its last bits.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from daskem.errors import CheckpointError

MAGIC, VERSION = b"daskemCP", 1
_PREFIX = struct.Struct("<8sIQ32s")
# What params can be made of: no objects, which only a pickle can hold.
_KINDS = "biuf"
# No array has more dimensions in NumPy.
_MOST_DIMS = 64


def encode(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a checkpoint.

    Raises
    ------
    CheckpointError
        If an array is not of numbers, or JSON cannot hold `about`.
    """
    entries: dict[str, list[Any]] = {}
    numbers: dict[str, int] = {}
    blobs: list[bytes] = []
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise CheckpointError(f"{name} is of {array.dtype}: a checkpoint holds numbers only")
        axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        values = array.transpose(axes).astype(array.dtype.newbyteorder("<"), order="C").tobytes()
        digest = hashlib.sha256(values).hexdigest()
        if digest not in numbers:
            numbers[digest] = len(blobs)
            blobs.append(values)
        entries[name] = [array.dtype.newbyteorder("<").str, array.shape, axes, numbers[digest]]
    sizes = [[len(values), digest] for values, digest in zip(blobs, numbers, strict=True)]
    try:
        parts = {"about": about, "arrays": entries, "blobs": sizes}
        header = json.dumps(parts, default=np.generic.item).encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"a checkpoint cannot hold what JSON cannot: {error}") from error
    prefix = _PREFIX.pack(MAGIC, VERSION, len(header), hashlib.sha256(header).digest())
    return b"".join([prefix, header, *blobs])


def decode(content: bytes, place: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `encode` was given; `place` is what errors call it.

    Raises
    ------
    CheckpointError
        If it is no checkpoint, is damaged, or was written by a newer daskem.
    """
    start, header = _header(content, place)
    try:
        about, entries, sizes = header["about"], header["arrays"], header["blobs"]
        blobs = []
        for size, digest in sizes:
            blob = memoryview(content)[start : start + size]
            if not 0 <= size == len(blob) or hashlib.sha256(blob).hexdigest() != digest:
                raise ValueError(f"{len(blob)} of {size} bytes, or others, from byte {start}")
            blobs.append(blob)
            start += size
        if start != len(content):
            raise ValueError(f"{len(content) - start} bytes too many")
        arrays = {str(name): _array(blobs, *entry) for name, entry in entries.items()}
        return dict(about), arrays
    # Whatever the header holds: a damaged one may be anything that JSON can be.
    except Exception as error:
        raise CheckpointError(f"{place} is damaged: {error}") from error


def _header(content: bytes, place: str) -> tuple[int, dict[str, Any]]:
    """Where the blobs begin, and the header, if they are what the prefix says."""
    if len(content) < _PREFIX.size or not content.startswith(MAGIC):
        raise CheckpointError(f"{place} is no checkpoint of daskem: it does not begin like one")
    _, version, length, digest = _PREFIX.unpack_from(content)
    if version > VERSION:
        raise CheckpointError(
            f"{place} has format {version}, and this daskem reads up to {VERSION}: upgrade daskem"
        )
    start = _PREFIX.size + length
    header = content[_PREFIX.size : start]
    if version < 1 or len(header) != length or hashlib.sha256(header).digest() != digest:
        raise CheckpointError(f"{place} is damaged: its header is not what was written")
    try:
        return start, dict(json.loads(header))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{place} is damaged: {error}") from error


def _array(
    blobs: list[memoryview], dtype: str, shape: list[int], axes: list[int], number: int
) -> np.ndarray:
    """One array: a copy, so that the bytes need not be kept; sizes are known before it is made."""
    kind, blob = np.dtype(dtype), blobs[number]
    if kind.kind not in _KINDS or len(shape) > _MOST_DIMS or sorted(axes) != [*range(len(shape))]:
        raise ValueError(f"there are no arrays of {dtype} with shape {shape}")
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(blob):
        raise ValueError(f"{len(blob)} bytes are no array of {dtype} with shape {shape}")
    lying = np.frombuffer(blob, kind).reshape([shape[axis] for axis in axes]).copy()
    return lying.astype(kind.newbyteorder("="), copy=False).transpose(np.argsort(axes).tolist())
