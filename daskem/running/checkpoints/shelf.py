"""The checkpoints of one fit: the last two are kept, and only the last writer's count.

A file is called by the epoch of its writer and the passes made: ``000002-000017.checkpoint``. Who
begins to write claims the next epoch, ``000003.epoch``; whoever had an earlier one finds that
before it writes again, and what it may yet write is never read, as the last epoch is read first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskem.core.addresses import shown
from daskem.errors import CheckpointError
from daskem.running.checkpoints.container import decode, encode
from daskem.running.checkpoints.places import Place, named, place

# The last one, and the one before it, should a disk lose what it had promised to keep.
_KEPT = 2
_CHECKPOINT = re.compile(r"(\d{6,})-(\d{6,})\.checkpoint")
# What a writer that was killed has left of its last one.
_PARTIAL = re.compile(r"\.\d{6,}-\d{6,}\.checkpoint\.[0-9a-f]{8}\.partial")
_EPOCH = re.compile(r"(\d{6,})\.epoch")


@dataclass
class Shelf:
    """Where one writer puts its checkpoints.

    Attributes
    ----------
    path : str
    place : Place
    epoch : int
        Of this writer; those of later ones are larger.
    """

    path: str
    place: Place
    epoch: int

    def write(
        self, passes: int, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> None:
        """Put a checkpoint there, and remove what is older than the one before it.

        Raises
        ------
        CheckpointError
            If another writer has come since, or nothing can be written.
        """
        content = encode(about, arrays)
        with named(self.path):
            before = self.place.names()
            if _last_epoch(before) > self.epoch:
                raise CheckpointError(
                    f"another fit has begun to write its checkpoints to {shown(self.path)}, and "
                    "this one ends, as there can be only one: two fits need two places"
                )
            name = f"{self.epoch:06}-{passes:06}.checkpoint"
            self.place.write(name, content)
            older = [old for old in _checkpoints(before) if old != name][_KEPT - 1 :]
            for old in older:
                self.place.remove(old)


def opened(path: str, fresh: bool) -> Shelf:
    """The shelf at `path`, for a new writer.

    Parameters
    ----------
    path : str
    fresh : bool
        Whether there are to be no checkpoints yet.

    Raises
    ------
    CheckpointError
        If there are, or nothing can be kept there.
    """
    folder = place(path)
    with named(path):
        names = folder.names()
        if fresh and _checkpoints(names):
            raise CheckpointError(
                f"{shown(path)} holds checkpoints of another fit: daskem.resume goes on from the "
                "last one; to begin anew, remove them or choose another place"
            )
        epoch = _last_epoch(names) + 1
        while not folder.claim(f"{epoch:06}.epoch"):
            epoch += 1
        for old in names:
            if _EPOCH.fullmatch(old) or _PARTIAL.fullmatch(old):
                folder.remove(old)
    return Shelf(path, folder, epoch)


def last(path: str) -> tuple[str, bytes]:
    """The last checkpoint at `path` that is whole: what errors call it, and its bytes.

    Raises
    ------
    CheckpointError
        If there is none; says what is wrong with the last one.
    """
    folder = place(path)
    with named(path):
        checkpoints = _checkpoints(folder.names())
        if not checkpoints:
            raise CheckpointError(f"there are no checkpoints at {shown(path)}")
        return _whole(folder, checkpoints, path)


def _whole(folder: Place, names: Sequence[str], path: str) -> tuple[str, bytes]:
    first: CheckpointError | None = None
    for name in names:
        called = f"{name} at {shown(path)}"
        try:
            content = folder.read(name)
            decode(content, called)
            return called, content
        except CheckpointError as error:
            first = first or error
    assert first is not None
    raise first


def _checkpoints(names: Sequence[str]) -> list[str]:
    """The checkpoints among some files, the last of the last writer first."""
    matches = [match for match in map(_CHECKPOINT.fullmatch, names) if match]
    return [m[0] for m in sorted(matches, key=lambda m: (int(m[1]), int(m[2])), reverse=True)]


def _last_epoch(names: Sequence[str]) -> int:
    """The last epoch that was claimed, 0 if none was."""
    claimed = (_EPOCH.fullmatch(name) or _CHECKPOINT.fullmatch(name) for name in names)
    return max((int(match[1]) for match in claimed if match), default=0)
