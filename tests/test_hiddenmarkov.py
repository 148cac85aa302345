"""Hidden Markov models, against enumeration of all paths, hmmlearn, and what has been published."""

import itertools

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cluster import bits
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import every_kernel
from scipy.special import logsumexp
from table import every_kind, every_row

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture, Poisson
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning, DataError, ModelError
from daskem.testing import check_model

# Major earthquakes (magnitude 7 and more) of each year from 1900 to 2006, as in Zucchini, MacDonald
# and Langrock (2016), Hidden Markov models for time series, table 1.1.
# fmt: off
EARTHQUAKES = np.array([
    13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23,
    18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35,
    26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27,
    29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12,
    13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11,
], dtype=float)[:, None]
# fmt: on

TRUTH = {
    "initial": np.array([0.5, 0.3, 0.2]),
    "transitions": np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]),
    "means": np.array([[0.0, 0.0], [2.0, 1.0], [0.0, 3.0]]),
    "covariances": np.stack([np.eye(2)] * 3),
}
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def walk(lengths, params=TRUTH, seed=0):
    """Sequences of these lengths, and their states."""
    rng = np.random.default_rng(seed)
    drawn = [HiddenMarkov(Gaussian()).sample(Params(params), int(n), rng) for n in lengths]
    return tuple(np.concatenate(parts) for parts in zip(*drawn, strict=True))


@pytest.fixture(scope="module")
def lengths():
    return np.random.default_rng(1).integers(1, 60, 120)


@pytest.fixture(scope="module")
def walks(lengths):
    return walk(lengths)


def chains(row, k, n, seed):
    """Params of a chain over the components of a row of the table, and rows."""
    params, rows = row.some(k, 2, n, seed)
    rng = np.random.default_rng(seed)
    own = {"initial": rng.dirichlet(np.ones(k)), "transitions": rng.dirichlet(np.ones(k), k)}
    family = {name: value for name, value in params.items() if name != "weights"}
    return Params({**own, **family}), rows


def enumerated(row, params, rows, edges, kept, weights):
    """Sums over all paths of every sequence, by the definition."""
    k = len(params["initial"])
    log_b = np.zeros((edges[-1], k))
    each = [row.log_density(params, j, rows).reshape(len(rows)) for j in range(k)]
    log_b[kept] = np.stack(each, axis=1)
    log_pi, log_a = np.log(params["initial"]), np.log(params["transitions"])
    gamma, path_of = np.zeros((edges[-1], k)), np.zeros(edges[-1], int)
    sums = {"log_likelihood": 0.0, "initial": np.zeros(k), "transitions": np.zeros((k, k))}
    for start, stop, w in zip(edges[:-1], edges[1:], weights, strict=True):
        paths = np.array(list(itertools.product(range(k), repeat=stop - start)))
        log_p = log_pi[paths[:, 0]] + log_a[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        log_p = log_p + log_b[np.arange(start, stop), paths].sum(axis=1)
        p = np.exp(log_p - logsumexp(log_p))
        sums["log_likelihood"] += w * logsumexp(log_p)
        for t in range(stop - start):
            np.add.at(gamma[start + t], paths[:, t], p)
            if t:
                np.add.at(sums["transitions"], (paths[:, t - 1], paths[:, t]), w * p)
        sums["initial"] += w * gamma[start]
        path_of[start:stop] = paths[log_p.argmax()]
    return sums, gamma[kept], path_of[kept]


@every_row
@every_kernel
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_every_path_is_summed(row, kernel, lengths, k, gaps, seed):
    edges, rng = np.concatenate([[0], np.cumsum(lengths)]), np.random.default_rng(seed)
    params, rows = chains(row, k, edges[-1], seed)
    kept = rng.random(edges[-1]) < 0.7 if gaps else np.ones(edges[-1], bool)
    w = rng.uniform(0.5, 2.0, len(lengths))
    rows, of_rows = rows[kept], np.repeat(w, lengths)[kept]
    # Of a sequence without any row nobody knows the weight.
    w = w * np.logical_or.reduceat(kept, edges[:-1])
    block = Block(rows, of_rows, edges=edges, kept=kept if gaps else None)
    model = HiddenMarkov(row.family, backend=kernel)
    sums, gamma, path = enumerated(row, params, rows, edges, kept, w)
    found = model.e_step(block, params)
    for name, value in sums.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(found["counts"], of_rows @ gamma, rtol=1e-10, atol=1e-11)
    expected = row.statistics(params, rows, of_rows * gamma.T)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-8, atol=1e-8, err_msg=name)
    if len(rows):
        (tile,) = model.posterior(block, params)
        np.testing.assert_allclose(tile.responsibilities.T, gamma, atol=1e-12)
        np.testing.assert_array_equal(model.decode(block, params).states, path)


