"""What rides along with the rows goes wherever they go, and a model that needs it gets it."""

from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster import bits
from hypothesis import given, settings
from hypothesis import strategies as st

import daskem
from daskem import Mixture
from daskem.data.blocks import Block, moved
from daskem.data.inputs import as_blocks
from daskem.data.inputs.riders import aligned
from daskem.data.inputs.rows import as_rows
from daskem.data.survey import Domain, survey
from daskem.errors import DataError, DataTypeError
from daskem.fitting.starts.first_read import first_read
from daskem.models.views import Tile

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
FINITE = Domain(np.isfinite, "finite numbers")


class NoisyMean:
    """One mean of rows with independent noise of known variance, (sample, feature)."""

    needs = ("noise",)

    def log_prob(self, block, params):
        noise, z = block.along["noise"], block.rows - params["mean"]
        return -0.5 * (z * z / noise + np.log(2 * np.pi * noise)).sum(axis=1)

    def e_step(self, block, params):
        precision = block.counts[:, None] / block.along["noise"]
        return {
            "log_likelihood": float(block.counts @ self.log_prob(block, params)),
            "precision": precision.sum(axis=0),
            "first": (precision * block.rows).sum(axis=0),
        }

    def m_step(self, statistics, params):
        return {"mean": statistics["first"] / statistics["precision"]}

    def n_components(self, params):
        return 1

    def posterior(self, block, params):
        yield Tile(slice(0, len(block)), self.log_prob(block, params), np.ones((1, len(block))))


START = {"mean": np.zeros(3)}
OPTIONS = {"start": START, "max_passes": 2, "random_state": 0}


@pytest.fixture(scope="module")
def noise(rows):
    return np.random.default_rng(1).uniform(0.5, 4, rows.shape)


def chunked(array, size=150):
    return da.from_array(array, chunks=(size, *array.shape[1:]))


def fit(data, noise, **options):
    return daskem.fit(NoisyMean(), data, along={"noise": noise}, **{**OPTIONS, **options})


# A model that needs a rider.


def test_the_mean_weighs_rows_by_their_noise(rows, noise):
    expected = np.average(rows, axis=0, weights=1 / noise)
    np.testing.assert_allclose(fit(rows, noise).params["mean"], expected, rtol=1e-12)
    weights = np.arange(3000) % 3
    expected = np.average(rows, axis=0, weights=weights[:, None] / noise)
    weighted = fit(chunked(rows), noise, sample_weight=weights)
    np.testing.assert_allclose(weighted.params["mean"], expected, rtol=1e-12)


def test_the_same_bits_from_numpy_threads_and_a_cluster(client, rows, noise):
    with dask.config.set(scheduler="synchronous"):
        whole = bits(fit(rows, noise))
        expected = bits(fit(chunked(rows), noise))
    assert bits(fit(rows, noise)) == bits(fit(chunked(rows, 3000), noise)) == whole
    assert bits(fit(chunked(rows), chunked(noise, 999))) == expected
    with dask.config.set(scheduler="threads"):
        assert bits(fit(chunked(rows), noise)) == expected
    *_, last = daskem.iterate(NoisyMean(), chunked(rows), along={"noise": noise}, **OPTIONS)
    there = daskem.submit(NoisyMean(), chunked(rows), along={"noise": noise}, **OPTIONS)
    assert bits(last) == bits(there.result()) == expected


def test_riders_in_memory_go_to_the_workers_with_their_rows(client, rows, noise):
    many, more = np.tile(rows, (60, 1)), np.tile(noise, (60, 1))
    local = as_blocks(many, np.arange(180_000.0), along={"noise": more})
    there = moved(local, client)
    found, expected = (b.sum(NoisyMean().e_step, START) for b in (there, local))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    # Where there are many chunks, what they weigh decides about partitions, and so about the tree.
    assert there.outline == local.outline


class Calibrated(Mixture):
    """A mixture of rows that are shifted by what rides along with each."""

    needs = ("shift",)

    def shifted(self, block):
        return Block(block.rows - block.along["shift"][:, None], block.weights, block.along)

    def e_steps(self, block, candidates):
        return super().e_steps(self.shifted(block), candidates)

    def posterior(self, block, params):
        return super().posterior(self.shifted(block), params)


