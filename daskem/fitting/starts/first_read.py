"""The first read of the data: their survey, and the model in the coordinates that suit them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.brief import Brief
from daskem.core.numerics import LARGEST, one_blas_thread
from daskem.core.settings import whole
from daskem.data.blocks import Blocks
from daskem.data.survey import Domain, Survey, survey, told_void, void_features
from daskem.errors import DataError
from daskem.fitting.starts.oversampling import oversampled
from daskem.models.protocol import Categorises, Checks, Frames, Model, Supervised


@dataclass(frozen=True, eq=False, repr=False)
class FirstRead(Brief):
    """What is known of the data before a fit begins.

    Attributes
    ----------
    model : Model
        In the coordinates that suit the data.
    survey : Survey
        With the sample in which a fit looks for its start.
    """

    model: Model
    survey: Survey

    def of(self, model: Model) -> "FirstRead":
        """The same for another model, which needs no more of the survey than this one."""
        return replace(self, model=framed(model, self.survey))


def first_read(
    model: Model,
    blocks: Blocks,
    rng: np.random.Generator,
    init_params: str,
    counts: Sequence[int | None],
    names: np.ndarray | None = None,
    n_labels: int | None = None,
) -> FirstRead:
    """Read the data once, or as often as `init_params` takes.

    Parameters
    ----------
    model : Model
    blocks : Blocks
    rng : numpy Generator
    init_params : {"k-means++", "random_from_data", "k-means||"}
    counts : sequence of int or None
        The numbers of components that fits will start with.
    names : ndarray, (feature,), optional
        What errors call the features.
    n_labels : int, optional
        How many components there are in all fits, to label rows with.

    Raises
    ------
    DataError
        If there are no rows, or values that the model cannot use; says where.
    """
    seed = int(rng.integers(2**63))
    measured = surveyed(model, blocks, seed, names, n_labels)
    if init_params == "k-means||":
        most = max(whole("n_components", 1 if k is None else k) for k in counts)
        measured = oversampled(blocks, measured, most, seed, rng)
    return FirstRead(framed(model, measured), measured)


def surveyed(
    model: Model,
    blocks: Blocks,
    seed: int,
    names: np.ndarray | None = None,
    n_components: int | None = None,
) -> Survey:
    """The survey of the data, if the model can use them; `seed` draws the sample."""
    cross = isinstance(model, Frames) and model.cross_moments
    model_domain = domain(model, names, n_components)
    levels = isinstance(model, Categorises) and model.categorical
    measured = blocks.sum(survey, model_domain, seed, cross, levels, name="survey")
    if measured.bad is not None:
        raise DataError("; ".join(filter(None, [_void(measured, blocks, names), measured.bad])))
    if not measured.n_rows:
        n = measured.n_missing
        empty = f"all {n:,} rows have a NaN" if n else "every chunk is empty"
        why = f"; {reason}" if n and (reason := void_features(blocks, names)) else ""
        raise DataError(f"there are no rows to fit: {empty}{why}")
    if not measured.weight > 0:
        raise DataError("every sample_weight is zero")
    if len(void := np.flatnonzero(measured.moments.weights == 0)):
        raise DataError(told_void(void, blocks.n_features, names))
    if isinstance(model, Frames):
        _check_spreads(measured, names)
    if measured.levels is not None and names is not None:
        return replace(measured, levels=measured.levels.named(names))
    return measured


def _check_spreads(measured: Survey, names: np.ndarray | None) -> None:
    """Raise DataError if a feature varies so little that its variance would be rounded to 0."""
    for feature in range(len(measured.moments.origin)):
        low, high = measured.extremes.span(feature)
        if 0 < high - low < 1 / LARGEST:
            name = "" if names is None else f" ({str(names[feature])!r})"
            raise DataError(
                f"column {feature}{name} goes from {low:.6g} to {high:.6g}: the square of that "
                f"range is rounded to 0. Multiply the column, as by {LARGEST:.0e}, or leave it out"
            )


def _void(measured: Survey, blocks: Blocks, names: np.ndarray | None) -> str:
    """What is said of features without any value, where the sample looks as if there were some."""
    rows = measured.sample.rows
    looks_void = bool(np.isnan(rows).all(axis=0).any()) if len(rows) else False
    return void_features(blocks, names) if looks_void else ""


def domain(
    model: object, names: np.ndarray | None = None, n_components: int | None = None
) -> Domain:
    """The values that a model can use: those that it says, or else all finite numbers; and labels
    of so many components, if it can use any.
    """
    labels = n_components if isinstance(model, Supervised) else None
    if isinstance(model, Checks):
        return Domain(model.valid, model.domain, names, labels)
    return Domain(np.isfinite, "finite numbers", names, labels)


@one_blas_thread()
def framed(model: Model, measured: Survey) -> Model:
    """The model in the coordinates that suit the data of a survey."""
    return model.given(measured) if isinstance(model, Frames) else model
