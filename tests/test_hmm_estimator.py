"""GaussianHMM has hmmlearn's names, and from the same start its numbers."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import daskem
from daskem import Gaussian, GaussianHMM, HiddenMarkov
from daskem.core.parameters import Params
from daskem.data.inputs import as_blocks
from daskem.errors import DataError, ParameterError
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.starts.first_read import first_read

TRUTH = {
    "initial": np.array([0.5, 0.3, 0.2]),
    "transitions": np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]),
    "means": np.array([[0.0, 0.0], [2.0, 1.0], [0.0, 3.0]]),
    "covariances": np.stack([np.eye(2)] * 3),
}
LENGTHS = [40, 1, 59, 100, 2, 98]
START = {
    "startprob": np.full(3, 1 / 3),
    "transmat": np.full((3, 3), 0.1) + 0.7 * np.eye(3),
    "means": TRUTH["means"] + 0.5,
}
COVARIANCES = {
    "full": np.stack([np.eye(2)] * 3),
    "tied": np.eye(2),
    "diag": np.ones((3, 2)),
    "spherical": np.ones(3),
}
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    drawn = [HiddenMarkov(Gaussian()).sample(Params(TRUTH), n, rng)[0] for n in LENGTHS]
    return np.concatenate(drawn)


@pytest.fixture(scope="module", params=list(COVARIANCES))
def both(request, rows):
    """An estimator and hmmlearn's, after the same iterations from the same start."""
    hmm = pytest.importorskip("hmmlearn.hmm")
    kind = request.param
    start = {f"{name}_init": value for name, value in START.items()}
    start["covars_init"] = COVARIANCES[kind]
    settings = {"n_iter": 8, "tol": 0, "resolution": 0, "algorithm": "em"}
    ours = GaussianHMM(3, kind, **settings, **start).fit(rows, LENGTHS)
    theirs = hmm.GaussianHMM(3, kind, n_iter=8, tol=-np.inf, init_params="", covars_prior=0)
    theirs.startprob_, theirs.transmat_ = START["startprob"], START["transmat"]
    theirs.means_, theirs.covars_ = START["means"], COVARIANCES[kind]
    return ours, theirs.fit(rows, LENGTHS)


def test_the_attributes_are_those_of_hmmlearn(both):
    ours, theirs = both
    for name in ("startprob_", "transmat_", "means_"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-11, err_msg=name
        )
    # After a fit with spherical ones it has as many matrices as states times features.
    step = 2 if ours.covariance_type == "spherical" else 1
    assert ours.covars_.shape == (3, 2, 2)
    np.testing.assert_allclose(ours.covars_, theirs.covars_[::step], rtol=1e-9, atol=1e-11)


def test_the_answers_are_those_of_hmmlearn(both, rows):
    ours, theirs = both
    for lengths in (LENGTHS, None):
        assert ours.score(rows, lengths) == pytest.approx(theirs.score(rows, lengths), rel=1e-10)
        log_prob, path = ours.decode(rows, lengths)
        expected, their_path = theirs.decode(rows, lengths)
        assert log_prob == pytest.approx(expected, rel=1e-10)
        np.testing.assert_array_equal(path, their_path)
        np.testing.assert_array_equal(ours.predict(rows, lengths), theirs.predict(rows, lengths))
        np.testing.assert_allclose(
            ours.predict_proba(rows, lengths), theirs.predict_proba(rows, lengths), atol=1e-9
        )


def test_it_is_the_verb_with_other_names(rows):
    estimator = GaussianHMM(3, "full", random_state=0).fit(rows, LENGTHS)
    result = daskem.fit(HiddenMarkov(Gaussian()), rows, 3, lengths=LENGTHS, random_state=0)
    np.testing.assert_array_equal(estimator.means_, result.params["means"])
    np.testing.assert_array_equal(estimator.transmat_, result.params["transitions"])
    assert estimator.bic(rows, LENGTHS) == result.bic(rows, lengths=LENGTHS)
    assert estimator.aic(rows, LENGTHS) == result.aic(rows, lengths=LENGTHS)
    drawn, states = estimator.sample(7)
    assert (drawn.shape, states.shape) == ((7, 2), (7,))
    assert "GaussianHMM(n_components=3" in repr(estimator)


def test_all_rows_are_a_sequence_unless_somebody_says_so(rows):
    settings = {"n_components": 2, "random_state": 0, "n_iter": 3}
    one, other = (
        GaussianHMM(**settings).fit(data, lengths)
        for data, lengths in ((rows, None), (da.from_array(rows, chunks=(50, 2)), [300]))
    )
    np.testing.assert_array_equal(one.transmat_, other.transmat_)
    assert isinstance(other.predict(da.from_array(rows, chunks=(50, 2))), da.Array)
    labelled = xr.DataArray(rows.reshape(10, 30, 2), dims=("buoy", "time", "feature"))
    with pytest.raises(DataError, match="which rows are a sequence"):
        GaussianHMM(2).fit(labelled)
    along = GaussianHMM(**settings).fit(labelled, sequence_dim="time")
    assert along.predict(labelled).dims == ("buoy", "time")
    by_length = GaussianHMM(**settings).fit(rows, 30)
    np.testing.assert_array_equal(along.means_, by_length.means_)
    assert along.decode(labelled)[0] == by_length.decode(rows, 30)[0]
    assert along.score(labelled) == by_length.score(rows, 30)


def test_a_path_of_which_all_is_missing_adds_nothing(rows):
    gone = rows.copy()
    gone[40:41] = np.nan
    estimator = GaussianHMM(2, random_state=0, n_iter=3).fit(gone, LENGTHS, missing="omit")
    left = [n for n in LENGTHS if n != 1]
    expected = estimator.decode(np.delete(rows, 40, axis=0), left)[0]
    assert estimator.decode(gone, LENGTHS)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("given", [["initial", "transitions"], ["means"], ["transitions", "means"]])
def test_what_is_not_given_of_a_start_is_found(rows, given):
    rng = np.random.default_rng(0)
    blocks = as_blocks(rows, lengths=LENGTHS)
    first = first_read(HiddenMarkov(Gaussian()), blocks, rng, "k-means++", [3])
    start = {name: np.roll(TRUTH[name], 1, axis=0) for name in given}
    begun, bare = (
        first.model.from_frame(
            best_starts(first, 3, known, "k-means++", [np.random.default_rng(1)])[0].params
        )
        for known in (start, None)
    )
    assert set(begun) == set(TRUTH)
    for name, value in start.items():
        np.testing.assert_allclose(begun[name], value, rtol=1e-12, atol=1e-12)
    if "means" not in given:
        # What knows nothing of the chain is that of the mixture.
        np.testing.assert_array_equal(begun["covariances"], bare["covariances"])
    np.testing.assert_allclose(begun["transitions"].sum(axis=1), 1)


def test_what_is_wrong_is_said(rows):
    with pytest.raises(AttributeError, match="this GaussianHMM is not fitted yet"):
        GaussianHMM(2).predict(rows)
    with pytest.raises(ParameterError, match="along 'state', but there should be 2"):
        GaussianHMM(2, startprob_init=[0.2, 0.3, 0.5]).fit(rows)
    with pytest.raises(ParameterError, match="n_iter=0"):
        GaussianHMM(2, n_iter=0).fit(rows)
    with pytest.raises(ParameterError, match="Invalid parameter 'covariance'"):
        GaussianHMM(2).set_params(covariance="full")