def test_what_is_made_of_a_fit_takes_riders_too(rows):
    """A selection, its merging and its diagnosis see the rows as the fit did."""
    shift = 1e3 * np.arange(len(rows))
    there, options = rows + shift[:, None], {"random_state": 0, "n_init": 1}
    model, along = Calibrated(daskem.Gaussian()), {"shift": shift}
    start = daskem.fit(Mixture(daskem.Gaussian()), rows, 2, random_state=0).params
    result = daskem.fit(model, there, start=start, along=along)
    clusters = daskem.diagnose(result, there, along=along)["size"]
    assert clusters.sum() == pytest.approx(len(rows))
    assert clusters.values == pytest.approx(result.params["weights"] * len(rows), rel=1e-3)
    assert daskem.merge(result, there, along=along).steps == [((0,), (1,))]
    for call in (daskem.diagnose, daskem.merge):
        with pytest.raises(DataError, match="Calibrated needs 'shift' for each of the rows"):
            call(result, there)
    with pytest.raises(DataError, match="Calibrated needs 'shift' for each of the rows"):
        daskem.select(there, [1], models={"it": model}, **options)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_predictions_ask_for_the_same(rows, noise, method):
    answer = getattr(fit(rows, noise), method)
    expected = answer(rows, along={"noise": noise})
    lazy = answer(chunked(rows), along={"noise": noise})
    assert lazy.chunks[0] == (150,) * 20
    np.testing.assert_array_equal(lazy.compute(), expected)
    # Fused with what loads the rows and the rider.
    (fused,) = dask.optimize(answer(chunked(rows), along={"noise": chunked(noise)}))
    assert len([key for key in dict(fused.__dask_graph__()) if isinstance(key, tuple)]) <= 5 * 20
    with pytest.raises(DataError, match="NoisyMean needs 'noise' for each of the rows"):
        answer(rows)


def test_scores_ask_for_the_same(rows, noise):
    result, along = fit(rows, noise), {"noise": noise}
    each = result.score_samples(rows, along)
    assert result.score(rows, along=along) == pytest.approx(each.mean(), rel=1e-12)
    weights = np.arange(3000.0)
    expected = np.average(each, weights=weights)
    assert result.score(chunked(rows), weights, along) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(DataError, match="NoisyMean needs 'noise'"):
        result.score(rows)


def unreadable(chunk):
    raise AssertionError("a chunk was read")


@pytest.mark.parametrize("verb", [daskem.fit, daskem.iterate, daskem.plan])
def test_a_missing_rider_is_an_error_before_anything_is_read(rows, noise, verb):
    data = chunked(rows).map_blocks(unreadable, meta=np.empty((0, 0)))
    for along in (None, {"nose": noise}):
        with pytest.raises(DataError, match=r"NoisyMean needs 'noise'.*along=\{'noise': array\}"):
            verb(NoisyMean(), data, along=along, start=START)


def test_a_plan_takes_riders_too(rows, noise):
    planned = daskem.plan(NoisyMean(), chunked(rows), along={"noise": noise}, start=START)
    assert planned.outline.n_bytes == rows.nbytes + noise.nbytes


class Plain:
    """A mixture that says nothing of what may ride along."""

    inner = daskem.Mixture(daskem.Gaussian())

    def e_step(self, block, params):
        return self.inner.e_step(block, params)

    def m_step(self, statistics, params):
        return self.inner.m_step(statistics, params)


def test_a_rider_that_nobody_needs_changes_nothing(rows, start):
    model, options = Plain(), {"start": start, "max_passes": 3}
    for data in (rows, chunked(rows)):
        expected = daskem.fit(model, data, **options)
        found = daskem.fit(model, data, along={"spare": np.zeros((3000, 2, 2))}, **options)
        assert bits(found) == bits(expected)


@dataclass(frozen=True)
class Sorted(daskem.Mixture):
    """A mixture that looks whether what rides along belongs to the rows, whatever is asked."""

    needs = ("copy",)

    def e_steps(self, block, candidates):
        np.testing.assert_array_equal(block.along["copy"], block.rows)
        return super().e_steps(block, candidates)

    def posterior(self, block, params):
        np.testing.assert_array_equal(block.along["copy"], block.rows)
        return super().posterior(block, params)

    def from_labels(self, block, labels, centres):
        np.testing.assert_array_equal(block.along["copy"], block.rows)
        return super().from_labels(block, labels, centres)


