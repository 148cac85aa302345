"""Components are numbered by size in whatever a fit returns, unless a start numbers them."""

import dask.array as da
import numpy as np
import pytest
from samples import planted
from table import every_row

import daskem
from daskem import Gaussian, Mixture
from daskem.fitting.record import Pass
from daskem.results.numbering import by_size

pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
# Of the sizes 1 : 3 : 2, from left to right.
ROWS = np.concatenate(
    [planted(1, n=n, seed=0) * 0.3 + at for n, at in [(200, -20), (600, 0), (400, 20)]]
)


def sizes(labels):
    return np.bincount(np.asarray(labels).ravel()).tolist()


@every_row
def test_the_largest_component_is_0_and_the_statistics_of_a_fit_follow(row):
    family, rows = row.family, row.rows()
    for seed in range(3):
        result = daskem.fit(Mixture(family), rows, 3, random_state=seed, max_passes=10)
        weights = result.params["weights"]
        assert (np.diff(weights) <= 0).all()
        # What went with a component goes with it still: one more step changes little.
        again = daskem.fit(Mixture(family), rows, start=result.params, max_passes=1, algorithm="em")
        assert again.log_likelihood >= result.log_likelihood - 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_labels_probabilities_files_and_estimators_are_numbered_alike(seed, tmp_path):
    gm = daskem.GaussianMixture(3, random_state=seed).fit(ROWS)
    assert sizes(gm.predict(ROWS)) == [600, 400, 200]
    np.testing.assert_allclose(gm.means_[:, 0], [0, 20, -20], atol=2)
    np.testing.assert_allclose(gm.predict_proba(ROWS).sum(axis=0), [600, 400, 200])
    gm.save(tmp_path / "model.zarr")
    assert sizes(daskem.load(tmp_path / "model.zarr").predict(ROWS)) == [600, 400, 200]
    assert sizes(daskem.merge(gm, ROWS).cut(2).predict(ROWS))[0] > 600
    lazy = gm.predict(da.from_array(ROWS, chunks=(500, -1)))
    assert sizes(lazy) == [600, 400, 200]


def test_every_run_and_every_selection_is_numbered_by_size():
    result = daskem.fit(Mixture(Gaussian()), ROWS, 3, n_init=3, random_state=0)
    for run in result.runs:
        assert (np.diff(run.params["weights"]) <= 0).all()
    chosen = daskem.select(ROWS, [3], random_state=0)
    assert sizes(chosen.best.predict(ROWS)) == [600, 400, 200]


def test_a_fit_on_the_scheduler_is_numbered_by_size(client):
    data = da.from_array(ROWS, chunks=(500, -1))
    result = daskem.submit(Mixture(Gaussian()), data, 3, random_state=0).result()
    assert sizes(result.predict(ROWS)) == [600, 400, 200]


def test_a_start_that_says_something_of_each_component_keeps_its_order():
    means = np.repeat([[-20.0], [20.0], [0.0]], 2, axis=1)
    gm = daskem.GaussianMixture(3, means_init=means, random_state=0).fit(ROWS)
    assert sizes(gm.predict(ROWS)) == [200, 400, 600]
    np.testing.assert_allclose(gm.means_, means, atol=2)


def test_a_start_that_is_shared_by_all_components_numbers_none():
    start = {"covariances": np.eye(2)}
    result = daskem.fit(Mixture(Gaussian("tied")), ROWS, 3, start=start, random_state=0)
    assert sizes(result.predict(ROWS)) == [600, 400, 200]


def test_equal_components_are_numbered_from_left_to_right():
    params = {
        "weights": np.array([0.25, 0.25, 0.5]),
        "means": np.array([[3.0, 0.0], [3.0, -1.0], [9.0, 9.0]]),
        "covariances": np.arange(3.0)[:, None, None] * np.eye(2),
    }
    ordered, _ = by_size(Mixture(Gaussian()), params, ())
    assert ordered["means"].tolist() == [[9, 9], [3, -1], [3, 0]]
    assert ordered["covariances"][:, 0, 0].tolist() == [2, 1, 0]


def test_events_call_components_by_their_numbers_in_the_result():
    """Of three that change places in a circle, as two that do are each other's."""
    params = {"weights": np.array([0.3, 0.2, 0.5]), "rates": np.array([[1.0], [2.0], [3.0]])}
    events = ("component 0 has lost all its rows", "covariance of component 1: no spread")
    record = Pass(0.0, 0.0, 0.0, 0.0, 1, 1, events, flaws=("component 2 is narrow",))
    ordered, (renumbered,) = by_size(Mixture(daskem.Poisson()), params, [record])
    assert ordered["rates"].ravel().tolist() == [3, 1, 2]
    assert renumbered.events == (
        "component 1 has lost all its rows",
        "covariance of component 2: no spread",
    )
    assert renumbered.flaws == ("component 0 is narrow",)
