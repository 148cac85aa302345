"""What all pictures share: colours, names of axes, and that matplotlib is there."""

from typing import Any

from daskem.errors import DaskemError
from daskem.results.result import Result

# Okabe and Ito (2008): told apart by all common forms of colour vision.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000"]


def require_matplotlib() -> None:
    """Raise DaskemError unless matplotlib is installed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise DaskemError("figures need matplotlib: pip install 'daskem[plot]'")


def feature_name(result: Result, feature: int) -> str:
    """What an axis is called."""
    names = result.features.names
    return f"feature {feature}" if names is None else str(names[feature])


def soften(axes: Any) -> None:
    """Fewer lines, and a grid behind all else."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
