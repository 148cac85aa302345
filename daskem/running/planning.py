"""What a fit is going to cost, from the layout of the data and the time of one partition."""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from dask.utils import format_bytes

from daskem.core.settings import RandomState, whole
from daskem.core.signatures import helpful
from daskem.data.blocks import Outline
from daskem.data.cluster import Machines, machines
from daskem.data.cluster.memory import OVERHEAD
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.data.survey import sample_size
from daskem.fitting.algorithms import Algorithm, Draft
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import is_searched, starting, unsearched_start
from daskem.fitting.starts.effort import Effort, searched_rows, simpler_read
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.seedbed import begin
from daskem.fitting.starts.short_climbs import in_memory
from daskem.fitting.starts.start_params import Start
from daskem.fitting.stopping import Stop
from daskem.models.asking import demand
from daskem.models.protocol import Model, Starts
from daskem.results.tables import Table
from daskem.running.prepared import Prepared
from daskem.running.preparing import prepare

# Seconds of the scheduler for one task of a pass (see tests/benchmarks/scale.py).
TASK_SECONDS = 6e-4
# Passes that a fit may need after a search for its start; the note on starts compares with these.
LIKELY_PASSES = 10
# Passes over the one partition: the fastest is what counts, the first may have to warm up.
_TRIALS = 3


@dataclass(frozen=True)
class Plan:
    """What `daskem.plan` returns; print it.

    Attributes
    ----------
    outline : Outline
        Rows, bytes, chunks and partitions of a pass.
    machines : Machines
        Who would compute.
    params_bytes, statistics_bytes : int
        Of all runs: what every task is sent, and what it returns.
    partition_seconds : float
        Time of the E step of one partition, reading included, on one thread.
    starts_seconds : float
        Expected time of all searches for a start, on one thread; 0 where starts are given. No more
        is known of it than a factor of two or three.
    """

    outline: Outline
    machines: Machines
    params_bytes: int
    statistics_bytes: int
    partition_seconds: float
    starts_seconds: float = 0.0

    @property
    def memory(self) -> int:
        """Bytes that the worker with most threads needs: two chunks a thread, and its own."""
        chunk = 0 if math.isnan(self.outline.chunk_bytes) else self.outline.chunk_bytes
        return int(2 * chunk * max(self.machines.threads, default=1) + OVERHEAD)

    def seconds(self, threads: int | None = None) -> float:
        """Predicted time of a pass on this many threads of workers; default: those there are."""
        threads = threads or max(sum(self.machines.threads), 1)
        waves = math.ceil(self.outline.n_partitions / threads)
        return max(waves * self.partition_seconds, self.outline.n_partitions * TASK_SECONDS)

    def __str__(self) -> str:
        return "\n".join(f"{label:<12}{text}" for label, text in self._lines())

    def _repr_html_(self) -> str:
        return Table(["of a fit", "what it takes"], [list(line) for line in self._lines()]).html()

    def _lines(self) -> list[tuple[str, str]]:
        o, limit = self.outline, min(self.machines.limits, default=0)
        threads = sum(self.machines.threads)
        rows = "an unknown number of rows" if math.isnan(o.n_rows) else f"{o.n_rows:,.0f} rows"
        fits = "fits" if self.memory <= limit else "DOES NOT FIT: use smaller chunks, fewer threads"
        chunks = f"{o.n_partitions:,} of {o.n_chunks:,} chunks; the largest chunk is"
        traffic = f"params {_size(self.params_bytes)} to each task, statistics"
        on = f"on {self.machines} with {threads} threads ({self.partition_seconds:.3g} s for a"
        lines = [
            ("data", f"{rows}, {_size(o.n_bytes)} to read in a pass"),
            ("partitions", f"{chunks} {_size(o.chunk_bytes)}"),
            ("memory", f"{_size(self.memory)} of {_size(limit)} on the smallest worker: {fits}"),
            ("traffic", f"{traffic} {_size(self.statistics_bytes)} from it"),
            ("a pass", f"{self.seconds():.3g} s {on} partition)"),
        ]
        more = [n for n in (4, 16, 64, 256, 1024) if threads < n <= o.n_partitions]
        if more:
            times = ", ".join(f"{self.seconds(n):.3g} s on {n}" for n in more)
            lines.append(("", f"with more threads of workers: {times}"))
        if self.starts_seconds:
            note = f"{self.starts_seconds:.1g} s on a sample, before the passes"
            lines.append(("starts", note))
        if self.starts_seconds > LIKELY_PASSES * self.seconds():
            note = f"longer than {LIKELY_PASSES} passes: a fit with start= does without"
            lines.append(("", note))
        return lines

    __repr__ = __str__


