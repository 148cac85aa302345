"""A start with more components: a fit with fewer, of which some are split.

A mixture of K + 1 components can be any mixture of K, so that its best fit is at least as likely;
and so it is with the states of a chain.
"""

from collections.abc import Mapping

import numpy as np

from daskem.core.known_labels import labels_among
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Parameter, Params
from daskem.data.blocks import Block
from daskem.fitting.algorithms import Draft
from daskem.fitting.starts.best_starts import starting
from daskem.fitting.starts.contest import ranking
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.seeds import completed, standardised
from daskem.fitting.starts.short_climbs import climbed
from daskem.models.asking import demand, softened_of
from daskem.models.protocol import Declares, Model, Predicts, Starts

# Rows of the sample that tell which component to split: each of them is tried.
_MOST_ROWS = 2**14
# Passes over them, for two halves to become two components.
_PASSES = 20


@one_blas_thread()
def grown(first: FirstRead, params: Params, n_components: int) -> Draft:
    """Where a fit with fewer components leads on a sample, once it has `n_components`.

    Every component is split in turn; the split that is the most likely one after a short climb
    is taken, of those that are proper if any is.

    Parameters
    ----------
    first : FirstRead
    params : Params
        Of fewer components, in the coordinates of the model.
    n_components : int
    """
    model = demand(first.model, Predicts, "splitting components")
    halving = demand(starting(first, n_components, None).model, Starts, "splitting components")
    of_rows = isinstance(first.model, Starts)
    sample = first.survey.start_sample if of_rows else first.survey.sample
    sample = sample[sample.counts > 0].head(_MOST_ROWS)
    draft = Draft(params)
    while model.n_components(draft.params) < n_components:
        splits = _splits(first.model, halving, draft.params, sample)
        draft = _climbed(first.model, splits, sample)
    if len(sample) == first.survey.n_rows:
        return draft
    # What the sample has not seen, the data may have; and what it has judged, they have not.
    return draft.elsewhere().moved(softened_of(model)(draft.params, len(sample)))


def _splits(model: Model, halving: Starts, params: Params, sample: Block) -> list[Params]:
    """The params with one of the components split, for each that has two rows or more."""
    predicting = demand(model, Predicts, "splitting components")
    labels = np.empty(len(sample), dtype=np.intp)
    for span, _, r in predicting.posterior(sample, params):
        labels[span] = r.argmax(axis=0)
    sizes = np.bincount(labels, minlength=predicting.n_components(params))
    declared = demand(model, Declares, "splitting components").parameters
    points = completed(sample.rows, standardised(sample)[0])
    # Components that labels name keep their numbers.
    in_place = labels_among(sample.along) is not None
    return [
        _split(declared, params, int(k), _halved(halving, sample[mine], points[mine]), in_place)
        for k in np.flatnonzero(sizes > 1)
        for mine in [labels == k]
    ]


def _halved(model: Starts, rows: Block, points: np.ndarray) -> Params:
    """Two components, of the halves of rows that belong to one and lie at `points`; that with most
    labels comes first.
    """
    labels = _halves(points)
    known = labels_among(rows.along)
    if known is not None and np.sum(known[labels == 1] >= 0) > np.sum(known[labels == 0] >= 0):
        labels = 1 - labels
    centres = np.stack([points[labels == half].mean(axis=0) for half in (0, 1)])
    return model.from_labels(rows, labels, centres)


def _split(
    declared: Mapping[str, Parameter], params: Params, k: int, halves: Params, in_place: bool
) -> Params:
    """The params with component k in two halves; what leads to it leads to them by their sizes."""
    split = {}
    for name, value in params.items():
        dims = declared[name].dims
        for axis, dim in enumerate(dims):
            if dim.removesuffix("_2") not in ("component", "state"):
                continue
            if name in halves and name != "weights":
                both = halves[name]
            else:
                shares = halves["weights"] if axis == len(dims) - 1 else np.ones((2, 1))
                both = shares * value.take([k], axis)
            value = _exchanged(value, k, both, axis, in_place)
        split[name] = value
    return Params(split)


def _exchanged(
    value: np.ndarray, k: int, both: np.ndarray, axis: int, in_place: bool
) -> np.ndarray:
    """A value with two entries in the place of entry k: both at the end, or the second one."""
    others = np.delete(value, k, axis)
    if not in_place:
        return np.concatenate([others, both], axis)
    first, second = np.split(both, 2, axis)
    before, after = np.split(others, [k], axis)
    return np.concatenate([before, first, after, second], axis)


def _halves(rows: np.ndarray) -> np.ndarray:
    """0 or 1 for each row (sample, feature): below or above the median of their principal axis."""
    centred = rows - rows.mean(axis=0)
    deviations = centred.std(axis=0)
    scaled = centred / np.where(deviations > 0, deviations, 1.0)
    axis = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
    labels = np.zeros(len(rows), dtype=np.intp)
    labels[np.argsort(scaled @ axis, kind="stable")[len(rows) // 2 :]] = 1
    return labels


def _climbed(model: Model, starts: list[Params], sample: Block) -> Draft:
    """Where the best of some starts leads in a short climb; a proper one, if there is any."""
    return ranking(climbed(model, list(map(Draft, starts)), sample, _PASSES))[0].draft