@pytest.mark.parametrize("init_params", ["k-means++", "k-means||"])
def test_starts_are_looked_for_among_rows_with_their_riders(rows, init_params):
    options = {"init_params": init_params, "max_passes": 2, "random_state": 0}
    for data in (rows, chunked(rows)):
        found = daskem.fit(Sorted(daskem.Gaussian()), data, 3, along={"copy": rows}, **options)
        expected = daskem.fit(daskem.Mixture(daskem.Gaussian()), data, 3, **options)
        assert bits(found) == bits(expected)


@pytest.mark.usefixtures("small_sample")
def test_rows_that_are_drawn_between_reads_keep_their_riders():
    rows = np.random.default_rng(0).standard_normal((40_000, 2))
    blocks = as_blocks(chunked(rows, 7000), along={"copy": rows})
    rng = np.random.default_rng(0)
    read = first_read(Sorted(daskem.Gaussian()), blocks, rng, "k-means||", [3])
    assert len(read.survey.sample) > 2**14
    np.testing.assert_array_equal(read.survey.sample.along["copy"], read.survey.sample.rows)


# Every block has the riders of its rows, whatever the chunks.

OWN_AXES = [(), (2,), (2, 3)]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=9).filter(sum),
    st.sampled_from(OWN_AXES),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_riders_are_cut_joined_omitted_and_sampled_like_the_rows(sizes, own, gaps, weighted, seed):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    rows = np.arange(2.0 * n).reshape(n, 2)
    rider = rng.integers(1000, size=(n, *own))
    weights = rng.random(n) if weighted else None
    if gaps:
        rows[rng.random(n) < 0.3, 1] = np.nan

    def belong(block):
        numbers = (block.rows[:, 0] / 2).astype(int)
        np.testing.assert_array_equal(block.along["rider"], rider[numbers])
        assert block.along["rider"].dtype == rider.dtype
        if weighted:
            np.testing.assert_array_equal(block.along["sample_weight"], weights[numbers])
            assert block.weights is block.along["sample_weight"]
        return len(block)

    expected = n - int(np.isnan(rows).any(axis=1).sum())
    for data in (rows, da.from_array(rows, chunks=(tuple(sizes), 2))):
        blocks = as_blocks(data, weights, "omit", along={"rider": rider})
        assert blocks.sum(lambda block: belong(block)) == expected
        assert blocks.sum(lambda block: belong(block[block.hash(0) % 2 == 0])) <= expected
        assert belong(blocks.sum(survey, FINITE, 0).sample) == expected


def test_riders_of_missing_rows_are_left_out_and_answers_are_put_back(rows, noise):
    spoilt = np.where(np.arange(3000)[:, None] % 7 == 0, np.nan, rows)
    there = np.arange(3000) % 7 != 0
    expected = fit(rows[there], noise[there])
    for data in (spoilt, chunked(spoilt)):
        result = fit(data, noise, missing="omit")
        np.testing.assert_allclose(result.params["mean"], expected.params["mean"], rtol=1e-12)
        scores = np.asarray(result.score_samples(data, along={"noise": noise}))
        np.testing.assert_array_equal(np.isnan(scores), ~there)
        same = result.score_samples(rows[there], along={"noise": noise[there]})
        np.testing.assert_array_equal(scores[there], same)


def test_riders_of_chunks_of_unknown_length_are_chosen_like_the_rows(rows, noise):
    some = chunked(rows)[:, 0] > 1
    data, riders = chunked(rows)[some], chunked(noise)[some]
    result = fit(data, riders)
    here = rows[:, 0] > 1
    expected = np.average(rows[here], axis=0, weights=1 / noise[here])
    np.testing.assert_allclose(result.params["mean"], expected, rtol=1e-12)
    lazy = result.score_samples(data, along={"noise": riders})
    np.testing.assert_allclose(lazy.sum(), 3000 * here.mean() * result.log_likelihood)
    with pytest.raises(DataError, match=r"so noise must be a Dask array in chunks of the same"):
        fit(data, noise[here])


# Labels.


