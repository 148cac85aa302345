"""Labels known for some rows: `along={"component": labels}`, -1 where nobody knows."""

import itertools

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cluster import bits
from kernels import every_kernel
from samples import chunked, planted
from scipy.special import logsumexp
from table import TABLE, every_row

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture, Poisson
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import DataError, DataTypeError
from daskem.fitting.starts.best_starts import unsearched_start
from daskem.fitting.starts.first_read import first_read
from daskem.fitting.starts.named import Named
from daskem.models.heldout import HeldOut
from daskem.models.protocol import Supervised
from daskem.selection.splitting import grown

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]
# Four groups at the corners of a square, and what a person calls each of them.
CORNERS = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [6.0, 6.0]])
CALLED = np.array([3, 2, 0, 1])
MODEL = {"means": CORNERS, "weights": np.full(4, 0.25), "covariances": np.ones(4)}


def corners(n=2000, seed=0):
    """Rows around the corners, and what each should be called."""
    rng = np.random.default_rng(seed)
    group = rng.integers(4, size=n)
    return CORNERS[group] + rng.normal(size=(n, 2)), CALLED[group]


def some(labels, number, seed=0):
    """Labels of so many rows, -1 for the others."""
    few = np.random.default_rng(seed).choice(len(labels), number, replace=False)
    return np.where(np.isin(np.arange(len(labels)), few), labels, -1)


def joined(tiles):
    parts = [(log_prob.copy(), r.copy()) for _, log_prob, r in tiles]
    return np.concatenate([p for p, _ in parts]), np.concatenate([r for _, r in parts], axis=1)


# What it means.


@every_row
@pytest.mark.parametrize("weighted", [False, True])
def test_a_known_row_has_one_component(row, weighted):
    params, rows = row.some(4, 2, 90)
    rng = np.random.default_rng(1)
    labels, weights = rng.integers(-1, 4, 90), rng.integers(3, size=90) if weighted else None
    counts = np.ones(90) if weights is None else weights
    joint = row.log_joint(params, rows)
    ruled_out = (labels >= 0) & (labels != np.arange(4)[:, None])
    log_prob = logsumexp(np.where(ruled_out, -np.inf, joint), axis=0)
    r = np.exp(np.where(ruled_out, -np.inf, joint) - log_prob)
    block, model = Block(rows, weights, {"component": labels}), Mixture(row.family)
    found = model.e_step(block, Params(params))
    expected = {"counts": r @ counts, **row.statistics(params, rows, r * counts)}
    expected["log_likelihood"] = log_prob @ counts
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-8, atol=1e-8, err_msg=name)
    of_rows, shares = joined(model.posterior(block, Params(params)))
    np.testing.assert_allclose(of_rows, log_prob, rtol=1e-9)
    np.testing.assert_allclose(shares, r, atol=1e-9)
    # To the last bit, as no softmax is asked.
    np.testing.assert_array_equal(shares[:, labels >= 0], r[:, labels >= 0].round())


@every_row
def test_none_known_is_the_fit_without_labels(row):
    rows, model, options = row.rows(120), Mixture(row.family), {"random_state": 0, "max_passes": 3}
    expected = daskem.fit(model, rows, 3, **options)
    for nobody in (np.full(120, np.nan), np.full(120, -1, np.int8)):
        found = daskem.fit(model, rows, 3, along={"component": nobody}, **options)
        assert bits(found) == bits(expected)
        assert found.history[-1].events == expected.history[-1].events


@pytest.mark.parametrize("row", [row for row in TABLE if not row.latent], ids=repr)
def test_all_known_is_the_supervised_fit(row):
    params, _ = row.some(3, 2)
    labels = np.repeat([1, 2, 0], [90, 160, 50])
    rows = row.draw(params, labels, np.random.default_rng(0))
    along, options = {"component": labels}, {"random_state": 0, "tol": 1e-10}
    found = daskem.fit(Mixture(row.family), rows, 3, along=along, **options).params
    np.testing.assert_allclose(found["weights"], np.bincount(labels) / 300, rtol=1e-12)
    each = [row.alone(rows[labels == k]) for k in range(3)]
    for name, parameter in row.family.parameters.items():
        parts = [alone[name] for alone in each]
        shared = "component" not in parameter.dims
        expected = np.tensordot(found["weights"], parts, 1) if shared else np.concatenate(parts)
        np.testing.assert_allclose(found[name], expected, rtol=1e-7, atol=1e-9)


