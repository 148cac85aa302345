"""How the functions of this folder become machine code, and where that is kept."""

import hashlib
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

numba: Any = import_module("numba")

# No function of a folder is older than what it calls: numba itself looks at one file only.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]


# Other threads run meanwhile; no sum is reordered; a division by zero is what NumPy makes of it.
_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    "boundscheck": False,
    "_nrt": False,
}

# A function that others here call, and become one piece of machine code with.
part = numba.njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def whole(function: Callable[..., Any]) -> Any:
    """A function that Python calls: compiled when it is first called, and kept on disk.

    All calls have arguments of the same types, so that processes that compile at the same time
    write the same files; numba puts each in its place at once. Where nothing can be written, every
    process compiles.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_place(before))
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # There is no place that can be written.
        return part(function)
    finally:
        numba.config.CACHE_DIR = before


def _place(asked: str) -> Path:
    """A folder for these very sources: below the one that was asked for, or that of the user."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(asked or caches) / "daskem" / _DIGEST
