"""What a fit is going to cost, from the layout of the data and the time of one partition."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from dask.utils import format_bytes

from daskem.core.signatures import check_call
from daskem.data.blocks import Machines, Outline, machines
from daskem.data.blocks.memory import OVERHEAD
from daskem.running.coordinator import prepare

# Seconds of the scheduler for one task of a pass (see tests/benchmarks/scale.py).
TASK_SECONDS = 6e-4
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
    """

    outline: Outline
    machines: Machines
    params_bytes: int
    statistics_bytes: int
    partition_seconds: float

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
        o, limit = self.outline, min(self.machines.limits, default=0)
        there = sum(self.machines.threads)
        rows = "an unknown number of rows" if math.isnan(o.n_rows) else f"{o.n_rows:,.0f} rows"
        fits = "fits" if self.memory <= limit else "DOES NOT FIT: use smaller chunks, fewer threads"
        lines = [
            f"data        {rows}, {_size(o.n_bytes)} to read in a pass",
            f"partitions  {o.n_partitions:,} of {o.n_chunks:,} chunks; the largest chunk is "
            f"{_size(o.chunk_bytes)}",
            f"memory      {_size(self.memory)} of {_size(limit)} on the smallest worker: {fits}",
            f"traffic     params {_size(self.params_bytes)} to each task, statistics "
            f"{_size(self.statistics_bytes)} from it",
            f"a pass      {self.seconds():.3g} s on {self.machines} with {there} threads "
            f"({self.partition_seconds:.3g} s for a partition)",
        ]
        more = [n for n in (4, 16, 64, 256, 1024) if there < n <= o.n_partitions]
        if more:
            times = ", ".join(f"{self.seconds(n):.3g} s on {n}" for n in more)
            lines.append(f"            with more threads of workers: {times}")
        return "\n".join(lines)

    __repr__ = __str__


def plan(*args: Any, **options: Any) -> Plan:
    """Say what a fit is going to cost, after trying it on one partition of the data.

    Takes the parameters of `daskem.fit`.

    Raises
    ------
    ChunkTooLargeError
        If a chunk cannot fit into a worker.
    DataError, ParameterError, ModelError
        As `daskem.fit`, as far as one partition shows.
    """
    check_call(prepare, args, options, "plan")
    fit = prepare(*args, **{**options, "cache": "none"})
    outline = fit.blocks.outline
    middle = outline.n_partitions // 2
    blocks = replace(fit.blocks, span=slice(middle, middle + 1))
    trial = replace(fit, blocks=blocks, stop=replace(fit.stop, tol=0.0, max_passes=_TRIALS))
    result = list(trial.results("here"))[-1]
    states = [run.state for run in result.runs]
    return Plan(
        outline,
        machines(getattr(blocks, "client", None)),
        sum(_nbytes(state.params) for state in states),
        sum(_nbytes(state.statistics) for state in states),
        min(record.seconds for record in result.history),
    )


def _nbytes(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_nbytes, value.values()))
    return np.asarray(value).nbytes


def _size(n_bytes: float) -> str:
    return "?" if math.isnan(n_bytes) else format_bytes(int(n_bytes))