def test_one_wrong_label_is_named():
    rows, called = corners(300)
    rows = 20 * rows
    wrong = int(np.flatnonzero(called == 3)[5])
    labels = np.where(np.arange(300) == wrong, 1, called)
    labels[rows[:, 0].argsort()[:2]] = -1
    result = daskem.fit(
        Mixture(Gaussian("tied")), rows, 4, along={"component": labels}, max_passes=3
    )
    (told,) = result.history[-1].events
    assert told.startswith("1 label has probability 0, given the row: that of chunk 0, row")
    assert told.endswith(f"(row {wrong} of the input), 1")
    # What the model says of the row itself.
    assert result.predict(rows)[wrong] == 3
    # Of a row that does not count, no label is wrong.
    counts = (np.arange(300) != wrong).astype(float)
    block = Block(rows, counts, along={"component": labels})
    assert result.model.e_step(block, result.best.framed)["doubted"].n == 0
    assert result.model.e_step(block.weighted(1 + counts), result.best.framed)["doubted"].n == 1
    right = daskem.fit(Mixture(Gaussian()), rows, 4, along={"component": called}, max_passes=3)
    assert right.history[-1].events == ()


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("value", [4, -2, 2**40, 0.5, np.inf])
def test_what_is_no_label_is_named(value, lazy):
    rows, called = corners(400)
    along = {"component": called.astype(type(value))}
    along["component"][217] = value
    model, data = Mixture(Gaussian("spherical")), chunked(rows) if lazy else rows
    named = rf"component is {value}(\.0)? at chunk \d, row \d+.*; with 4 components, labels are"
    with pytest.raises(DataError, match=named) as told:
        daskem.fit(model, data, 4, along=along)
    assert "(row 217 of the input)" in str(told.value)
    with pytest.raises(DataError, match=named):
        daskem.select(data, range(4, 6), along=along)
    result = daskem.fit(model, rows, start=MODEL, max_passes=2)
    with pytest.raises(DataError, match=named):
        result.score(data, along=along)
    with pytest.raises(DataError, match=named):
        np.asarray(result.predict(data, along))


def test_labels_are_of_components_that_all_fits_have():
    rows, called = corners(400)
    with pytest.raises(DataError, match=r"component is 3 at .*; with 3 components, labels are"):
        daskem.select(rows, range(3, 6), along={"component": called})
    model, along = Mixture(Gaussian("spherical")), {"component": called + 1}
    with pytest.raises(DataError, match=r"; with 4 components, labels are"):
        daskem.fit(model, rows, start=MODEL, along=along)
    with pytest.raises(DataError, match=r"component has \(2,\) labels for each row; expected one"):
        daskem.fit(Mixture(Gaussian()), rows, 4, along={"component": np.zeros((400, 2))})


def test_labels_with_a_fill_value_are_decoded_first():
    rows, called = corners(400)
    data = xr.Dataset({v: ("n", rows[:, i]) for i, v in enumerate("xy")})
    stored = xr.DataArray(some(called, 60), dims="n").astype("i1")
    stored = stored.where(stored >= 0, -9).assign_attrs(_FillValue=np.int8(-9))
    model, options = Mixture(Gaussian()), {"random_state": 0, "max_passes": 3}
    with pytest.raises(DataError, match=r"component stores packed values .*_FillValue -9.*decode"):
        daskem.fit(model, data, 4, along={"component": stored}, **options)
    decoded = xr.decode_cf(stored.to_dataset(name="name"))["name"]
    assert np.isnan(decoded).sum() == (stored == -9).sum() > 0
    found = daskem.fit(model, data, 4, along={"component": decoded}, **options)
    plain = daskem.fit(model, data, 4, along={"component": some(called, 60)}, **options)
    np.testing.assert_array_equal(found.params["means"], plain.params["means"])