@every_kernel
@pytest.mark.parametrize("numbers", [1, 150, 900])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_block_in_runs_says_the_same(kernel, numbers, gaps, lengths, walks, monkeypatch):
    """However few whole sequences are looked at together; a long one is a run by itself."""
    edges, rng = np.concatenate([[0], np.cumsum(lengths)]), np.random.default_rng(2)
    kept = rng.random(edges[-1]) < 0.5 if gaps else np.ones(edges[-1], bool)
    known = np.where(rng.random(edges[-1]) < 0.1, walks[1], -1)[kept]
    riders = {"sample_weight": np.repeat(rng.uniform(0.5, 2, len(lengths)), lengths)[kept]}
    block = Block(
        walks[0][kept],
        along=riders | {"component": known},
        edges=edges,
        kept=kept if gaps else None,
    )
    model, params = HiddenMarkov(Gaussian(), backend=kernel), Params(TRUTH)

    def said():
        tiles = list(model.posterior(block, params))
        shares = np.concatenate([tile.responsibilities for tile in tiles], axis=1)
        log_prob = np.concatenate([tile.log_prob for tile in tiles])
        return (
            len(tiles),
            model.e_step(block, params),
            (shares, log_prob),
            model.decode(block, params),
        )

    one, sums, whole, decoded = said()
    monkeypatch.setattr("daskem.models.hiddenmarkov._NUMBERS", numbers)
    many, parts, some, again = said()
    assert one == 1
    assert many > 3
    assert parts.pop("doubted") == sums.pop("doubted")
    for name, value in sums.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-12, atol=1e-11, err_msg=name)
    for a, b in zip(some, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(again.states, decoded.states)
    np.testing.assert_allclose(again.log_prob, decoded.log_prob, rtol=1e-13)


@pytest.mark.parametrize(("k", "expected"), [(1, -391.9189), (2, -341.8787), (3, -328.5275)])
def test_the_published_fits_of_earthquakes(k, expected):
    """Zucchini, MacDonald and Langrock (2016), section 4.2."""
    result = daskem.fit(
        HiddenMarkov(Poisson()), EARTHQUAKES, k, lengths=[107], tol=1e-9, random_state=0
    )
    assert 107 * result.log_likelihood == pytest.approx(expected, abs=1e-4)
    rates = {1: [19.36], 2: [15.42, 26.02], 3: [13.13, 19.71, 29.71]}
    assert np.sort(result.params["rates"].ravel()) == pytest.approx(rates[k], abs=0.005)


def test_restarts_begin_differently_and_find_what_one_start_does_not():
    options, model = {"lengths": [107], "random_state": 1}, HiddenMarkov(Poisson())
    one = daskem.fit(model, EARTHQUAKES, 4, tol=1e-7, **options)
    many = daskem.fit(model, EARTHQUAKES, 4, n_init=8, tol=1e-7, **options)
    assert len({round(run.history[0].log_likelihood, 6) for run in many.runs}) == 8
    assert 107 * one.log_likelihood == pytest.approx(-326.463, abs=1e-3)
    assert 107 * many.log_likelihood == pytest.approx(-326.285, abs=1e-3)
    again = [daskem.fit(model, EARTHQUAKES, 4, n_init=2, max_passes=1, **options) for _ in "ab"]
    assert bits(again[0]) == bits(again[1])
    # What is given is not varied.
    start = {"transitions": np.full((4, 4), 0.25)}
    runs = daskem.fit(model, EARTHQUAKES, 4, start=start, n_init=2, max_passes=1, **options).runs
    assert runs[0].history[0].log_likelihood == pytest.approx(
        runs[1].history[0].log_likelihood, 0.05
    )


@every_row
def test_states_that_forget_are_components(row):
    """With all rows of the transitions alike, a chain is a mixture; and so is a single state."""
    for k in (1, 3):
        params, rows = row.some(k, 2, 200)
        own = {"initial": params["weights"], "transitions": np.tile(params["weights"], (k, 1))}
        family = {name: value for name, value in params.items() if name != "weights"}
        block = Block(rows, edges=np.array([0, 50, 51, 200]))
        found = HiddenMarkov(row.family).e_step(block, Params({**own, **family}))
        for name, value in Mixture(row.family).e_step(block, Params(params)).items():
            np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-11, err_msg=name)


