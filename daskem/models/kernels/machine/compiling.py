"""How the functions of this folder become machine code, and where that is kept."""

import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of garbage, which walks through all objects of a process as often as
    many new ones are made, and finds none among them: it took a fifth of the time of a compilation,
    and two fifths of that of a registration.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


with _uncollected():
    numba: Any = import_module("numba")
    # Numba registers what it knows when it first compiles or loads a function.
    numba.core.registry.cpu_target.target_context.refresh()


@contextmanager
def _level(number: int) -> Iterator[None]:
    """Optimise at this level, of LLVM's four."""
    before = numba.config.OPT
    numba.config.OPT = type(before)(number)
    try:
        yield
    finally:
        numba.config.OPT = before


# No function of a folder is older than what it calls: numba itself looks at one file only.
_SOURCES = sorted(Path(__file__).parent.glob("*.py"))
_DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]


# Other threads run meanwhile; no sum is reordered; a division by zero is what NumPy makes of it; no
# code in C calls any of it.
_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    "boundscheck": False,
    "_nrt": False,
    "no_cfunc_wrapper": True,
}


class _Part(numba.core.compiler.Compiler):
    """The compiler of a part, of which LLVM makes no more than it must: nobody runs that, and the
    whole, which has all parts in it, is made the best of. Each part was, and again within each that
    calls it, a third of the time. A numba that wants no library from outside does so still.
    """

    def define_pipelines(self) -> Any:
        codegen, name = self.state.targetctx.codegen(), self.state.func_id.func_qualname
        library = self.state.library = codegen.create_library(name)
        finalize = library.finalize

        def finalize_as_it_is() -> None:
            with _level(0):
                finalize()

        library.finalize = finalize_as_it_is
        return super().define_pipelines()


# A function that others here call, and become one piece of machine code with.
part = numba.njit(**_OPTIONS, no_cpython_wrapper=True, pipeline_class=_Part)


def whole(function: Callable[..., Any]) -> Any:
    """A function that Python calls: compiled when it is first called, and kept on disk.

    All calls have arguments of the same types, so that processes that compile at the same time
    write the same files; numba puts each in its place at once. Where nothing can be written, every
    process compiles.
    """
    compiled = _kept(function)

    @wraps(function)
    def called(*args: Any) -> Any:
        if not compiled.overloads:
            _compile(compiled, args)
        return compiled(*args)

    return called


def _kept(function: Callable[..., Any]) -> Any:
    """What numba makes of a function, with a place on disk for its machine code."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_place(before))
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # There is no place that can be written.
        return numba.njit(**_OPTIONS)(function)
    finally:
        numba.config.CACHE_DIR = before


def _compile(compiled: Any, args: tuple[Any, ...]) -> None:
    """Compile or load a function for arguments of these types.

    Level 1 takes three quarters of the time of level 3, and the code is as fast: it is written in
    vectors, and its parts are in it. Nobody else compiles meanwhile.
    """
    with numba.core.compiler_lock.global_compiler_lock, _uncollected(), _level(1):
        compiled.compile(tuple(map(numba.typeof, args)))


def _place(asked: str) -> Path:
    """A folder for these very sources: below the one that was asked for, or that of the user."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(asked or caches) / "daskem" / _DIGEST
