"""A model whose passes are stopped where a test wants: faults and stops are placed, not timed."""

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


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.exists()
