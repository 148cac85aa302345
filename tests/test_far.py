"""Values far from all others are told, whatever the chunks, and do no harm to the other rows."""

import importlib
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import daskem
from daskem import Bernoulli, Gaussian, Mixture
from daskem.core.statistics import add_all
from daskem.data.blocks import Block, Piece
from daskem.data.inputs import as_blocks
from daskem.data.survey import Domain, survey
from daskem.data.survey.extremes import FEW, extremes
from daskem.data.survey.outermost import outermost
from daskem.fitting.record import Status
from daskem.fitting.starts.outlying import outlying_first

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def seen(rows, weights=None):
    rows = rows if np.ndim(rows) > 1 else rows[:, None]
    domain = Domain(np.isfinite, "finite numbers")
    return as_blocks(rows, weights).sum(survey, domain, 0, name="survey")


def told(rows, weights=None):
    """What is far, as (feature, value, rows that have it)."""
    far = seen(rows, weights).far
    return [] if far is None else [(v.feature, v.value, v.count) for v in far.values]


def two_clusters(rng, n=3000):
    return np.where(rng.random(n) < 0.5, 280.0, 286.0) + rng.normal(0, 1, n)


# The extremes.


def entries(found):
    arrays = (found.end, found.signed, found.count, found.first)
    return list(zip(*(a.tolist() for a in arrays), strict=True))


def entries_by_hand(rows):
    expected = []
    for j, column in enumerate(rows.T.astype(float)):
        for side, signed in enumerate((column, -column)):
            values = np.unique(signed[~np.isnan(signed)])[:FEW]
            expected += [
                (2 * j + side, v, int((signed == v).sum()), int((signed == v).argmax()))
                for v in values.tolist()
            ]
    return expected


def with_gaps(rows, rng):
    rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows.astype(np.float32)


DRAWN = {
    "continuous": lambda rng, n: rng.normal(size=(n, 3)),
    "counts": lambda rng, n: rng.poisson(2.0, (n, 3)).astype(np.int16),
    "two values": lambda rng, n: (rng.random((n, 3)) < 0.3).astype(float),
    "many zeros": lambda rng, n: np.maximum(rng.normal(size=(n, 3)), 0.0),
    "rounded, with NaN": lambda rng, n: with_gaps(rng.normal(size=(n, 3)).round(1), rng),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("n", [1, 7, 127, 128, 700, 20_001])
def test_extremes_are_those_found_by_sorting_whatever_the_blocks_and_their_order(draw, n):
    rng = np.random.default_rng(n)
    rows = draw(rng, n)
    bounds = [0, *np.sort(rng.integers(0, n + 1, 4)).tolist(), n]
    parts = [
        extremes(Block(rows[a:b], pieces=(Piece((i,), i, (b - a,), (a,), (n,)),)))
        for i, (a, b) in enumerate(pairwise(bounds))
    ]
    assert entries(extremes(Block(rows))) == entries_by_hand(rows)
    assert entries(add_all([parts[i] for i in rng.permutation(5)])) == entries_by_hand(rows)


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(0, 2**32))
def test_extremes_add_in_any_grouping(size, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-9, 9, (60, 1)).astype(float)
    a, b, c = (extremes(Block(part)) for part in np.split(rows, [min(size, 59), 59]))
    assert entries((a + b) + c) == entries(a + (b + c))


# Whole rows.


def outermost_of(rows, bounds=()):
    """The outermost of rows in blocks that end at `bounds`."""
    bounds = [0, *bounds, len(rows)]
    parts = []
    for i, (a, b) in enumerate(pairwise(bounds)):
        block = Block(rows[a:b], pieces=(Piece((i,), i, (b - a,), (a,), (len(rows),)),))
        measured = extremes(block)
        parts.append((outermost(block, measured, 0), measured))
    return parts


