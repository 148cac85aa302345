import importlib
import itertools
import platform

import dask
import dask.array as da
import numpy as np
import pytest
from cluster import in_random_order
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import daskem
from daskem import Gaussian, Mixture
from daskem.core.numerics import arithmetic
from daskem.core.statistics import add_all
from daskem.data.blocks import Block, Piece
from daskem.data.inputs import as_blocks
from daskem.data.survey import Domain, survey
from daskem.errors import MixedClusterError


def look(data, weights=None, seed=0, cross=True, valid=np.isfinite, missing="raise"):
    blocks = as_blocks(data, weights, missing)
    return blocks.sum(survey, Domain(valid, "finite numbers"), seed, cross, name="survey")


def spread_of(seen, cross=True):
    return seen.covariance if cross else seen.variances


def chunked(rows, *sizes):
    return da.from_array(rows, chunks=(sizes if sizes else 100, -1))


lengths = st.lists(st.integers(0, 400), min_size=1, max_size=20).filter(lambda n: sum(n) > 1)


@settings(max_examples=50)
@given(lengths, st.floats(0, 1e6), st.booleans())
def test_mean_and_covariance_are_those_of_numpy_for_any_chunks(sizes, offset, cross):
    rows = np.random.default_rng(0).standard_normal((sum(sizes), 3)) * [1, 10, 0.1] + offset
    seen = look(da.from_array(rows, chunks=(tuple(sizes), -1)), cross=cross)
    covariance = np.cov(rows.T, bias=True)
    expected = covariance if cross else np.diagonal(covariance)
    assert seen.n_rows == seen.weight == len(rows)
    np.testing.assert_allclose(seen.mean, rows.mean(axis=0), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(spread_of(seen, cross), expected, rtol=1e-9, atol=1e-10)


@settings(max_examples=50)
@given(st.integers(1, 500), st.booleans())
def test_weights_are_numpy_weights_for_any_chunks(size, cross):
    rng = np.random.default_rng(1)
    rows, weights = rng.standard_normal((500, 2)) + 7, rng.exponential(size=500)
    seen = look(da.from_array(rows, chunks=(size, -1)), weights, cross=cross)
    covariance = np.cov(rows.T, aweights=weights, bias=True)
    np.testing.assert_allclose(seen.weight, weights.sum(), rtol=1e-13)
    np.testing.assert_allclose(seen.mean, np.average(rows, axis=0, weights=weights), rtol=1e-13)
    expected = covariance if cross else np.diagonal(covariance)
    np.testing.assert_allclose(spread_of(seen, cross), expected, rtol=1e-10, atol=1e-13)


def test_an_offset_of_1e8_costs_no_digits_of_the_covariance():
    rows = np.random.default_rng(0).standard_normal((10_000, 2))
    there = (rows + 1e8) - 1e8
    np.testing.assert_allclose(
        look(chunked(there + 1e8)).covariance, np.cov(there.T, bias=True), rtol=1e-9
    )


# The sample.


def test_all_rows_are_sampled_where_they_are_few():
    rows = np.arange(600.0).reshape(300, 2)
    seen = look(chunked(rows))
    np.testing.assert_array_equal(seen.sample.rows[np.argsort(seen.sample.rows[:, 0])], rows)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("sizes", [(50_000,), (1, 49_999), (0, 20_000, 0, 30_000), (1000,) * 50])
def test_the_sample_does_not_depend_on_the_chunks(sizes):
    rows = np.arange(50_000.0)[:, None]
    expected, seen = look(rows), look(chunked(rows, *sizes))
    assert len(seen.sample) == 2**14
    np.testing.assert_array_equal(seen.sample.rows, expected.sample.rows)


@pytest.mark.parametrize("chunks", [(7, 50, 40), (200, 1, 13), (200, 50, 40)])
def test_the_sample_does_not_depend_on_the_chunks_of_more_dimensions(chunks):
    rows = np.arange(400_000.0).reshape(200, 50, 40, 1)
    expected, seen = look(rows), look(da.from_array(rows, chunks=(*chunks, 1)))
    np.testing.assert_array_equal(seen.sample.rows, expected.sample.rows)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("size", [300, 5_000])
def test_the_sample_is_without_repeats_where_lengths_are_unknown(size):
    rows = da.arange(50_000, chunks=size, dtype=float)[:, None]
    seen = look(rows[rows[:, 0] >= 0])
    assert len(np.unique(seen.sample.rows)) == 2**14


@pytest.mark.usefixtures("small_sample")
def test_the_sample_is_the_rows_of_the_smallest_keys_and_its_parts_are_small():
    rows = np.arange(400_000.0)[:, None]
    block = Block(rows, pieces=(Piece((0,), 0, (400_000,), (0,), (400_000,)),))
    smallest = np.sort(np.argsort(block.hash(0))[: 2**14])
    np.testing.assert_array_equal(
        np.sort(look(chunked(rows, *[50_000] * 8)).sample.rows[:, 0]), smallest
    )
    piece = Piece((3,), 3, (50_000,), (150_000,), (400_000,))
    part = survey(
        Block(rows[150_000:200_000], pieces=(piece,)), Domain(np.isfinite, "finite numbers"), 0
    )
    assert len(part.sample) == pytest.approx(4 * 2**14 / 8, rel=0.1)


@pytest.mark.usefixtures("small_sample")
def test_another_seed_draws_another_sample():
    rows = np.arange(50_000.0)[:, None]
    first, second = (set(look(rows, seed=seed).sample.rows.ravel()) for seed in (0, 1))
    # Two independent thirds of the rows share a ninth of them.
    expected = 2**28 / 50_000
    assert abs(len(first & second) - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2**62])