def assert_is_theirs(ours, theirs, params, rows, lengths):
    """A fit is one of hmmlearn, with these params of that, its likelihood and its states."""
    for name, value in params.items():
        np.testing.assert_allclose(ours.params[name], value, rtol=1e-9, atol=1e-11)
    total = len(rows) * ours.log_likelihood
    assert total == pytest.approx(theirs.monitor_.history[-1], rel=1e-10)
    np.testing.assert_array_equal(
        ours.predict(rows, lengths=lengths), theirs.decode(rows, lengths)[1]
    )


@every_kind
@every_kernel
def test_hmmlearn_makes_the_same_iterations(kind, kernel, lengths, walks):
    hmm = pytest.importorskip("hmmlearn.hmm")
    rows, k = walks[0], 3
    family = Gaussian(kind, resolution=0)
    covariances = {
        "full": np.stack([np.eye(2)] * k),
        "tied": np.eye(2),
        "diag": np.ones((k, 2)),
        "spherical": np.ones(k),
    }
    start = {
        "initial": np.full(k, 1 / k),
        "transitions": np.full((k, k), 0.1) + 0.7 * np.eye(k),
        "means": rows[:k],
        "covariances": covariances[kind],
    }
    settings = {"algorithm": "em", "tol": 0, "max_passes": 8, "lengths": lengths}
    ours = daskem.fit(HiddenMarkov(family), rows, start=start, kernel=kernel, **settings)
    theirs = hmm.GaussianHMM(
        k, kind, n_iter=8, tol=-np.inf, init_params="", covars_prior=0, implementation="scaling"
    )
    theirs.startprob_, theirs.transmat_ = start["initial"], start["transitions"]
    theirs.means_, theirs.covars_ = start["means"], start["covariances"]
    theirs.fit(rows, lengths)
    found = {
        "initial": theirs.startprob_,
        "transitions": theirs.transmat_,
        "means": theirs.means_,
    }
    # Of a spherical covariance it holds the same number for every feature.
    theirs_own = theirs._covars_[:, 0] if kind == "spherical" else theirs._covars_
    np.testing.assert_allclose(ours.params["covariances"], theirs_own, rtol=1e-9)
    assert_is_theirs(ours, theirs, found, rows, lengths)


@every_kernel
def test_hmmlearn_makes_the_same_iterations_of_counts(kernel):
    hmm = pytest.importorskip("hmmlearn.hmm")
    rng, lengths = np.random.default_rng(0), [150, 1, 249]
    rows = rng.poisson(np.repeat([[2.0, 5.0], [9.0, 1.0]], 20, axis=0)[np.arange(400) % 40])
    start = {
        "initial": np.array([0.6, 0.4]),
        "transitions": np.array([[0.8, 0.2], [0.3, 0.7]]),
        "rates": np.array([[3.0, 3.0], [5.0, 2.0]]),
    }
    theirs = hmm.PoissonHMM(
        2, n_iter=8, tol=-np.inf, init_params="", lambdas_prior=0, lambdas_weight=0
    )
    theirs.startprob_, theirs.transmat_ = start["initial"], start["transitions"]
    theirs.lambdas_ = start["rates"]
    theirs.fit(rows, lengths)
    settings = {"algorithm": "em", "tol": 0, "max_passes": 8, "lengths": lengths}
    ours = daskem.fit(HiddenMarkov(Poisson()), rows, start=start, kernel=kernel, **settings)
    found = {
        "initial": theirs.startprob_,
        "transitions": theirs.transmat_,
        "rates": theirs.lambdas_,
    }
    assert_is_theirs(ours, theirs, found, rows, lengths)


