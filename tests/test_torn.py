"""Models that are replaced while they are read, or by who is killed: whole, the old or the new."""

import subprocess
import sys

import pytest
from cluster import PATIENCE

from daskem.results import files

_WRITER = """
import os, random, signal, sys, time
import numpy as np, daskem
from daskem import Gaussian, Mixture

path, times, kills = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "kills"
rows = np.random.default_rng(0).normal(size=(100, 2))
models = {k: daskem.fit(Mixture(Gaussian("diag")), rows, k, random_state=0, tol=1) for k in (1, 2)}
models[1].save(path)
seconds = time.perf_counter()
models[2].save(path)
seconds = time.perf_counter() - seconds
rng, left, found = random.Random(0), set(), set()

def replacing(which):
    # First by the other one, so that a single save that is done before the kill is seen.
    child = os.fork()
    while not child:
        which = 3 - which
        models[which].save(path)
    return child

def look():
    model = daskem.load(path)
    expected = models[model.n_components]
    assert all((model.params[n] == expected.params[n]).all() for n in expected.params)
    found.add(model.n_components)
    return model.n_components

stored = look()
child = None if kills else replacing(stored)
for number in range(50 * times):
    # Until some were killed in the midst of it, whatever the pace of the machine.
    if number >= times and ("partial" in left or not kills):
        break
    if kills:
        child = replacing(stored)
        time.sleep(rng.uniform(0, 3 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        left |= {name.rpartition(".")[2] for name in os.listdir(os.path.dirname(path))}
    stored = look()
if not kills:
    os.kill(child, signal.SIGKILL)
print(sorted(found), sorted(left))
"""


def survives(folder, times, how):
    command = [sys.executable, "-c", _WRITER, str(folder / "model"), str(times), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE + times)
    assert done.returncode == 0, done.stderr
    # Both were seen, else this says nothing.
    assert done.stdout.startswith("[1, 2]")
    return done.stdout


@pytest.mark.parametrize("kills", [20, pytest.param(1000, marks=pytest.mark.torture)])
def test_a_writer_that_is_killed_leaves_a_whole_model(tmp_path, kills):
    # Some were killed in the midst of it.
    assert "partial" in survives(tmp_path, kills, "kills")


def test_who_looks_while_a_model_is_replaced_sees_a_whole_one(tmp_path):
    survives(tmp_path, 20, "looks")


def test_folders_change_places_and_where_nothing_can_it_is_said(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of {name}").touch()
    changed = files._exchanged(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "of b").exists() == changed == (sys.platform == "linux")
    assert not files._exchanged(tmp_path / "a", tmp_path / "nowhere")
