"""Schedules of faults, drawn from a seed: a fit ends with the bits of one in which nothing failed,
or with a documented error from which `resume` ends with those bits, and never hangs.

    python -m pytest -m torture tests/test_torture.py -n 0 -s

prints a line for each schedule.
"""

import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

import dask
import pytest
from cluster import PATIENCE, scheduler, workers
from distributed import Client
from faults import M_STEP, STEPS, Fault, Faults, Struck, read_with
from samples import overlapping

import daskem
from daskem.errors import (
    CheckpointError,
    DaskemError,
    DataChangedError,
    DataReadError,
    SchedulerLostError,
)
from daskem.running.checkpoints.shelf import last

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.NoWorkersWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]
ROWS = overlapping(600)
CHUNK, N_CHUNKS = 50, 12
# Seconds after which a schedule hangs: no wait of daskem's own is longer but that for workers.
HANGS = 200.0
# What ends a fit, and by which errors; all else may not be seen at all.
NAMED = {
    "gone": {DataReadError},
    # In the read with which a fit is resumed, it is not that of the checkpoint.
    "wrong": {DataChangedError, CheckpointError},
    "full disk": {CheckpointError},
    "kill in writing": {SchedulerLostError},
    "kill the loop": {SchedulerLostError},
}
OF_READS, OF_WORKERS = ("passing", "gone", "wrong"), ("kill", "kill", "retire", "more")
OF_THE_LOOP = ("kill", "full disk", "kill in writing")


@dataclass(frozen=True)
class Schedule:
    """A fit and what happens to it."""

    verb: str
    algorithm: str
    cache: str
    placed: tuple[Fault, ...]

    @classmethod
    def drawn(cls, seed: int) -> "Schedule":
        rng = random.Random(seed)
        verb = rng.choice(["fit", "fit", "submit", "iterate", "select"])
        # A loop that runs here cannot be killed.
        ofs = ["reads", "workers", "workers", *(["loop"] if verb != "iterate" else [])]
        placed = [_fault(rng, rng.choice(ofs)) for _ in range(rng.randint(1, 4))]
        algorithm = rng.choice(["auto", "em", "squarem", "anderson"])
        return cls(verb, algorithm, rng.choice(["none", "none", "memory"]), tuple(placed))

    def __str__(self) -> str:
        faults = ", ".join(f"{f.what} at {f.step} {f.chunk}/{f.visit}" for f in self.placed)
        return f"{self.verb} by {self.algorithm}, cache={self.cache}: {faults}"


def _fault(rng: random.Random, of: str) -> Fault:
    if of == "loop":
        return Fault(rng.choice(OF_THE_LOOP), M_STEP, visit=rng.randint(1, 4))
    chunk = rng.randrange(N_CHUNKS)
    if of == "workers":
        return Fault(rng.choice(OF_WORKERS), rng.choice(STEPS), chunk, rng.randint(1, 4))
    what = rng.choice(OF_READS)
    # A first read that is wrong is one of other data, after any number of deaths.
    visit = rng.randint(6, 7) if what == "wrong" else rng.randint(1, 4)
    return Fault(what, "before read", chunk, visit)


class Cluster:
    """A scheduler and two workers or more, which are there again after whatever happened."""

    def __init__(self, folder) -> None:
        self.folder, self.number, self.stack = folder, 0, ExitStack()

    def mend(self) -> None:
        """Start what is not there any more, and retire what is too much."""
        if not self._is_there():
            self.close()
            folder = self.folder / f"cluster-{self.number}"
            folder.mkdir()
            self.number += 1
            self.file = self.stack.enter_context(scheduler(folder))
            self.stack.enter_context(workers(self.file, 2))
            self.client = Client(scheduler_file=str(self.file), timeout=30)
        with contextlib.suppress(TimeoutError):
            self.client.wait_for_workers(2, timeout=10)
        here = list(self.client.nthreads())
        if len(here) < 2:
            self.more()
            self.client.wait_for_workers(2, timeout=PATIENCE)
        if len(here) > 3:
            self.client.retire_workers(here[3:])

    def _is_there(self) -> bool:
        """Whether the scheduler answers: a client may not know yet that it has died."""
        if not hasattr(self, "client") or self.client.status != "running":
            return False
        try:
            return self.client.run_on_scheduler(int) == 0
        except Exception:  # Whatever Dask says of a connection that is lost.
            return False

    def more(self) -> None:
        self.stack.enter_context(workers(self.file, 1))

    def retire(self) -> None:
        """One of them, unless it is the last."""
        here = list(self.client.nthreads())
        if len(here) > 1:
            self.client.retire_workers(here[:1])

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close(timeout=1)
        self.stack.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("torture"))
    yield made
    made.close()


@contextlib.contextmanager
def obeying(cluster, folder):
    """Do what the faults ask for: to retire a worker, to start another one."""
    over, ran = threading.Event(), set()

    def obey() -> None:
        while not over.wait(0.02):
            for asked in set(folder.glob("asked *")) - ran:
                ran.add(asked)
                _, number, what = asked.name.split(" ")
                with contextlib.suppress(OSError, TimeoutError):
                    cluster.more() if what == "more" else cluster.retire()
                (folder / f"done {number}").touch()

    thread = threading.Thread(target=obey)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


OPTIONS = {"random_state": 0, "tol": 1e-12, "max_passes": 5}


