"""Merging: the paper's steps on the complete data, in two reads; predictions that add up."""

import threading
from collections import Counter
from itertools import combinations

import dask
import numpy as np
import pytest
import xarray as xr
from samples import counting

import daskem
from daskem import Gaussian, Mixture
from daskem.errors import ParameterError
from daskem.results import merging
from daskem.results.merging import _combine


def arch_and_blob(n=6000):
    """A bow, which takes several Gaussians, and a round cluster far from it."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 2 * n // 3)
    bow = 4 * np.column_stack([np.cos(angle), np.sin(angle)])
    rows = np.concatenate(
        [bow + 0.3 * rng.normal(size=bow.shape), rng.normal(size=(n // 3, 2)) + 9]
    )
    truth = np.repeat([0, 1], [len(bow), n // 3])
    order = rng.permutation(len(rows))
    return rows[order], truth[order]


@pytest.fixture(scope="module")
def rows():
    return arch_and_blob()[0]


@pytest.fixture(scope="module")
def result(rows):
    return daskem.fit(Mixture(Gaussian()), rows, 6, random_state=0, tol=1e-3)


def entropy(p):
    return -(p * np.log(np.maximum(p, 1e-300))).sum()


def brute_force(p, weights=None):
    """Baudry et al. (2010), section 3, word for word: entropies of K, ..., 1 clusters."""
    w = np.ones(len(p)) if weights is None else weights
    columns, entropies = {(k,): p[:, k] for k in range(p.shape[1])}, []
    partitions = []
    while True:
        entropies.append(
            sum(-(w * c * np.log(np.maximum(c, 1e-300))).sum() for c in columns.values())
        )
        partitions.append(set(columns))
        if len(columns) == 1:
            return entropies, partitions

        def after(pair):
            both = columns[pair[0]] + columns[pair[1]]
            kept = [c for name, c in columns.items() if name not in pair]
            return sum(-(w * c * np.log(np.maximum(c, 1e-300))).sum() for c in [both, *kept])

        a, b = min(combinations(columns, 2), key=after)
        columns[tuple(sorted(a + b))] = columns.pop(a) + columns.pop(b)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_steps_are_those_of_brute_force(rows, result, weighted):
    weights = np.random.default_rng(0).exponential(size=len(rows)) if weighted else None
    merging = daskem.merge(result, rows, sample_weight=weights)
    entropies, partitions = brute_force(result.predict_proba(rows), weights)
    np.testing.assert_allclose(merging.entropies, entropies, rtol=1e-9, atol=1e-6)
    for n in range(1, 7):
        assert set(merging.cut(n).model.groups) == partitions[6 - n]


def test_clusters_of_free_shape_are_found():
    rows, truth = arch_and_blob()
    result = daskem.fit(Mixture(Gaussian()), rows, 6, random_state=0, tol=1e-3)
    merging = daskem.merge(result, rows)
    np.testing.assert_array_equal(merging.cut(2).predict(rows), truth)
    assert float(merging.entropy.sel(n_clusters=2)) < 0.01 * float(
        merging.entropy.sel(n_clusters=3)
    )


@pytest.mark.usefixtures("small_sample")
def test_the_complete_data_decide_where_the_sample_is_wrong():
    """40,000 rows, of which the sample sees 2**14: the steps are those of all of them."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40_000, 2)) * [3.0, 1.0]
    model = Mixture(Gaussian())
    result = next(daskem.iterate(model, rows, 7, random_state=1))
    merging = daskem.merge(result, rows)
    entropies, _ = brute_force(result.predict_proba(rows))
    np.testing.assert_allclose(merging.entropies, entropies, rtol=1e-9, atol=1e-6)


def test_a_wrong_forecast_costs_a_read_and_nothing_else(monkeypatch, rows, result):
    """The sample is made to prefer the worst of all steps."""
    right = daskem.merge(result, rows)
    measure = merging._Measure._sums
    monkeypatch.setattr(
        merging._Measure,
        "_sums",
        lambda self, block, members: -measure(self, block, members),
    )
    wrong = daskem.merge(result, rows)
    assert wrong.steps == right.steps
    assert right.n_reads == 2 < wrong.n_reads


def test_merging_reads_every_chunk_twice(rows, result):
    calls, lock = Counter(), threading.Lock()
    data = counting(rows, 700, calls, lock)
    with dask.config.set(scheduler="threads"):
        merging = daskem.merge(result, data)
    assert set(calls.values()) == {merging.n_reads} == {2}


def test_probabilities_of_a_cluster_are_the_sums_of_its_components(rows, result):
    merging, parts = daskem.merge(result, rows), result.predict_proba(rows)
    for n in range(1, 7):
        clusters = merging.cut(n)
        expected = np.column_stack([parts[:, list(g)].sum(axis=1) for g in clusters.model.groups])
        found = clusters.predict_proba(rows)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        np.testing.assert_array_equal(clusters.predict(rows), found.argmax(axis=1))
        np.testing.assert_array_equal(clusters.score_samples(rows), result.score_samples(rows))
        assert clusters.score(rows) == result.score(rows)
        weights = clusters.params["weights"]
        assert weights.sum() == pytest.approx(1)
        assert (np.diff(weights) <= 0).all()
        assert entropy(found) == pytest.approx(merging.entropies[6 - n], rel=1e-6, abs=1e-6)
    assert (np.diff(merging.entropies) <= 1e-9).all()


def test_labels_and_laziness_are_kept(rows, result):
    data = xr.DataArray(rows.reshape(60, 100, 2), dims=("y", "x", "feature")).chunk(y=20)
    fitted = daskem.fit(Mixture(Gaussian()), data, start=result.params, tol=1e-2)
    labels = daskem.merge(fitted, data).cut(3).predict(data)
    assert labels.dims == ("y", "x")
    assert labels.chunks == ((20, 20, 20), (100,))


def test_too_many_clusters_are_refused(rows, result):
    merging = daskem.merge(result, rows)
    with pytest.raises(ParameterError, match="n_clusters=7, but there are 6 components"):
        merging.cut(7)


def test_it_tells_its_steps(rows, result):
    told = str(daskem.merge(result, rows))
    assert told.splitlines()[0].split() == ["clusters", "entropy", "merged"]
    assert " and " in told.splitlines()[-1]
    assert len(told.splitlines()) == 7


def test_equal_gains_are_taken_in_order():
    steps, entropies = _combine(
        [frozenset([i]) for i in range(3)], lambda _, sets: dict.fromkeys(sets, 0.0)
    )
    assert steps == [({0}, {1}), ({0, 1}, {2})]
    assert entropies == [0, 0, 0]
