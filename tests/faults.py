"""Faults that are placed: at a visit of a chunk at one of the steps of a pass, and only once."""

import errno
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
from distributed import Status, Worker

from daskem import Gaussian, Mixture

# Of a chunk, on workers; and where the loop runs.
STEPS = ("before read", "after read", "before e-step", "after e-step", "tree", "gather")
M_STEP = "m-step"
# Seconds that a step waits for what it has asked the test to do to the cluster.
_ASKED = 1.0


@dataclass(frozen=True)
class Fault:
    """What happens at a step, when a chunk comes to it for the so-manieth time or later."""

    what: str
    step: str
    chunk: int = -1
    visit: int = 1


@dataclass(frozen=True)
class Faults:
    """Faults of a schedule; processes tell each other by the files of a folder what has been."""

    folder: str = ""
    placed: tuple[Fault, ...] = ()

    def at(self, step: str, chunk: int = -1) -> str | None:
        """Count a visit; what happens now that is not of this process or the cluster."""
        if not self.placed:
            return None
        with open(f"{self.folder}/visits {step} {chunk}", "ab") as file:
            file.write(b".")
            visits = file.tell()
        for number, fault in enumerate(self.placed):
            here = (fault.step, fault.chunk) == (step, chunk) and visits >= fault.visit
            if here and self._first(number):
                return self._happens(number, fault.what)
        return None

    def happened(self) -> list[Fault]:
        return [f for i, f in enumerate(self.placed) if Path(f"{self.folder}/fault {i}").exists()]

    def stopped(self) -> list[psutil.Process]:
        """The processes that are, and have not been woken or ended since."""
        numbers = [int(path.name.split()[1]) for path in Path(self.folder).glob("stopped *")]
        known = [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]
        return [process for process in known if process.status() == psutil.STATUS_STOPPED]

    def _first(self, number: int) -> bool:
        try:
            os.close(os.open(f"{self.folder}/fault {number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _happens(self, number: int, what: str) -> str:
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "kill all":
            own = psutil.Process()
            for other in own.parent().children():
                # The other workers of its nanny, and not what keeps track of their resources.
                if other != own and "spawn_main" in " ".join(other.cmdline()):
                    other.kill()
            own.kill()
        if what == "stop":
            Path(f"{self.folder}/stopped {os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        if what in ("retire", "more"):
            Path(f"{self.folder}/asked {number} {what}").touch()
            deadline = time.monotonic() + _ASKED
            while not Path(f"{self.folder}/done {number}").exists():
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
        if what in ("full disk", "kill in writing"):
            _spoil_the_next_write(what)
        return what


def _spoil_the_next_write(what: str) -> None:
    """Of this process: what is written then is all there, and neither synced nor renamed."""
    fsync = os.fsync

    def spoilt(handle: int) -> None:
        os.fsync = fsync
        if what == "kill in writing":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.fsync = spoilt


def read_with(rows: np.ndarray, size: int, faults: Faults) -> da.Array:
    """Rows in chunks, whose reader has the faults."""
    chunks = da.from_array(rows, chunks=(size, -1))
    return chunks.map_blocks(_read, faults=faults, dtype=float, meta=np.empty((0, 0)))


def _read(chunk: np.ndarray, faults: Faults, block_info=None) -> np.ndarray:
    number = block_info[0]["chunk-location"][0]
    what = faults.at("before read", number)
    if what == "passing":
        raise OSError(errno.EIO, "the network is busy")
    if what == "gone":
        raise FileNotFoundError(errno.ENOENT, "the disk is gone")
    if what == "wrong":
        return np.nextafter(chunk, 1e9)
    faults.at("after read", number)
    return chunk


class Fuse:
    """What rides on the sums of a pass: it sees where they are added and where they are sent."""

    def __init__(self, faults: Faults, chunk: int) -> None:
        self.faults, self.chunk = faults, chunk

    def __add__(self, other: "Fuse") -> "Fuse":
        if _in_a_worker():  # Few sums are added where the loop runs.
            self.faults.at("tree", self.chunk)
        return self

    def __reduce__(self) -> tuple:
        if _in_a_worker():  # Elsewhere nothing is sent but what has been gathered.
            self.faults.at("gather", self.chunk)
        return Fuse, (self.faults, self.chunk)


def _in_a_worker() -> bool:
    # One that a test had in its own process may not be forgotten when it is closed.
    return any(worker.status is Status.running for worker in Worker._instances)


@dataclass(frozen=True)
class Struck(Mixture):
    """A mixture with faults at its E steps, at what becomes of them, and at its M steps."""

    family: Gaussian = field(default_factory=Gaussian)
    faults: Faults = field(default_factory=Faults)

    def e_steps(self, block, candidates: Sequence) -> list:
        # Samples are fitted where the loop runs.
        if not (block.pieces and _in_a_worker()):
            return super().e_steps(block, candidates)
        chunk = block.pieces[0].number
        self.faults.at("before e-step", chunk)
        sums = super().e_steps(block, candidates)
        self.faults.at("after e-step", chunk)
        return [{**statistics, "fuse": Fuse(self.faults, chunk)} for statistics in sums]

    def m_step(self, statistics, params):
        if "fuse" in statistics:
            self.faults.at(M_STEP)
        return super().m_step(statistics, params)