@helpful
def plan(
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
    kernel: str = "auto",
) -> Plan:
    """Say what a fit is going to cost, after trying it on one partition of the data.

    It takes the parameters of `daskem.fit`, but for `cache`.

    Raises
    ------
    ChunkTooLargeError
        If a chunk cannot fit into a worker.
    DataError, ParameterError, ModelError
        As `daskem.fit`, as far as one partition shows.
    """
    prepared = prepare(
        model,
        data,
        n_components,
        start=start,
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
        n_init=n_init,
        init_params=init_params,
        algorithm=algorithm,
        tol=tol,
        max_passes=max_passes,
        max_seconds=max_seconds,
        random_state=random_state,
        cache="none",
        kernel=kernel,
    )
    return planned(prepared)


def planned(prepared: Prepared) -> Plan:
    """The plan of a fit that is prepared."""
    blocks, stop = prepared.blocks, replace(prepared.stop, tol=0.0, max_passes=_TRIALS)
    outline = blocks.outline
    middle = blocks.partition(outline.n_partitions // 2)
    rng = np.random.default_rng(prepared.seed)
    first = replace(prepared, blocks=middle).first_read(rng)
    runs = []
    for k, start in prepared.starts:
        draft = Draft(unsearched_start(first, k, start, prepared.init_params, rng))
        sizes = blocks.n_features, first.survey.weight
        runs.append(Run.begin(first.model, prepared.algorithm, draft, *sizes))
    *_, runs = passes(runs, middle, stop)
    return Plan(
        outline,
        machines(blocks.client),
        sum(_nbytes(run.params) for run in runs),
        sum(_nbytes(run.state.statistics) for run in runs),
        min(record.seconds for run in runs for record in run.history),
        _starts_seconds(prepared, first, rng),
    )


def _starts_seconds(prepared: Prepared, first: FirstRead, rng: np.random.Generator) -> float:
    """The expected time of all searches for a start, from that of some E steps on a sample."""
    n, d = prepared.blocks.outline.n_rows, prepared.blocks.n_features
    n = sample_size(d) if math.isnan(n) else min(int(n), sample_size(d))
    searches = Counter(
        whole("n_components", k) for k, start in prepared.starts if is_searched(first, k, start)
    )
    seconds = 0.0
    for k, number in searches.items():
        first_k = starting(first, k, None)
        read = simpler_read(first_k, k, d, n) or first_k
        model = demand(read.model, Starts, "a search for a start")
        _, n_out = searched_rows(model, read.survey.start_sample)
        labels = read.survey.n_named, n_out
        effort = Effort.of(model, k, d, n, prepared.init_params, *labels)
        params = begin(read, k, None, prepared.init_params, rng)
        sample = read.survey.sample
        run = Run.begin(model, "em", Draft(params), d, n)
        *_, (run,) = passes([run], in_memory(sample), Stop(0.0, _TRIALS))
        row = min(record.seconds for record in run.history) / len(sample)
        seconds += number * effort.likely_rows * row
    return seconds


def _nbytes(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    return np.asarray(value).nbytes


def _size(n_bytes: float) -> str:
    return "?" if math.isnan(n_bytes) else format_bytes(int(n_bytes))