def test_words_are_no_labels():
    rows, called = corners(400)
    table = pd.DataFrame(rows, columns=["x", "y"])
    words = pd.Series(np.array(["a", "b", "c", "d"])[called]).where(called > 0)
    told = r"component: labels are numbers .*astype\('category'\)\.cat\.codes"
    named = table.assign(water=words), {"component": "water"}
    for data, along in ((rows, {"component": words.to_numpy()}), named):
        with pytest.raises(DataTypeError, match=told):
            daskem.fit(Mixture(Gaussian()), data, 4, along=along)
    codes = words.astype("category").cat.codes
    np.testing.assert_array_equal(codes, np.where(called > 0, called - 1, -1))


def test_a_label_means_nothing_to_a_model_that_knows_none(rows):
    assert isinstance(Mixture(Gaussian()), Supervised)
    assert isinstance(HiddenMarkov(Gaussian()), Supervised)
    assert not isinstance(HeldOut(Mixture(Gaussian())), Supervised)


# Numbers, and starts.


@every_kernel
@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data", "k-means||"])
@pytest.mark.parametrize("seed", range(3))
def test_components_have_the_numbers_of_the_labels(kernel, init_params, seed):
    rows, called = corners()
    options = {"init_params": init_params, "random_state": seed, "kernel": kernel}
    along = {"component": some(called, 16)}
    result = daskem.fit(Mixture(Gaussian()), rows, 4, along=along, n_init=2, **options)
    for run in result.runs:
        np.testing.assert_allclose(run.params["means"][CALLED], CORNERS, atol=0.3)
    assert (result.predict(rows) == called).mean() > 0.99


@pytest.mark.usefixtures("small_sample")
def test_components_begin_where_a_few_labels_are_among_very_many_rows():
    rows, called = corners(40_000)
    few = [np.flatnonzero(called == k)[-2:] for k in range(4)]
    labels = np.full(len(rows), -1)
    labels[np.concatenate(few)] = called[np.concatenate(few)]
    for seed in range(2):
        along, options = {"component": labels}, {"random_state": seed, "max_passes": 4}
        result = daskem.fit(Mixture(Gaussian()), rows, 4, along=along, **options)
        np.testing.assert_allclose(result.params["means"][CALLED], CORNERS, atol=0.1)


@pytest.mark.parametrize("named", [[1], [3], [0, 2]])
def test_components_that_no_label_names_are_free(named):
    rows, called = corners()
    labels = np.where(np.isin(called, named), some(called, 200), -1)
    for family in (Gaussian(), Gaussian("diag")):
        result = daskem.fit(Mixture(family), rows, 4, along={"component": labels}, random_state=0)
        means = result.params["means"]
        np.testing.assert_allclose(means[named], CORNERS[CALLED.argsort()][named], atol=0.3)
        found = means[np.lexsort(means.round().T)]
        np.testing.assert_allclose(found, CORNERS[np.lexsort(CORNERS.T)], atol=0.3)


def test_a_group_that_only_labels_part_is_parted():
    """Two halves of one round cluster, which nothing but a person can tell."""
    rows = planted(1, n=3000)
    labels = (rows[:, 0] > rows[:, 0].mean()).astype(int)
    half = np.where(np.arange(3000) % 3 > 0, 1 - labels, -1)
    model = Mixture(Gaussian())
    result = daskem.fit(model, rows, 2, along={"component": half}, random_state=0)
    assert (result.predict(rows) == 1 - labels).mean() > 0.95


@pytest.mark.parametrize("criterion", ["bic", "heldout"])
def test_a_selection_keeps_the_numbers(criterion):
    rows, called = corners(1000)
    along = {"component": np.where(called < 2, some(called, 60), -1)}
    options = {"random_state": 0, "criterion": criterion, "n_init": 1, "max_passes": 4}
    chosen = daskem.select(rows, (4, 5), "spherical", along=along, **options)
    for k in (4, 5):
        assert nearest_corners(chosen.result("spherical", k).params["means"][:2]) == [0, 1]


def test_labelled_components_begin_in_the_middle_of_what_counts():
    rng = np.random.default_rng(0)
    points, weights, labels = rng.normal(size=(90, 2)), rng.gamma(1.0, size=90), np.arange(90) % 3
    along = {"component": np.where(labels == 1, -1, labels)}
    named = Named.among(Block(points, weights, along=along))
    of_each = [labels == k for k in (0, 2)]
    expected = [np.average(points[own], axis=0, weights=weights[own]) for own in of_each]
    np.testing.assert_allclose(named.means(points, weights), expected, rtol=1e-12)
    free = np.array([[9.0, 9.0]])
    centres = named.beside(free, named.means(points, weights))
    np.testing.assert_allclose(centres, [expected[0], free[0], expected[1]], rtol=1e-12)


