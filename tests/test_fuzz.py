"""Files that are wrong in any way are documented errors, in little memory, and execute nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import PATIENCE

HERE = Path(__file__).parent


@pytest.mark.parametrize("times", [60, pytest.param(5000, marks=pytest.mark.torture)])
def test_wrong_models_and_checkpoints_are_told_and_execute_nothing(tmp_path, times):
    command = [sys.executable, str(HERE / "fuzz.py"), str(tmp_path), str(times)]
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE + times,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    # Both ends were met, else this says nothing.
    assert '"refused"' in done.stdout
    assert '"loaded"' in done.stdout
