import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import dask
import dask.array as da
import distributed
import numpy as np
import pytest
import xarray as xr
import zarr
from cluster import bits, in_random_order
from dask.callbacks import Callback

import daskem
from daskem.core.rows import some_rows
from daskem.data.blocks import joining
from daskem.data.blocks.dask import DaskBlocks
from daskem.data.blocks.local import LocalBlocks
from daskem.data.blocks.piece import Piece
from daskem.data.cluster import memory
from daskem.data.cluster.resources import Machines
from daskem.data.inputs import as_blocks
from daskem.data.inputs.rows import as_rows

MODEL = daskem.Mixture(daskem.Gaussian())
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def fit(data, start, **options):
    return daskem.fit(MODEL, data, start=start, max_passes=4, random_state=0, **options)


def chunked(rows, size=200):
    return da.from_array(rows, chunks={0: size, rows.ndim - 1: -1})


# The same bits, whatever computes them.


def test_memory_and_dask_give_the_same_bits_for_the_same_chunks(rows, start):
    many = np.tile(rows, (250, 1))
    local = LocalBlocks(many)
    assert local.n_chunks > 3
    again = DaskBlocks(da.from_array(many, chunks=(local.chunk_rows, -1)))
    parts = [blocks.sum(MODEL.e_step, start) for blocks in (local, again)]
    for name in parts[0]:
        np.testing.assert_array_equal(parts[0][name], parts[1][name])
    assert bits(fit(many, start)) == bits(fit(again.array, start))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads_gives_the_same_bits(rows, start, threads):
    data = chunked(rows)
    with dask.config.set(scheduler="synchronous"):
        expected = bits(fit(data, start))
    with ThreadPoolExecutor(threads) as pool, dask.config.set(scheduler="threads", pool=pool):
        assert bits(fit(data, start)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_tasks_gives_the_same_bits(rows, start, seed):
    data = chunked(rows, 70)
    expected = bits(fit(data, start))
    with dask.config.set(scheduler=in_random_order(seed)):
        assert bits(fit(data, start)) == expected


def test_chunks_of_another_size_change_the_last_bits(rows, start):
    # Otherwise the tests above could not fail.
    assert bits(fit(chunked(rows, 70), start)) != bits(fit(chunked(rows, 71), start))


@pytest.mark.parametrize("layout", ["fortran", "reversed", "transposed"])
def test_the_layout_in_memory_does_not_reach_the_bits(rows, start, layout):
    # distributed sends chunks that are neither C nor Fortran contiguous in C order: were this
    # not so, the bits would depend on which worker a chunk had been loaded by.
    same = {
        "fortran": np.asfortranarray(rows),
        "reversed": np.ascontiguousarray(rows[:, ::-1])[:, ::-1],
        "transposed": np.ascontiguousarray(rows.reshape(100, 30, 3).transpose(2, 0, 1)).transpose(
            1, 2, 0
        ),
    }[layout]
    np.testing.assert_array_equal(same.reshape(rows.shape), rows)
    assert bits(fit(same, start)) == bits(fit(rows, start))
    half = len(same) // 2
    straight = np.ascontiguousarray(same)
    assert bits(fit(chunked(same, half), start)) == bits(fit(chunked(straight, half), start))


# What a pass costs.


class Watched(Callback):
    """Names of the tasks that ran, one list for each computation."""

    def __init__(self):
        super().__init__(start=lambda graph: self.ran.append([]), pretask=self._note)
        self.ran = []

    def _note(self, key, *_):
        self.ran[-1].append(key[0] if isinstance(key, tuple) else key)


def tasks_of_a_pass(data, start):
    with Watched() as watched:
        fit(data, start)
    return [name.split("-")[0] for name in watched.ran[-1]]


@pytest.fixture
def store(rows, tmp_path):
    array = zarr.create_array(
        tmp_path / "rows.zarr", shape=rows.shape, chunks=(200, 3), dtype=rows.dtype
    )
    array[:] = rows
    return tmp_path / "rows.zarr"


@pytest.mark.parametrize(
    "then", [lambda x: x, lambda x: x + 1.0, lambda x: x.astype("f4")], ids=["x", "x + 1", "f4"]
)
def test_one_task_for_each_chunk_loads_computes_and_returns(store, start, then):
    names = tasks_of_a_pass(then(da.from_zarr(store)), start)
    assert sorted(names) == ["e"] * 15 + ["reduce"]


def test_weights_ride_in_the_task_of_their_chunk(store, start):
    weighted = as_blocks(da.from_zarr(store), da.ones(3000, chunks=200))
    with Watched() as watched:
        weighted.sum(MODEL.e_step, start)
    assert len(watched.ran[-1]) == 15 + 1


def test_one_computation_for_each_pass_and_one_for_the_survey(rows, start):
    with Watched() as watched:
        result = fit(chunked(rows), start)
    computations = [tasks[0].split("-")[0] for tasks in watched.ran if tasks]
    assert computations == ["survey", *["e"] * len(result.history)]


def test_many_chunks_are_few_partitions_and_the_tree_joins_sixteen_at_a_time(rows, start):
    names = tasks_of_a_pass(chunked(rows, 10), start)
    assert names.count("e") == 64
    assert names.count("reduce") == 4 + 1


def test_tiny_chunks_share_a_task_where_their_sizes_are_known(rows):
    tiny = chunked(rows, 40)
    assert as_blocks(tiny).outline.n_partitions == 32
    assert as_blocks(tiny[tiny[:, 0] > -np.inf]).outline.n_partitions == 64
    large = da.zeros((75 * 10**6, 1), chunks=(10**6, 1))
    assert as_blocks(large).outline.n_partitions == 64


def test_no_cluster_is_ever_started(rows, start, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(distributed.Client, "__init__", refuse)
    monkeypatch.setattr(distributed.LocalCluster, "__init__", refuse)
    result = fit(chunked(rows), start)
    result.predict(chunked(rows)).compute()
    result.score(chunked(rows))


# What may be data.


def memmap(rows, path):
    mapped = np.memmap(path / "rows.bin", dtype=rows.dtype, mode="w+", shape=rows.shape)
    mapped[:] = rows
    return mapped


def zarr_array(rows, path, **options):
    array = zarr.create_array(
        path / "a.zarr", shape=rows.shape, chunks=(500, 3), dtype=rows.dtype, **options
    )
    array[:] = rows
    return array


def zarr_in_group(rows, path, zarr_format):
    zarr.open_group(path / "g.zarr", mode="w", zarr_format=zarr_format)
    options = {"chunks": (500, 3), "zarr_format": zarr_format}
    zarr.create_array(path / "g.zarr", name="a", data=np.array(rows), **options)
    return path / "g.zarr" / "a"


SOURCES = {
    "fortran": lambda rows, path: np.asfortranarray(rows),
    "every other": lambda rows, path: np.repeat(rows, 2, axis=0)[::2],
    "columns of more": lambda rows, path: np.repeat(rows, 2, axis=1)[:, ::2],
    "lists": lambda rows, path: rows.tolist(),
    "objects": lambda rows, path: rows.astype(object),
    "memmap": memmap,
    "dask": lambda rows, path: chunked(rows),
    "uneven chunks": lambda rows, path: da.from_array(rows, chunks=((1, 2000, 999), 3)),
    "empty chunks": lambda rows, path: da.from_array(rows, chunks=((0, 1500, 0, 1500, 0), 3)),
    "features in two chunks": lambda rows, path: da.from_array(rows, chunks=(500, 2)),
    "more dimensions": lambda rows, path: chunked(rows.reshape(50, 60, 3), 7),
    "unknown lengths": lambda rows, path: chunked(rows)[chunked(rows)[:, 0] > -np.inf],
    "zarr array": zarr_array,
    "zarr v2": lambda rows, path: zarr_array(rows, path, zarr_format=2),
    "sharded zarr": lambda rows, path: zarr_array(rows, path, shards=(1000, 3)),
    "zarr path": lambda rows, path: path / zarr_array(rows, path).store.root,
    "zarr text": lambda rows, path: str(zarr_array(rows, path).store.root),
    "in a group, v2": lambda rows, path: zarr_in_group(rows, path, 2),
    "in a group, v3": lambda rows, path: zarr_in_group(rows, path, 3),
    "DataArray": lambda rows, path: xr.DataArray(rows, dims=("t", "feature")),
    "feature first": lambda rows, path: xr.DataArray(rows.T, dims=("feature", "t")),
    "feature between": lambda rows, path: xr.DataArray(
        chunked(rows.reshape(50, 60, 3)).transpose(0, 2, 1), dims=("t", "feature", "y")
    ),
    "DataFrame": lambda rows, path: xr.DataArray(rows, dims=("t", "feature")).to_pandas(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_come_from_anything_that_holds_them(rows, start, tmp_path, source):
    result = fit(SOURCES[source](rows, tmp_path), start)
    expected = fit(rows, start)
    assert result.n_rows == len(rows)
    assert result.history[-1].n_rows == len(rows)
    for name, value in expected.params.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-10, atol=1e-12)
    assert result.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-13)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32])
