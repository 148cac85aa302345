"""Ways to run a graph: real Dask processes, started as people start them, and a random order."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE = 60.0
_LOOPBACK = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


@contextlib.contextmanager
def running(command: Sequence[str] | str, directory: Path) -> Iterator[subprocess.Popen]:
    """A command (a string goes through the shell), and an end to all that it started."""
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        # Workers must be able to import the models that tests define.
        "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)]),
    }
    with open(directory / "processes.log", "ab") as log:
        process = subprocess.Popen(
            command,
            shell=isinstance(command, str),
            cwd=directory,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """Ask the whole process group to stop; a nanny's workers outlive it otherwise."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(file: Path, process: subprocess.Popen) -> Path:
    """Return `file` once `process` has written it."""
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (file.parent / "processes.log").read_text()
            raise RuntimeError(f"{process.args} has not written {file}:\n{log}")
        time.sleep(0.02)
    return file


@contextlib.contextmanager
def scheduler(directory: Path, *options: str) -> Iterator[Path]:
    """A scheduler; yields the file that says where it is."""
    file = directory / "scheduler.json"
    # Should this process be killed, the others notice and leave.
    alone = ["--port", "0", "--idle-timeout", "10 minutes", "--scheduler-file", str(file)]
    command = [sys.executable, "-m", "dask", "scheduler", *_LOOPBACK, *alone, *options]
    with running(command, directory) as process:
        yield wait_for(file, process)


@contextlib.contextmanager
def workers(file: Path, number: int, threads: int = 1, *options: str) -> Iterator[None]:
    """Worker processes of the scheduler of `file`."""
    size = ["--nworkers", str(number), "--nthreads", str(threads), "--memory-limit", "2GB"]
    where = ["--local-directory", str(file.parent), "--scheduler-file", str(file)]
    command = [sys.executable, "-m", "dask", "worker", *_LOOPBACK, *size, *where]
    with running([*command, "--death-timeout", "60", *options], file.parent):
        yield


def in_random_order(seed):
    """A Dask scheduler that runs whatever task is ready, at random."""
    # Here, so that test_dask_names.py can still say which name of Dask has moved.
    from daskem.data.cluster.graph import evaluated, nodes_of

    rng = random.Random(seed)

    def get(graph, keys, **_):
        waiting = nodes_of(graph.__dask_graph__())
        done = {}
        while waiting:
            ready = [key for key, task in waiting.items() if task.dependencies <= done.keys()]
            key = rng.choice(ready)
            done[key] = evaluated(waiting.pop(key), done)
        return nested(keys, done)

    def nested(keys, done):
        return [nested(key, done) for key in keys] if isinstance(keys, list) else done[keys]

    return get


def bits(result) -> bytes:
    """Everything a fit computed, to the last bit: params and the history of log-likelihoods."""
    params = result.params
    arrays = [params[name].tobytes() for name in sorted(params)]
    history = [p.log_likelihood.hex().encode() for p in result.history]
    return b"".join([*arrays, *history])
