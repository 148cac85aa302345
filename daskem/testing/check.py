"""Which laws a model breaks, told to its author."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.rows import as_rows
from daskem.errors import ModelError
from daskem.models.protocol import Model
from daskem.testing.bench import Bench, RaisedError, bench_of
from daskem.testing.laws import LAWS, Law


def check_model(
    model: Model,
    data: Data,
    start: Mapping[str, Any] | None = None,
    n_components: int | None = None,
) -> None:
    """Tell the author of a model what is wrong with it.

    Parameters
    ----------
    model : Model
        Any object with ``e_step(block, params)`` and ``m_step(statistics, params)``; what it may
        have besides is in `daskem.models.protocol`.
    data : ndarray, (sample, feature)
        Rows that the model is meant for. Some hundreds are enough, and quick.
    start, n_components
        As `daskem.fit` takes them.

    Raises
    ------
    ModelError
        Listing every law that the model was seen to break, with the statistic, the numbers and
        the likely mistake.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> from daskem.testing import check_model
    >>> rows = np.random.default_rng(0).poisson(3.0, size=(200, 2))
    >>> check_model(daskem.Mixture(daskem.Poisson()), rows, n_components=2)
    """
    array = as_rows(data).array
    rows = np.asarray(array).reshape(-1, array.shape[-1])
    with one_blas_thread():
        bench = bench_of(model, rows, n_components, start)
        # What is not statistics, or not params, cannot be held against the laws that follow.
        broken = next(filter(None, (_findings(laws, bench) for laws in LAWS)), [])
    if broken:
        listed = "\n".join(f"- {law}: {finding}" for law, finding, _ in broken)
        cause = next((cause for _, _, cause in broken if cause is not None), None)
        raise ModelError(f"{type(model).__name__} breaks these laws:\n{listed}") from cause


def _findings(laws: tuple[Law, ...], bench: Bench) -> list[tuple[str, str, BaseException | None]]:
    """Law, finding and the model's own error if there was one."""
    findings: list[tuple[str, str, BaseException | None]] = []
    for law in laws:
        name = law.__name__.replace("_", " ")
        try:
            for finding in law(bench):
                findings.append((name, finding, None))
        except RaisedError as error:
            findings.append((name, str(error), error.__cause__))
    return findings