def summed(parts):
    (total, measured), *others = parts
    for part, of_part in others:
        measured += of_part
        total = total.with_others(part, measured)
    return total


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("n", [20, 700, 20_001])
def test_outermost_rows_are_the_same_whatever_the_blocks_and_their_order(draw, n):
    rng = np.random.default_rng(n)
    rows = draw(rng, n)
    rows[rng.choice(n, 4, replace=False), rng.integers(3)] = rng.choice([-9e3, 3e4], 4)
    whole = summed(outermost_of(rows))
    order = np.argsort(whole.keys)
    for _ in range(3):
        parts = outermost_of(rows, np.sort(rng.integers(0, n + 1, 4)).tolist())
        some = summed([parts[i] for i in rng.permutation(5)])
        again = np.argsort(some.keys)
        np.testing.assert_array_equal(some.keys[again], whole.keys[order])
        np.testing.assert_array_equal(some.sample.rows[again], whole.sample.rows[order])


def test_outermost_rows_are_whole_and_have_their_weights_and_are_few():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(3000, 3)), rng.random(3000)
    rows[[7, 1500], [0, 2]] = -500, 300
    weights[2] = 0
    rows[2] = 1e6
    found = seen(rows, weights).outermost
    order = np.argsort(found.sample.rows[:, 0])
    np.testing.assert_array_equal(found.sample.rows[order], rows[[7, 1500]])
    np.testing.assert_array_equal(found.sample.counts[order], weights[[7, 1500]])
    rows[:100] = np.linspace(1e3, 1e9, 300).reshape(100, 3)
    assert len(seen(rows).outermost.sample) == 0
    with_gaps_between = rng.normal(size=(200, 300)) * np.where(rng.random((200, 300)) < 0.01, 99, 1)
    assert len(seen(with_gaps_between).outermost.sample) == 64


def test_a_row_that_the_sample_lacks_counts_once_among_those_where_a_fit_looks_for_its_start():
    n = 80_000
    rows = np.random.default_rng(0).normal(size=(n, 1))
    rows[:4, 0] = 1e3
    measured = seen(rows)
    start = measured.start_sample
    n_sampled = len(measured.sample)
    assert n_sampled == 2**16
    is_far = start.rows[:, 0] == 1e3
    assert is_far.sum() == 4
    lacking = 4 - int((measured.sample.rows == 1e3).sum())
    assert lacking > 0
    np.testing.assert_allclose(np.sort(start.counts)[:lacking], n_sampled / n)
    np.testing.assert_array_equal(np.sort(start.counts)[lacking:], 1)


# What is far.


@pytest.mark.parametrize("value", [1e20, -999.0, -99.99, 1e5])
def test_a_code_is_told_with_all_its_rows(value):
    rows = np.random.default_rng(0).normal(15, 5, (2000, 2))
    rows[100:140, 1] = value
    assert told(rows) == [(1, value, 40)]


def test_codes_on_both_sides_and_one_beyond_the_other_are_told():
    rows = np.random.default_rng(0).normal(15, 5, 2000)
    rows[:30], rows[30:80], rows[80:90], rows[90:95] = -999, 999, -99.99, 1e20
    assert sorted(told(rows)) == [(0, -999, 30), (0, -99.99, 10), (0, 999, 50), (0, 1e20, 5)]


def test_a_code_of_most_rows_is_told():
    rows = np.full(3000, -9999.0)
    rows[::7] = np.random.default_rng(0).normal(15, 5, len(rows[::7]))
    assert told(rows) == [(0, -9999, 3000 - len(rows[::7]))]


def test_fill_values_are_told_among_two_values():
    rows = (np.random.default_rng(0).random(1000) < 0.3).astype(float)
    rows[:50] = 1e20
    assert told(rows) == [(0, 1e20, 50)]


def test_single_glitches_are_told_and_no_more_notes_than_a_person_reads():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(2000, 15)), rng.uniform(1e5, 1e6, (50, 15))])
    far = seen(rows).far
    assert [v.count for v in far.values] == [1] * FEW * 15
    notes = far.notes(None)
    assert notes[3] == f"column 0: {FEW - 3} or more other values are far"
    assert notes[10:] == ["50 more notes on far values"]
    # Even those that are neither told nor in the sample have no part in the moments.
    np.testing.assert_allclose(seen(rows).mean, rows[:2000].mean(axis=0), atol=1e-12)


