"""Chunks that a zarr store lacks are found before anything is read: zarr reads zeros there."""

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from samples import overlapping
from zarr.codecs import Crc32cCodec, GzipCodec, ZstdCodec

import daskem
from daskem import Gaussian, Mixture
from daskem.cli import main
from daskem.errors import DataReadError, MissingChunksError, ParameterError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
SHORT = {"n_components": 2, "random_state": 0, "max_passes": 2}
MODEL = Mixture(Gaussian())


@pytest.fixture(scope="module")
def rows():
    return overlapping(1000)


def written(path, rows, lost=(), **options):
    """A store of 10 chunks, of which some are lost."""
    made = {"shape": rows.shape, "chunks": (100, 2), "dtype": "f8", **options}
    array = zarr.create_array(path, **made)
    array[:] = rows
    kept = [i for i in range(10) if i not in lost]
    for file in path.rglob("*"):
        parts = file.relative_to(path).parts
        number = parts[1] if parts[0] == "c" and len(parts) == 3 else parts[0].split(".")[0]
        if file.is_file() and number.isdigit() and int(number) not in kept:
            file.unlink()
    return str(path)


@pytest.mark.parametrize(
    "options", [{}, {"zarr_format": 2}, {"chunks": (50, 2), "shards": (100, 2)}]
)
@pytest.mark.parametrize("lost", [(3,), (0, 2, 5, 9)])
def test_chunks_that_are_lost_are_named_and_nothing_is_read(tmp_path, rows, options, lost):
    path = written(tmp_path / "rows.zarr", rows, lost, **options)
    told = ", ".join(f"({i}, 0)" for i in lost[:3])
    match = rf"rows\.zarr lacks {len(lost)} of 10 chunks: {told}".replace("(", r"\(").replace(
        ")", r"\)"
    )
    for data in (path, zarr.open(path, mode="r")):
        with pytest.raises(MissingChunksError, match=match + r".*read as 0\.0.*missing_chunks="):
            daskem.fit(MODEL, data, **SHORT)


def test_a_store_that_is_whole_is_fitted(tmp_path, rows):
    result = daskem.fit(MODEL, written(tmp_path / "rows.zarr", rows), **SHORT)
    assert not any("lacks" in note for note in result.notes)


def test_the_fill_value_may_be_meant(tmp_path, rows, capsys):
    sparse = rows.copy()
    sparse[300:400] = 0
    path = written(tmp_path / "rows.zarr", sparse)  # zarr leaves that chunk out
    result = daskem.fit(MODEL, path, missing_chunks="fill", **SHORT)
    expected = daskem.fit(
        MODEL, written(tmp_path / "all.zarr", sparse, config={"write_empty_chunks": True}), **SHORT
    )
    np.testing.assert_array_equal(result.params["means"], expected.params["means"])
    assert "lacks 1 of 10 chunks: (3, 0); they are read as 0.0" in result.notes[0]
    command = ["fit", path, "-k", "2", "--out", str(tmp_path / "model"), "--max-passes", "2"]
    assert main(command) == 2
    assert "--missing-chunks fill" in capsys.readouterr().err
    assert main([*command, "--missing-chunks", "fill"]) == 0
    with pytest.raises(ParameterError, match="missing_chunks='zero' is not one of"):
        daskem.fit(MODEL, path, missing_chunks="zero", **SHORT)


def test_what_is_read_as_missing_is_no_error_of_its_own(tmp_path, rows):
    path = written(tmp_path / "rows.zarr", rows, (3,), fill_value=np.nan)
    assert daskem.fit(MODEL, path, missing="omit", **SHORT).n_rows == 900


def test_variables_of_a_dataset_that_are_fitted(tmp_path, rows):
    path = tmp_path / "set.zarr"
    names = {name: ("profile", rows[:, i % 2]) for i, name in enumerate("abc")}
    dataset = xr.Dataset(names, {"profile": np.arange(1000)}).chunk(profile=100)
    filled = {name: {"fill_value": 0.0} for name in "abc"}
    dataset.to_zarr(path, encoding=filled, zarr_format=3, consolidated=False)
    (path / "b" / "c" / "4").unlink()
    lazy = xr.open_zarr(path, consolidated=False)
    for data in (str(path), lazy, zarr.open_group(path, mode="r")):
        with pytest.raises(MissingChunksError, match=r"set\.zarr/b lacks 1 of 10 chunks: 4;"):
            daskem.fit(MODEL, data, features=["a", "b"], **SHORT)
        daskem.fit(MODEL, data, features=["a", "c"], **SHORT)
    with pytest.raises(MissingChunksError, match=r"set\.zarr/b lacks"):
        daskem.select(str(path), [1, 2], n_init=1)
    # Of what has been cut nobody knows whether it needs that chunk.
    daskem.fit(MODEL, lazy.isel(profile=slice(100)), features=["a", "b"], **SHORT)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, True),
        ({"zarr_format": 2}, True),
        ({"compressors": None}, True),
        ({"compressors": [ZstdCodec(checksum=True)]}, False),
        ({"compressors": [GzipCodec()]}, False),
        ({"compressors": [Crc32cCodec()]}, False),
        ({"chunks": (50, 2), "shards": (100, 2)}, True),
        ({"chunks": (50, 2), "shards": (100, 2), "compressors": [Crc32cCodec()]}, False),
        ({"zarr_format": 2, "compressors": numcodecs.Zlib()}, False),
        ({"zarr_format": 2, "compressors": None, "filters": [numcodecs.CRC32()]}, False),
    ],
    ids=str,
)
def test_a_store_without_checksums_is_said_so_and_others_tell_damage(tmp_path, rows, options, told):
    path = written(tmp_path / "rows.zarr", rows, **options)
    result = daskem.fit(MODEL, path, **SHORT)
    notes = [note for note in result.notes if "have no checksums" in note]
    assert len(notes) == told
    if not told:
        files = (file for file in tmp_path.rglob("*") if file.is_file())
        chunk = next(file for file in files if file.name in ("0", "0.0"))
        content = bytearray(chunk.read_bytes())
        content[len(content) // 3] ^= 1
        chunk.write_bytes(content)
        with pytest.raises(DataReadError):
            daskem.fit(MODEL, path, **SHORT)
