"""Labels: the component of each row, as far as somebody knows it, as an array that rides along."""

from collections.abc import Mapping

import numpy as np

# The rider that says which component a row is of, as ``along={"component": labels}``.
COMPONENT = "component"
# The label of a row of which nobody knows.
UNKNOWN = -1


def labels_among(along: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The labels (sample,) among riders, int, `UNKNOWN` for NaN too; None where there are none."""
    labels = along.get(COMPONENT)
    if labels is None:
        return None
    return _without_nan(labels).astype(np.intp)


def first_bad_label(along: Mapping[str, np.ndarray], n_components: int) -> int | None:
    """The first row whose label is neither a number of a component nor `UNKNOWN`, if any is."""
    labels = along.get(COMPONENT)
    if labels is None:
        return None
    known = _without_nan(labels)
    valid = (known == np.floor(known)) & (known >= UNKNOWN) & (known < n_components)
    bad = np.flatnonzero(~valid)
    return int(bad[0]) if len(bad) else None


def _without_nan(labels: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(labels), UNKNOWN, labels) if labels.dtype.kind == "f" else labels