ORDINARY = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 2, n),
    "Pareto": lambda rng, n: rng.pareto(1.5, n),
    "t of 2 degrees": lambda rng, n: rng.standard_t(2, n),
    "whole numbers with a heavy tail": lambda rng, n: np.floor(rng.pareto(1.5, n)),
    "rare ones": lambda rng, n: (rng.random(n) < 0.001).astype(float),
    "zeros and a few": lambda rng, n: np.r_[np.zeros(n), rng.lognormal(3, 1, n // 235)],
    "zeros and a few large": lambda rng, n: np.r_[np.zeros(n), rng.normal(100, 5, n // 235)],
    "clusters": lambda rng, n: np.r_[rng.normal(0, 1, n), rng.normal(5000, 1, n // 10)],
    "constant": lambda rng, n: np.full(n, 5.0),
    "labels": lambda rng, n: rng.choice([0.0, 1.0, 10.0], n),
    "zeros": lambda rng, n: np.zeros(n),
}


@pytest.mark.parametrize("draw", ORDINARY.values(), ids=ORDINARY)
@pytest.mark.parametrize(("n", "n_seeds"), [(300, 40), (157_406, 2)])
def test_ordinary_data_are_not_told_of(draw, n, n_seeds):
    for seed in range(n_seeds):
        assert told(draw(np.random.default_rng(seed), n)) == []


def test_rows_of_weight_zero_are_not_told_of_and_do_no_harm():
    rng = np.random.default_rng(0)
    rows = rng.normal(280, 3, (3000, 1))
    land = np.zeros(3000, dtype=bool)
    land[:1000], land[1500] = True, True
    masked = np.where(land[:, None], 1e20, rows)
    for data in (masked, da.from_array(masked, chunks=(500, 1))):
        measured = seen(data, weights=(~land).astype(float))
        assert measured.far is None
        np.testing.assert_allclose(measured.mean, rows[~land].mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(measured.variances, rows[~land].var(axis=0), rtol=1e-9)


def test_moments_are_those_of_the_near_values():
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(2000, 2)) @ [[1.0, 0.7], [0.0, 0.5]] + [280, 35]
    weights = rng.exponential(size=2000)
    land = rng.random(2000) < 0.3
    measured = seen(np.where(land[:, None], 1e20, clean), weights)
    sea = {"aweights": weights[~land], "bias": True}
    np.testing.assert_allclose(measured.covariance, np.cov(clean[~land].T, **sea), rtol=1e-9)
    mean = np.average(clean[~land], axis=0, weights=weights[~land])
    np.testing.assert_allclose(measured.mean, mean, rtol=1e-12)


def test_the_covariance_has_no_negative_eigenvalue_where_gaps_differ():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 4))
    x[rng.random(x.shape) < 0.4] = -1e30
    measured = seen(x)
    assert np.linalg.eigvalsh(measured.covariance)[0] > 0
    near = [column[column > -1e30] for column in x.T]
    np.testing.assert_allclose(measured.variances, [c.var() for c in near], rtol=1e-12)


# Fits.


@pytest.mark.parametrize(("dtype", "fill"), [(float, 1e20), (np.float32, 9.96921e36)])
def test_a_fill_value_is_a_component_and_leaves_the_others_theirs(dtype, fill):
    t = two_clusters(np.random.default_rng(0)).astype(dtype)
    t[:450] = fill
    found = daskem.GaussianMixture(3, reg_covar=0, random_state=0).fit(t[:, None])
    np.testing.assert_allclose(np.sort(found.means_[:, 0])[:2], [280, 286], atol=1)
    (note,) = found.result_.notes
    value = "1e+20" if dtype is float else "9.96921e+36"
    assert note.startswith(f"column 0: {value} in 450 rows (the first is row 0) is far")
    assert note in str(found.result_)


def test_a_single_glitch_leaves_the_clusters_theirs():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (1000, 2)), rng.normal(6, 1, (1000, 2)), [[1e5, 1e5]]])
    found = daskem.GaussianMixture(3, reg_covar=0, random_state=0).fit(x)
    np.testing.assert_allclose(np.sort(found.means_[:, 0]), [0, 6, 1e5], atol=0.2)
    assert [note.partition(" is far")[0] for note in found.result_.notes] == [
        f"column {j}: 100000.0 in 1 row (the first is row 2000)" for j in (0, 1)
    ]


