"""From the arguments of `select` to a selection that is ready to run, wherever that is."""

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from daskem.core.settings import RandomState, whole
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.errors import ParameterError
from daskem.fitting.algorithms import Algorithm
from daskem.models.asking import check_riders, check_sequences, kernel_of, with_missing
from daskem.models.families import Gaussian
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.mixture import Mixture
from daskem.running.checkpoints.identity import of_model
from daskem.running.kernels import with_kernel
from daskem.running.preparing import prepare
from daskem.selection.criteria import CRITERIA
from daskem.selection.search import Models, Search
from daskem.selection.selection import Selecting


def prepare_selection(
    data: Data,
    n_components: Iterable[int] = range(1, 11),
    covariance_type: str | Sequence[str] = "full",
    *,
    models: Models | None = None,
    criterion: str = "bic",
    n_init: int = 5,
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
    init_params: str = "k-means++",
    algorithm: str | Algorithm = "auto",
    tol: float | None = None,
    max_passes: int = 200,
    max_seconds: float | None = None,
    random_state: RandomState = None,
    cache: str = "auto",
    kernel: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Selecting:
    """Check what can be checked without reading the data; it takes the parameters of `select`."""
    models = _gaussians(covariance_type) if models is None else models
    counts = _counts(n_components, models, criterion)
    _check_models(models, along, lengths if sequence_dim is None else sequence_dim)
    models = {name: with_missing(model, missing) for name, model in models.items()}
    prepared = prepare(
        _asking_most(models),
        data,
        counts,
        sample_weight=sample_weight,
        along=along,
        lengths=lengths,
        sequence_dim=sequence_dim,
        features=features,
        sample_dims=sample_dims,
        feature_dim=feature_dim,
        missing=missing,
        missing_chunks=missing_chunks,
        strict=strict,
        init_params=init_params,
        algorithm=algorithm,
        tol=tol,
        max_passes=max_passes,
        max_seconds=max_seconds,
        random_state=random_state,
        cache=cache,
        kernel=kernel,
        checkpoint=checkpoint,
    )
    rows, d = prepared.blocks.outline.n_rows, prepared.blocks.n_features
    n_init = whole("n_init", n_init)
    starts = [*prepared.starts] * n_init
    models = {name: with_kernel(model, kernel, rows, d, starts) for name, model in models.items()}
    search = _recorded(Search(prepared, models, criterion, n_init))
    return Selecting(search, list(dict.fromkeys((name, k) for name in models for k in counts)))


def _counts(n_components: object, models: Models, criterion: str) -> list[int]:
    """The numbers of components; ParameterError unless there is something to choose among."""
    if criterion not in CRITERIA:
        raise ParameterError(f"criterion={criterion!r} is not one of {list(CRITERIA)}")
    if not isinstance(n_components, Iterable):
        raise ParameterError(
            f"n_components={n_components!r} leaves nothing to choose: pass several numbers, as in "
            "range(1, 11), or fit that one"
        )
    counts = [whole("n_components", k) for k in n_components]
    if not counts or not models:
        raise ParameterError("n_components is empty: there is nothing to choose among")
    return counts


def _recorded(search: Search) -> Search:
    """The same search, with a checkpoint that is of a selection, if it has any."""
    recording, models = search.prepared.recording, search.models
    if recording is None:
        return search
    settings = {
        "models": {name: of_model(model) for name, model in models.items()},
        "criterion": search.criterion,
        "n_init": search.n_init,
        # Of models that differ in it, each knows its own.
        "kernel": "auto" if {*map(kernel_of, models.values())} != {"numpy"} else "numpy",
    }
    return replace(search, prepared=replace(search.prepared, recording=recording.of(settings)))


def _gaussians(covariance_type: str | Sequence[str]) -> dict[str, Mixture | HiddenMarkov]:
    kinds = [covariance_type] if isinstance(covariance_type, str) else covariance_type
    return {kind: Mixture(Gaussian(kind)) for kind in kinds}


def _asking_most(models: Models) -> Mixture | HiddenMarkov:
    """The model whose first read tells what all of them need."""
    most = max(models.values(), key=lambda model: (model.categorical, model.cross_moments))
    if not most.cross_moments and any(model.cross_moments for model in models.values()):
        raise ParameterError(
            f"of the models {list(models)} some have probabilities of categories, and densities "
            "others, which are per unit of the features: no criterion compares these"
        )
    return most


def _check_models(models: Models, along: Riders | None, in_sequences: object) -> None:
    """Raise ParameterError unless all can be chosen, DataError unless they have what they need."""
    if not isinstance(models, Mapping) or not models:
        raise ParameterError(
            f"models={models!r:.80} should be a dict of them by name, as in "
            'models={"mine": model}'
        )
    for name, model in models.items():
        if not isinstance(model, Mixture | HiddenMarkov):
            raise ParameterError(
                f"models[{name!r}] is a {type(model).__name__}, and select chooses among mixtures "
                "and hidden Markov models; fit it with each number of components, and compare "
                "result.bic(data, ...)"
            )
        check_riders(model, along or {})
        check_sequences(model, in_sequences)