def test_a_known_truth_is_found(lengths, walks):
    rows, states = walks
    result = daskem.fit(HiddenMarkov(Gaussian()), rows, 3, lengths=lengths, random_state=0)
    order = np.argsort(result.params["means"] @ [1.0, 2.0])
    for name, value in TRUTH.items():
        found = result.params[name][order]
        found = found[:, order] if name == "transitions" else found
        np.testing.assert_allclose(found, value, atol=0.15, err_msg=name)
    assert result.converged
    path = np.argsort(order)[result.predict(rows, lengths=lengths)]
    assert (path == states).mean() > 0.85
    # Rows by themselves say less of their state than sequences do.
    alone = daskem.fit(Mixture(Gaussian()), rows, 3, random_state=0)
    assert result.log_likelihood > alone.log_likelihood + 0.1


def test_objectives_never_fall_and_acceleration_ends_where_em_does(lengths, walks):
    rows = walks[0][:1500]
    lengths = [1] * 20 + [37] * 40
    start = {**TRUTH, "means": TRUTH["means"] + 0.5}
    ends = []
    for algorithm in ("em", "squarem", "anderson", "candidates"):
        result = daskem.fit(
            HiddenMarkov(Gaussian()),
            rows,
            start=start,
            lengths=lengths,
            algorithm=algorithm,
            tol=1e-9,
            max_passes=400,
        )
        objectives = np.array([p.objective for p in result.history])
        assert (np.diff(objectives) >= -1e-12).all()
        ends.append(result.log_likelihood)
    assert ends == pytest.approx([ends[0]] * 4, abs=1e-7)


def test_permuted_states_are_the_same_chain(lengths, walks):
    order = np.array([2, 0, 1])
    moved = {name: value[order] for name, value in TRUTH.items()}
    moved["transitions"] = moved["transitions"][:, order]
    settings = {"lengths": lengths, "max_passes": 4, "tol": 0, "algorithm": "em"}
    one, other = (
        daskem.fit(HiddenMarkov(Gaussian()), walks[0], start=s, **settings) for s in (TRUTH, moved)
    )
    for name, value in one.params.items():
        value = value[order][:, order] if name == "transitions" else value[order]
        np.testing.assert_allclose(other.params[name], value, rtol=1e-9, atol=1e-12)


def test_the_same_bits_in_memory_on_threads_and_on_a_cluster(client, lengths, walks):
    rows = walks[0]
    settings = {"lengths": lengths, "start": TRUTH, "max_passes": 3, "tol": 0}
    model = HiddenMarkov(Gaussian())
    whole = bits(daskem.fit(model, rows, **settings))
    assert bits(daskem.fit(model, da.from_array(rows, chunks=(len(rows), 2)), **settings)) == whole
    lazy = da.from_array(rows, chunks=(400, 2))
    there = daskem.fit(model, lazy, **settings)
    *_, here = daskem.iterate(model, lazy, **settings)
    assert bits(there) == bits(here)
    assert any("end where a sequence ends" in note for note in there.notes)
    for method in ("predict", "predict_proba", "score_samples"):
        answer = getattr(here, method)
        expected = answer(rows, lengths=lengths)
        answers = answer(lazy, lengths=lengths)
        assert answers.shape == expected.shape
        assert method == "score_samples" or answers.chunks[0] == lazy.chunks[0]
        np.testing.assert_allclose(answers.compute(), expected, rtol=1e-12, atol=1e-12)
    scores = here.score_samples(rows, lengths=lengths)
    assert scores.shape == (len(lengths),)
    assert here.score(lazy, lengths=lengths) == pytest.approx(scores.sum() / len(rows), abs=1e-12)


