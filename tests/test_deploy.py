"""The commands of deploy/README.md, as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr
from cluster import PATIENCE, running, wait_for
from distributed import Client

RECIPE = (Path(__file__).parents[1] / "deploy" / "README.md").read_text()


def block(heading: str) -> str:
    """The code block of the recipe that opens with `heading`."""
    (code,) = re.findall(rf"^```{heading}\n(.*?)^```$", RECIPE, re.MULTILINE | re.DOTALL)
    return code.strip()


@pytest.fixture
def folder(tmp_path, rows):
    array = zarr.create_array(
        tmp_path / "profiles.zarr", shape=rows.shape, chunks=(500, 3), dtype=rows.dtype
    )
    array[:] = rows
    return tmp_path


def e_steps(dask_scheduler=None):
    prefixes = dask_scheduler.task_prefixes
    return sum(
        sum(prefix.state_counts.values())
        for name, prefix in prefixes.items()
        if name.startswith("e-step")
    )


def listening():
    """Addresses at which processes that this one has started wait for others."""
    return [
        connection.laddr
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def test_the_recipe_runs_as_it_is_written(folder):
    with running(block("sh scheduler"), folder) as scheduler:
        file = wait_for(folder / "cluster.json", scheduler)
        with running(block("sh workers"), folder):
            script = subprocess.run(
                [sys.executable, "-W", "error", "-c", block("python")],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=2 * PATIENCE,
            )
            assert script.returncode == 0, script.stderr
            assert script.stdout.startswith("converged after ")
            notes = [line for line in script.stdout.splitlines() if line.startswith("note: ")]
            assert len(script.stdout.splitlines()) == 2 + len(notes) + 3
            with Client(scheduler_file=str(file)) as client:
                # It was these workers who did the work.
                assert client.run_on_scheduler(e_steps) > 0
                assert set(client.nthreads().values()) == {1}
                limits = {w["memory_limit"] for w in client.scheduler_info(-1)["workers"].values()}
                assert limits == {2_000_000_000}
                assert set(client.run(np.__version__.strip).values()) == {np.__version__}
            # A scheduler and two nannies with a worker each, and the dashboards of some.
            assert len(listening()) >= 5
            assert {address.ip for address in listening()} == {"127.0.0.1"}
