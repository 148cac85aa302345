from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from cluster import PATIENCE, scheduler, workers
from distributed import Client
from hypothesis import settings

# Time limits on single examples measure the machine, and a failure should come back tomorrow.
settings.register_profile("daskem", deadline=None, derandomize=True)
settings.load_profile("daskem")


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """Three overlapping clusters in three dimensions, (sample, feature)."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.0], [4.0, 1.0, 0.0], [0.0, 5.0, 2.0]])
    drawn = centres[rng.integers(3, size=3000)] + rng.standard_normal((3000, 3))
    drawn.flags.writeable = False
    return drawn


@pytest.fixture(scope="session")
def start(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Somewhere for a full Gaussian mixture of `rows` to start."""
    return {
        "weights": np.full(3, 1 / 3),
        "means": rows[:3],
        "covariances": np.stack([np.eye(3)] * 3),
    }


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey in this process draws fewer rows, so that few are more than it draws."""
    # By its name in `daskem.data.survey` one gets the function.
    monkeypatch.setattr(import_module("daskem.data.survey.survey"), "_MOST_SAMPLED", 2**14)


@pytest.fixture(scope="session")
def scheduler_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a cluster of two worker processes that many tests share."""
    with scheduler(tmp_path_factory.mktemp("cluster")) as file, workers(file, 2):
        yield file


@pytest.fixture
def client(scheduler_file: Path) -> Iterator[Client]:
    """The current client, of the shared cluster."""
    with Client(scheduler_file=str(scheduler_file)) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client
