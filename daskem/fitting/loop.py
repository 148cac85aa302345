"""The loop: one pass evaluates what every active run asks for, and tells each its answers."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from daskem.core.candidates import Candidates
from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.data.blocks import Block, Blocks
from daskem.data.survey import Machines, Survey, blamed, blaming, check_unchanged, fingerprint
from daskem.fitting.dropping import drop_before, drop_the_slower
from daskem.fitting.record import Status
from daskem.fitting.run import Read, Run
from daskem.fitting.stopping import Stop, resolution
from daskem.models.asking import EmSteps
from daskem.models.protocol import Model

# A model, and the params at which a pass is to evaluate it.
Request = tuple[Model, Sequence[Params]]


def evaluate(block: Block, requests: Sequence[Request]) -> dict[str, Any]:
    """The statistics of one block for every params of every model, and what the block held."""
    with blaming(block), one_blas_thread():
        statistics = [EmSteps(model).e_steps(block, candidates) for model, candidates in requests]
    return {
        "rows": len(block),
        "bytes": block.rows.nbytes,
        "weight": block.weight,
        "fingerprint": fingerprint(block),
        "machines": Machines.current(),
        "statistics": statistics,
    }


def passes(
    runs: Sequence[Run],
    blocks: Blocks,
    stop: Stop,
    survey: Survey | None = None,
    strict: bool = False,
    restarts: Sequence[Sequence[int]] = (),
    led: Callable[[Sequence[Run]], Sequence[int]] | None = None,
) -> Iterator[list[Run]]:
    """Fit `runs` together, one pass over `blocks` at a time, of which `survey` was the first read.

    A worker that joins later and computes other last bits is an event, or to be `strict` an error.
    Of `restarts`, numbers of runs that differ in nothing but their start, those that have lost to
    another one are dropped. A sample of the rows leads the runs whose numbers `led` says of them as
    they stand after a pass, or all.

    Yields
    ------
    runs : list of Run
        As they stand after each pass, until all of them have ended.

    Raises
    ------
    DataChangedError
        If a pass has read anything else than the survey.
    MixedClusterError
        If it was read by others, who compute other last bits, and that is not to be.
    ModelError, LikelihoodFellError
        What one of them failed of, if none of them can go on.
    """
    runs, sample = list(runs), None if survey is None else survey.reaching_sample
    if survey is not None:
        for numbers in restarts:
            if all(runs[i].history for i in numbers):
                continue
            tol = _tolerance(runs, numbers, stop, survey.weight)
            drop_before(runs, numbers, survey.weight, tol)
    while active := [i for i, run in enumerate(runs) if run.status is Status.RUNNING]:
        asked = {i: runs[i].ask() for i in active}
        groups = _by_model(runs, active)
        requests = [
            (runs[group[0]].model, Candidates(params for i in group for params in asked[i]))
            for group in groups
        ]
        began = time.perf_counter()
        with blamed(survey):
            sums = blocks.sum(evaluate, requests, name="e-step", source="m-step")
        if survey is not None:
            check_unchanged(blocks, survey, sums["fingerprint"])
        seconds = time.perf_counter() - began
        mixed = _mixed(survey, sums["machines"], strict)
        read = Read(sums["rows"], sums["bytes"], sums["weight"], seconds, mixed)
        with one_blas_thread():
            for group, statistics in zip(groups, sums["statistics"], strict=True):
                answers = iter(statistics)
                for i in group:
                    runs[i] = runs[i].tell([next(answers) for _ in asked[i]], read, stop, sample)
            for numbers in restarts:
                drop_the_slower(runs, numbers, _tolerance(runs, numbers, stop, read.weight))
            for i in active if led is None else led(runs):
                runs[i] = runs[i].led(sample, stop, read.weight)
        if all(run.status is Status.FAILED for run in runs):
            raise next(run.failure for run in runs if run.failure)
        yield list(runs)


def _tolerance(runs: Sequence[Run], numbers: Sequence[int], stop: Stop, weight: float) -> float:
    """By less than how much runs of one size do not differ, nats per row."""
    one = runs[numbers[0]]
    return stop.tolerance(resolution(one.model, one.params, weight))


def _by_model(runs: Sequence[Run], active: Sequence[int]) -> list[list[int]]:
    """The active runs of each model: they share its kernel, their params are one request."""
    groups: dict[int, list[int]] = {}
    for i in active:
        groups.setdefault(id(runs[i].model), []).append(i)
    return list(groups.values())


def _mixed(survey: Survey | None, machines: Machines, strict: bool) -> tuple[str, ...]:
    """What is said of who has made a pass, if the survey has not said so already."""
    before = Machines() if survey is None else survey.machines
    both = before + machines
    both.check(strict)
    return () if both.mixed is None or both == before else (both.mixed,)
