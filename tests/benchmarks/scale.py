"""What scale costs: 10^5 to 10^8 rows in 100 to 100,000 chunks measured, and 10^12 rows foretold.

    python tests/benchmarks/scale.py [--workers N] [--quick]

Measured, on worker processes: a pass over rows that their source makes, beside the same E steps in
one thread without Dask; and passes that do nothing, over ever more partitions, for what a task
costs the scheduler, and when the first one starts. Then a simulation of a pass (one scheduler that
handles one event at a time, workers, the tree) is held against the measured ones, and tells where
the time would go with 10^12 rows on 1,000 workers.
"""

import argparse
import heapq
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from common import MODEL, best_of, cluster, cpu_seconds, params, seconds
from distributed import Client

from daskem.core.statistics import FAN_IN
from daskem.data.blocks import Block, partitions
from daskem.data.blocks.tasks import _AT_ONCE
from daskem.data.inputs import as_blocks
from daskem.fitting.loop import evaluate

FEATURES, COMPONENTS = 4, 8
REQUESTS = [(MODEL, [params(COMPONENTS, FEATURES)])]


def rows_of(n_rows: int, n_chunks: int) -> da.Array:
    size = n_rows // n_chunks
    return da.map_blocks(
        _make,
        size,
        chunks=((size,) * n_chunks, (FEATURES,)),
        dtype=float,
        meta=np.empty((0, FEATURES)),
    )


def _make(size: int) -> np.ndarray:
    rows = np.random.default_rng(size).random((min(size, 1000), FEATURES))
    return np.resize(rows, (size, FEATURES))


@dataclass
class Earliest:
    """When the first block was met; adds by keeping the earlier one."""

    when: float

    def __add__(self, other: "Earliest") -> "Earliest":
        return Earliest(min(self.when, other.when))


def note_time(block: Block) -> Earliest:
    return Earliest(time.time())


@contextmanager
def many_partitions(n: int) -> Iterator[None]:
    """Partitions of a chunk each."""
    kept = partitions._FEWEST, partitions._BYTES, partitions._MOST
    partitions._FEWEST, partitions._MOST = n, n
    try:
        yield
    finally:
        partitions._FEWEST, partitions._BYTES, partitions._MOST = kept


@dataclass
class Costs:
    """Seconds for each task of a pass.

    Attributes
    ----------
    graph : float
        Of client and scheduler, before the task can start.
    scheduler : float
        CPU seconds of these two afterwards.
    worker : float
        CPU seconds of the worker, besides reading and computing.
    """

    graph: float
    scheduler: float
    worker: float


def task_costs(client: Client, most: int) -> Costs:
    """From passes that do nothing. The scheduler lives in this process, as does the client."""
    counts = [_AT_ONCE, 4 * _AT_ONCE, most]
    before, ours, theirs = [], [], []
    for n in counts:
        with many_partitions(n):
            blocks = as_blocks(rows_of(n, n))
            blocks.sum(note_time)
            firsts: list[float] = []
            began, used = time.time(), time.process_time()
            theirs.append(cpu_seconds(client, lambda: firsts.append(blocks.sum(note_time).when)))  # noqa: B023
            ours.append(time.process_time() - used)
            before.append(firsts[0] - began)
        print(
            f"  {n:>7,} empty partitions: the first starts after {before[-1]:.2f} s; CPU of client "
            f"and scheduler {ours[-1]:.2f} s, of the workers {theirs[-1]:.2f} s"
        )
    both, worker = (float(np.polyfit(counts, t, 1)[0]) for t in (ours, theirs))
    graph = before[0] / counts[0]
    return Costs(graph, max(both - graph, 0.0), worker)


def simulate(n_parts: int, work: float, workers: int, costs: Costs) -> float:
    """Seconds of a pass: partitions and tree.

    The scheduler handles one event at a time: the end of a task, or if there is none, the next
    piece of the graph. Workers take the next task that is there.
    """
    clock, left = 0.0, n_parts
    free = [0.0] * workers
    running: list[tuple[float, int]] = []
    ends = [0.0] * n_parts
    while left or running:
        if left and not (running and running[0][0] <= clock):
            piece = range(n_parts - left, n_parts - left + min(left, _AT_ONCE))
            clock += len(piece) * costs.graph
            left -= len(piece)
            for i in piece:
                end = max(heapq.heappop(free), clock) + costs.worker + work
                heapq.heappush(free, end)
                heapq.heappush(running, (end, i))
        else:
            end, i = heapq.heappop(running)
            clock = ends[i] = max(clock, end) + costs.scheduler
    while len(ends) > 1:
        groups = [ends[i : i + FAN_IN] for i in range(0, len(ends), FAN_IN)]
        ends = [max(group) + costs.graph + costs.scheduler + costs.worker for group in groups]
    return ends[0]


