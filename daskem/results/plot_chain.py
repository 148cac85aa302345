"""A picture of a hidden Markov model: its transitions, and some sequences by their states."""

import itertools
from typing import Any

import numpy as np
import xarray as xr

from daskem.data.inputs.kinds import Data, Lengths
from daskem.data.inputs.lengths import edges_of, lengths_of
from daskem.data.inputs.named_riders import names_among
from daskem.data.inputs.rows import rows_like
from daskem.errors import ParameterError
from daskem.results.palette import PALETTE, feature_name, require_matplotlib, soften
from daskem.results.result import Result

# Sequences whose ends are drawn: of more one would see nothing else.
_MOST_ENDS = 100
# States whose transitions are written out.
_MOST_WRITTEN = 12
# Above this the ink is dark.
_DARK = 0.6


def plot_chain(result: Result, data: Data, feature: int = 0, lengths: Lengths | None = None) -> Any:
    """The transitions of a hidden Markov model, and one feature of some rows by decoded state.

    Parameters
    ----------
    result : Result
    data : array-like, (sample, feature)
        Some sequences; they come into memory.
    feature : int
        The one on the vertical axis.
    lengths : sequence of int, int or str, optional
        As `daskem.fit` takes them.

    Returns
    -------
    matplotlib Figure
        Without a window, for ``savefig``.

    Raises
    ------
    ParameterError
        If there is no such feature.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    if not 0 <= feature < result.n_features:
        raise ParameterError(f"feature {feature} of a model of {result.n_features} features")
    values, states, edges = _decoded(result, data, feature, lengths)
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    _draw_transitions(left, result.params["transitions"])
    _draw_sequences(right, values, states, edges)
    right.set_ylabel(feature_name(result, feature))
    return figure


def _decoded(
    result: Result, data: Data, feature: int, lengths: Lengths | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (step,) and states (step,) of sequences, one after the other, and their edges."""
    states = result.predict(data, lengths=lengths)
    rows = rows_like(data, result.features, names_among(None, None, lengths))
    if isinstance(states, xr.DataArray):
        states = states.transpose(*rows.dims)
    known = lengths_of(rows, lengths)
    edges = edges_of(1 if known is None else known, rows.array.shape[:-1])
    values = np.asarray(rows.array[..., feature]).ravel()
    return values, np.asarray(states).ravel(), np.asarray(edges)


def _draw_transitions(axes: Any, transitions: np.ndarray) -> None:
    axes.imshow(transitions, cmap="Greys", vmin=0, vmax=1)
    states = range(len(transitions))
    for i, j in np.ndindex(*transitions.shape) if len(states) <= _MOST_WRITTEN else ():
        hue = "white" if transitions[i, j] > _DARK else "black"
        axes.text(j, i, f"{transitions[i, j]:.2f}", color=hue, ha="center", va="center")
    axes.set(xticks=states, yticks=states, xlabel="to state", ylabel="from state")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for k, label in enumerate(labels):
            label.set(color=PALETTE[k % len(PALETTE)], weight="bold")
    axes.set_title("transitions", loc="left", fontsize="medium")


def _draw_sequences(axes: Any, values: np.ndarray, states: np.ndarray, edges: np.ndarray) -> None:
    steps = np.arange(len(values))
    for start, stop in itertools.pairwise(edges):
        axes.plot(steps[start:stop], values[start:stop], color="0.8", linewidth=0.8, zorder=1)
    for k in np.unique(states[states >= 0]):
        mine = states == k
        hue = PALETTE[k % len(PALETTE)]
        axes.scatter(steps[mine], values[mine], s=8, color=hue, label=str(k), zorder=2)
    for end in edges[1:-1] if len(edges) <= _MOST_ENDS else ():
        axes.axvline(end - 0.5, color="0.5", linewidth=0.6, linestyle=":")
    axes.set(xlabel="step")
    axes.legend(title="state", frameon=False, fontsize="small")
    axes.set_title("the most probable path", loc="left", fontsize="medium")
    soften(axes)
