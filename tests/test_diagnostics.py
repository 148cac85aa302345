"""Diagnostics: numbers that scikit-learn and a few lines of NumPy find, too."""

import threading
from collections import Counter

import dask
import numpy as np
import pytest
import xarray as xr
from samples import counting, overlapping
from sklearn.metrics import adjusted_rand_score

import daskem
from daskem import Gaussian, Mixture
from daskem.results.diagnostics import adjusted_rand


@pytest.fixture(scope="module")
def rows():
    return overlapping(2000)


@pytest.fixture(scope="module")
def result(rows):
    return daskem.fit(Mixture(Gaussian()), rows, [3, 4], n_init=2, random_state=0, tol=1e-3)


def labels_of(result, run, rows):
    return daskem.Result([run], result.n_features, result.n_rows).predict(rows)


def test_runs_agree_as_scikit_learn_says(rows, result):
    agreement = daskem.diagnose(result, rows)["agreement"].to_numpy()
    labels = [labels_of(result, run, rows) for run in result.runs]
    expected = [[adjusted_rand_score(a, b) for a in labels] for b in labels]
    np.testing.assert_allclose(agreement, expected, atol=1e-12)
    assert agreement.min() < 0.99
    # Weights are repeats.
    times = np.random.default_rng(0).integers(0, 3, len(rows))
    weighted = daskem.diagnose(result, rows, times.astype(float))["agreement"]
    repeated = daskem.diagnose(result, np.repeat(rows, times, axis=0))["agreement"]
    np.testing.assert_allclose(weighted, repeated, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_how_sharp_the_clusters_are(rows, result, weighted):
    times = np.random.default_rng(0).integers(0, 3, len(rows)) if weighted else np.ones(len(rows))
    found = daskem.diagnose(result, rows, times.astype(float) if weighted else None)
    r, w = result.predict_proba(rows), times[:, None]
    np.testing.assert_allclose(found["size"], (w * r).sum(axis=0))
    np.testing.assert_allclose(found["certainty"], (w * r**2).sum(axis=0) / found["size"])
    h = -(w * r * np.log(np.maximum(r, 1e-300))).sum(axis=0) / found["size"]
    np.testing.assert_allclose(found["entropy"], h)


def test_the_history_of_every_run_is_there(result):
    found = daskem.diagnose(result)
    for number, run in enumerate(result.runs):
        row = found.isel(run=number)
        passes = len(run.history)
        for name in ("objective", "log_likelihood", "remaining", "seconds"):
            values = row[name].to_numpy()
            np.testing.assert_array_equal(values[:passes], [getattr(p, name) for p in run.history])
            assert np.isnan(values[passes:]).all()
        assert str(row["status"].item()) == run.status.name.lower()
    assert float(found["behind"].min()) == 0
    assert "events" not in found
    assert "agreement" not in found


def test_it_takes_one_read(rows, result):
    calls, lock = Counter(), threading.Lock()
    with dask.config.set(scheduler="threads"):
        daskem.diagnose(result, counting(rows, 300, calls, lock))
    assert set(calls.values()) == {1}


def test_a_fitted_estimator_does_as_well(rows):
    model = daskem.GaussianMixture(2, random_state=0, tol=1e-2).fit(rows)
    told = daskem.diagnose(model, rows), daskem.diagnose(model.result_, rows)
    xr.testing.assert_identical(*told)
    assert daskem.merge(model, rows).steps == daskem.merge(model.result_, rows).steps


def test_the_index_of_one_cluster_with_itself():
    assert adjusted_rand(np.array([[7.0]])) == 1
    assert adjusted_rand(np.array([[5.0, 5.0], [5.0, 5.0]])) == pytest.approx(
        adjusted_rand_score([0] * 10 + [1] * 10, ([0] * 5 + [1] * 5) * 2)
    )
