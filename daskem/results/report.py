"""A fit as a person would describe it: size, location and shape of its clusters, its events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskem.core.parameters import DataParams
from daskem.fitting.record import Pass
from daskem.models.families.protocol import Composed, Ellipses

_MOST_AXES = 3
_MOST_EVENTS = 3


def table(
    model: Composed,
    params: DataParams,
    names: np.ndarray | None = None,
    constant: Sequence[int] = (),
) -> str:
    """One line for each component, largest first.

    Weight (share of the rows), mean of every feature, and for components with a covariance the
    principal axes: the standard deviation along each, and its direction. Axes are measured in
    standard deviations of the features over all rows, so that they do not depend on units. The
    features that are `constant` have no spread, whatever keeps their covariances open.
    """
    family, weights = model.family, model.shares(params)
    locations = family.locations(params)
    names = np.arange(locations.shape[1]) if names is None else names
    matrices = None
    if isinstance(family, Ellipses):
        matrices = _in_spreads(family.covariances(params), locations, weights)
        matrices[:, list(constant)] = matrices[:, :, list(constant)] = 0.0
    width = max(10, *(len(str(name)) for name in names))
    shown = min(locations.shape[1], 8)
    dots = " ..." if shown < locations.shape[1] else ""
    header = "component  weight  " + " ".join(f"{name!s:>{width}}" for name in names[:shown]) + dots
    lines = [
        header + ("" if matrices is None else "  principal axes, in overall sd: length (direction)")
    ]
    for k in np.argsort(-weights, kind="stable"):
        cells = " ".join(f"{value:>{width}.6g}" for value in locations[k, :shown])
        line = f"{k:>9}  {weights[k]:>6.4f}  {cells}{dots}"
        lines.append(line if matrices is None else f"{line}  {_axes(matrices[k])}")
    return "\n".join(lines)


def _in_spreads(covariances: np.ndarray, means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariances (component, feature, feature) of features divided by their overall spread."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    total = weights @ (variances + (means - weights @ means) ** 2)
    spreads = np.sqrt(np.where(total > 0, total, 1.0))
    return covariances / np.multiply.outer(spreads, spreads)


def _axes(covariance: np.ndarray) -> str:
    """The longest principal axes of an ellipsoid."""
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-values)[:_MOST_AXES]
    texts = []
    for i in order:
        direction = vectors[:, i] * np.sign(vectors[np.argmax(np.abs(vectors[:, i])), i])
        entries = ", ".join(f"{c:.2f}" for c in direction[:4])
        more = ", ..." if len(direction) > 4 else ""
        texts.append(f"{np.sqrt(max(values[i], 0)):.4g} ({entries}{more})")
    return "; ".join(texts) + (" ..." if len(values) > _MOST_AXES else "")


def events(history: Sequence[Pass]) -> list[str]:
    """A line for each of the last few events, with its number of passes, and one for the rest."""
    passes = Counter(event for record in history for event in set(record.events))
    latest = dict.fromkeys(event for record in reversed(history) for event in record.events)
    lines = [f"event: {event} ({_of(passes[event], len(history))})" for event in latest]
    if len(lines) > _MOST_EVENTS:
        lines[_MOST_EVENTS:] = [f"event: {len(lines) - _MOST_EVENTS} more in result.history"]
    return lines


def _of(number: int, n_passes: int) -> str:
    return "in every pass" if number == n_passes else f"in {number} of {n_passes} passes"


def aligned(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each of `rows`, under a line of their keys."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.5g}"
    return str(value)
