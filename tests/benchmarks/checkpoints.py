"""What a checkpoint costs: milliseconds and bytes of a write, for models from small to large.

python tests/benchmarks/checkpoints.py [FOLDER]
"""

import sys
import tempfile
import time
from dataclasses import replace

import numpy as np

import daskem
from daskem.running.checkpoints.recording import Recording
from daskem.running.preparing import prepare

_WRITES = 50


def measured(k: int, d: int, folder: str) -> str:
    """The median write of the last state of a short fit."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40 * k * d, d)) + 3 * rng.normal(size=(k, d))[rng.integers(k, size=1)]
    start = {
        "weights": np.full(k, 1 / k),
        "means": rows[:k],
        "covariances": np.broadcast_to(np.eye(d), (k, d, d)),
    }
    model = daskem.Mixture(daskem.Gaussian(reg_covar=1.0))
    path = tempfile.mkdtemp(dir=folder)
    options = {"start": start, "algorithm": "anderson", "tol": 0, "max_passes": 13}
    prepared = prepare(model, rows, checkpoint=path, random_state=0, **options)
    recording = prepared.recording
    assert isinstance(recording, Recording)
    runs, survey = list(replace(prepared, recording=None).passes())[-1]
    log, seconds, cpu = recording.opened(0), [], time.process_time()
    for passes in range(_WRITES):
        began = time.perf_counter()
        log.write(passes, runs, survey)
        seconds.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / _WRITES
    n_bytes = len(log.shelf.place.read(log.shelf.place.names()[0]))
    return f"{k:>4} {d:>4} {n_bytes:>12,} {1e3 * np.median(seconds):>9.2f} {1e3 * cpu:>9.2f}"


if __name__ == "__main__":
    print("   K    d        bytes   ms wall    ms CPU")
    for k, d in ((3, 2), (8, 4), (20, 10), (60, 60)):
        print(measured(k, d, sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()))