@pytest.mark.parametrize("lazy", [False, True])
def test_numbers_of_any_kind_are_fitted_as_the_same_values_in_float64(rows, start, dtype, lazy):
    values = (np.abs(rows) > 1) if dtype is bool else np.abs(4 * rows).astype(dtype)
    data, same = values, values.astype(np.float64)
    if lazy:
        data, same = chunked(data), chunked(same)
    assert bits(fit(data, start)) == bits(fit(same, start))


WEIGHTS = {
    "numpy": lambda w: w,
    "integers": lambda w: w.astype(int),
    "float32": lambda w: w.astype(np.float32),
    "list": lambda w: w.tolist(),
    "dask": lambda w: da.from_array(w, chunks=200),
    "dask in other chunks": lambda w: da.from_array(w, chunks=777),
    "DataArray": lambda w: xr.DataArray(w, dims="t"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_weight_is_a_number_of_repeats(rows, start, kind, lazy):
    times = np.random.default_rng(0).integers(0, 4, len(rows)).astype(float)
    repeated = np.repeat(rows, times.astype(int), axis=0)
    data = chunked(rows) if lazy else rows
    result = fit(data, start, sample_weight=WEIGHTS[kind](times))
    expected = fit(repeated, start)
    assert result.n_rows == len(repeated)
    for name, value in expected.params.items():
        np.testing.assert_allclose(result.params[name], value, rtol=1e-9, atol=1e-12)
    assert result.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)


def test_weights_of_chunks_of_unknown_length_are_chosen_like_the_rows(rows, start):
    some = chunked(rows)[:, 0] > 1
    weights = da.arange(len(rows), chunks=200) % 3
    result = fit(chunked(rows)[some], start, sample_weight=weights[some])
    here = rows[:, 0] > 1
    expected = fit(rows[here], start, sample_weight=(np.arange(len(rows)) % 3)[here])
    np.testing.assert_allclose(result.params["means"], expected.params["means"], rtol=1e-10)


def test_weights_are_laid_along_the_rows_by_the_names_of_their_dimensions(rows, start):
    data = xr.DataArray(rows[:2500].reshape(50, 50, 3), dims=("t", "y", "feature"))
    weights = xr.DataArray(np.random.default_rng(0).random((50, 50)), dims=("t", "y"))
    assert bits(fit(data, start, sample_weight=weights.T)) == bits(
        fit(data, start, sample_weight=weights)
    )


def test_blocks_know_where_they_come_from(rows):
    def place(block):
        (piece,) = block.pieces
        return f"{piece.chunk} number {piece.number}: {block.place(61)}, {len(block)} rows. "

    known = as_blocks(da.from_array(rows.reshape(50, 60, 3), chunks=(30, 40, 3)))
    assert known.sum(place) == (
        "(0, 0) number 0: chunk (0, 0), row (1, 21) (row (1, 21) of the input), 1200 rows. "
        "(0, 1) number 1: chunk (0, 1), row (3, 1) (row (3, 41) of the input), 600 rows. "
        "(1, 0) number 2: chunk (1, 0), row (1, 21) (row (31, 21) of the input), 800 rows. "
        "(1, 1) number 3: chunk (1, 1), row (3, 1) (row (33, 41) of the input), 400 rows. "
    )
    some = chunked(rows, 1500)[:, 0] > -np.inf
    unknown = as_blocks(chunked(rows, 1500)[some])
    assert unknown.sum(place) == (
        "(0,) number 0: chunk 0, row 61, 1500 rows. (1,) number 1: chunk 1, row 61, 1500 rows. "
    )


# Small chunks together, large ones alone, missing rows gone.


def blocks_of(blocks):
    """Rows of every block, and of the pieces of each."""
    return blocks.sum(lambda block: f"{len(block)}:{'+'.join(str(len(p)) for p in block.pieces)} ")


def test_small_chunks_of_a_partition_are_one_block(rows):
    many = np.tile(rows, (20, 1))
    assert blocks_of(as_blocks(chunked(many, 100))).startswith("900:" + "+".join(["100"] * 9))


def test_blocks_are_not_made_larger_than_their_size_by_joining():
    rows = np.zeros((3 * 2**17, 4), dtype="f4")
    for data in (rows, da.from_array(rows, chunks=(2**17, 4))):
        assert blocks_of(as_blocks(data)) == f"{2**17}:{2**17} " * 3


def test_chunks_of_a_partition_are_let_go_one_by_one(monkeypatch):
    monkeypatch.setattr(joining, "BLOCK_SIZE", 1)
    made, most = [], [0]

    def make(block):
        new = block + 1.0
        made.append(weakref.ref(new))
        return new

    def count(block):
        most[0] = max(most[0], sum(chunk() is not None for chunk in made))
        return len(block)

    # Twenty chunks in each partition.
    lazy = da.zeros((1280, 1), chunks=(1, 1)).map_blocks(make, dtype=float, meta=np.empty((0, 1)))
    with dask.config.set(scheduler="sync"):
        assert as_blocks(lazy, cache="none").sum(count) == 1280
    # One is computed, and the next one or two are read.
    assert 1 <= most[0] <= 4


def test_neighbouring_chunks_are_joined_while_they_fit(monkeypatch):
    monkeypatch.setattr(joining, "BLOCK_SIZE", 4 * 100)
    sizes = [*np.random.default_rng(0).integers(1, 60, size=50).tolist(), 150, 150, 1]
    chunks = [joining.part(Piece((i,), i, (n,)), np.zeros((n, 4)), {}) for i, n in enumerate(sizes)]
    found = [[len(piece) for piece in block.pieces] for block in joining.joined(chunks, "none")]
    assert [n for lengths in found for n in lengths] == sizes
    assert all(sum(lengths) <= 100 or len(lengths) == 1 for lengths in found)
    assert all(sum(one) + other[0] > 100 for one, other in pairwise(found))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_fit_without_the_missing_rows_is_a_fit_of_the_others(rows, start, lazy):
    rng = np.random.default_rng(0)
    there = rng.random(3000) < 0.7
    spoilt = np.where(there[:, None] | (rng.random((3000, 3)) < 0.4), rows, np.nan)
    there |= ~np.isnan(spoilt).any(axis=1)
    blocks = as_blocks(chunked(spoilt, 70) if lazy else spoilt, missing="omit")
    found, expected = (
        blocks.sum(MODEL.e_step, start),
        as_blocks(rows[there]).sum(MODEL.e_step, start),
    )
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("option", ["missing", "cache"])
def test_a_misspelt_option_lists_the_right_ones(rows, option):
    with pytest.raises(daskem.errors.ParameterError, match=f"{option}='ommit' is not one of"):
        as_blocks(rows, **{option: "ommit"})


# What is kept in memory.


class Counted:
    """A source that counts how often it makes each chunk."""

    def __init__(self, rows, size):
        self.reads = [0] * -(-len(rows) // size)
        self.array = da.from_array(rows, chunks=(size, -1)).map_blocks(self._read, dtype=float)

    def _read(self, chunk, block_id=None):
        self.reads[block_id[0]] += 1
        return chunk


def sums(blocks, start, passes=3):
    return [blocks.sum(MODEL.e_step, start) for _ in range(passes)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [200, 10])
def test_chunks_that_are_kept_are_read_once_and_give_the_same_bits(rows, start, size, weighted):
    weights = np.random.default_rng(0).random(3000) if weighted else None
    reads, found = {}, {}
    for cache in ("none", "memory", "auto"):
        source = Counted(rows, size)
        found[cache] = sums(as_blocks(source.array, weights, cache=cache), start)
        reads[cache] = set(source.reads)
    assert reads == {"none": {3}, "memory": {1}, "auto": {1}}
    expected, *others = ([bits_of(s) for s in sums] for sums in found.values())
    assert others == [expected, expected]


def bits_of(statistics):
    return [np.asarray(statistics[name]).tobytes() for name in sorted(statistics)]


def test_what_all_chunks_need_is_computed_once_and_not_in_every_pass(rows, start):
    source = Counted(rows, 200)
    blocks = as_blocks(source.array - source.array.mean(axis=0))
    found = sums(blocks, start, 4)
    # Once for the mean, and once in each pass.
    assert set(source.reads) == {1 + 4}
    (expected,) = sums(as_blocks(chunked(rows - rows.mean(axis=0))), start, 1)
    np.testing.assert_allclose(found[-1]["counts"], expected["counts"], rtol=1e-9)


def test_what_does_not_fit_is_read_again(rows, start, monkeypatch):
    few = Machines([30_000, 30_000], [5_000, 8_000], [1, 1], False)
    monkeypatch.setattr(daskem.data.blocks.dask, "machines", lambda client: few)
    monkeypatch.setattr(memory, "OVERHEAD", 0)
    source = Counted(rows, 200)
    blocks = as_blocks(source.array, cache="auto")
    sums(blocks, start)
    assert set(source.reads) == {3}
    assert blocks.notes[-1] == (
        "cache: the chunks are read again in every pass (they take 70.31 kiB, and there is "
        "room for 22.95 kiB on 2 workers)"
    )


def test_a_note_says_that_the_chunks_are_kept(rows, start):
    blocks = as_blocks(Counted(rows, 200).array, cache="auto")
    assert blocks.notes == ()
    sums(blocks, start, 1)
    assert (
        "the chunks are kept in memory from the first pass on (they take 70.31" in blocks.notes[-1]
    )


def test_a_chunk_too_large_for_a_worker_is_refused_before_anything_is_read(rows, monkeypatch):
    few = Machines([2 * memory.OVERHEAD, memory.OVERHEAD + 20_000], [0, 0], [1, 1], False)
    monkeypatch.setattr(daskem.data.blocks.dask, "machines", lambda client: few)
    array = da.from_array(rows, chunks=((200, 200, 1000, 1600), -1)).map_blocks(
        unreadable, dtype=float
    )
    match = r"chunk \(3,\) holds 1600 x 3 numbers, 37.50 kiB.* chunks of at most 208 rows"
    with pytest.raises(daskem.errors.ChunkTooLargeError, match=match):
        as_blocks(array).sum(len)
    assert as_blocks(da.from_array(rows, chunks=(208, -1))).sum(len) == 3000


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        (1500, r"the longest has 1,500 rows: cut it into sequences of at most 208 rows, as where"),
        ([1400, 100, 1500], r"the longest has 1,500 rows: cut it into sequences of at most 208 r"),
        (200, r"the longest has 200 rows: open or write the data in chunks of one sequence, or gi"),
        (50, r"the longest has 50 rows: open or write the data in chunks of at most 4 such seq"),
    ],
)
def test_a_chunk_of_sequences_that_is_too_large_is_told_so(rows, monkeypatch, lengths, told):
    few = Machines([memory.OVERHEAD + 20_000], [0], [1], False)
    monkeypatch.setattr(daskem.data.blocks.dask, "machines", lambda client: few)
    array = da.from_array(rows, chunks=((1400, 1600), -1)).map_blocks(unreadable, dtype=float)
    with pytest.raises(
        daskem.errors.ChunkTooLargeError, match=f"No sequence is parted, and {told}"
    ):
        as_blocks(array, lengths=lengths).sum(len)


