"""Which kernel a fit uses: decided once, by whoever calls, and checked where it is to run."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TypeVar

import numpy as np
from distributed import Client

from daskem.data.cluster.stragglers import of_each_worker
from daskem.errors import ParameterError
from daskem.fitting.starts.start_params import Start
from daskem.models.asking import kernel_of
from daskem.models.kernels.backends import BACKENDS, COMPILED, NUMPY, lacking, present
from daskem.models.protocol import Compiles, Model

M = TypeVar("M", bound=Model)

KERNELS = ("auto", *BACKENDS)
# Rows times features times components of all runs from which on machine code is worth its seconds,
# where they have to be spent: NumPy takes 2 to 10 ns for each and pass.
_WORTH = 1e7


def with_kernel(
    model: M,
    kernel: str,
    n_rows: float,
    n_features: int,
    starts: Sequence[tuple[int | None, Start | None]],
) -> M:
    """The model with the kernel that a setting means.

    "auto" depends on nothing but the model, the sizes of a fit and whether numba is installed here,
    and a model that has a kernel already keeps it. `n_rows` may be NaN, where nobody knows them, as
    of data that are not in memory.

    Raises
    ------
    ParameterError
        If it is no setting, or the model has no such kernel.
    KernelError
        If what the kernel needs that was asked for is not here.
    """
    if kernel not in KERNELS:
        raise ParameterError(f"kernel={kernel!r} is not one of {list(KERNELS)}")
    able = model.backends if isinstance(model, Compiles) else (NUMPY,)
    if kernel not in ("auto", *able):
        raise ParameterError(
            f"there is no {kernel} kernel for {model!r:.80}: kernel='numpy' fits it"
        )
    if not isinstance(model, Compiles):
        return model
    asked = model.backend if kernel == "auto" else kernel
    if not present(asked):
        raise lacking(asked, "here")
    large = not n_rows * n_features * max(sum(map(_count, starts)), 1) < _WORTH
    if kernel == "auto" and asked == NUMPY and COMPILED in able and present(COMPILED) and large:
        asked = COMPILED
    return model.with_kernel(asked)


def check_kernel(models: Sequence[Model], client: Client | None) -> None:
    """Raise KernelError unless all who are to run the kernels of `models` can.

    A worker that joins later, or does not answer now, raises it where it is to use one.
    """
    for kernel in sorted({*map(kernel_of, models)} - {NUMPY}):
        having: Mapping[str, bool] = {"here": present(kernel)}
        if client is not None:
            having = of_each_worker(client, present, kernel)
        if without := [worker for worker, has in having.items() if has is False]:
            raise lacking(kernel, f"on {len(without)} of {len(having)} workers ({without[0]})")


def _count(start: tuple[int | None, Start | None]) -> int:
    """The components of a start: as many as asked for, or as its params have."""
    k, known = start
    if k is not None and not isinstance(k, Integral):
        return 1  # It is told what is wrong with that where it is used.
    lengths = [len(value) for value in map(np.asarray, (known or {}).values()) if value.ndim]
    return k if k is not None else max(lengths, default=1)
