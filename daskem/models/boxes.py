"""The box in which noise lies, between two values of each feature."""

from collections.abc import Sequence

import numpy as np

from daskem.errors import ParameterError


def checked_box(given: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """The lowest and the highest value of each feature, as numbers that rise."""
    try:
        box = [(float(lowest), float(highest)) for lowest, highest in given]
    except (TypeError, ValueError):
        box = [(np.nan, np.nan)]
    if not all(0 <= highest - lowest < np.inf for lowest, highest in box):
        raise ParameterError(
            f"box={given!r:.80} should be the lowest and the highest value of each feature, as "
            "[(0.0, 1.0), (-5.0, 5.0)]"
        )
    return tuple(box)


def log_widths(box: Sequence[Sequence[float]]) -> np.ndarray:
    widths = np.diff(box).ravel()
    # A feature of one value has no width that a density could be of.
    return np.log(np.where(widths > 0, widths, 1.0))
