"""Stored chunks that are damaged, between passes or before a fit: never another result.

    python -m pytest -m torture tests/test_damage.py -n 0 -s

prints how each kind of damage ended.
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zarr
from cluster import bits
from samples import overlapping
from zarr.codecs import ZstdCodec

import daskem
from daskem import Gaussian, Mixture
from daskem.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
MODEL = Mixture(Gaussian("diag"))
SHORT = {"n_components": 2, "random_state": 0, "tol": 1e-300, "max_passes": 3, "cache": "none"}
# Chunks of more than a MiB are read one by one.
SIZE, N_CHUNKS = 33_000, 4
CODECS = {"default": "auto", "none": None, "checked": ZstdCodec(checksum=True)}
# Bytes of a stored chunk that describe the others, where there is a codec: half of all flips.
HEADER = 16


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The paths of stores of the same recorded rows, by their codec."""
    rows = overlapping(N_CHUNKS * SIZE, d=4).round(2)
    paths = {codec: tmp_path_factory.mktemp(codec) / "rows.zarr" for codec in CODECS}
    for codec, path in paths.items():
        options = {"chunks": (SIZE, 4), "compressors": CODECS[codec]}
        zarr.create_array(path, data=rows, **options)
    return paths


def flip(rng, path, other):
    content = bytearray(path.read_bytes())
    n = HEADER if rng.random() < 0.5 else len(content)
    content[rng.integers(n)] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def truncate(rng, path, other):
    content = path.read_bytes()
    path.write_bytes(content[: rng.integers(len(content))])


def delete(rng, path, other):
    path.unlink()


def swap(rng, path, other):
    one = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(one)


KINDS = (flip, truncate, delete, swap)


class Damage:
    """A copy of a store, one chunk of which is damaged."""

    def __init__(self, store: Path, folder: Path, kind, seed: int) -> None:
        self.rng, self.kind = np.random.default_rng(seed), kind
        self.chunk, self.other = self.rng.permutation(N_CHUNKS)[:2]
        self.path = shutil.copytree(store, folder / f"{kind.__name__}-{seed}")
        self.before = zarr.open(self.path)[:]

    def happens(self) -> None:
        chunks = self.path / "c"
        self.kind(self.rng, chunks / f"{self.chunk}/0", chunks / f"{self.other}/0")

    @property
    def is_none(self) -> bool:
        """Whether the values are as they were, as where a bit says nothing."""
        return np.array_equal(zarr.open(self.path)[:], self.before)

    def ends(self, fit) -> str:
        """The name of the error that `fit` ends by, which names the chunk; else its last result."""
        end = ended(fit)
        if not isinstance(end, DataError):
            return end
        known = {self.chunk, self.other} if self.kind is swap else {self.chunk}
        named = re.search(r"chunks?:? \(?(\d)", str(end))
        assert named, end
        assert int(named[1]) in known, end
        return type(end).__name__


def ended(fit):
    """The last result, or why there is none."""
    try:
        *_, result = fit()
    except DataError as error:
        return error
    return result


def between_passes(store, folder, kind, seed):
    """How a fit ends, one chunk of whose data is damaged after one of its passes."""
    damage = Damage(store, folder, kind, seed)
    fit = daskem.iterate(MODEL, damage.path, **SHORT)
    for _ in range(damage.rng.integers(1, SHORT["max_passes"])):
        next(fit)
    damage.happens()
    end = damage.ends(lambda: fit)
    if isinstance(end, str):
        assert end in ("DataChangedError", "DataReadError")
        return end
    assert damage.is_none, f"{kind.__name__} of chunk {damage.chunk}, seed {seed}, has no trace"
    assert bits(end) == bits(daskem.fit(MODEL, store, **SHORT))
    return "no other value"


@pytest.mark.parametrize("n", [3, pytest.param(50, marks=pytest.mark.torture)])
@pytest.mark.parametrize("codec", ["default", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_between_passes_is_told_with_the_chunk(stores, tmp_path, kind, codec, n):
    ends = Counter(between_passes(stores[codec], tmp_path, kind, seed) for seed in range(n))
    print(f"{kind.__name__} of {n}, codec {codec}: {dict(ends)}")
    assert ends["no other value"] < n / 2


def before_the_fit(store, folder, kind, seed):
    """How a fit ends, one chunk of whose data has been damaged before it; and what it says."""
    damage = Damage(store, folder, kind, seed)
    damage.happens()
    end = damage.ends(lambda: daskem.iterate(MODEL, damage.path, **SHORT))
    if isinstance(end, str):
        return end
    told = any("have no checksums" in note for note in end.notes)
    return "no other value" if damage.is_none else "told of" if told else "silent"


# What is seen before a fit: all that is not whole, and with checksums all but whole chunks that
# lie in the place of others.
SEEN = {
    **{(delete, codec): {"MissingChunksError"} for codec in CODECS},
    **{(truncate, codec): {"DataReadError"} for codec in CODECS},
    **{(swap, codec): {"told of"} for codec in CODECS},
    (swap, "checked"): {"silent"},
    # The survey sees values that nobody can use.
    (flip, "default"): {"DataReadError", "DataError", "told of", "no other value"},
    (flip, "none"): {"DataError", "told of"},
    (flip, "checked"): {"DataReadError", "no other value"},
}


@pytest.mark.parametrize("n", [1, pytest.param(50, marks=pytest.mark.torture)])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_before_a_fit_is_told_or_told_of_where_it_can_be(stores, tmp_path, kind, codec, n):
    ends = Counter(before_the_fit(stores[codec], tmp_path, kind, seed) for seed in range(n))
    print(f"{kind.__name__} of {n} before the fit, codec {codec}: {dict(ends)}")
    assert set(ends) <= SEEN[kind, codec]
