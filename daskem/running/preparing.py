"""The first step of a fit: settings and data, as people give them, become one checked value."""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from daskem.core.settings import RandomState, generator, number, whole
from daskem.data.blocks import place
from daskem.data.cluster import current_client
from daskem.data.inputs import as_blocks
from daskem.data.inputs.absent import absent_chunks
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.data.inputs.lengths import lengths_of
from daskem.data.inputs.named_riders import names_among
from daskem.data.inputs.origins import origin
from daskem.data.inputs.riders import aligned
from daskem.data.inputs.rows import as_rows
from daskem.errors import ModelError, ParameterError
from daskem.fitting.algorithms import Algorithm, check_algorithm
from daskem.fitting.starts.seeds import SEEDERS
from daskem.fitting.starts.start_params import Start
from daskem.fitting.stopping import Stop
from daskem.models.asking import check_riders, check_sequences, kernel_of, lacking, with_missing
from daskem.models.protocol import Categorises, Declares, Model, Names
from daskem.running.checkpoints.identity import About, of_algorithm, of_model
from daskem.running.checkpoints.recording import Recording
from daskem.running.kernels import with_kernel
from daskem.running.prepared import Prepared

# What a checkpoint keeps as it was passed; what else a fit needs is in it already.
PASSED = (
    "features",
    "sample_dims",
    "feature_dim",
    "sequence_dim",
    "tol",
    "max_passes",
    "max_seconds",
    "cache",
    "missing_chunks",
    "strict",
)


def prepare(
    model: Model,
    data: Data,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    sequence_dim: Hashable | None = None,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    missing: str = "raise",
    missing_chunks: str = "raise",
    strict: bool = False,
    n_init: int = 1,
    init_params: str = "k-means++",
    algorithm: str | Algorithm = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: RandomState = None,
    cache: str = "auto",
    kernel: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Prepared:
    """Check what can be checked without reading the data, in the process that has them.

    It takes the parameters of `daskem.fit`.

    Raises
    ------
    DataError
        If the data cannot be used.
    ParameterError
        If a setting or a start does not suit the model or the data.
    ModelError
        If `model` is not one.
    """
    _check_model(model)
    model = with_missing(model, missing)
    check_algorithm(algorithm, model)
    _check_seeder(init_params)
    beside = names_among(sample_weight, along, lengths)
    features = _features(model, features)
    categories = model.categories if isinstance(model, Categorises) else None
    rows = as_rows(data, features, sample_dims, feature_dim, beside, sequence_dim, categories)
    absent, where = absent_chunks(data, features, missing_chunks), origin(data)
    riders = aligned(rows, sample_weight, along)
    check_riders(model, along or {})
    lengths = lengths_of(rows, lengths)
    check_sequences(model, lengths)
    blocks = as_blocks(
        rows.array, missing=missing, cache=cache, along=riders, lengths=lengths, origin=where
    )
    starts = _starts(model, n_components, start, n_init)
    prepared = Prepared(
        with_kernel(model, kernel, blocks.outline.n_rows, blocks.n_features, starts),
        place(blocks, current_client()),
        starts,
        init_params,
        algorithm,
        _stop(tol, max_passes, max_seconds),
        int(generator(random_state).integers(2**63)),
        rows.features,
        (*rows.notes, *absent),
        missing,
        strict,
    )
    if checkpoint is None:
        return prepared
    dims = features and list(features), sample_dims and list(sample_dims), feature_dim, sequence_dim
    passed = (*dims, tol, max_passes, max_seconds, cache, missing_chunks, strict)
    about = _settings(prepared) | dict(zip(PASSED, passed, strict=True))
    about |= {"riders": list(riders), "in sequences": lengths is not None}
    return replace(prepared, recording=Recording.at(checkpoint, about))


def _check_seeder(init_params: str) -> None:
    if init_params not in SEEDERS:
        raise ParameterError(f"init_params={init_params!r} is not one of {list(SEEDERS)}")


def _stop(tol: float | None, max_passes: int, max_seconds: float | None) -> Stop:
    return Stop(
        None if tol is None else number("tol", tol, 0),
        whole("max_passes", max_passes),
        np.inf if max_seconds is None else number("max_seconds", max_seconds, 0),
    )


def _features(model: Model, wanted: Sequence[Hashable] | None) -> Sequence[Hashable] | None:
    """The features that are wanted, which are those of a model that knows them by name.

    Raises
    ------
    ParameterError
        If it knows others, or in another order.
    """
    known = model.features if isinstance(model, Names) else None
    if known is not None and wanted is not None and list(wanted) != list(known):
        raise ParameterError(
            f"the features are {list(wanted)}, and the family is of {list(known)}: leave "
            "features=... out, or give its columns in that order"
        )
    return wanted if known is None else known


def _check_model(model: object) -> None:
    """Raise ModelError unless it is one."""
    if isinstance(model, type) or not isinstance(model, Model):
        missing = " and ".join(lacking(model, Model)) or "e_step and m_step"
        raise ModelError(
            f"{model!r:.80} has no {missing}, which a fit needs. A family goes into a mixture, as "
            "in daskem.Mixture(daskem.Poisson()); an estimator has a fit(X) of its own"
        )


def _settings(prepared: Prepared) -> About:
    """What a checkpoint holds of a fit that is prepared."""
    names = prepared.features.names
    return {
        "model": of_model(prepared.model),
        "n_components": [k for k, _ in prepared.starts],
        "missing": prepared.missing,
        "init_params": prepared.init_params,
        "algorithm": of_algorithm(prepared.algorithm),
        "kernel": kernel_of(prepared.model),
        "columns": [prepared.blocks.n_features, *map(str, [] if names is None else names)],
    }


def _starts(
    model: Model,
    n_components: int | Sequence[int] | None,
    start: Start | Sequence[Start] | None,
    n_init: int,
) -> list[tuple[int | None, Start | None]]:
    """How many components each run has, and what is known of its params."""
    counts = n_components if isinstance(n_components, Sequence) else [n_components]
    starts = [start] if start is None or isinstance(start, Mapping) else start
    return [
        (k, known)
        for k in counts
        for known in starts
        for _ in range(1 if _is_whole(known, model) else whole("n_init", n_init))
    ]


def _is_whole(start: Start | None, model: Model) -> bool:
    """Whether a start leaves nothing to chance, so that one run from it is enough."""
    if start is None:
        return False
    return not isinstance(model, Declares) or set(start) >= set(model.parameters)
