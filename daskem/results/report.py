"""A fit as a person would describe it: size, location and shape of its clusters, its events."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from daskem.core.parameters import DataParams
from daskem.data.inputs.names import Features
from daskem.fitting.record import Pass
from daskem.models.clusters import Clusters
from daskem.models.families.protocol import Composed, Ellipses
from daskem.results.tables import Table

# What the last column is called.
_AXES = "principal axes, in overall sd: length (direction)"
_LENGTHS = "longest axes, in overall sd"
_MOST_AXES = 3
_MOST_EVENTS = 3
# Features that a line has room for.
_MOST_FEATURES = 8


def table(
    model: Composed,
    params: DataParams,
    features: Features,
    constant: Sequence[int] = (),
) -> Table:
    """One line for each component, largest first.

    Weight (share of the rows), mean of every feature, and for components with a covariance the
    principal axes: the standard deviation along each, and its direction. Axes are measured in
    standard deviations of the features over all rows, so that they do not depend on units. The
    features that are `constant` have no spread, whatever keeps their covariances open. Of many
    features those are shown that tell the components apart most, and of axes the lengths.
    """
    family, weights = model.family, model.shares(params)
    locations = family.locations(params)
    names = np.arange(locations.shape[1]) if features.names is None else features.names
    covariances = family.covariances(params) if isinstance(family, Ellipses) else None
    shown = _telling(locations, weights, covariances)
    axes: list[list[str]] = [[] for _ in weights]
    if covariances is not None:
        matrices = _in_spreads(covariances, locations, weights)
        matrices[:, list(constant)] = matrices[:, :, list(constant)] = 0.0
        axes = [[_axes(matrix, len(shown) == len(names))] for matrix in matrices]
    order = np.argsort(-weights, kind="stable")
    cells = [
        [
            str(k),
            f"{weights[k]:.4f}",
            *(_place(locations[k, i], features.labels.get(names[i])) for i in shown),
            *axes[k],
        ]
        for k in order
    ]
    left = len(names) - len(shown)
    last = [] if covariances is None else [_LENGTHS if left else _AXES]
    header = ["component", "weight", *(str(names[i]) for i in shown), *last]
    below = f"the {len(shown)} of {len(names):,} features that tell the components apart most"
    return Table(header, cells, below if left else "")


def _place(value: float, labels: Sequence[Hashable] | None) -> str:
    """Where a component lies along a feature: a number, or what the code stands for."""
    return f"{value:>10.6g}" if labels is None else str(labels[int(value)])


def table_of_clusters(model: Clusters, params: DataParams) -> Table:
    """One line for each cluster of components, largest first."""
    weights = params["weights"]
    order = np.argsort(-weights, kind="stable")
    joined = [" + ".join(map(str, model.groups[k])) for k in order]
    cells = [[str(k), f"{weights[k]:.4f}", of] for k, of in zip(order, joined, strict=True)]
    return Table(["cluster", "weight", "of the components"], cells)


def _telling(
    locations: np.ndarray, weights: np.ndarray, covariances: np.ndarray | None
) -> np.ndarray:
    """The features that are shown, in their order: where components differ most for their width."""
    overall = weights @ locations
    between = weights @ (locations - overall) ** 2
    if covariances is None:
        within = np.abs(overall)  # as counts vary, and yes and no
    else:
        within = weights @ np.diagonal(covariances, axis1=1, axis2=2)
    share = between / np.where(between + within > 0, between + within, 1.0)
    return np.sort(np.argsort(-share, kind="stable")[:_MOST_FEATURES])


def _in_spreads(covariances: np.ndarray, means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Covariances (component, feature, feature) of features divided by their overall spread."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    total = weights @ (variances + (means - weights @ means) ** 2)
    spreads = np.sqrt(np.where(total > 0, total, 1.0))
    return covariances / np.multiply.outer(spreads, spreads)


def _axes(covariance: np.ndarray, directed: bool) -> str:
    """The longest principal axes of an ellipsoid, with their directions where a line has room."""
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-values)[:_MOST_AXES]
    if not directed:
        return ", ".join(f"{np.sqrt(max(values[i], 0)):.4g}" for i in order) + " ..."
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
