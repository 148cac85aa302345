"""Runs: rows that belong together are never parted, whatever the chunks."""

from dataclasses import dataclass

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskem.data.blocks import Block, moved
from daskem.data.inputs import as_blocks
from daskem.data.survey import Domain, survey
from daskem.errors import DataError
from daskem.models.heldout import HeldOut

FINITE = Domain(np.isfinite, "finite numbers")


class Autoregression:
    """x_t = phi x_{t-1} + noise of unit variance, within sequences."""

    def e_step(self, block, params):
        x, last = followers(block)
        z = x - params["phi"] * last
        return {
            "log_likelihood": -0.5 * float(z @ z + len(z) * np.log(2 * np.pi)),
            "cross": float(x @ last),
            "square": float(last @ last),
            "steps": len(x),
            "sequences": len(block.edges) - 1,
            "rows": len(block),
        }

    def e_steps(self, block, candidates):
        return [self.e_step(block, params) for params in candidates]

    def m_step(self, statistics, params):
        return {"phi": statistics["cross"] / statistics["square"]}


def followers(block):
    """Values of rows whose row before is observed in their sequence, and those of that row."""
    x = np.full(block.edges[-1], np.nan)
    x[slice(None) if block.kept is None else block.kept] = block.rows[:, 0]
    first = np.zeros(len(x), dtype=bool)
    first[block.edges[:-1]] = True
    both = ~(first[1:] | np.isnan(x[1:]) | np.isnan(x[:-1]))
    return x[1:][both], x[:-1][both]


def by_hand(x, lengths, phi):
    """The sums of an autoregression, step by step."""
    sums = {"log_likelihood": 0.0, "cross": 0.0, "square": 0.0, "steps": 0}
    start = 0
    for length in lengths:
        for t in range(start + 1, start + length):
            if not np.isnan(x[[t - 1, t]]).any():
                z = x[t] - phi * x[t - 1]
                sums["log_likelihood"] -= 0.5 * (z * z + np.log(2 * np.pi))
                sums["cross"] += x[t] * x[t - 1]
                sums["square"] += x[t - 1] * x[t - 1]
                sums["steps"] += 1
        start += length
    return {**sums, "sequences": len(lengths), "rows": int((~np.isnan(x)).sum())}


@pytest.fixture
def small_chunks(monkeypatch):
    """Rows in memory are in chunks of eight, where sequences allow."""
    with_chunks_of(8, monkeypatch)


def with_chunks_of(n_rows, monkeypatch):
    monkeypatch.setattr("daskem.data.blocks.local._FEWEST_ROWS", n_rows)
    monkeypatch.setattr("daskem.data.blocks.local.BLOCK_SIZE", 1)


def chunks_of(n, size):
    return tuple(min(size, n - start) for start in range(0, n, size))


PHI = {"phi": 0.5}
lengths_of_runs = st.lists(st.integers(1, 30), min_size=1, max_size=20)


@settings(max_examples=60)
@given(lengths_of_runs, st.integers(1, 50), st.booleans(), st.integers(0, 2**32))
def test_sums_within_runs_are_the_same_for_any_chunks(lengths, size, gaps, seed):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    # Whole numbers, whose sums are exact in any order.
    x = rng.integers(-9, 9, n).astype(float)
    if gaps:
        x[rng.random(n) < 0.3] = np.nan
    missing = "omit" if gaps else "raise"
    expected = by_hand(x, lengths, 0.5)
    lazy = as_blocks(da.from_array(x[:, None], chunks=(size, 1)), None, missing, lengths=lengths)
    with pytest.MonkeyPatch.context() as patch:
        with_chunks_of(size, patch)
        local = as_blocks(x[:, None], None, missing, lengths=lengths)
        found = [blocks.sum(Autoregression().e_step, PHI) for blocks in (lazy, local)]
    # The same chunks, and so the same tree and the same bits.
    assert found[0] == found[1]
    assert found[0]["log_likelihood"] == pytest.approx(expected.pop("log_likelihood"), rel=1e-12)
    assert expected.items() <= found[0].items()


def an_autoregression(n_runs=200, phi=0.8, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, n_runs)
    x = rng.standard_normal(lengths.sum())
    starts = set(np.cumsum(lengths) - lengths)
    for t in range(1, len(x)):
        if t not in starts:
            x[t] += phi * x[t - 1]
    return x[:, None], lengths


@pytest.mark.usefixtures("small_chunks")
def test_the_coefficient_is_found_in_memory_and_on_a_cluster(client):
    rows, lengths = an_autoregression()
    local = as_blocks(rows, lengths=lengths)
    there = moved(local, client)
    lazy = as_blocks(da.from_array(rows, chunks=(8, 1)), lengths=lengths)
    assert lazy.array.chunks == there.array.chunks
    model = Autoregression()
    sums = [blocks.sum(model.e_step, PHI) for blocks in (local, there, lazy)]
    assert sums[0] == sums[1] == sums[2]
    assert model.m_step(sums[0], PHI)["phi"] == pytest.approx(0.8, abs=0.02)
    expected = by_hand(rows[:, 0], lengths, 0.5)
    for name, value in expected.items():
        assert sums[0][name] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("chunks", [(4, 5, 1), (3, 2, 1), (20, 5, 1)])
