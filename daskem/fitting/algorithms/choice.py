"""Which algorithm suits a model, from the model and the size of a row alone."""

import math

from daskem.core.parameters import Params, count_free
from daskem.errors import ParameterError
from daskem.fitting.algorithms.anderson import Anderson
from daskem.fitting.algorithms.candidates import Candidates
from daskem.fitting.algorithms.climb import Climb
from daskem.fitting.algorithms.em import EM
from daskem.fitting.algorithms.squarem import Squarem
from daskem.fitting.algorithms.state import Algorithm
from daskem.models.protocol import Declares, Model

ALGORITHMS: dict[str, type[Climb]] = {
    "em": EM,
    "squarem": Squarem,
    "anderson": Anderson,
    "candidates": Candidates,
}

# What a typical machine needs to fetch and unpack a byte, in nanoseconds. Fixed, not timed: what is
# chosen reaches the bits of the result.
_BYTE = 4.0
# What it needs to compute with one free parameter: two products, and its share of the exponentials.
_PARAMETER = 0.5
# Squarem's reads over those of four candidates: 1.7 in tests/benchmarks/passes.py (geometric mean),
# and some more, as a store that is far away costs far more than _BYTE.
_SAVED = 2.0


def check_algorithm(algorithm: object, model: Model) -> None:
    """Raise ParameterError unless the algorithm exists, and the model declares enough for it."""
    if not isinstance(algorithm, str):
        if isinstance(algorithm, type) or not isinstance(algorithm, Algorithm):
            raise ParameterError(
                f"algorithm={algorithm!r:.80} is neither one of {['auto', *ALGORITHMS]} nor an "
                "object with start, ask and tell"
            )
    elif algorithm not in ("auto", *ALGORITHMS):
        raise ParameterError(f"algorithm={algorithm!r} is not one of {['auto', *ALGORITHMS]}")
    elif algorithm not in ("auto", "em") and not isinstance(model, Declares):
        raise ParameterError(
            f"algorithm={algorithm!r} leaps in the coordinates of declared parameters, and "
            f"{type(model).__name__} has no `parameters`; see daskem.parameters.Parameter"
        )


def choose(
    algorithm: str | Algorithm,
    model: Model,
    params: Params,
    n_features: int,
    n_rows: float = math.inf,
) -> tuple[Algorithm, str]:
    """The algorithm that a setting means, and the reason in words.

    Parameters
    ----------
    algorithm : {"auto", "em", "squarem", "anderson", "candidates"} or object
        An object with ``start``, ``ask`` and ``tell`` is taken as it is.
    model : Model
    params : Params
        To start from.
    n_features : int
    n_rows : float
        Or the sum of their weights, if it is known.
    """
    if not isinstance(algorithm, str):
        return algorithm, "given"
    if algorithm != "auto":
        return ALGORITHMS[algorithm](), "given"
    if not isinstance(model, Declares):
        return EM(), "the model declares no parameters, in whose coordinates one could leap"
    n_free = count_free(model.parameters, params)
    if n_free > n_rows:
        return EM(), f"{n_free:,} parameters exceed {n_rows:,.0f} rows: a leap costs most of a pass"
    read, compute = _BYTE * 8 * n_features, _PARAMETER * n_free
    words = f"reading a row costs about {read:.3g} ns, a candidate about {compute:.3g} ns"
    if read + 4 * compute <= _SAVED * (read + compute):
        return Candidates(), f"{words}: four candidates for each read pay"
    return Squarem(), f"{words}: one leap for each read pays more than four"
