"""Reads that fail: tried again where that may help, and told by store, chunk and cause."""

import gc
import time
from pickle import loads

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from cluster import PATIENCE, bits, in_random_order
from distributed.protocol.pickle import dumps
from samples import overlapping

import daskem
from daskem import Gaussian, Mixture
from daskem.data.blocks import retries
from daskem.errors import DataError, DataReadError

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
SHORT = {"n_components": 2, "random_state": 0, "max_passes": 3, "cache": "none"}
MODEL = Mixture(Gaussian("diag"))
HANGS = 3  # Which read of a chunk does not come back.


def test_zarrs_reads_the_same_bits(tmp_path):
    pytest.importorskip("zarrs")
    rows = overlapping(3000).round(2)
    zarr.create_array(tmp_path / "x.zarr", data=rows, chunks=(200, 2))
    found = []
    for pipeline in (zarr.config.get("codec_pipeline.path"), "zarrs.ZarrsCodecPipeline"):
        with zarr.config.set({"codec_pipeline.path": pipeline}):
            found.append(daskem.fit(MODEL, tmp_path / "x.zarr", **SHORT))
    one, other = found
    assert one.log_likelihood == other.log_likelihood
    for name, value in one.params.items():
        np.testing.assert_array_equal(other.params[name], value)


@pytest.fixture
def pauses(monkeypatch):
    """What was slept between attempts, at once."""
    slept = []
    monkeypatch.setattr(retries.time, "sleep", slept.append)
    return slept


class Failing:
    """Rows whose chunk 2 raises one error after the other, from a read on, and then works."""

    def __init__(self, rows, errors, at=2):
        self.rows, self.errors, self.at, self.reads = rows, list(errors), at, 0

    def array(self):
        chunks = da.from_array(self.rows, (1000, -1))
        return chunks.map_blocks(self.read, dtype=float, meta=self.rows[:0])

    def read(self, block, block_info=None):
        if block_info[0]["chunk-location"][0] == 2:
            self.reads += 1
            if self.reads >= self.at and self.errors:
                raise self.errors.pop()
        return block


@pytest.fixture
def rows():
    return overlapping(4000)


PASSING = [OSError("EIO"), TimeoutError(), ConnectionResetError(104, "reset")]


@pytest.mark.parametrize("at", [1, 3])
def test_errors_that_pass_leave_no_trace_in_the_bits(rows, pauses, at):
    expected = daskem.fit(MODEL, da.from_array(rows, (1000, -1)), **SHORT)
    found = daskem.fit(MODEL, Failing(rows, PASSING, at).array(), **SHORT)
    for name, values in expected.params.items():
        np.testing.assert_array_equal(found.params[name], values)
    # Each pause is longer than the one before.
    assert pauses == sorted(set(pauses))
    assert len(pauses) == 3


@pytest.mark.parametrize("error", PASSING)
def test_errors_that_last_are_named_after_a_few_attempts(rows, pauses, error):
    place = r"chunk 2, from row 2000 on, of the data \(task [\w-]+\) cannot be read, 5 times"
    with pytest.raises(DataReadError, match=rf"{place}.*{type(error).__name__}") as caught:
        daskem.fit(MODEL, Failing(rows, 99 * [error]).array(), **SHORT)
    assert caught.value.__cause__ is error
    assert sum(pauses) == pytest.approx(15)


LASTING = [FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError]


@pytest.mark.parametrize(
    "error", [*(kind(2, "gone") for kind in LASTING), ValueError("odd"), MemoryError()]
)
def test_errors_that_cannot_pass_are_not_tried_again(rows, pauses, error):
    with pytest.raises(DataReadError, match=rf"cannot be read: {type(error).__name__}"):
        daskem.fit(MODEL, Failing(rows, [error]).array(), **SHORT)
    assert not pauses


def test_what_daskem_says_of_a_chunk_is_said_as_it_is(rows, pauses):
    with pytest.raises(DataError, match=r"^its own$") as caught:
        daskem.fit(MODEL, Failing(rows, [DataError("its own")]).array(), **SHORT)
    assert not isinstance(caught.value, DataReadError)


