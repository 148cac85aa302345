"""Models whose passes stop, or die, where a test wants: faults are placed, not timed."""

import os
import time
from pathlib import Path

from cluster import PATIENCE

import daskem

MODEL = daskem.Mixture(daskem.Gaussian())


class Gate:
    """A mixture whose E steps say when they reach some passes, and wait to be let through."""

    def __init__(self, folder: Path, *at: int):
        self.folder, self.at = folder, at

    def e_step(self, block, params):
        now = int(params["pass"])
        if now in self.at:
            (self.folder / f"reached-{now}").touch()
            deadline = time.monotonic() + PATIENCE
            while not (self.folder / f"go-{now}").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        return MODEL.e_step(block, params)

    def m_step(self, statistics, params):
        return {**MODEL.m_step(statistics, params), "pass": params["pass"] + 1}

    def reached(self, now: int) -> None:
        wait_for(self.folder / f"reached-{now}")

    def open(self) -> None:
        for now in self.at:
            (self.folder / f"go-{now}").touch()


class Dying:
    """A mixture whose E step ends the process, once for each (pass, chunk) in `when`."""

    def __init__(self, inner, marks: Path, when):
        self.inner, self.marks, self.when = inner, marks, when

    def e_step(self, block, params):
        here = (int(params["pass"]), block.pieces[0].number)
        mark = self.marks / "{}-{}".format(*here)
        if here in self.when and not mark.exists():
            mark.touch()
            os._exit(1)
        return self.inner.e_step(block, params)

    def m_step(self, statistics, params):
        return {**self.inner.m_step(statistics, params), "pass": params["pass"] + 1}


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.exists()