def test_the_score_of_a_sequence_is_that_of_it_alone():
    rows, lengths = walk([30, 1, 25, 44])[0], [30, 1, 25, 44]
    rows[31:56] = rows[7] = np.nan
    model = HiddenMarkov(Gaussian(resolution=0))
    options = {"start": TRUTH, "max_passes": 2, "missing": "omit"}
    result = daskem.fit(model, rows, lengths=lengths, **options)
    scores = result.score_samples(rows, lengths=lengths)
    edges = np.cumsum([0, *lengths])
    for i in (0, 1, 3):
        alone = rows[edges[i] : edges[i + 1]]
        n_there = len(alone) - (i == 0)  # a step is missing
        assert scores[i] == pytest.approx(n_there * result.score(alone, lengths=[len(alone)]))
    assert np.isnan(scores[2])
    lazy = result.score_samples(da.from_array(rows, chunks=(7, 2)), lengths=lengths)
    assert isinstance(lazy, da.Array)
    np.testing.assert_allclose(lazy, scores, rtol=1e-12)
    named = xr.DataArray(rows, dims=("obs", "feature"), attrs={"made": "here"})
    labelled = result.score_samples(named.chunk(obs=20), lengths=lengths)
    assert labelled.dims == ("sequence",)
    assert labelled.attrs["long_name"].startswith("log-likelihood of the sequence")
    np.testing.assert_allclose(labelled, scores, rtol=1e-12)
    table = pd.DataFrame(rows).assign(name=np.repeat(["a", "b", "c", "d"], lengths))
    np.testing.assert_allclose(result.score_samples(table[[0, 1]], lengths=lengths), scores)


def test_a_sequence_of_weight_two_is_there_twice():
    rows, lengths, rng = walk([30, 40])[0], [30, 40], np.random.default_rng(0)
    rows = rows + rng.normal(size=rows.shape)
    twice = np.concatenate([rows, rows[30:]])
    settings = {"start": TRUTH, "max_passes": 5, "tol": 0, "algorithm": "em"}
    model, weights = HiddenMarkov(Gaussian(resolution=0)), np.repeat([1.0, 2.0], lengths)
    weighted = daskem.fit(model, rows, lengths=lengths, sample_weight=weights, **settings)
    repeated = daskem.fit(model, twice, lengths=[30, 40, 40], **settings)
    for name, value in repeated.params.items():
        np.testing.assert_allclose(weighted.params[name], value, rtol=1e-7, atol=1e-9)


def test_missing_steps_are_steps(lengths, walks):
    """A chain goes on where nothing is observed; rows that follow a gap are not neighbours."""
    rows = walks[0].copy()
    gone = np.random.default_rng(0).random(len(rows)) < 0.3
    rows[gone, 0] = np.nan
    settings = {"lengths": lengths, "random_state": 0, "missing": "omit"}
    result = daskem.fit(HiddenMarkov(Gaussian()), rows, 3, **settings)
    order = np.argsort(result.params["means"] @ [1.0, 2.0])
    stay = np.diag(result.params["transitions"])[order]
    np.testing.assert_allclose(stay, np.diag(TRUTH["transitions"]), atol=0.12)
    labels = result.predict(rows, lengths=lengths)
    np.testing.assert_array_equal(labels == -1, gone)


@pytest.mark.parametrize("lengths", [[107], [1] * 107, [100, 7]])
def test_sequences_of_any_length_have_a_fit(lengths):
    result = daskem.fit(HiddenMarkov(Poisson()), EARTHQUAKES, 2, lengths=lengths, random_state=0)
    assert np.isfinite(result.log_likelihood)
    np.testing.assert_allclose(result.params["transitions"].sum(axis=1), 1)


def test_what_is_wrong_with_sequences_is_said(walks, lengths):
    model, rows = HiddenMarkov(Gaussian()), walks[0]
    with pytest.raises(DataError, match=r"which rows are a sequence: pass lengths=\[\.\.\.\]"):
        daskem.fit(model, rows, 2)
    with pytest.raises(DataError, match="the lengths of 1 sequences add to 10 rows, and the data"):
        daskem.fit(model, rows, 2, lengths=[10])
    with pytest.raises(DataError, match=r"lengths\[1\] is 0; every sequence has one row or more"):
        daskem.fit(model, rows, 2, lengths=[len(rows), 0])
    weights = np.arange(1.0, len(rows) + 1)
    for wrong in (weights, np.where(weights == 7, 1.01, 1.0)):
        with pytest.raises(DataError, match=rf"sequence have weights from 1 to {wrong.max():g}"):
            daskem.fit(model, rows, start=TRUTH, lengths=[len(rows)], sample_weight=wrong)
    with pytest.warns(ConvergenceWarning):
        result = daskem.fit(model, rows, start=TRUTH, lengths=lengths, max_passes=1)
    with pytest.raises(DataError, match="which rows are a sequence"):
        result.predict(rows)
    with pytest.raises(DataError, match="which rows are a sequence"):
        result.score(rows)