def test_runs_along_the_rows_of_a_grid(chunks):
    """One sequence for each of twenty series of five steps, or two series in one sequence."""
    grid = np.random.default_rng(0).standard_normal((20, 5, 1))
    for lengths in ([5] * 20, [10] * 10, [3, 7, 90], [1] * 100, [*[11] * 9, 1]):
        lazy = as_blocks(da.from_array(grid, chunks=chunks), lengths=lengths)
        found = lazy.sum(Autoregression().e_step, PHI)
        for name, value in by_hand(grid.ravel(), lengths, 0.5).items():
            assert found[name] == pytest.approx(value, rel=1e-12)


def test_riders_go_with_their_runs():
    rows = np.arange(100.0)[:, None]
    array = da.from_array(rows, chunks=(7, 1))
    blocks = as_blocks(array, along={"copy": rows}, lengths=[30, 1, 69])
    assert blocks.along["copy"].chunks == blocks.array.chunks == ((30, 70), (1,))
    assert blocks.sum(lambda block: int((block.rows == block.along["copy"]).sum())) == 100


# Chunks.


def test_a_note_says_how_to_write_data_whose_chunks_part_runs():
    rows = da.zeros((100, 1), chunks=(40, 1))
    blocks = as_blocks(rows, lengths=[30, 30, 40])
    assert blocks.array.chunks[0] == (60, 40)
    (note,) = blocks.notes
    assert (
        "where a sequence ends, (60, 40) instead of (40, 40, 20); data that are read often" in note
    )
    assert as_blocks(rows, lengths=[20] * 5).notes == ()
    (note,) = as_blocks(da.zeros((100, 1), chunks=(9, 1)), lengths=[10] * 10).notes
    assert "(10, 10, 10, 10, 10, 10, ... 10 in all) instead of (9, 9, 9," in note


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([40, 50], r"the lengths of 2 sequences add to 90 rows, and the data have 100"),
        ([60, 0, 40], r"lengths\[1\] is 0; every sequence has one row or more"),
        ([120, -20], r"lengths\[1\] is -20"),
        ([50.0, 50.0], r"lengths are float64 \(2,\); one whole number for each sequence"),
        ([[50, 50]], r"lengths are int64 \(1, 2\)"),
    ],
)
def test_lengths_that_are_none(lengths, message):
    for rows in (np.zeros((100, 1)), da.zeros((100, 1), chunks=(40, 1))):
        with pytest.raises(DataError, match=message):
            as_blocks(rows, lengths=lengths)


def test_runs_among_rows_of_unknown_number():
    rows = da.zeros((100, 1), chunks=(40, 1))
    with pytest.raises(DataError, match=r"nobody knows where a sequence ends; call array\.compute"):
        as_blocks(rows[rows[:, 0] == 0], lengths=[100])


# Blocks of some of the rows.


@settings(max_examples=60)
@given(lengths_of_runs, st.data())
def test_a_choice_of_whole_sequences_keeps_their_edges(lengths, data):
    n = sum(lengths)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    x = np.where(kept, np.arange(n), np.nan)
    (block,) = blocks_in(as_blocks(x[:, None], None, "omit", lengths=lengths))
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    )
    some = block[np.repeat(chosen, lengths)[kept]]
    # Of a sequence without any observed row nobody can tell whether it was chosen.
    starts = np.cumsum(lengths) - lengths
    sequences = [x[s : s + m] for s, m, c in zip(starts, lengths, chosen, strict=True) if c]
    sequences = [run for run in sequences if not np.isnan(run).all()]
    assert some.edges.tolist() == [0, *np.cumsum([len(run) for run in sequences], dtype=int)]
    rebuilt = np.full(some.edges[-1], np.nan)
    rebuilt[slice(None) if some.kept is None else some.kept] = some.rows[:, 0]
    np.testing.assert_array_equal(rebuilt, np.concatenate([*sequences, []]))
    keys = some.keys(3)
    np.testing.assert_array_equal(keys, block.keys(3)[np.repeat(chosen, lengths)[kept]])


def blocks_in(blocks):
    return blocks.sum(lambda block: [block])