def test_notes_call_features_by_their_names_and_places_by_those_of_the_input():
    rng = np.random.default_rng(0)
    grid = two_clusters(rng, 1200).reshape(30, 40)
    grid[17, 5:9] = -999
    ds = xr.Dataset(
        {
            "temp": (("lat", "lon"), grid),
            "salt": (("lat", "lon"), grid * 0 + rng.normal(size=(30, 40))),
        }
    )
    model = daskem.Mixture(daskem.Gaussian())
    places = {"row 685": ds, "row (17, 5)": ds.chunk(lat=7, lon=11)}
    for place, data in places.items():
        result = daskem.fit(model, data, 1, random_state=0)
        notes = [note for note in result.notes if "far" in note]
        assert len(notes) == 1
        assert notes[0].startswith(
            f"column 0 ('temp'): -999.0 in 4 rows (the first is {place}) is far from the other"
        )


def test_rows_of_chunks_whose_length_nobody_knows_are_named_by_chunk_and_row():
    rows = da.from_array(two_clusters(np.random.default_rng(0))[:, None], chunks=(1000, 1))
    spoilt = da.where(da.arange(3000, chunks=1000)[:, None] == 2345, 1e20, rows)
    measured = seen(spoilt[da.ones(3000, chunks=1000, dtype=bool)])
    (value,) = measured.far.values
    assert value.place == "chunk 2, row 345"


def test_the_note_of_a_cluster_is_that_of_memory(client):
    t = two_clusters(np.random.default_rng(0))[:, None]
    t[1234:1250] = 1e20
    model = daskem.Mixture(daskem.Gaussian())
    here = daskem.fit(model, t, 2, random_state=0)
    there = daskem.fit(model, da.from_array(t, chunks=(101, 1)), 2, random_state=0)
    assert here.notes[0].startswith("column 0: 1e+20 in 16 rows (the first is row 1234) is far")
    assert here.notes[0] in there.notes


@pytest.mark.parametrize("seed", range(3))
def test_clusters_of_rounded_values_are_no_codes(seed):
    """Three water masses: the salinities of the fresh ones lie many ranges from the salty one's."""
    rng = np.random.default_rng(seed)
    sizes, means, spreads = [1500, 900, 600], [37.8, 35.1, 34.7], [0.15, 0.05, 0.02]
    salinity = np.concatenate(list(map(rng.normal, means, spreads, sizes))).round(2)
    assert told(salinity) == []
    salinity[:5] = -99.99
    assert told(salinity) == [(0, -99.99, 5)]


# Where a fit looks for its start.


def glitches(n, n_far, d=1, k=3, at=1e4):
    """Rows (sample, feature) of well separated clusters, a few of them far away; and where."""
    rng = np.random.default_rng([n, n_far, d])
    labels = rng.integers(k, size=n)
    rows = rng.normal(size=(n, d)) + 12 * labels[:, None]
    far = rng.choice(n, n_far, replace=False)
    rows[far] += at
    labels[far] = k
    return rows, labels


@pytest.mark.parametrize(("n", "seed"), [(20_000, 0), (20_000, 1), (20_000, 5), (200_000, 0)])
def test_a_component_for_a_few_far_rows_gets_all_of_them(n, seed):
    # Of five a part of the sample has one, or none; the first of them that a component has says
    # nothing of how far the next one is.
    rows, labels = glitches(n, n_far := 5)
    result = daskem.fit(Mixture(Gaussian()), rows, 4, random_state=seed)
    assert not result.flaws
    found = result.predict(rows)
    assert np.bincount(found, minlength=4)[3] == n_far
    assert (found[labels == 3] == 3).all()
    np.testing.assert_allclose(np.sort(result.params["means"][:3, 0]), [0, 12, 24], atol=0.1)


def test_rows_far_out_are_in_every_part_of_a_sample():
    rows, labels = glitches(3000, 5)
    first, n_out = outlying_first(Block(rows))
    assert n_out == 5
    np.testing.assert_array_equal(first.rows[:5], rows[labels == 3])
    np.testing.assert_array_equal(first.rows[5:], rows[labels < 3])


@pytest.mark.parametrize("n_far", [0, 300])
def test_a_sample_without_rows_far_out_or_with_many_stays_as_it_is(n_far):
    sample = Block(glitches(3000, n_far)[0])
    assert outlying_first(sample) == (sample, 0)


# A row that a sample lacks.


def two_and_a_glitch(n, row, at=1e5):
    rng = np.random.default_rng(n)
    rows = rng.normal(size=(n, 2)) + 6 * rng.integers(2, size=(n, 1))
    rows[row] = at
    return rows


