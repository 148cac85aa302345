"""Components of several candidates as those of one, where components share nothing, and back."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np


def joined(
    candidates: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """What each has of every component, (component, ...), one candidate after the other."""
    return {name: np.concatenate([c[name] for c in candidates]) for name in names}


def parted(whole: Mapping[str, np.ndarray], sizes: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """The inverse, for candidates of so many components."""
    return [{name: value[span] for name, value in whole.items()} for span in spans_of(sizes)]


def spans_of(sizes: Iterable[int]) -> list[slice]:
    """Where candidates of so many components lie among those of all."""
    return [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]