@pytest.fixture
def grid(rows):
    return xr.DataArray(
        rows.reshape(50, 60, 3),
        dims=("time", "lat", "level"),
        coords={"time": np.arange(50), "lat": np.linspace(-60, 60, 60)},
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_riders_broadcast_by_the_names_of_their_dims(grid, rows, lazy):
    data = grid.chunk(time=20, lat=25, level=2) if lazy else grid
    by_lat = xr.DataArray(
        np.random.default_rng(0).uniform(1, 2, (2, 60)),
        dims=("kind", "lat"),
        coords=grid["lat"].coords,
    )
    rider = aligned(as_rows(data, feature_dim="level"), along={"noise": by_lat})["noise"]
    assert rider.shape == (50, 60, 2)
    if lazy:
        assert rider.chunks == ((20, 20, 10), (25, 25, 10), (2,))
    np.testing.assert_array_equal(rider, np.broadcast_to(by_lat.T, (50, 60, 2)))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_fit_and_its_answers_with_labelled_riders(grid, rows, noise, lazy):
    riders = grid.copy(data=noise.reshape(grid.shape)).rename(level="variable")
    data = grid.chunk(time=20, lat=25) if lazy else grid
    options = {"feature_dim": "level", "start": START, "max_passes": 2, "random_state": 0}
    turned = riders.transpose("variable", "lat", "time")
    result = daskem.fit(NoisyMean(), data, along={"noise": turned}, **options)
    expected = fit(rows, noise)
    np.testing.assert_allclose(result.params["mean"], expected.params["mean"], rtol=1e-12)
    scores = result.score_samples(data, along={"noise": turned})
    assert scores.dims == ("time", "lat")
    straight = result.score_samples(rows, along={"noise": noise})
    np.testing.assert_allclose(scores.to_numpy().ravel(), straight, rtol=1e-13)


def test_matrices_ride_whole(grid):
    matrices = xr.DataArray(
        np.random.default_rng(0).random((60, 50, 3, 3)),
        dims=("lat", "time", "feature", "feature_2"),
    )
    rows = as_rows(grid.chunk(time=20), feature_dim="level")
    blocks = as_blocks(rows.array, along=aligned(rows, along={"covariance": matrices}))
    assert blocks.along["covariance"].chunks[2:] == ((3,), (3,))
    total = blocks.sum(lambda block: block.along["covariance"].sum(axis=0))
    np.testing.assert_allclose(total, matrices.sum(("lat", "time")), rtol=1e-12)


# What does not fit.


@pytest.mark.parametrize("shape", [(2999,), (2999, 3), (1, 3000), ()])
@pytest.mark.parametrize("lazy", [False, True])
def test_riders_of_the_wrong_shape(rows, shape, lazy):
    data = chunked(rows) if lazy else rows
    with pytest.raises(DataError, match=r"noise has shape .*a number or an array for each .*3000,"):
        fit(data, np.ones(shape))


def test_riders_of_other_places(grid):
    times = grid["time"].astype(float)
    with pytest.raises(DataError, match=r"noise has other coordinates along 'time'.*noise.reindex"):
        fit(grid, times[::-1], feature_dim="level")
    with pytest.raises(
        DataError, match=r"noise has dims \('profile',\), but the rows have \('time"
    ):
        fit(grid, times.drop_vars("time").rename(time="profile"), feature_dim="level")
    with pytest.raises(DataError, match=r"sample_weight has dims \('time', 'kind'\)"):
        fit(grid, grid, sample_weight=times.expand_dims(kind=2, axis=1), feature_dim="level")


def test_riders_that_are_no_numbers(rows):
    with pytest.raises(DataTypeError, match=r"noise: <U1, where what rides along"):
        fit(rows, np.full(3000, "a"))


def test_weights_that_are_given_twice(rows, noise):
    along = {"noise": noise, "sample_weight": np.ones(3000)}
    with pytest.raises(DataError, match="sample_weight is given twice"):
        daskem.fit(NoisyMean(), rows, sample_weight=np.ones(3000), along=along, **OPTIONS)
    once = daskem.fit(NoisyMean(), rows, along=along, **OPTIONS)
    assert bits(once) == bits(fit(rows, noise, sample_weight=np.ones(3000)))


def test_chunks_of_riders_of_another_length_are_named(rows):
    blocks = as_blocks(
        chunked(rows)[chunked(rows)[:, 0] > 1], along={"noise": da.ones(3000, chunks=150)}
    )
    with pytest.raises(DataError, match=r"chunk \(\d+,\) has \d+ rows, but noise has 150"):
        blocks.sum(len)


def test_a_block_of_ones_own_has_its_weights_among_its_riders():
    block = Block(np.ones((2, 1)), np.ones(2), {"noise": np.zeros(2)})
    assert list(block.along) == ["sample_weight", "noise"]
    assert block[:1].weights.tolist() == [1.0]
