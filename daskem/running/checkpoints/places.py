"""Where checkpoints lie: a folder of this machine, or whatever fsspec reaches by a URL."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from typing import Any, Protocol

from fsspec.core import url_to_fs

from daskem.core.addresses import shown
from daskem.errors import CheckpointError
from daskem.results.files import is_remote

# No file is larger: the header and the arrays of a thousand runs with full covariances are not.
_MOST_BYTES = 2**36


class Place(Protocol):
    """Files by name, each of which is written once, as a whole."""

    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...
    def write(self, name: str, content: bytes) -> None:
        """Put a file there, all of it or nothing."""

    def claim(self, name: str) -> bool:
        """Put an empty file there, unless there is one: whether it is new."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


def place(path: str) -> Place:
    """The place that an address means; a folder is made if there is none.

    Raises
    ------
    CheckpointError
        If nothing can be kept there.
    """
    with named(path):
        return Remote(path) if is_remote(path) else Folder(path)


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Errors of the place `path` by name; what it says there may hold no secret of its URL."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        # What a file system of the network says may repeat what its URL holds.
        reason = type(error).__name__ if is_remote(path) else error
        raise CheckpointError(
            f"checkpoints cannot be kept at {shown(path)} ({reason}). Mend this, or choose another "
            "place: those that are complete there stay readable, and daskem.resume goes on from "
            "the last one; where there is none yet, fit again"
        ) from (None if is_remote(path) else error)


class Folder:
    """A folder of this machine: files are written aside, synced and renamed."""

    def __init__(self, path: str) -> None:
        self.path = path

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path)) if os.path.isdir(self.path) else []

    def read(self, name: str) -> bytes:
        # A pipe would wait for somebody to write into it.
        handle = os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
                raise CheckpointError(f"{os.path.join(self.path, name)!r} is no file of this size")
            return file.read(about.st_size)

    def write(self, name: str, content: bytes) -> None:
        os.makedirs(self.path, exist_ok=True)
        aside = os.path.join(self.path, f".{name}.{secrets.token_hex(4)}.partial")
        try:
            with open(aside, "xb") as file:
                file.write(content)
                file.flush()
                # A rename can reach the disk before what was written earlier does.
                os.fsync(file.fileno())
            os.rename(aside, os.path.join(self.path, name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise

    def claim(self, name: str) -> bool:
        os.makedirs(self.path, exist_ok=True)
        try:
            os.close(os.open(os.path.join(self.path, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, name))


class Remote:
    """Objects of fsspec: no name is written twice, and a torn one is told by its checksums."""

    def __init__(self, url: str) -> None:
        fs, root = url_to_fs(url)
        self.fs: Any = fs
        self.root = root.rstrip("/")

    def names(self) -> list[str]:
        # What another process has written since is not in a listing that was kept.
        self.fs.invalidate_cache()
        try:
            paths = self.fs.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in paths)

    def read(self, name: str) -> bytes:
        size = self.fs.size(f"{self.root}/{name}")
        if size is None or size > _MOST_BYTES:
            raise CheckpointError(f"{name!r} is no file of this size")
        content: bytes = self.fs.cat_file(f"{self.root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        self.fs.makedirs(self.root, exist_ok=True)
        self.fs.pipe_file(f"{self.root}/{name}", content)

    def claim(self, name: str) -> bool:
        if self.fs.exists(f"{self.root}/{name}"):
            return False
        self.write(name, b"")
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.root}/{name}")
