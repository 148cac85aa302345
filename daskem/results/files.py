"""Where files go: what is there already, and how it is replaced, all of it or nothing."""

import contextlib
import ctypes
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from daskem.core.addresses import cause, reason, shown
from daskem.errors import ParameterError

# Of `renameat2` of Linux: names are relative to the current folder, and change places.
_HERE, _EXCHANGE = -100, 2
# How often what is replaced meanwhile is read again: whoever writes all the time is faster.
_LOOKS = 100

Found = TypeVar("Found")


def check_path(path: str) -> None:
    """Raise ParameterError if an address is none; an empty one would be the current folder."""
    if not path or "\0" in path:
        raise ParameterError(f"{path!r} is no path; choose another")


def is_remote(path: str) -> bool:
    """Whether `path`, an address, is a URL and not a path of this machine."""
    return "://" in path


def stored(path: str) -> list[str]:
    """The keys of all files or objects below the address `path`; ``""`` is one at `path` itself.

    Raises
    ------
    ParameterError
        If it cannot be listed.
    """
    try:
        if not is_remote(path):
            return _files(path)
        fs, root = _filesystem(path)
        # What another process has written since is not in a listing that was kept.
        fs.invalidate_cache()
        objects = fs.find(root)
    except FileNotFoundError:
        return []
    except Exception as error:
        raise ParameterError(
            f"{shown(path)} cannot be listed, and what may lie there is not to be overwritten; "
            f"choose another path, or mend this: {reason(error, path)}"
        ) from cause(error, path)
    return sorted(place.removeprefix(root).lstrip("/") for place in objects)


def n_stored(path: str) -> int:
    """Bytes of all files or objects below the address `path`."""
    fs, root = url_to_fs(path)
    return int(fs.du(root))


def steadily(path: str, read: Callable[[], Found]) -> Found:
    """What `read` finds at the address `path`, of one folder: once nobody replaces it meanwhile."""
    for _ in range(0 if is_remote(path) else _LOOKS):
        before = _which(path)
        try:
            content = read()
        except Exception:
            if _which(path) == before:
                raise
        else:
            if _which(path) == before:
                return content
    return read()


def _which(path: str) -> tuple[int, int] | None:
    """Which folder lies at `path`; None for none."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_ctime_ns


def replace(path: str, objects: Mapping[str, bytes], made: Collection[str]) -> None:
    """Put `objects` at the address `path`, in place of those with the keys `made`.

    Nothing else is removed. If it fails, what was there stays, or comes back.

    Raises
    ------
    ParameterError
        If no folder can be made at `path`.
    """
    if is_remote(path):
        _replace_objects(path, objects, made)
    else:
        _replace_folder(path, objects, made)


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside `path` that nobody else has; what is still there in the end is removed."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_folder(folder: Path, path: str) -> None:
    """Make a folder aside that is to become the one at the address `path`, or ParameterError."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        # Where `folder` lies is nothing that anybody has chosen: it is not named.
        raise ParameterError(
            f"no folder can be made at {shown(path)}: {error.strerror}; choose another path, or "
            "mend this"
        ) from None


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [""] if os.path.exists(path) else []
    keys: list[str] = []
    for folder, folders, files in os.walk(path, onerror=_raise):
        # A link to a folder is not walked into: what it leads to is elsewhere.
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        keys += [Path(folder, name).relative_to(path).as_posix() for name in files + links]
    return sorted(keys)


def _raise(error: OSError) -> None:
    raise error


def _filesystem(url: str) -> tuple[Any, str]:
    fs, root = url_to_fs(url)
    return fs, root.rstrip("/")


def _replace_folder(path: str, objects: Mapping[str, bytes], made: Collection[str]) -> None:
    place = Path(os.path.realpath(path))
    with aside(place) as partial:
        make_folder(partial, path)
        for key, value in objects.items():
            (partial / key).parent.mkdir(parents=True, exist_ok=True)
            with open(partial / key, "wb") as file:
                file.write(value)
                file.flush()
                # A rename can reach the disk before what was written earlier does.
                os.fsync(file.fileno())
        if not place.exists():
            partial.rename(place)
            return
        old = partial.with_suffix(".old")
        _take_place(partial, place, old)
    _remove(old, made)


def _take_place(new: Path, place: Path, old: Path) -> None:
    """Put the folder `new` in the place of another, which is then called `old`."""
    if _exchanged(new, place):
        new.rename(old)
        return
    try:
        place.rename(old)
        new.rename(place)
    except BaseException:
        if old.exists() and not place.exists():
            old.rename(place)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders at once, so that no kill comes in between; False where nothing can."""
    with contextlib.suppress(AttributeError, TypeError, OSError):
        libc: Any = ctypes.CDLL(None)
        names = os.fsencode(one), os.fsencode(other)
        return bool(libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
    return False


def _remove(folder: Path, made: Collection[str]) -> None:
    """Remove the files `made`, and the folders; one that holds anything else is an error."""
    for key in made:
        (folder / key).unlink()
    for inner, _, _ in os.walk(folder, topdown=False):
        os.rmdir(inner)


def _replace_objects(url: str, objects: Mapping[str, bytes], made: Collection[str]) -> None:
    fs, root = _filesystem(url)
    before = {f"{root}/{key}": fs.cat_file(f"{root}/{key}") for key in made}
    after = {f"{root}/{key}": value for key, value in objects.items()}
    try:
        _exchange(fs, before, after)
    except BaseException:
        _exchange(fs, after, before)
        raise
    finally:
        # zarr has a file system of its own, which may remember what was there before.
        fs.clear_instance_cache()


def _exchange(
    fs: AbstractFileSystem, before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> None:
    for place, value in after.items():
        fs.pipe_file(place, value)
    for place in before.keys() - after.keys():
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(place)