def unreadable(chunk):
    assert not len(chunk), "a chunk was read"
    return chunk


def test_tasks_are_named_after_the_steps_of_em(rows, start):
    with Watched() as watched:
        fit(chunked(rows), start)
    names = {name.rpartition("-")[0] for tasks in watched.ran for name in tasks}
    assert names == {"survey", "e-step", "reduce"}


def test_small_chunks_of_a_zarr_array_are_fetched_together(rows, tmp_path):
    small = zarr.create_array(tmp_path / "s.zarr", shape=(60_000, 3), chunks=(100, 3), dtype="f8")
    small[:] = many = np.tile(rows, (20, 1))
    opened = as_rows(small).array
    # 2400 bytes each, and 2**20 // 2400 of them at a time.
    assert opened.chunks[0] == (43_600, 16_400)
    np.testing.assert_array_equal(opened.compute(), many)


def test_large_chunks_of_a_zarr_array_stay_as_they_are(tmp_path):
    large = zarr.create_array(
        tmp_path / "l.zarr", shape=(500_000, 3), chunks=(100_000, 3), dtype="f8"
    )
    assert as_rows(large).array.chunks[0] == (100_000,) * 5


@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 3, 2), (40, 0)])
def test_some_rows_are_what_brackets_make_of_them(shape):
    rng = np.random.default_rng(0)
    values = np.asfortranarray(rng.normal(size=shape)).astype(">f4")
    for chosen in (slice(3, 20, 2), rng.random(40) < 0.3, rng.integers(-40, 40, 15), np.arange(0)):
        found = some_rows(values, chosen)
        np.testing.assert_array_equal(found, values[chosen])
        assert found.dtype == values.dtype
