"""Some rows of an array."""

import numpy as np

# Which ones: a slice, their numbers, or whether each is one of them.
Chosen = slice | np.ndarray


def some_rows(values: np.ndarray, chosen: Chosen) -> np.ndarray:
    """``values[chosen]``; where rows are short NumPy's brackets take two to eight times as long."""
    if isinstance(chosen, slice):
        return values[chosen]
    if chosen.dtype == bool:
        return values.compress(chosen, axis=0)
    return values.take(chosen, axis=0)