def row_seconds(n_chunks: int, size: int) -> float:
    """Seconds for a row of making it and of its E step, in one thread without Dask."""
    blocks = max(1, min(n_chunks, 2**19 // (size * FEATURES)))

    def work() -> None:
        rows = np.concatenate([_make(size) for _ in range(blocks)])
        evaluate(Block(rows), REQUESTS)

    work()
    return best_of(work, 5) / (blocks * size)


def part_seconds(client: Client, blocks: Any) -> float:
    """Seconds of a partition in one thread of an idle worker."""
    recipe = blocks._partitions.recipes[0]
    return min(client.submit(_timed, recipe, i).result() for i in range(5))


def _timed(recipe: partitions.Recipe, _: int) -> float:
    return seconds(lambda: partitions.run(evaluate, (REQUESTS,), recipe))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="nothing that takes minutes")
    options = parser.parse_args()
    sizes = [(10**5, 100), (10**6, 100), (10**6, 10_000), (10**7, 100), (10**7, 10_000)]
    sizes += [] if options.quick else [(10**8, 1000), (10**8, 100_000)]
    with cluster(options.workers) as client:
        print("what a task costs")
        costs = task_costs(client, 2048 if options.quick else 8192)
        print(
            f"  a task: {1e3 * costs.graph:.2f} ms before it can start, then scheduler "
            f"{1e3 * costs.scheduler:.2f} ms, worker {1e3 * costs.worker:.2f} ms"
        )
        print(f"passes, {FEATURES} features, K = {COMPONENTS}, {options.workers} workers; seconds")
        print("       rows   chunks  parts  planning   a pass  without Dask / workers   simulated")
        for n_rows, n_chunks in sizes:
            blocks = as_blocks(rows_of(n_rows, n_chunks))
            planning = seconds(lambda: blocks.sum(len))  # noqa: B023
            found = best_of(lambda: blocks.sum(evaluate, REQUESTS))  # noqa: B023
            per_row = row_seconds(n_chunks, n_rows // n_chunks)
            n_parts = blocks.outline.n_partitions
            alone = n_rows * per_row
            told = simulate(n_parts, part_seconds(client, blocks), options.workers, costs)
            print(
                f"{n_rows:>11,} {n_chunks:>8,} {n_parts:>6,} {planning:>9.2f} {found:>8.2f} "
                f"{alone / options.workers:>15.2f} ({found * options.workers / alone:.2f} x) "
                f"{told:>11.2f}",
                flush=True,
            )
    foretell(10**12, 1000, costs)


def foretell(n_rows: int, workers: int, costs: Costs) -> None:
    """10^12 rows as float32 in chunks of 64 MiB, read at 200 MB/s by each worker."""
    chunk_rows = 2**26 // (4 * FEATURES)
    kernel = row_seconds(1, 2**17)
    read = 4 * FEATURES / 200e6
    n_chunks = math.ceil(n_rows / chunk_rows)
    n_parts = len(partitions.partitions_of(np.full(n_chunks, 2.0**26)))
    # The next chunk is read while one is computed.
    work = n_rows / n_parts * max(kernel, read)
    whole = simulate(n_parts, work, workers, costs)
    ideal = n_rows * max(kernel, read) / workers
    print(f"{n_rows:.0e} rows, {n_chunks:,} chunks in {n_parts:,} partitions, {workers:,} workers")
    print(
        f"  a pass {whole:.0f} s: rows {ideal:.0f} s (kernel {n_rows * kernel / workers:.0f} s, "
        f"reading {n_rows * read / workers:.0f} s, at once)\n"
        f"  all else {100 * (whole / ideal - 1):.1f} % of that"
    )
    busy = n_parts * (costs.graph + costs.scheduler)
    print(
        f"  of which the scheduler is busy, while the workers work, for {100 * busy / whole:.0f} %"
    )


if __name__ == "__main__":
    main()