def isolates(result, row):
    (event,) = {e for e in result.history[-1].events if "far from all others" in e}
    assert event.startswith("component 2 (1 row)")
    assert not result.flaws
    np.testing.assert_allclose(np.sort(result.params["means"][:2, 0]), [0, 6], atol=0.05)
    labels = result.predict(row[None])
    assert np.asarray(labels).tolist() == [2]


@pytest.mark.parametrize(("row", "kind"), [(0, "full"), (77_777, "diag"), (149_999, "full")])
def test_a_glitch_is_isolated_whichever_row_it_is_and_whatever_the_seed(row, kind):
    rows = two_and_a_glitch(150_000, row)
    for seed in range(3):
        result = daskem.fit(Mixture(Gaussian(kind)), rows, 3, random_state=seed)
        isolates(result, rows[row])
        assert len(result.history) < 12


def test_a_glitch_that_the_sample_lacks_is_isolated_in_labelled_chunks_with_the_same_bits():
    rows = two_and_a_glitch(150_000, 141_421).reshape(300, 500, 2)
    ds = xr.Dataset({name: (("lat", "lon"), rows[..., i]) for i, name in enumerate("uv")})
    found = []
    for n_workers in (1, 3):
        with dask.config.set(num_workers=n_workers):
            result = daskem.fit(Mixture(Gaussian()), ds.chunk(lat=50), 3, random_state=2)
        isolates(result, rows.reshape(-1, 2)[141_421])
        found.append([value.tolist() for value in result.params.values()])
    assert found[0] == found[1]


def test_a_glitch_is_among_the_rows_that_show_how_fast_em_is():
    # A component that has no rows there stays where it is put, as if EM were slow.
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(100_000, 2)) + 6 * rng.integers(2, size=(100_000, 1))
    rows[4000, 0] = 1e4
    result = daskem.fit(Mixture(Gaussian("diag")), rows, 3, random_state=4)
    assert result.status is Status.CONVERGED
    assert not [c for record in result.history for c in record.candidates if c.name == "aside"]


@pytest.mark.parametrize("n", [20_000, 150_000])
def test_glitches_here_and_there_melt_no_clusters(n):
    rng = np.random.default_rng(n)
    labels = rng.integers(4, size=n)
    rows = rng.normal(size=(n, 3)) + 12 * np.eye(4, 3)[labels]
    far = rng.choice(n, 5, replace=False)
    signs = rng.choice([-1.0, 1.0], (5, 3))
    rows[far] += signs * 10.0 ** np.array([[3.0], [3.7], [4.4], [5.1], [5.8]])
    result = daskem.fit(Mixture(Gaussian()), rows, 5, random_state=0)
    found = result.predict(rows)
    assert (found[far] == 4).all()
    np.testing.assert_array_equal(np.bincount(found)[:4] > n / 5, True)


def test_rows_far_out_are_seen_beside_farther_ones():
    rows = glitches(3000, 0)[0]
    rows[[5, 700, 900]] = [[1e3], [1e5], [1e7]]
    first, n_out = outlying_first(Block(rows))
    assert sorted(first.rows[:n_out, 0]) == [1e3, 1e5, 1e7]


def test_a_selection_with_a_glitch_that_the_sample_lacks_has_a_component_for_it():
    chosen = daskem.select(two_and_a_glitch(150_000, 141_421), range(1, 4), random_state=2)
    isolates(chosen.best, np.full(2, 1e5))


def test_rare_answers_are_no_rows_far_out(monkeypatch):
    """A component of all of them would cost one of a cluster."""
    rows = np.random.default_rng(0).random((2000, 6)) < np.r_[0.002, 0.003, [0.5] * 4]
    assert outlying_first(Block(rows * 1.0))[1] > 0
    module = importlib.import_module("daskem.fitting.starts.best_starts")
    bed, asked = module.Seedbed, []
    monkeypatch.setattr(module, "Seedbed", lambda *args: asked.append(args[-1]) or bed(*args))
    for model, k in ((Mixture(Bernoulli()), 2), (Mixture(Gaussian("diag")), 2)):
        daskem.fit(model, rows * 1.0, k, random_state=0, max_passes=1)
    assert asked[0] == 0
    assert asked[1] > 0
