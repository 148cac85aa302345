"""The first value of a fit: everything checked, nothing read, no label left."""

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from distributed import Client

from daskem.core.brief import Brief
from daskem.core.settings import RandomState, generator, number, whole
from daskem.data.blocks import Blocks, Survey, Watch, counted, current_client, moved, place
from daskem.data.inputs import as_blocks
from daskem.data.inputs.absent import absent_chunks
from daskem.data.inputs.beside import names_among
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.data.inputs.names import Features
from daskem.data.inputs.origins import origin
from daskem.data.inputs.riders import aligned
from daskem.data.inputs.rows import as_rows
from daskem.errors import ModelError, ParameterError
from daskem.fitting.algorithms import Algorithm, check_algorithm
from daskem.fitting.loop import passes
from daskem.fitting.record import Status
from daskem.fitting.run import Run
from daskem.fitting.starts.competition import best_start
from daskem.fitting.starts.first_read import FirstRead, first_read
from daskem.fitting.starts.given import Start
from daskem.fitting.starts.seeds import SEEDERS
from daskem.fitting.stopping import Stop
from daskem.models.protocol import (
    Declares,
    Model,
    check_riders,
    check_sequences,
    kernel_of,
    lacking,
)
from daskem.results.fittedrun import FittedRun
from daskem.results.numbering import fixes_order
from daskem.results.result import Result
from daskem.running.checkpoints.identity import About, of_algorithm, of_model
from daskem.running.checkpoints.recording import Recording
from daskem.running.kernels import check_kernel, with_kernel


@dataclass(frozen=True, eq=False, repr=False)
class Prepared(Brief):
    """A fit that is ready to run, in any process.

    Attributes
    ----------
    model : Model
    blocks : Blocks
    starts : sequence of (int or None, dict or None)
        For each run how many components, and what is known of its params.
    init_params : str
    algorithm : str or Algorithm
    stop : Stop
    seed : int
        Of all that is drawn: the sample and the starts.
    features : Features
        What to call the features in the results.
    notes : tuple of str
        What had to be done to the data at the door.
    missing : {"raise", "omit"}
    recording : Recording or None
        Where the fit is written down, and goes on from.
    """

    model: Model
    blocks: Blocks
    starts: Sequence[tuple[int | None, Start | None]]
    init_params: str
    algorithm: str | Algorithm
    stop: Stop
    seed: int
    features: Features
    notes: tuple[str, ...]
    missing: str
    recording: Recording | None = None

    @property
    def checkpoint(self) -> str | None:
        """Where the fit is written down."""
        return None if self.recording is None else self.recording.path

    def on(self, client: Client) -> "Prepared":
        """The same fit, on the cluster of `client`."""
        return replace(self, blocks=moved(self.blocks, client))

    def watched(self, watch: Watch) -> "Prepared":
        return replace(self, blocks=self.blocks.watched(watch))

    def results(self, coordinator: str) -> Iterator[Result]:
        """Survey the data, start, and make one pass after the other; all runs after each."""
        for runs, survey in self.passes():
            yield self.result(runs, survey, self.blocks.notes, coordinator)

    def passes(self) -> Iterator[tuple[list[Run], Survey]]:
        """All runs as they stand after each pass, and the survey that they began with."""
        rng = np.random.default_rng(self.seed)
        # Before anything is read: a place where nothing can be written is told at once.
        log = None if self.recording is None else self.recording.opened(self.seed)
        first = self.first_read(rng)
        begun = self._begun(first, rng)
        if all(run.status is not Status.RUNNING for run in begun):
            yield begun, first.survey
        for runs in chain([begun], passes(begun, self.blocks, self.stop, first.survey)):
            if log is not None:
                made = max(len(run.history) for run in runs)
                orders_fixed = self._orders_fixed(len(runs))
                log.write(made, runs, first.survey, orders_fixed=orders_fixed)
            if runs is not begun:
                yield runs, first.survey

    def first_read(self, rng: np.random.Generator) -> FirstRead:
        check_kernel([self.model], self.blocks.client)
        counts, names = [k for k, _ in self.starts], self.features.names
        return first_read(self.model, self.blocks, rng, self.init_params, counts, names)

    def _begun(self, first: FirstRead, rng: np.random.Generator) -> list[Run]:
        """The runs before the next pass: from their starts, or from where they were left."""
        if self.recording is None or self.recording.before is None:
            return self._runs(first, rng)
        models = [first.model] * len(self.starts)
        return self.recording.before.runs(first.survey, models, self.algorithm)

    def _runs(self, first: FirstRead, rng: np.random.Generator) -> list[Run]:
        runs, sizes = [], (self.blocks.n_features, first.survey.weight)
        seeds = rng.integers(2**63, size=len(self.starts))
        starts = counted("starts", self.starts, self.blocks.watch)
        for (k, start), seed in zip(starts, seeds, strict=True):
            draft = best_start(first, k, start, self.init_params, np.random.default_rng(seed))
            runs.append(Run.begin(first.model, self.algorithm, draft, *sizes))
        return runs

    def result(
        self, runs: Sequence[Run], survey: Survey, read_notes: Sequence[str], coordinator: str
    ) -> Result:
        """What `runs` have found in the data of a survey; `read_notes` say how they were read."""
        n, notes = survey.n_missing, list(self.notes)
        if n:
            notes.append(f"{n:,} of {n + survey.n_rows:,} rows have a NaN and were left out")
        if survey.rounded is not None:
            notes.append(survey.rounded)
        if survey.far is not None:
            notes += survey.far.notes(self.features.names)
        return Result(
            list(map(FittedRun.of, runs, self._orders_fixed(len(runs)))),
            self.blocks.n_features,
            survey.weight,
            self.features,
            (*notes, *read_notes),
            coordinator,
            self.missing,
            survey.extremes.constant,
        )

    def _orders_fixed(self, n_runs: int) -> list[bool]:
        """Of each run, whether its start numbers the components; a selection has no starts."""
        if self.recording is not None and self.recording.before is not None:
            return list(self.recording.before.about["orders_fixed"])
        fixed = [fixes_order(self.model, start) for _, start in self.starts]
        return fixed if any(fixed) else [False] * n_runs


