"""Data that change while they are fitted: told by name, with the chunk, and no model is blamed."""

from pickle import dumps, loads

import dask.array as da
import numpy as np
import pytest
import zarr
from reading import look
from samples import overlapping

import daskem
from daskem import Gaussian, Mixture
from daskem.data.blocks.block import Block
from daskem.data.blocks.piece import Piece
from daskem.data.inputs import as_blocks
from daskem.data.survey import check_unchanged, fingerprint
from daskem.errors import DataChangedError
from daskem.selection.preparing import prepare_selection

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
SHORT = {"n_components": 2, "random_state": 0, "tol": 1e-300, "max_passes": 4, "cache": "none"}
SIZE = 40_000  # rows of a chunk: each is a block of its own
FIRST = "chunk {}, from row {} on, does not hold what the first read found"


@pytest.fixture
def rows():
    return overlapping(4 * SIZE, d=8)


@pytest.fixture
def store(tmp_path, rows):
    """A store whose bytes are those of the rows: no codec that could tell."""
    path = str(tmp_path / "rows.zarr")
    array = zarr.create_array(
        path, shape=rows.shape, chunks=(SIZE, 8), dtype="f8", compressors=None, zarr_format=2
    )
    array[:] = rows
    return path


def flipped(path, folder):
    with open(path, "r+b") as file:
        file.seek(8 * 1001)
        byte = file.read(1)
        file.seek(8 * 1001)
        file.write(bytes([byte[0] ^ 1]))


def rewritten(path, folder):
    np.zeros((SIZE, 8)).tofile(path)


def swapped(path, folder):
    one, other = path.read_bytes(), (folder / "2.0").read_bytes()
    path.write_bytes(other)
    (folder / "2.0").write_bytes(one)


def deleted(path, folder):
    path.unlink()


@pytest.mark.parametrize("change", [flipped, rewritten, swapped, deleted])
@pytest.mark.parametrize("at", [1, 2])
def test_a_chunk_that_changes_between_passes_is_named(store, tmp_path, change, at):
    fit = daskem.iterate(Mixture(Gaussian("diag")), store, **SHORT)
    for _ in range(at):
        next(fit)
    folder = tmp_path / "rows.zarr"
    change(folder / "1.0", folder)
    with pytest.raises(DataChangedError, match=FIRST.format(1, SIZE)):
        next(fit)


def test_a_numpy_array_that_is_changed_in_place(rows):
    fit = daskem.iterate(Mixture(Gaussian("diag")), rows, **SHORT)
    next(fit)
    rows[-1, -1] = np.nextafter(rows[-1, -1], 99.0)
    with pytest.raises(DataChangedError, match=FIRST.format(2, 131072)):
        next(fit)


def test_all_that_changes_is_counted(rows):
    lazy = da.from_array(rows[:8000].copy(), (1000, -1))
    moved = lazy.map_blocks(lambda block: block + offset[0], dtype=float, meta=rows[:0])
    offset = [0.0]
    fit = daskem.iterate(Mixture(Gaussian("diag")), moved, **SHORT)
    next(fit)
    offset[0] = 1.0
    with pytest.raises(DataChangedError, match=FIRST.format(0, 0) + " there, nor do 7 more"):
        next(fit)


def test_a_single_wrong_read_is_no_wrong_answer(rows):
    reads = iter(range(100))
    wrong = {2}

    def read(block):
        return block + (next(reads) in wrong)

    lazy = da.from_array(rows[:1000], (1000, -1)).map_blocks(read, dtype=float, meta=rows[:0])
    with pytest.raises(DataChangedError, match="so that one read was wrong"):
        daskem.fit(Mixture(Gaussian("diag")), lazy, **SHORT)


@pytest.mark.parametrize("n", [3, 5])
def test_blocks_that_come_or_go_are_counted(rows, n):
    before, now = (as_blocks(da.from_array(rows[: k * 1000], (1000, -1))) for k in (4, n))
    survey = look(Mixture(Gaussian("diag")), before).survey
    with pytest.raises(DataChangedError) as caught:
        check_unchanged(now, survey, now.sum(fingerprint))
    if n < 4:
        assert "there are 3 blocks of chunks, and the first read found 4" in str(caught.value)
    else:
        assert FIRST.format(4, 4000) in str(caught.value)