def test_a_choice_that_parts_a_run_has_no_edges():
    (block,) = blocks_in(as_blocks(np.arange(10.0)[:, None], lengths=[4, 1, 5]))
    assert block.edges.tolist() == [0, 4, 5, 10]
    assert block[4:].edges.tolist() == [0, 1, 6]
    assert block[:0].edges.tolist() == [0]
    assert block[np.array([4, 0, 1, 2, 3])].edges.tolist() == [0, 1, 5]
    for parted in (slice(1, None), slice(0, 3), slice(None, None, -1), np.array([1, 0, 2, 3])):
        assert block[parted].edges is None
    assert Block(np.zeros((3, 1)))[1:].edges is None


def test_rows_of_a_run_share_the_key_of_their_first_row():
    (block,) = blocks_in(as_blocks(np.zeros((10, 1)), lengths=[4, 1, 5]))
    keys = block.hash(7)
    np.testing.assert_array_equal(block.keys(7), np.repeat(keys[[0, 4, 5]], [4, 1, 5]))
    plain = Block(np.zeros((10, 1)))
    np.testing.assert_array_equal(plain.keys(7), plain.hash(7))


# Samples and hold-outs.


def look(data, lengths, missing="raise", seed=0):
    return as_blocks(data, None, missing, lengths=lengths).sum(survey, FINITE, seed, name="survey")


@pytest.mark.parametrize("gap", [0, 7])
def test_a_sample_remembers_where_rows_are_missing_if_one_block_has_them_all(gap):
    rows = np.arange(10.0)[:, None]
    rows[gap] = np.nan
    seen = look(da.from_array(rows, chunks=(5, 1)), [5, 5], "omit")
    assert seen.sample.edges.tolist() == [0, 5, 10]
    whole = np.full((10, 1), np.nan)
    whole[seen.sample.kept] = seen.sample.rows
    order = whole.reshape(2, 5)[np.nanmin(whole.reshape(2, 5), axis=1).argsort()]
    np.testing.assert_array_equal(order.reshape(10, 1), rows)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("size", [100, 999, 50_000])
def test_a_sample_is_of_whole_sequences_and_does_not_depend_on_the_chunks(size):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 300, 400)
    n = lengths.sum()
    rows, starts = np.arange(float(n))[:, None], np.cumsum(lengths) - lengths
    rows[rng.random(n) < 0.2] = np.nan
    expected = look(rows, lengths, "omit")
    seen = look(da.from_array(rows, chunks=(size, 1)), lengths, "omit")
    assert seen.n_missing == np.isnan(rows).sum()
    assert 2**14 - 300 < len(seen.sample) <= 2**14
    for a, b in ((seen.sample.rows, expected.sample.rows), (seen.keys, expected.keys)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(seen.sample.edges, expected.sample.edges)
    np.testing.assert_array_equal(seen.sample.kept, expected.sample.kept)
    # Every sequence that was drawn is there as it is in the data.
    whole = np.full(seen.sample.edges[-1], np.nan)
    whole[seen.sample.kept] = seen.sample.rows[:, 0]
    sequences = np.split(whole, seen.sample.edges[1:-1])
    numbers = [np.searchsorted(starts, np.nanmin(run), side="right") - 1 for run in sequences]
    assert len(set(numbers)) == len(numbers)
    for run, i in zip(sequences, numbers, strict=True):
        np.testing.assert_array_equal(run, rows[starts[i] : starts[i] + lengths[i], 0])


@pytest.mark.usefixtures("small_sample")
def test_a_run_longer_than_a_sample_is_one():
    rows = np.arange(60_000.0)[:, None]
    seen = look(rows, [20_000, 20_000, 20_000])
    assert seen.sample.edges.tolist() == [0, 20_000]
    assert np.ptp(seen.sample.rows) == 19_999


def test_the_runs_of_a_sample_are_drawn_alike():
    counts = np.zeros(40)
    for seed in range(300):
        (block,) = blocks_in(as_blocks(np.zeros((200, 1)), lengths=[5] * 40))
        first = np.argsort(block.keys(seed), kind="stable")[:50]
        counts[np.unique(first // 5)] += 1
    assert counts.sum() == 300 * 10
    assert abs(counts - 75).max() < 5 * np.sqrt(75 * 0.75)


@dataclass(frozen=True)
class Lengths:
    """A model that says what sequences it sees."""

    def e_steps(self, block, candidates):
        return [{"log_likelihood": np.diff(block.edges).tolist()} for _ in candidates]


def test_a_run_is_held_out_as_a_whole():
    lengths = np.random.default_rng(0).integers(1, 50, 300)
    n = int(lengths.sum())
    (block,) = blocks_in(as_blocks(np.zeros((n, 1)), lengths=lengths))
    sums = HeldOut(Lengths(), 0.3).e_step(block, {})
    fitted, judged = sums["log_likelihood"], sums["heldout_log_likelihood"]
    assert sorted([*fitted, *judged]) == sorted(lengths.tolist())
    assert len(judged) == pytest.approx(90, abs=5 * np.sqrt(63))
    assert (sums["fitted_weight"], sums["heldout_weight"]) == (sum(fitted), sum(judged))