def test_a_chunk_of_a_store_that_is_damaged_is_named(tmp_path, monkeypatch, rows):
    path = str(tmp_path / "rows.zarr")
    zarr.create_array(path, shape=rows.shape, chunks=(1000, 2), dtype="f8")[:] = rows
    monkeypatch.setattr("daskem.data.inputs.sources.zarr_stores._READ_BYTES", 1)
    (tmp_path / "rows.zarr" / "c" / "1" / "0").write_bytes(b"nonsense")
    with pytest.raises(
        DataReadError, match=rf"chunk 1, from row 1000 on, of {path} \(task .*zarr.*\) cannot"
    ):
        daskem.fit(MODEL, path, **SHORT)


class Hanging:
    """Rows whose chunk 2 does not come back from one of its reads, and from all others."""

    def __init__(self, rows, folder):
        self.rows, self.folder = rows, folder

    def array(self):
        chunks = da.from_array(self.rows, (1000, -1))
        return chunks.map_blocks(self.read, dtype=float, meta=self.rows[:0])

    def read(self, block, block_info=None):
        if block_info[0]["chunk-location"][0] == 2:
            (self.folder / f"read {len(list(self.folder.iterdir()))}").touch()
            if len(list(self.folder.iterdir())) == HANGS:
                time.sleep(2 * PATIENCE)
                (self.folder / "over").touch()
        return block


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_read_that_hangs_is_given_up_and_the_next_fit_does_not_wait(rows, tmp_path, cache):
    fit = {**SHORT, "cache": cache}
    expected = daskem.fit(MODEL, da.from_array(rows, (1000, -1)), **fit)
    data = Hanging(rows, tmp_path).array()
    if cache == "memory":  # That reads once.
        for number in range(2):
            (tmp_path / f"as if {number}").touch()
    with dask.config.set({"daskem.read-timeout": "300ms"}):
        with pytest.raises(DataReadError, match=r"chunk 2, from row 2000.*not been read in 300"):
            daskem.fit(MODEL, data, **fit)
        found = daskem.fit(MODEL, data, **fit)
    # Nobody has waited for it.
    assert not (tmp_path / "over").exists()
    for name, values in expected.params.items():
        np.testing.assert_array_equal(found.params[name], values)


def test_workers_give_a_read_up_that_hangs(client, rows, tmp_path):
    data = Hanging(rows, tmp_path).array()
    with dask.config.set({"daskem.read-timeout": "300ms"}):
        with pytest.raises(DataReadError, match="not been read in 300") as caught:
            daskem.fit(MODEL, data, checkpoint=tmp_path.parent / f"{tmp_path.name}-kept", **SHORT)
        assert len(caught.value.result.history) == 1
        found = daskem.resume(tmp_path.parent / f"{tmp_path.name}-kept", data)
    # Nobody has waited for it.
    assert not (tmp_path / "over").exists()
    assert found.params.keys() == MODEL.parameters.keys()


# What is lazy is Dask's to compute, and is read in the same way.

METHODS = ["predict", "predict_proba", "score_samples"]


@pytest.fixture(scope="module")
def fitted():
    return daskem.fit(MODEL, overlapping(4000), **SHORT)


def as_if_read(folder):
    """So that the next read hangs."""
    for number in range(HANGS - 1):
        (folder / f"as if {number}").touch()


@pytest.mark.parametrize("method", METHODS)
def test_a_lazy_answer_gives_a_read_up_that_hangs(fitted, rows, tmp_path, method):
    as_if_read(tmp_path)
    place = r"chunk 2, from row 2000 on, of the data \(task [\w-]+\) has not been read in 300"
    with dask.config.set({"daskem.read-timeout": "300ms"}):
        answers = getattr(fitted, method)(Hanging(rows, tmp_path).array())
        with pytest.raises(DataReadError, match=place):
            answers.compute()
        # Nobody waits for it, and the next read is none that hangs.
        expected = getattr(fitted, method)(da.from_array(rows, (1000, -1)))
        np.testing.assert_array_equal(answers.compute(), expected.compute())
    assert not (tmp_path / "over").exists()


def test_workers_give_a_read_up_that_an_answer_needs(client, fitted, rows, tmp_path):
    as_if_read(tmp_path)
    with dask.config.set({"daskem.read-timeout": "300ms"}):
        answers = fitted.predict(Hanging(rows, tmp_path).array())
        with pytest.raises(DataReadError, match=r"chunk 2, from row 2000.*not been read in 300"):
            answers.compute()
        gc.collect()  # Dask remembers what has failed for as long as anybody holds it.
        np.testing.assert_array_equal(answers.compute(), fitted.predict(rows))
    assert not (tmp_path / "over").exists()


