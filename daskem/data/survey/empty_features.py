"""Features that have no value in any row, told by name: land in a field of the sea."""

import numpy as np

from daskem.data.blocks.block import Block
from daskem.data.blocks.protocol import Blocks

# Names that a message writes out.
_SHOWN = 9


def values_in(block: Block) -> np.ndarray:
    """How many rows of a block have a value, (feature,)."""
    if block.rows.dtype.kind != "f":
        return np.full(block.rows.shape[1], len(block))
    return (~np.isnan(block.rows)).sum(axis=0)


def void_features(blocks: Blocks, names: np.ndarray | None) -> str:
    """That some features are NaN in every row, and how to drop them; empty if there are none.

    It reads the data once more.
    """
    void = np.flatnonzero(blocks.unomitted().sum(values_in, name="missing") == 0)
    return told_void(void, blocks.n_features, names) if len(void) else ""


def told_void(void: np.ndarray, n_features: int, names: np.ndarray | None) -> str:
    """That the features of some numbers are NaN in every row, and how to drop them."""
    called = void if names is None else names[void]
    more = ", ..." if len(void) > _SHOWN else ""
    return (
        f"{len(void):,} of {n_features:,} features are NaN in every row: "
        f"{', '.join(map(str, called[:_SHOWN]))}{more}. Drop them first: data.dropna(dim, "
        "how='all') along the dimension of the features, after data.stack(cell=[...]) where they "
        "have several; table.dropna(axis=1, how='all'); or array[:, ~isnan(array).all(axis=0)]"
    )