def test_a_selection_sees_it_too(rows):
    some = rows[:2000].copy()

    task = prepare_selection(some, [1, 2], n_init=1, tol=1e-300)
    results = task.results("here")
    next(results)
    some[5, 5] += 1
    with pytest.raises(DataChangedError, match="chunk 0"):
        next(results)


def test_a_fingerprint_is_one_of_values_and_of_their_place():
    rows = np.random.default_rng(0).normal(size=(6, 2))

    def at(number, values, along=None):
        piece = Piece((number,), number, (len(values),))
        return int(fingerprint(Block(values, along=along or {}, pieces=(piece,)))[0])

    known = at(0, rows)
    others = [at(1, rows), at(0, rows[::-1]), at(0, rows[:5]), at(0, rows, {"e": rows[:, 0]})]
    assert len({known, *others}) == 5
    assert known == at(0, np.asfortranarray(rows))
    assert int(fingerprint(Block(rows))[0]) == 0


def test_a_model_is_not_blamed_for_data_that_have_changed(rows):
    """Values that the first read would have refused, of which an E step fails."""

    class Picky:
        def e_step(self, block, params):
            if block.rows.max() > 1e6:
                raise ZeroDivisionError("placed")
            return {"log_likelihood": 0.0, "pass": params["pass"]}

        def m_step(self, statistics, params):
            return {"pass": params["pass"] + 1}

    some = rows[: 2 * SIZE].copy()
    fit = daskem.iterate(Picky(), some, start={"pass": 0.0}, tol=0, max_passes=4)
    next(fit)
    some[-1, -1] = 1e7
    with pytest.raises(DataChangedError, match=FIRST.format(1, 65536)) as caught:
        next(fit)
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    # As it comes from a worker.
    assert loads(dumps(cause)).failed_of == cause.failed_of
    with pytest.raises(ZeroDivisionError, match="placed"):
        next(daskem.iterate(Picky(), 1e7 + rows[:100], start={"pass": 0.0}))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "i1"])
@pytest.mark.parametrize("shape", [(30_001, 4), (16_384, 2), (20, 3), (1, 1)])
def test_whatever_changes_a_block_changes_its_fingerprint(dtype, shape):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=shape) * 20).astype(dtype)

    def mark(values):
        return int(fingerprint(Block(values, pieces=(Piece((0,), 0, (len(values),)),)))[0])

    def flipped(place):
        content = bytearray(rows.tobytes())
        content[place // 8] ^= 1 << (place % 8)
        return np.frombuffer(content, dtype).reshape(shape)

    n, half = len(rows), len(rows) // 2
    signs = np.where(np.arange(shape[1]) == 0, -1, 1).astype(dtype)
    # A page of a disk in the place of another one, in bytes.
    paged = bytearray(rows.tobytes())
    paged[:4096], paged[4096:8192] = paged[4096:8192], paged[:4096]
    changed = [
        *(flipped(place) for place in rng.integers(8 * rows.nbytes, size=50)),
        *(flipped(place) for place in (0, 8 * rows.nbytes - 1)),
        *(-rows, rows * signs, rows[::-1], np.sort(rows, axis=0), np.roll(rows, 1, axis=0)),
        np.concatenate([rows[half : 2 * half], rows[:half], rows[2 * half :]]),
        *(rows[[*range(i), *range(i + 1, n), i]] for i in rng.integers(n, size=9)),
        np.frombuffer(paged, dtype).reshape(shape),
    ]
    known = mark(rows)
    assert all(mark(values) != known for values in changed if values.tobytes() != rows.tobytes())
    assert mark(rows.copy()) == known
    # Where they lie in memory says nothing.
    odd = np.frombuffer(b"." + rows.tobytes(), np.uint8)[1:].view(dtype).reshape(shape)
    assert mark(odd) == known