def test_what_is_for_mixtures_says_so(walks, lengths):
    model = HiddenMarkov(Gaussian())
    result = daskem.fit(model, walks[0], start=TRUTH, lengths=lengths, max_passes=1)
    with pytest.raises(
        ModelError, match="merging needs `from_labels`, which HiddenMarkov does not"
    ):
        daskem.merge(result, walks[0])


def test_steps_that_no_state_can_make_have_a_probability():
    """Where a chain must pass a row that its only possible state rules out, nothing is NaN."""
    params = {**TRUTH, "initial": np.array([1.0, 0, 0]), "transitions": np.eye(3)}
    rows = np.array([[0.0, 0.0], [1e3, 1e3], [0.0, 0.0]])
    block = Block(rows, edges=np.array([0, 3]))
    found = HiddenMarkov(Gaussian()).e_step(block, Params(params))
    assert np.isfinite(found["log_likelihood"])
    np.testing.assert_allclose(found["counts"], [3, 0, 0])


@every_row
def test_the_laws_of_a_model_hold(row):
    params, rows = chains(row, 2, 200, 0)
    check_model(HiddenMarkov(row.family), rows, start=params)


def test_a_sample_has_the_transitions_of_its_chain():
    rows, states = walk([20_000])
    moves = np.zeros((3, 3))
    np.add.at(moves, (states[:-1], states[1:]), 1)
    moves /= moves.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(moves, TRUTH["transitions"], atol=0.02)
    for k, mean in enumerate(TRUTH["means"]):
        np.testing.assert_allclose(rows[states == k].mean(axis=0), mean, atol=0.06)


def test_blocks_join_to_the_sums_of_the_whole(lengths, walks):
    model, params = HiddenMarkov(Gaussian()), Params(TRUTH)
    whole = model.e_step(Block(walks[0], edges=np.concatenate([[0], np.cumsum(lengths)])), params)
    lazy = as_blocks(da.from_array(walks[0], chunks=(300, 2)), lengths=lengths)
    for name, value in lazy.sum(model.e_step, params).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-10, atol=1e-9)


@every_row
def test_a_saved_chain_predicts_the_same_bits(row, tmp_path):
    params, rows = chains(row, 2, 60, 0)
    settings = {"start": params, "max_passes": 2, "lengths": [40, 20]}
    result = daskem.fit(HiddenMarkov(row.family), rows, **settings)
    result.save(tmp_path / "chain")
    again = daskem.load(tmp_path / "chain")
    assert type(again.model) is HiddenMarkov
    for method in ("predict", "predict_proba", "score_samples"):
        expected = getattr(result, method)(rows, lengths=[40, 20])
        np.testing.assert_array_equal(getattr(again, method)(rows, lengths=[40, 20]), expected)


@every_kernel
def test_steps_that_no_way_leads_to_make_no_nan(kernel):
    """First one state, then the other, with a start that knows no way from there to here."""
    rows = (
        np.concatenate([np.zeros(200), np.full(200, 80.0)])[:, None]
        + np.tile([0.0, 1.0], 200)[:, None]
    )
    start = {
        "initial": np.array([1.0, 0.0]),
        "transitions": np.eye(2),
        "means": np.array([[0.5], [80.5]]),
        "covariances": np.ones((2, 1, 1)),
    }
    model = HiddenMarkov(Gaussian(), backend=kernel)
    sums = model.e_step(Block(rows, edges=np.array([0, 400])), Params(start))
    np.testing.assert_array_equal(sums["transitions"], [[399.0, 0.0], [0.0, 0.0]])
    assert all(np.isfinite(value).all() for value in sums.values())
