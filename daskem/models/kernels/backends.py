"""Where E steps are computed: the names of the backends, and what each of them needs."""

import importlib.util

from daskem.errors import KernelError

BACKENDS = NUMPY, COMPILED, CUPY = "numpy", "compiled", "cupy"

# What each needs, and how it comes there.
_NEEDS = {
    COMPILED: ("numba", "pip install 'daskem[fast]' there"),
    CUPY: ("CuPy and a GPU", "pip install the cupy-cuda* of its driver there"),
}


def present(backend: str) -> bool:
    """Whether this process has what a backend needs."""
    if backend == CUPY:
        return _gpu()
    # It is not imported for that: it takes half a second.
    return backend == NUMPY or importlib.util.find_spec("numba") is not None


def _gpu() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    return bool(cupy.is_available())


def lacking(backend: str, where: str) -> KernelError:
    """What to raise where a backend is to be used, and cannot be."""
    needs, remedy = _NEEDS[backend]
    return KernelError(
        f"kernel={backend!r} needs {needs}, and there is none {where}: {remedy}, or kernel='numpy'"
    )
