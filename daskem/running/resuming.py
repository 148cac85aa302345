"""A fit prepared again, from a checkpoint and its data."""

import os
from dataclasses import replace
from itertools import chain
from typing import Any

from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.errors import CheckpointError
from daskem.fitting.algorithms import Algorithm
from daskem.models.protocol import Model
from daskem.running.checkpoints.identity import algorithm_of, model_of
from daskem.running.checkpoints.recording import Saved
from daskem.running.prepared import Prepared
from daskem.running.preparing import PASSED, prepare

# Settings that `prepare` takes as the checkpoint has them.
_GIVEN_AGAIN = (*PASSED, "n_components", "missing", "init_params", "kernel")


def resumed(
    before: Saved,
    path: str | os.PathLike[str],
    data: Data,
    model: Model | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    algorithm: Algorithm | None = None,
) -> Prepared:
    """The fit of a checkpoint, prepared again; it takes the parameters of `daskem.resume`."""
    given = again(before, path, algorithm)
    if model is None:
        model = model_of(before.about["settings"]["model"])
    prepared = prepare(
        model, data, sample_weight=sample_weight, along=along, lengths=lengths, **given
    )
    return going_on(prepared, before)


def going_on(prepared: Prepared, before: Saved) -> Prepared:
    """The same fit, or that of a selection, from where its checkpoint was written."""
    assert prepared.recording is not None
    return replace(prepared, seed=before.seed, recording=prepared.recording.after(before))


def again(
    before: Saved, path: str | os.PathLike[str], algorithm: Algorithm | None
) -> dict[str, Any]:
    """Settings as the checkpoint has them."""
    try:
        known = before.about["settings"]
        climb = algorithm_of(known["algorithm"]) if algorithm is None else algorithm
        options = {name: known[name] for name in _GIVEN_AGAIN}
        # Names are what a dict can have; several of them, or none, are what JSON calls null.
        several = (options[name] for name in ("features", "sample_dims"))
        hash((*chain.from_iterable(names for names in several if names is not None),))
        hash((options["feature_dim"], options["sequence_dim"]))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{before.name} does not hold a fit: {error!r}") from error
    return {**options, "algorithm": climb, "checkpoint": path}
