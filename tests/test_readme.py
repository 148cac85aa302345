"""The Python of the README and the examples of docstrings run as they stand there."""

import doctest
import re
import warnings
from pathlib import Path

import dask.array as da
import distributed
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskem
from daskem.errors import ConvergenceWarning, ImproperFitWarning
from daskem.models.asking import members
from daskem.models.protocol import GROUPS, Model, Starts
from daskem.testing import check_model

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
ANSWERS = ("yes", "no"), ("meat", "fish"), ("long", "short")
ADDRESS = "tcp://scheduler:8786"


def profiles(rng):
    """Temperature and salinity of three waters, NaN on land."""
    water = rng.integers(3, size=(4, 6, 8))
    noise = rng.normal(size=(2, *water.shape))
    fields = {
        "temperature": np.array([2.0, 10.0, 22.0])[water] + noise[0],
        "salinity": np.array([34.7, 35.0, 36.2])[water] + 0.1 * noise[1],
    }
    fields["temperature"][:, :2, :3] = np.nan
    coords = {"lat": np.linspace(-60.0, 60.0, 6), "lon": np.arange(8.0) * 45}
    dims = ("time", "lat", "lon")
    return xr.Dataset({name: (dims, field) for name, field in fields.items()}, coords)


def answers(rng):
    """Of people of two kinds."""
    kinds = rng.integers(2, size=400)
    said = [np.where(rng.random(400) < 0.2 + 0.6 * kinds, *pair) for pair in ANSWERS]
    return pd.DataFrame(dict(zip(["smokes", "eats", "sleeps"], said, strict=True)))


def places(rng):
    """Of two climates."""
    kinds = rng.integers(2, size=400)
    columns = {
        "lon": rng.normal(10 * kinds),
        "lat": rng.normal(size=400),
        "cover": np.where(rng.random(400) < 0.2 + 0.6 * kinds, "forest", "steppe"),
        "storms": rng.poisson(2 + 8 * kinds),
        "wet": rng.random(400) < 0.1 + 0.8 * kinds,
    }
    return pd.DataFrame(columns)


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, scheduler_file):
    rng = np.random.default_rng(0)
    profiles(rng).chunk(time=2).to_zarr(tmp_path / "profiles.zarr", zarr_format=2)
    monkeypatch.chdir(tmp_path)
    with distributed.Client(scheduler_file=str(scheduler_file)) as client:
        address = client.scheduler.address
    names = {
        "distributed": distributed,
        "data": da.from_array(
            rng.normal(size=(400, 2)) + 8 * (np.arange(400)[:, None] % 8), chunks=(100, 2)
        ),
        "walks": da.from_array(
            rng.normal(size=(300, 2)) + 8 * (np.arange(300)[:, None] // 10 % 3), chunks=(150, 2)
        ),
        "lengths": [100, 150, 50],
        "answers": answers(rng),
        "others": answers(rng),
        "places": places(rng),
        "counts": rng.poisson(3.0, size=(300, 1)) * rng.integers(2, size=(300, 1)),
    }
    with warnings.catch_warnings():
        # So few rows have not as many clusters as those of the README.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", ImproperFitWarning)
        # xarray consolidates the metadata of what it writes, of which zarr warns.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        for block in BLOCKS:
            exec(compile(block.replace(ADDRESS, address), "README.md", "exec"), names)
    names["client"].close()
    assert sum(ADDRESS in block for block in BLOCKS) == 1
    written = xr.open_zarr("clusters.zarr")["cluster"]
    assert (written[:, :2, :3] == -1).all()
    assert set(np.unique(written[:, 2:])) <= set(range(8))
    assert names["result"].status in daskem.Status


def test_the_table_of_members_is_the_contract_of_a_model():
    table = re.search(r"^\| members \| buy \|\n(.*?)\n\n", README, re.MULTILINE | re.DOTALL)[1]
    named = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines()))
    groups = set.union(*map(members, (*GROUPS, Starts)))
    assert set(named) == groups - members(Model)


@pytest.mark.parametrize(
    "thing",
    [daskem.fit, daskem.select, daskem.GaussianMixture, daskem.GaussianHMM, check_model],
)
def test_the_examples_of_docstrings_are_right(thing):
    (test,) = (t for t in doctest.DocTestFinder(recurse=False).find(thing, module=False))
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0