def test_the_sample_is_uniform(known, seed):
    n, bins = 200_000, 50
    rows = da.arange(n, chunks=7_000, dtype=float)[:, None]
    sample = look(rows if known else rows[rows[:, 0] >= 0], seed=seed).sample.rows.ravel()
    expected = len(sample) / bins
    # Whole chunks, neighbours, and what is left over when counted round, all alike.
    for label in (sample // (n / bins), sample % bins, (sample // 7) % bins):
        observed = np.bincount(label.astype(int), minlength=bins)
        statistic = (np.square(observed - expected) / expected).sum()
        # Drawing without replacement makes the counts a little more even than multinomial.
        assert chi2.ppf(1e-4, bins - 1) * 0.8 < statistic < chi2.ppf(1 - 1e-4, bins - 1)


def test_sampled_rows_keep_their_weights():
    weights = np.arange(40_000.0)
    seen = look(da.from_array(weights[:, None], chunks=(999, 1)), weights)
    np.testing.assert_array_equal(seen.sample.rows[:, 0], seen.sample.weights)


# What cannot be used.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1000, 100, 7])
def test_the_first_bad_value_is_found_whatever_the_chunks(value, size):
    rows = np.zeros((1000, 4))
    rows[[321, 321, 500, 999], [2, 3, 0, 0]] = value
    bad = look(da.from_array(rows, chunks=(size, -1))).bad
    shown = "NaN" if np.isnan(value) else value
    place = f"chunk {321 // size}, row {321 % size} (row 321 of the input), column 2"
    assert bad.startswith(f"Input X contains {shown} at {place};")


def test_chunks_are_named_by_all_their_indices_where_there_are_more_dimensions():
    rows = np.zeros((40, 50, 2))
    rows[31, 47, 1] = np.nan
    bad = look(da.from_array(rows, chunks=(20, 25, -1))).bad
    place = "chunk (1, 1), row (11, 22) (row (31, 47) of the input), column 1"
    assert f"NaN at {place};" in bad


@pytest.mark.parametrize("seed", range(3))
def test_the_first_bad_value_is_the_first_in_any_order_of_execution(seed):
    rows = np.zeros((2000, 1))
    rows[123:, 0] = np.nan
    data = da.from_array(rows, chunks=(10, -1))
    with dask.config.set(scheduler=in_random_order(seed)):
        assert "NaN at chunk 12, row 3 (row 123 of the input), column 0;" in look(data).bad


@settings(max_examples=50)
@given(st.permutations(range(6)), st.integers(0, 5))
def test_surveys_of_any_runs_of_blocks_add_to_the_same_answer(order, cut):
    rows = np.random.default_rng(0).standard_normal((60, 2))
    alone = [look(rows[10 * i : 10 * i + 10]) for i in range(6)]
    left, right = order[:cut], order[cut:]
    parts = [add_all([alone[i] for i in run]) for run in (left, right) if run]
    seen = add_all(parts)
    np.testing.assert_allclose(seen.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(seen.covariance, np.cov(rows.T, bias=True), rtol=1e-12)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_bad_weight_is_found_too(value):
    weights = np.ones(100)
    weights[42] = value
    bad = look(chunked(np.zeros((100, 1)), 40, 60), weights).bad
    place = "chunk 1, row 2 (row 42 of the input)"
    assert bad == f"sample_weight {value} at {place}; expected numbers >= 0"


# Missing rows.


def with_gaps(rows, rng):
    spoilt = rows.copy()
    spoilt[rng.random(len(rows)) < 0.3, 1] = np.nan
    spoilt[200:400] = np.nan
    return spoilt


@pytest.mark.parametrize("sizes", [(1000,), (30,) * 33 + (10,), (200, 200, 600)])
def test_missing_rows_are_as_if_they_had_never_been(sizes):
    rng = np.random.default_rng(0)
    rows = with_gaps(rng.standard_normal((1000, 2)), rng)
    there = ~np.isnan(rows).any(axis=1)
    weights = rng.exponential(size=1000)
    seen = look(chunked(rows, *sizes), weights, missing="omit")
    assert (seen.n_rows, seen.n_missing) == (there.sum(), 1000 - there.sum())
    np.testing.assert_allclose(seen.weight, weights[there].sum(), rtol=1e-13)
    mean = np.average(rows[there], axis=0, weights=weights[there])
    np.testing.assert_allclose(seen.mean, mean, rtol=1e-12)
    np.testing.assert_array_equal(np.sort(seen.sample.rows[:, 0]), np.sort(rows[there, 0]))


def test_a_bad_value_among_missing_rows_is_found_where_it_is():
    rows = with_gaps(np.zeros((1000, 2)), np.random.default_rng(0))
    rows[777] = [0.0, np.inf]
    bad = look(chunked(rows, *[50] * 20), missing="omit").bad
    assert "contains inf at chunk 15, row 27 (row 777 of the input), column 1" in bad


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_cluster_whose_workers_compute_other_last_bits_is_said_so(client, rows, start):
    """One of two workers has another arithmetic; what comes out does not depend on who says so."""
    data = da.from_array(rows, chunks=(300, 3))
    alike = daskem.fit(daskem.Mixture(daskem.Gaussian()), data, start=start, max_passes=2)
    assert not any("last bits" in note for note in alike.notes)
    other = sorted(client.scheduler_info()["workers"])[:1]
    client.run(compute_otherwise, "another", workers=other)
    try:
        mixed = daskem.fit(daskem.Mixture(daskem.Gaussian()), data, start=start, max_passes=2)
    finally:
        client.run(compute_otherwise, None, workers=other)
    (told,) = [note for note in mixed.notes if "last bits" in note]
    assert told.startswith(f"the workers (of {platform.node()}, {platform.node()}) compute 2 diff")
    assert mixed.log_likelihood == alike.log_likelihood


def compute_otherwise(digest):
    """In a worker: say that the last bits are others, or say again what they are."""
    module = importlib.import_module("daskem.data.survey.machines")
    module.arithmetic = arithmetic if digest is None else lambda: digest


@pytest.fixture
def of_two_kinds(monkeypatch):
    """As if some blocks were read by a processor that computes other last bits."""
    kinds = itertools.cycle(["one", "other"])
    monkeypatch.setattr(
        importlib.import_module("daskem.data.survey.machines"), "arithmetic", kinds.__next__
    )


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("verb", [daskem.fit, lambda *args, **o: daskem.select(*args[1:], **o)])
def test_who_computes_otherwise_is_told_of_or_refused(of_two_kinds, verb):
    data = da.from_array(np.random.default_rng(0).normal(size=(400, 2)), (100, 2))
    args, options = (Mixture(Gaussian()), data, [1, 2]), {"max_passes": 1, "n_init": 1}
    result = daskem.fit(*args, **options)
    (told,) = (note for note in result.notes if "last bits" in note)
    assert "compute 2 different last bits" in told
    with pytest.raises(MixedClusterError, match=r"compute 2 different last bits.*strict=True"):
        verb(*args, strict=True, **options)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("strict", [False, True])
def test_who_joins_later_and_computes_otherwise_is_told_of_or_refused(monkeypatch, strict):
    rows = np.random.default_rng(0).normal(size=(400, 2))
    data, options = da.from_array(rows, (100, 2)), {"max_passes": 3, "tol": 0, "strict": strict}
    with dask.config.set(scheduler="synchronous"):
        fit = daskem.iterate(Mixture(Gaussian()), data, 1, **options)
        assert not next(fit).history[-1].events
        # One of the four chunks.
        kinds = itertools.chain([arithmetic()] * 2, ["another"], itertools.repeat(arithmetic()))
        module = importlib.import_module("daskem.data.survey.machines")
        monkeypatch.setattr(module, "arithmetic", kinds.__next__)
        if strict:
            with pytest.raises(MixedClusterError, match=r"2 different last bits.*strict=True"):
                next(fit)
            return
        (told,) = next(fit).history[-1].events
        assert "compute 2 different last bits" in told
        last = next(fit)
    assert not last.history[-1].events
    assert told in str(last.history[1].events)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_who_computes_alike_is_not_refused():
    rows = np.random.default_rng(0).normal(size=(400, 2))
    options = {"max_passes": 1, "strict": True}
    result = daskem.fit(Mixture(Gaussian()), da.from_array(rows, (100, 2)), 1, **options)
    assert not result.notes
