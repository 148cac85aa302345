"""Pictures: rows by responsibility under the components, and a criterion against K."""

from typing import Any

import numpy as np
import xarray as xr

from daskem.data.inputs.kinds import Data, Lengths
from daskem.data.inputs.rows import rows_like
from daskem.errors import ParameterError
from daskem.models.asking import demand
from daskem.models.families.protocol import Composed, Ellipses
from daskem.models.protocol import Sequential
from daskem.results.fitted import Fitted, result_of
from daskem.results.palette import PALETTE, feature_name, require_matplotlib, soften
from daskem.results.plot_chain import plot_chain
from daskem.results.result import Result


def plot(
    result: Result | Fitted,
    sample: Data,
    features: tuple[int, int] = (0, 1),
    lengths: Lengths | None = None,
) -> Any:
    """Two features of some rows, and the components over them; of a chain its transitions, and the
    first of the features by decoded state.

    Parameters
    ----------
    result : Result or estimator
        Of a mixture of Gaussians, or of another family whose components have a covariance; or of a
        hidden Markov model.
    sample : array-like, (sample, feature)
        Some thousand rows, or some sequences; they come into memory. Each row has the colours of
        the components, mixed by its responsibilities, or that of its state.
    features : tuple of two int
        Which ones, for the horizontal and the vertical axis.
    lengths : sequence of int, optional
        As `daskem.fit` takes them.

    Returns
    -------
    matplotlib Figure
        With ellipses at one and two standard deviations; without a window, for ``savefig``.

    Raises
    ------
    ParameterError
        If the components have no covariance, or there are no such features.
    """
    result = result_of(result)
    if isinstance(result.model, Sequential):
        return plot_chain(result, sample, features[0], lengths)
    require_matplotlib()
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    shares = demand(result.model, Composed, "plotting").shares(result.params)
    means, covariances = _marginal(result, features)
    responsibilities = np.asarray(result.predict_proba(sample)).reshape(-1, len(means))
    rows = np.asarray(rows_like(sample, result.features).array).reshape(-1, result.n_features)
    x, y = rows[:, list(features)].T
    hues = np.array([to_rgb(PALETTE[k % len(PALETTE)]) for k in range(len(means))])
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(x, y, c=responsibilities @ hues, s=5, alpha=0.5, linewidths=0, rasterized=True)
    for k in np.argsort(-shares, kind="stable"):
        _draw_component(axes, means[k], covariances[k], hues[k], str(k))
    _frame(axes, result, features)
    return figure


def plot_criterion(table: xr.Dataset) -> Any:
    """How far each number of components is behind the best, a line for each model.

    Differences of up to 10, where a choice is not clear, are to scale; above, their logarithms.

    Returns
    -------
    matplotlib Figure
        With a circle around the best candidate; without a window, for ``savefig``.
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    criterion = table.attrs["criterion"]
    best = {"model": table.attrs["best_model"], "n_components": table.attrs["best_n_components"]}
    counts = table["n_components"].to_numpy()
    values = (table[criterion] - table[criterion].sel(best)).to_numpy()
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(table["model"].to_numpy()):
        hue = PALETTE[number % len(PALETTE)]
        axes.plot(counts, values[number], "o-", color=hue, label=str(name), markersize=4)
    axes.plot(best["n_components"], 0.0, "o", color="#000000", markersize=12, fillstyle="none")
    axes.set_yscale("symlog", linthresh=10)
    axes.set(xlabel="components", ylabel=f"{criterion}, behind the best")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    soften(axes)
    return figure


def _marginal(result: Result, features: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Locations (component, 2) and covariances (component, 2, 2) of two of the features."""
    params, chosen = result.params, list(features)
    family = demand(result.model, Composed, "plotting").family
    if not isinstance(family, Ellipses):
        raise ParameterError(
            f"{type(family).__name__} components have no ellipses; those of Gaussian and StudentT "
            "have, and a hidden Markov model of any family is drawn by its states"
        )
    if not set(chosen) <= set(range(result.n_features)):
        raise ParameterError(f"features={features} of a model of {result.n_features} features")
    locations, covariances = family.locations(params), family.covariances(params)
    return locations[:, chosen], covariances[:, chosen][:, :, chosen]


def _draw_component(
    axes: Any, mean: np.ndarray, covariance: np.ndarray, hue: np.ndarray, name: str
) -> None:
    from matplotlib.patheffects import withStroke

    values, vectors = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    ellipse = vectors * np.sqrt(np.maximum(values, 0)) @ circle
    halo = [withStroke(linewidth=3.4, foreground="white")]
    for deviations, style in ((1, "-"), (2, "--")):
        edge = mean[:, None] + deviations * ellipse
        axes.plot(*edge, style, color=hue * 0.75, linewidth=1.6, path_effects=halo)
    axes.text(
        *mean,
        name,
        color="white",
        weight="bold",
        ha="center",
        va="center",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": hue * 0.75, "edgecolor": "white"},
    )


def _frame(axes: Any, result: Result, features: tuple[int, int]) -> None:
    horizontal, vertical = (feature_name(result, i) for i in features)
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.set_title(
        f"{result.n_components} components, ellipses at 1 and 2 standard deviations",
        loc="left",
        fontsize="medium",
    )
    soften(axes)