def prepare(
    model: Model,
    data: Data,
    n_components: int | Sequence[int] | None = None,
    *,
    start: Start | Sequence[Start] | None = None,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    features: Sequence[Hashable] | None = None,
    sample_dims: Sequence[Hashable] | None = None,
    feature_dim: Hashable | None = None,
    missing: str = "raise",
    missing_chunks: str = "raise",
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
    check_algorithm(algorithm, model)
    if init_params not in SEEDERS:
        raise ParameterError(f"init_params={init_params!r} is not one of {list(SEEDERS)}")
    stop = Stop(
        None if tol is None else number("tol", tol, 0),
        whole("max_passes", max_passes),
        np.inf if max_seconds is None else number("max_seconds", max_seconds, 0),
    )
    beside = names_among(sample_weight, along)
    rows = as_rows(data, features, sample_dims, feature_dim, beside)
    absent = absent_chunks(data, features, missing_chunks)
    riders = aligned(rows, sample_weight, along)
    check_riders(model, riders)
    check_sequences(model, lengths)
    blocks = as_blocks(
        rows.array,
        missing=missing,
        cache=cache,
        along=riders,
        lengths=lengths,
        origin=origin(data),
    )
    starts = _starts(model, n_components, start, n_init)
    prepared = Prepared(
        with_kernel(model, kernel, blocks.outline.n_rows, blocks.n_features, starts),
        place(blocks, current_client()),
        starts,
        init_params,
        algorithm,
        stop,
        int(generator(random_state).integers(2**63)),
        rows.features,
        (*rows.notes, *absent),
        missing,
    )
    if checkpoint is None:
        return prepared
    # As it was passed; what else a fit needs is in it already.
    passed = {
        "features": features and list(features),
        "sample_dims": sample_dims and list(sample_dims),
        "feature_dim": feature_dim,
        "tol": tol,
        "max_passes": max_passes,
        "max_seconds": max_seconds,
        "cache": cache,
        "missing_chunks": missing_chunks,
        "kernel": kernel_of(prepared.model),
        "riders": list(riders),
        "in sequences": lengths is not None,
    }
    return replace(prepared, recording=Recording.at(checkpoint, _settings(prepared) | passed))


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