def test_an_answer_is_read_again_after_errors_that_pass(fitted, rows, pauses):
    answers = fitted.predict(Failing(rows, PASSING, at=1).array())
    np.testing.assert_array_equal(answers.compute(), fitted.predict(rows))
    assert len(pauses) == 3


def test_a_damaged_chunk_is_named_by_the_answer_that_needs_it(fitted, rows, tmp_path, monkeypatch):
    path = tmp_path / "rows.zarr"
    zarr.create_array(path, data=rows, chunks=(1000, 2))
    monkeypatch.setattr("daskem.data.inputs.sources.zarr_stores._READ_BYTES", 1)
    answers = fitted.predict(path)
    (path / "c" / "1" / "0").write_bytes(b"nonsense")
    with pytest.raises(DataReadError, match=rf"chunk 1, from row 1000 on, of {path} \(task"):
        answers.compute()


def test_answers_that_are_computed_together_read_once(fitted, rows):
    reads = Failing(rows, errors=[])
    answers = [getattr(fitted, method)(reads.array()) for method in METHODS]
    together = dask.compute(*answers)
    assert reads.reads == 1
    for method, found in zip(METHODS, together, strict=True):
        np.testing.assert_allclose(found, getattr(fitted, method)(rows), rtol=1e-12)


def test_answers_keep_what_lies_on_the_cluster_for_them(client, fitted, rows):
    kept = da.from_array(rows, (1000, -1)).persist()
    moved = kept.map_blocks(np.negative).map_blocks(np.negative)
    answers = [fitted.predict(data) for data in (kept, moved)]
    del kept, moved
    gc.collect()
    for found in answers:
        np.testing.assert_array_equal(found.compute(), fitted.predict(rows))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes", in_random_order(0)])
def test_lazy_answers_travel_and_are_computed_by_any_scheduler(fitted, rows, scheduler):
    # With tasks of all kinds: of a chunk, of neighbours, of all.
    lazy = da.from_array(rows, (1000, -1)).rechunk((400, -1))
    lazy = lazy - (lazy.mean(axis=0) - rows.mean(axis=0))
    answers = loads(dumps(fitted.predict_proba(lazy)))
    found = answers.compute(scheduler=scheduler, num_workers=1)
    np.testing.assert_allclose(found, fitted.predict_proba(rows), rtol=1e-9)


# Tasks that several chunks need, as where stored chunks are cut.


@pytest.mark.parametrize("what", ["fit", "predict"])
def test_a_task_that_several_chunks_need_is_given_up_and_named(fitted, rows, tmp_path, what):
    data = Hanging(rows, tmp_path).array().rechunk((500, -1))
    place = r"task [\w-]+, which chunk 4, from row 2000 on, of the data and other chunks need, has"
    with dask.config.set({"daskem.read-timeout": "300ms"}):
        if what == "fit":
            with pytest.raises(DataReadError, match=f"{place} not been read in 300"):
                daskem.fit(MODEL, data, **SHORT)
            daskem.fit(MODEL, data, **SHORT)
        else:
            as_if_read(tmp_path)
            answers = fitted.predict(data)
            with pytest.raises(DataReadError, match=f"{place} not been read in 300"):
                answers.compute()
            np.testing.assert_array_equal(answers.compute(), fitted.predict(rows))
    assert not (tmp_path / "over").exists()


def test_a_task_that_several_chunks_need_is_tried_again(rows, pauses):
    fine = daskem.fit(MODEL, da.from_array(rows, (1000, -1)).rechunk((500, -1)), **SHORT)
    found = daskem.fit(MODEL, Failing(rows, PASSING).array().rechunk((500, -1)), **SHORT)
    assert bits(found) == bits(fine)
    assert len(pauses) == 3
    with pytest.raises(DataReadError, match=r"chunk 4, from row 2000 .* cannot be read: .*odd"):
        daskem.fit(MODEL, Failing(rows, [ValueError("odd")]).array().rechunk((500, -1)), **SHORT)
