"""The values that a model can use, and the first place in the data where it cannot."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from daskem.core.known_labels import COMPONENT, first_bad_label
from daskem.data.blocks.block import WEIGHT, Block

# Integers up to this are floating point numbers, all of them.
_EXACT = 2**53


@dataclass(frozen=True, eq=False)
class Domain:
    """The values that a model can use.

    Attributes
    ----------
    valid : callable
        ``rows -> bool (sample, feature)``: which entries those are.
    words : str
        The same in words.
    names : ndarray, (feature,), or None
        What errors call the features.
    n_components : int or None
        How many components there are to label rows with; None where labels mean nothing.
    labels : mapping of str to tuple
        What the codes 0, 1, ... of some features stand for.
    """

    valid: Callable[[np.ndarray], np.ndarray]
    words: str
    names: np.ndarray | None = None
    n_components: int | None = None
    labels: Mapping[Hashable, Sequence[Hashable]] = field(default_factory=dict)

    def first_bad(self, block: Block) -> str | None:
        """The first entry of a block that the model cannot use, where it is and what to do."""
        valid = self.valid(block.rows)
        if valid.all():
            return _bad_weight(block) or self._bad_label(block)
        row, column = (int(i) for i in np.argwhere(~valid)[0])
        value = block.rows[row, column]
        missing = value != value
        remedy = (
            ', or fit with missing="omit" (--missing omit) to leave them out, or "model" to let '
            "them take part with what they have (what is masked counts as NaN)"
            if missing
            else '; missing="omit" leaves out NaN only, so make them NaN to have them left out'
        )
        return (
            f"Input X contains {'NaN' if missing else self._called(value, column)} at "
            f"{block.place(row)}, "
            f"{self._column(column)}; expected {self.words}. Drop or fill such rows first{remedy}"
        )

    def _bad_label(self, block: Block) -> str | None:
        """The first label of a block that is no number of a component, in words."""
        if self.n_components is None or COMPONENT not in block.along:
            return None
        labels, k = block.along[COMPONENT], self.n_components
        if labels.ndim > 1:
            return f"{COMPONENT} has {labels.shape[1:]} labels for each row; expected one"
        row = first_bad_label(block.along, k)
        if row is None:
            return None
        return (
            f"{COMPONENT} is {labels[row]} at {block.place(row)}; with {k} components, labels are "
            f"whole numbers from 0 to {k - 1}, and -1 or NaN where the component is not known"
        )

    def first_rounded(self, block: Block) -> str | None:
        """The first integer of a block that is no double precision number, in words."""
        rows = block.rows
        if rows.dtype.kind not in "iu" or rows.dtype.itemsize < np.dtype(np.float64).itemsize:
            return None
        large = (rows > _EXACT) | (rows < -_EXACT if rows.dtype.kind == "i" else False)
        if not large.any():
            return None
        row, column = (int(i) for i in np.argwhere(large)[0])
        where = f"{self._column(column)}: {rows[row, column]} at {block.place(row)}"
        return (
            f"{where} is beyond 2^53, and such integers lose their last digits where they are "
            "fitted. Subtract an offset first if these matter"
        )

    def _called(self, value: float, column: int) -> str:
        """A value, and what it stands for if it is a code."""
        labels = () if self.names is None else self.labels.get(self.names[column], ())
        return f"{value} ({labels[int(value)]!r})" if 0 <= value < len(labels) else f"{value}"

    def _column(self, column: int) -> str:
        """Its number, and its name if it has one."""
        return f"column {column}" + (
            "" if self.names is None else f" ({str(self.names[column])!r})"
        )


def _bad_weight(block: Block) -> str | None:
    if block.weights is None:
        return None
    bad = np.flatnonzero(~(np.isfinite(block.weights) & (block.weights >= 0)))
    if not len(bad):
        return None
    row = int(bad[0])
    return f"{WEIGHT} {block.weights[row]} at {block.place(row)}; expected numbers >= 0"
