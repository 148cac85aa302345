"""Components of several candidates as those of one, where components share nothing, and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from daskem.core.segments import Segments


def joined(
    candidates: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """What each has of every component, (component, ...), one candidate after the other."""
    return {name: np.concatenate([c[name] for c in candidates]) for name in names}


def parted(whole: Mapping[str, np.ndarray], each: Segments) -> list[dict[str, np.ndarray]]:
    """The inverse, for candidates whose components are these segments."""
    parts = zip(*map(each.parts, whole.values()), strict=True)
    return [dict(zip(whole, own, strict=True)) for own in parts]
