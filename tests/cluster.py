"""Real Dask processes on this machine, started with the commands that people type."""

import contextlib
import os
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
def processes(directory: Path, workers: int, threads: int = 1) -> Iterator[Path]:
    """A scheduler and `workers` processes of `threads` threads; yields its scheduler file."""
    file = directory / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    known = ["--scheduler-file", str(file)]
    # Should this process be killed, the others notice and leave.
    scheduler = [*dask, "scheduler", *_LOOPBACK, "--port", "0", "--idle-timeout", "10 minutes", *known]
    size = ["--nworkers", str(workers), "--nthreads", str(threads), "--memory-limit", "2GB"]
    scratch = ["--local-directory", str(directory), "--death-timeout", "60"]
    with running(scheduler, directory) as process:
        wait_for(file, process)
        with running([*dask, "worker", *_LOOPBACK, *size, *scratch, *known], directory):
            yield file


def bits(result) -> bytes:
    """Everything a fit computed, to the last bit: params and the history of log-likelihoods."""
    params = [result.params[name].tobytes() for name in sorted(result.params)]
    history = [p.log_likelihood.hex().encode() for p in result.history]
    return b"".join([*params, *history])