def test_seeds_obey_all_labels():
    rows, called = corners(400)
    blocks, rng = as_blocks(rows, along={"component": called}), np.random.default_rng(0)
    first = first_read(Mixture(Gaussian()), blocks, rng, "k-means++", [4], n_labels=4)
    start = first.model.from_frame(unsearched_start(first, 4, None, "k-means++", rng))
    means = [rows[called == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(start["means"], means, atol=1e-12)


def test_a_component_that_is_split_keeps_its_number(monkeypatch):
    monkeypatch.setattr("daskem.selection.splitting._PASSES", 1)
    rows, called = corners(1000)
    labels = np.where(called < 2, some(called, 60), -1)
    blocks, rng = as_blocks(rows, along={"component": labels}), np.random.default_rng(0)
    first = first_read(Mixture(Gaussian()), blocks, rng, "k-means++", [2], n_labels=2)
    # What is called 0 has two of the others in it.
    wide, sample = np.where(called == 1, 1, 0), Block(rows)
    two = first.model.from_labels(sample, wide, np.zeros((2, 2)))
    means = first.model.from_frame(grown(first, two, 3).params)["means"]
    np.testing.assert_allclose(means[1], rows[called == 1].mean(axis=0))
    assert len(means) == 3


def nearest_corners(means):
    """What a person calls the corners that are nearest to these means."""
    return CALLED[np.linalg.norm(CORNERS[:, None] - means, axis=2).argmin(axis=0)].tolist()


# Wherever the rows are, and whatever becomes of the fit.


def test_the_same_bits_whatever_holds_the_rows():
    rows, called = corners()
    labels, options = some(called, 300), {"random_state": 0, "max_passes": 4}

    def fit(data, labels):
        return bits(
            daskem.fit(Mixture(Gaussian()), data, 4, along={"component": labels}, **options)
        )

    whole = fit(rows, labels)
    assert fit(da.from_array(rows, chunks=(2000, -1)), labels) == whole
    expected = fit(chunked(rows), labels)
    assert fit(chunked(rows), da.from_array(labels.astype(float), chunks=700)) == expected
    labelled = xr.Dataset(
        {
            "x": (("a", "b"), rows[:, 0].reshape(40, 50)),
            "y": (("a", "b"), rows[:, 1].reshape(40, 50)),
        }
    ).assign(group=(("a", "b"), labels.reshape(40, 50)))
    result = daskem.fit(
        Mixture(Gaussian()),
        labelled,
        4,
        features=["x", "y"],
        along={"component": "group"},
        **options,
    )
    assert bits(result) == whole
    obeyed = result.predict(labelled, along={"component": "group"})
    assert obeyed.dims == ("a", "b")
    assert (obeyed == labelled["group"]).where(labelled["group"] >= 0, True).all()


def test_a_weight_is_so_many_rows_with_the_same_label():
    rows, called = corners(400)
    labels, weights = some(called, 100), np.random.default_rng(2).integers(4, size=400)
    start = daskem.fit(Mixture(Gaussian()), rows, 4, along={"component": called}).params
    options = {"start": start, "max_passes": 3, "algorithm": "em", "resolution": 0}
    model = Mixture(Gaussian(resolution=options.pop("resolution")))
    weighted = daskem.fit(
        model, rows, sample_weight=weights, along={"component": labels}, **options
    )
    again = np.repeat(labels, weights)
    repeated = daskem.fit(model, rows.repeat(weights, 0), along={"component": again}, **options)
    for name, value in repeated.params.items():
        np.testing.assert_allclose(weighted.params[name], value, rtol=1e-9, atol=1e-11)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)


def test_missing_rows_take_their_labels_with_them():
    rows, called = corners(600)
    gone = np.arange(600) % 5 == 0
    spoilt, labels = np.where(gone[:, None], np.nan, rows), some(called, 200)
    model, options = Mixture(Gaussian()), {"missing": "omit", "random_state": 0, "tol": 1e-10}
    found = daskem.fit(model, spoilt, 4, along={"component": labels}, **options)
    kept = daskem.fit(model, rows[~gone], 4, along={"component": labels[~gone]}, **options)
    np.testing.assert_allclose(found.params["means"], kept.params["means"], rtol=1e-6, atol=1e-6)


def test_predictions_and_scores_take_labels():
    rows, called = corners(500)
    result = daskem.fit(Mixture(Gaussian()), rows, 4, along={"component": called}, max_passes=2)
    labels = some(np.roll(called, 1), 200)  # As often wrong as not.
    along, is_known = {"component": labels}, labels >= 0
    predicted = result.predict(rows, along)
    np.testing.assert_array_equal(predicted[is_known], labels[is_known])
    np.testing.assert_array_equal(predicted[~is_known], result.predict(rows)[~is_known])
    proba = result.predict_proba(rows, along)
    np.testing.assert_array_equal(proba[is_known].argmax(axis=1), labels[is_known])
    scores = result.score_samples(rows, along)
    assert result.score(rows, along=along) == pytest.approx(scores.mean(), rel=1e-12)
    free, own = result.score_samples(rows), result.predict_proba(rows)
    here = is_known & (own[np.arange(500), labels] > 1e-9)
    expected = free[here] + np.log(own[np.arange(500), labels])[here]
    np.testing.assert_allclose(scores[here], expected, rtol=1e-8)


@pytest.mark.parametrize("noise", [False, True])
def test_labels_of_merged_components_are_numbers_of_clusters(noise):
    rows, called = corners(400)
    model = Mixture(Gaussian(), noise=noise)
    result = daskem.fit(model, rows, 4, along={"component": called}, max_passes=2)
    clusters = daskem.merge(result, rows).cut(2)
    free, own = clusters.predict(rows), clusters.predict_proba(rows)
    labels = np.where(np.arange(400) < 50, np.roll(free, 1).clip(max=1), -1)
    along, some = {"component": labels}, labels >= 0
    np.testing.assert_array_equal(clusters.predict(rows, along)[some], labels[some])
    np.testing.assert_array_equal(clusters.predict(rows, along)[~some], free[~some])
    scores = clusters.score_samples(rows, along)
    told = own[np.arange(400), labels]
    here = some & (told > 1e-9)
    expected = clusters.score_samples(rows)[here] + np.log(told[here])
    np.testing.assert_allclose(scores[here], expected, rtol=1e-8)
    assert clusters.score(rows, along=along) == pytest.approx(scores.mean(), rel=1e-12)
    labels[7] = 2
    with pytest.raises(DataError, match=r"component is 2 at .*row 7.*; with 2 components, labels"):
        clusters.predict(rows, along)


def test_a_fit_with_labels_is_saved_and_goes_on(tmp_path):
    rows, called = corners()
    model, along = Mixture(Gaussian()), {"component": some(called, 40)}
    options = {"along": along, "random_state": 0, "tol": 1e-12, "max_passes": 5}
    expected = daskem.fit(model, rows, 4, **options)
    expected.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model").predict(rows)
    np.testing.assert_array_equal(again, expected.predict(rows))
    passes = daskem.iterate(model, rows, 4, checkpoint=tmp_path / "fit", **options)
    next(passes), next(passes)
    passes.close()
    assert bits(daskem.resume(tmp_path / "fit", rows, along=along)) == bits(expected)
    other = {"component": np.where(np.arange(2000) == 7, 1 - along["component"], 0)}
    with pytest.raises(daskem.errors.CheckpointError, match="what the first read tells"):
        daskem.resume(tmp_path / "fit", rows, along=other)


def test_estimators_hand_labels_on():
    rows, called = corners()
    gm = daskem.GaussianMixture(4, random_state=0)
    predicted = gm.fit_predict(rows, along={"component": some(called, 40)})
    assert (predicted == called).mean() > 0.99


# States.


def walk(n=1200, seed=0):
    """Two states that stay a while, their rows (sample, feature), and what a person calls them."""
    rng, states = np.random.default_rng(seed), np.empty(n, int)
    for t in range(n):
        states[t] = states[t - 1] if t and rng.random() < 0.9 else rng.integers(2)
    return rng.normal(size=(n, 1)) + 4 * states[:, None], 1 - states


def test_all_states_known_is_counting():
    rows, states = walk()
    fitted = daskem.fit(
        HiddenMarkov(Gaussian()), rows, 2, lengths=100, along={"component": states}, random_state=0
    ).params
    paths, moves = states.reshape(12, 100), np.zeros((2, 2))
    np.add.at(moves, (paths[:, :-1], paths[:, 1:]), 1)
    np.testing.assert_allclose(fitted["transitions"], moves / moves.sum(axis=1)[:, None])
    np.testing.assert_allclose(fitted["initial"], np.bincount(paths[:, 0]) / 12)
    means = [rows[states == k].mean() for k in range(2)]
    np.testing.assert_allclose(fitted["means"].ravel(), means)


@every_row
def test_only_paths_through_the_known_states_are_summed(row):
    params, rows = row.some(3, 2, 12)
    rng, edges = np.random.default_rng(0), np.array([0, 4, 5, 9, 12])
    params = {
        "initial": params.pop("weights"),
        "transitions": rng.dirichlet(np.ones(3), 3),
        **params,
    }
    labels = np.array([-1, 2, -1, 0, 1, 1, 1, -1, -1, -1, -1, 0])
    log_b = np.stack([row.log_density(params, j, rows).reshape(12) for j in range(3)], axis=1)
    total, gamma = 0.0, np.zeros((12, 3))
    for start, stop in itertools.pairwise(edges):
        known = labels[start:stop]
        paths = np.array(list(itertools.product(range(3), repeat=stop - start)))
        paths = paths[((known < 0) | (paths == known)).all(axis=1)]
        log_p = np.log(params["initial"])[paths[:, 0]]
        log_p = log_p + np.log(params["transitions"])[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        log_p = log_p + log_b[np.arange(start, stop), paths].sum(axis=1)
        total += logsumexp(log_p)
        for t in range(stop - start):
            np.add.at(gamma[start + t], paths[:, t], np.exp(log_p - logsumexp(log_p)))
    model, block = HiddenMarkov(row.family), Block(rows, None, {"component": labels}, edges=edges)
    found = model.e_step(block, Params(params))
    assert found["log_likelihood"] == pytest.approx(total, rel=1e-10)
    np.testing.assert_allclose(found["counts"], gamma.sum(axis=0), rtol=1e-9)
    (tile,) = model.posterior(block, Params(params))
    np.testing.assert_allclose(tile.responsibilities.T, gamma, atol=1e-10)
    path = model.decode(block, Params(params)).states
    np.testing.assert_array_equal(path[labels >= 0], labels[labels >= 0])


def test_a_few_known_states_number_them_all():
    rows, states = walk()
    along, model = {"component": some(states, 12)}, HiddenMarkov(Gaussian())
    options = {"lengths": 100, "random_state": 0}
    result = daskem.fit(model, rows, 2, along=along, **options)
    assert (result.predict(rows, lengths=100) == states).mean() > 0.97
    lazy = daskem.fit(model, da.from_array(rows, (1200, 1)), 2, along=along, **options)
    assert bits(lazy) == bits(result)
    nobody = daskem.fit(model, rows, 2, along={"component": np.full(1200, -1)}, **options)
    assert bits(nobody) == bits(daskem.fit(model, rows, 2, **options))
    options["max_passes"] = 3
    chosen = daskem.select(rows, [2], models={"chain": model}, along=along, n_init=1, **options)
    assert (chosen.result("chain", 2).predict(rows, lengths=100) == states).mean() > 0.97


def test_states_that_no_path_can_pass_are_named():
    rows, states = walk(60)
    start = {"initial": np.array([0.0, 1.0]), "transitions": np.eye(2), "rates": np.ones((2, 1))}
    counts, along = np.abs(rows.round()), {"component": states}
    start["rates"] = np.array([[4.0], [0.5]])
    model, options = HiddenMarkov(Poisson()), {"lengths": [60], "along": along, "max_passes": 2}
    history = daskem.fit(model, counts, start=start, **options).history
    changes = int((np.diff(states) != 0).sum()) + int(states[0] == 0)
    first = 0 if states[0] == 0 else int(np.flatnonzero(np.diff(states))[0]) + 1
    (told,) = history[0].events
    assert told.startswith(f"{changes} labels have probability 0")
    assert f"(row {first} of the input)" in told
    # What is known corrects what was guessed.
    assert history[1].events == ()
