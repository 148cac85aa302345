"""Data that change while they are read: which chunk it was, in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from daskem.data.blocks.block import Block
from daskem.data.blocks.protocol import Blocks
from daskem.data.survey.fingerprint import fingerprint
from daskem.data.survey.survey import Survey
from daskem.errors import DataChangedError

_TOLD = "the data have changed during the fit: {}. {}"
_DIFFERS = "{} does not hold what the first read found there"
_REMEDY = (
    "Either somebody writes to the data while they are read, or storage, network or memory is at "
    "fault: fit a copy that nobody changes"
)


@dataclass(frozen=True)
class _Seen:
    """Number, fingerprint and place of every block; those of neighbouring blocks add."""

    blocks: tuple[tuple[int, int, str], ...]

    def __add__(self, other: "_Seen") -> "_Seen":
        return _Seen(self.blocks + other.blocks)


def check_unchanged(blocks: Blocks, survey: Survey, total: np.ndarray) -> None:
    """Raise DataChangedError unless `total`, the sum of fingerprints, is that of the survey.

    It is read once more then, to say where.
    """
    if int(total[0]) == survey.fingerprint:
        return
    now = blocks.sum(_seen, name="fingerprint").blocks
    before = dict(survey.prints.tolist())
    differing = [place for number, checksum, place in now if before.get(number) != checksum]
    if differing:
        more = f", nor do {len(differing) - 1} more" if len(differing) > 1 else ""
        where = f"{_DIFFERS.format(differing[0])}{more}"
    elif len(now) != len(before):
        where = f"there are {len(now)} blocks of chunks, and the first read found {len(before)}"
    else:
        where = "a read since found again what the first one did, so that one read was wrong"
    raise DataChangedError(_TOLD.format(where, _REMEDY))


@contextmanager
def blaming(block: Block) -> Iterator[None]:
    """What fails because of a block takes along what the block holds, wherever it is caught."""
    try:
        yield
    except Exception as error:
        vars(error)["failed_of"] = _seen(block).blocks
        raise


@contextmanager
def blamed(survey: Survey | None) -> Iterator[None]:
    """Raise DataChangedError of what has failed because of a block that the survey saw otherwise.

    No model is made for values that its first read would have refused.
    """
    try:
        yield
    except Exception as error:
        before = {} if survey is None else dict(survey.prints.tolist())
        for number, checksum, place in vars(error).get("failed_of", ()):
            if before.get(number, checksum) != checksum:
                raise DataChangedError(_TOLD.format(_DIFFERS.format(place), _REMEDY)) from error
        raise


def _seen(block: Block) -> _Seen:
    first, last = block.pieces[0], block.pieces[-1]
    names = [piece.chunk[0] if len(piece.chunk) == 1 else piece.chunk for piece in (first, last)]
    place = f"chunk {names[0]}" if first is last else f"one of the chunks {names[0]} to {names[1]}"
    if first.offset is not None:
        # Chunks of a store that are small are read several at a time, as one: rows tell which.
        begin = first.offset[0] if len(first.offset) == 1 else first.offset
        place = f"{place}, from row {begin} on,"
    return _Seen(((first.number, int(fingerprint(block)[0]), place),))