def begun(schedule, model, data, **more):
    """The whole of a fit, or of a selection."""
    options = {**OPTIONS, "algorithm": schedule.algorithm, "cache": schedule.cache, **more}
    if schedule.verb == "select":
        return daskem.select(data, [1, 3], models={"own": model}, n_init=2, **options)
    if schedule.verb == "submit":
        return daskem.submit(model, data, 3, **options).result()
    if schedule.verb == "iterate":
        *_, outcome = daskem.iterate(model, data, 3, **options)
        return outcome
    return daskem.fit(model, data, 3, **options)


def whole(outcome):
    """All that has been found, to the last bit; but for the seconds, which are the clock's."""
    runs = outcome.runs
    runs = [run for cell in runs.values() for run in cell] if isinstance(runs, dict) else runs
    return [
        (
            {name: value.tobytes() for name, value in run.params.items()},
            [repr(replace(p, seconds=0.0)) for p in run.history],
            run.status,
        )
        for run in runs
    ]


@cache
def reference(selects, algorithm):
    """What is found where nothing fails, here."""
    schedule = Schedule("select" if selects else "fit", algorithm, "none", ())
    with dask.config.set(scheduler="synchronous"):
        return whole(begun(schedule, Struck(), read_with(ROWS, CHUNK, Faults())))


def left_at(path):
    """Whether there is anything to go on from."""
    try:
        return last(str(path)) is not None
    except CheckpointError:
        return False


def survived(schedule, cluster, folder):
    """The end of a fit, after as many errors as there are faults that raise one; and which."""
    faults, path, told = Faults(str(folder), schedule.placed), folder / "kept", []
    model, data = Struck(faults=faults), read_with(ROWS, CHUNK, faults)
    given = {"own": model} if schedule.verb == "select" else model
    while True:
        cluster.mend()
        try:
            if left_at(path):
                return daskem.resume(path, data, given), told
            return begun(schedule, model, data, checkpoint=path), told
        except DaskemError as error:
            told.append(type(error))
            allowed = [NAMED[what] for what in map(ends_by, faults.happened()) if what in NAMED]
            if any(told.count(kind) > sum(kind in kinds for kinds in allowed) for kind in told):
                raise


def ends_by(fault):
    return "kill the loop" if (fault.what, fault.step) == ("kill", M_STEP) else fault.what


def endures(schedule, name, cluster, folder):
    """Assert that a fit survives its schedule; returns how many of the faults have happened."""
    began = time.monotonic()
    expected = reference(schedule.verb == "select", schedule.algorithm)
    cluster.mend()
    pool = ThreadPoolExecutor(1)
    with obeying(cluster, folder):
        outcome, told = pool.submit(survived, schedule, cluster, folder).result(HANGS)
    assert whole(outcome) == expected
    happened = len(Faults(str(folder), schedule.placed).happened())
    names = ", ".join(error.__name__ for error in told) or "no error"
    print(f"{name}: {schedule}; {happened} happened, {names}, {time.monotonic() - began:.1f} s")
    return happened


@pytest.mark.parametrize("seed", range(2))
def test_some_faults_leave_no_trace_in_the_bits(seed, cluster, tmp_path):
    endures(Schedule.drawn(seed), seed, cluster, tmp_path)


PLACES = [("kill", step) for step in (*STEPS, M_STEP)] + [("kill in writing", M_STEP)]
PLACES += [("stop", step) for step in STEPS]


@pytest.mark.torture
@pytest.mark.parametrize("at", [1, 2, 5], ids=["first pass", "second pass", "last pass"])
@pytest.mark.parametrize(("what", "step"), PLACES)
def test_a_death_at_each_step_of_each_pass_leaves_no_trace(what, step, at, cluster, tmp_path):
    chunk = -1 if step == M_STEP else 0
    # One read is the survey.
    fault = Fault(what, step, chunk, at + ("read" in step))
    schedule = Schedule("fit", "em", "none", (fault,))
    try:
        assert endures(schedule, f"{what} at {step} of pass {at}", cluster, tmp_path) == 1
    finally:
        for process in Faults(str(tmp_path)).stopped():
            process.resume()


@pytest.mark.torture
@pytest.mark.parametrize("what", ["kill", "kill all"])
def test_what_deaths_of_workers_add_to_a_fit_is_printed(what, cluster, tmp_path):
    """In seconds, which are the machine's; all workers are of one nanny."""

    def lasts(number, *placed):
        folder = tmp_path / str(number)
        folder.mkdir()
        cluster.mend()
        began = time.monotonic()
        schedule = Schedule("fit", "em", "none", placed)
        assert endures(schedule, what, cluster, folder) == len(placed)
        return time.monotonic() - began

    # Workers that are new import first, which is none of a fit's own.
    undisturbed = [lasts(f"{number} before") for number in range(3)]
    for number, step in enumerate(STEPS):
        seconds = lasts(number, Fault(what, step, 0, 2 + ("read" in step)))
        undisturbed += [lasts(f"{number} {i} after") for i in range(2)]
        added = seconds - min(undisturbed)
        print(f"{what} at {step} of pass 2 adds {added:.1f} s to {min(undisturbed):.1f} s")


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(2, 202))
def test_no_schedule_of_faults_leaves_a_trace_in_the_bits(seed, cluster, tmp_path):
    endures(Schedule.drawn(seed), seed, cluster, tmp_path)
