"""Which features somebody wants of the data, and where these are."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from daskem.data.inputs.categories import Chosen, Labels
from daskem.data.inputs.names import Rows
from daskem.data.inputs.naming import differs
from daskem.data.inputs.sources.tables import comparable
from daskem.errors import DataError


@dataclass(frozen=True)
class Wanted:
    """Which features somebody wants, and what is known of the dimensions.

    Attributes
    ----------
    features : list of str, or None
        What they are called; None for all.
    variables : tuple of str, or None
        The variables that they are in, where these have other names.
    sample_dims, feature_dims : tuple of str, or None
        The dimensions that number the rows, and those that hold features.
    fitted : bool
        Whether a model wants them. Features that have no names are then taken for its own, and its
        dimensions are looked for among those that there are.
    beside : sequence of str
        What rides along with the rows, and is no feature unless it is asked for as one.
    sequence_dim : str or None
        The dimension of the rows that follow one another.
    categories : callable or None
        Which columns of a table may be categories, and no numbers.
    labels : mapping of str to tuple
        The labels of such columns in the fit.
    """

    features: list[Hashable] | None
    variables: tuple[Hashable, ...] | None = None
    sample_dims: tuple[Hashable, ...] | None = None
    feature_dims: tuple[Hashable, ...] | None = None
    fitted: bool = False
    beside: Sequence[Hashable] = ()
    sequence_dim: Hashable | None = None
    categories: Chosen | None = None
    labels: Labels = field(default_factory=dict)

    @property
    def members(self) -> list[Hashable] | None:
        """What to take of a Dataset."""
        return self.features if self.variables is None else list(self.variables)

    @property
    def of_group(self) -> list[Hashable] | None:
        """What to take of a group that nobody has labelled."""
        return None if self.members is None else list(dict.fromkeys([*self.members, *self.beside]))


def listed(names: Sequence[Hashable] | str | None) -> list[Hashable] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def picked(rows: Rows, wanted: Wanted) -> Rows:
    """`rows` with the features that are wanted, in that order."""
    labels = rows.features.names
    order = order_of(labels, wanted)
    if labels is None or order is None:
        return rows
    features = replace(rows.features, names=labels[order], grids=())
    return replace(rows, array=rows.array[..., order], features=features)


def order_of(labels: np.ndarray | None, wanted: Wanted) -> list[int] | None:
    """Where among `labels` the features are that are wanted; None if nothing need be moved."""
    if wanted.features is None or (labels is None and wanted.fitted):
        return None
    if labels is None:
        raise DataError("features=[...] needs data whose features have names, and these have none")
    names = [comparable(name) for name in wanted.features]
    present = [comparable(name) for name in labels]
    if present == names:
        return None
    if not set(names) <= set(present) or len(set(present)) < len(present):
        verb = "the model was fitted to" if wanted.fitted else "you asked for"
        raise DataError(differs(present, names, verb))
    return [present.index(name) for name in names]


def ending_in(
    sequence_dim: Hashable, dims: tuple[Hashable, ...], feature_dims: tuple[Hashable, ...]
) -> tuple[Hashable, ...]:
    """The dims of rows with that of the sequences last."""
    if sequence_dim in feature_dims:
        raise DataError(
            f"the features lie along {sequence_dim!r}, and so sequences cannot; pass "
            "sample_dims=[...], the dimensions that number the rows, or feature_dim=..."
        )
    if sequence_dim not in dims:
        raise DataError(
            f"there is no dimension {sequence_dim!r} for sequences to lie along; the rows have "
            f"{dims}. Where each is one step, data.expand_dims({sequence_dim!r}) says so"
        )
    return (*(dim for dim in dims if dim != sequence_dim), sequence_dim)
