"""Noise beside the components, uniform over the box of the data: against scipy, and the truth."""

import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from gaps import holed
from scipy import stats
from scipy.special import logsumexp
from table import TABLE, NormalRow, StudentRow

import daskem
from daskem import Gaussian, Mixture, Poisson, StudentT
from daskem.data.blocks import Block
from daskem.errors import ModelError, ParameterError
from daskem.models.families import weighted

NORMALS = [row for row in TABLE if isinstance(row, NormalRow | StudentRow)]
every_normal = pytest.mark.parametrize("row", NORMALS, ids=repr)
# The log of a density, as a number that is given.
EVEN = -4.5


def some(row, k=3, d=2, n=400, seed=0):
    """Params with noise, rows, and log weight_k p(row | k) with that of noise last."""
    params, rows = row.some(k, d, n, seed)
    joint = np.vstack([row.log_joint(params, rows) + np.log(0.8), np.full(n, np.log(0.2) + EVEN)])
    return {**params, "noise": np.array(0.2)}, rows, joint


def clouds(n=4000, seed=0):
    """Three clusters with a tenth of the rows anywhere, 3 for these."""
    rng = np.random.default_rng(seed)
    made_by = rng.choice(4, n, p=[0.45, 0.27, 0.18, 0.1])
    centres = np.array([[0.0, 0.0], [10.0, 2.0], [4.0, 9.0], [0.0, 0.0]])
    rows = centres[made_by] + 0.7 * rng.normal(size=(n, 2))
    rows[made_by == 3] = rng.uniform(-10, 20, ((made_by == 3).sum(), 2))
    return rows, made_by


@pytest.fixture(scope="module")
def fitted():
    return daskem.fit(Mixture(Gaussian(), noise=True), clouds()[0], 3, random_state=0)


# The E step and the M step.


@every_normal
def test_densities_and_responsibilities_are_those_of_bayes_rule(row):
    params, rows, joint = some(row)
    tiles = list(Mixture(row.family, noise=True, log_noise=EVEN).posterior(Block(rows), params))
    total = logsumexp(joint, axis=0)
    np.testing.assert_allclose(np.concatenate([t.log_prob for t in tiles]), total, rtol=1e-12)
    (tile,) = tiles
    np.testing.assert_allclose(tile.responsibilities, np.exp(joint - total)[:-1], atol=1e-12)


@every_normal
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_a_loop(row, weighted):
    params, rows, joint = some(row)
    w = np.random.default_rng(1).uniform(0, 3, len(rows)) if weighted else np.ones(len(rows))
    found = Mixture(row.family, noise=True, log_noise=EVEN).e_step(
        Block(rows, w if weighted else None), params
    )
    total = logsumexp(joint, axis=0)
    r = np.exp(joint - total) * w
    expected = {
        "log_likelihood": w @ total,
        "counts": r[:-1].sum(axis=1),
        "noise": r[-1].sum(),
        **row.statistics(params, rows, r[:-1]),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(found[name], value, 0, 1e-11 * scale, err_msg=name)


@every_normal
def test_candidates_are_evaluated_as_if_alone(row):
    cases = [some(row, k, seed=k) for k in (1, 4, 2)]
    model, block = Mixture(row.family, noise=True, log_noise=EVEN), Block(cases[0][1])
    for params, together in zip(
        [case[0] for case in cases], model.e_steps(block, [case[0] for case in cases]), strict=True
    ):
        for name, value in model.e_step(block, params).items():
            np.testing.assert_allclose(together[name], value, rtol=1e-11, atol=1e-11)


def test_the_m_step_gives_noise_its_share_and_the_others_theirs():
    params, rows, joint = some(NORMALS[0])
    model = Mixture(Gaussian(), noise=True, log_noise=EVEN)
    new = model.m_step(model.e_step(Block(rows), params), params)
    r = np.exp(joint - logsumexp(joint, axis=0))
    assert new["noise"] == pytest.approx(r[-1].mean(), rel=1e-12)
    shares = r.mean(axis=1)[:-1]
    np.testing.assert_allclose(model.shares(new), shares, rtol=1e-12)
    np.testing.assert_allclose(new["weights"], shares / shares.sum(), rtol=1e-12)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_the_objective_rises_with_a_prior_too(kind):
    """That of `reg_covar` is of as many rows as there are, those of noise among them."""
    rows, _ = clouds(800)
    model = Mixture(Gaussian(kind, reg_covar=0.02), noise=True)
    result = daskem.fit(model, rows, 3, random_state=0, algorithm="em", tol=1e-9)
    assert np.diff([record.objective for record in result.history]).min() > -1e-13
    framed, again = result.best.framed, result.model
    top = result.history[-1].objective
    for share in (0.99, 1.01):
        other = {**framed, "noise": framed["noise"] * share}
        total = again.e_step(Block(rows), other)["log_likelihood"]
        assert (total + again.log_prior(other, len(rows))) / len(rows) < top
        other = {**framed, "covariances": framed["covariances"] * share}
        total = again.e_step(Block(rows), other)["log_likelihood"]
        assert (total + again.log_prior(other, len(rows))) / len(rows) < top


# Fits.


@pytest.mark.parametrize(
    "family", [Gaussian(), Gaussian("tied"), Gaussian("spherical"), StudentT("diag", 20.0)]
)
def test_the_truth_comes_back_from_a_tenth_of_noise(family):
    rows, made_by = clouds()
    result = daskem.fit(Mixture(family, noise=True), rows, 3, random_state=0)
    assert result.params["noise"] == pytest.approx(0.1, abs=0.015)
    np.testing.assert_allclose(result.params["weights"], [0.5, 0.3, 0.2], atol=0.02)
    expected = [[0, 0], [10, 2], [4, 9]]
    np.testing.assert_allclose(result.params["means"], expected, atol=0.1)
    labels = result.predict(rows)
    # Some rows of noise lie among those of clusters.
    assert (labels == made_by).mean() > 0.985
    assert (made_by[labels == 3] == 3).mean() > 0.95


def test_its_density_is_one_over_the_volume_of_the_box(fitted):
    rows, _ = clouds()
    assert fitted.model.log_noise == pytest.approx(-np.log(np.ptp(rows, axis=0)).sum(), rel=1e-14)
    far = np.array([[1e3, -1e3]])
    expected = np.log(fitted.params["noise"]) + fitted.model.log_noise
    assert fitted.score_samples(far) == pytest.approx(expected, rel=1e-12)


def test_a_feature_of_one_value_has_no_part_in_the_volume(fitted):
    rows = np.column_stack([clouds()[0], np.full(4000, 7.0)])
    result = daskem.fit(Mixture(Gaussian("diag"), noise=True), rows, 3, random_state=0)
    assert result.model.log_noise == fitted.model.log_noise


def test_it_counts_as_one_parameter_and_wins_by_bic(fitted):
    rows, _ = clouds()
    models = {"noise": Mixture(Gaussian(), noise=True), "plain": Mixture(Gaussian())}
    chosen = daskem.select(rows[:500], (3,), models=models, n_init=1, random_state=0)
    assert chosen.best.n_components == 3
    assert chosen.best.model.noise
    plain = daskem.fit(Mixture(Gaussian()), rows, 3, random_state=0)
    assert fitted.n_parameters == plain.n_parameters + 1


def test_chunks_make_no_difference(fitted):
    lazy = da.from_array(clouds()[0], chunks=(1000, 2))
    there = daskem.fit(Mixture(Gaussian(), noise=True), lazy, 3, random_state=0)
    for name, value in fitted.params.items():
        np.testing.assert_allclose(there.params[name], value, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(there.predict(lazy).compute(), there.predict(clouds()[0]))


def test_it_is_saved_and_loaded_to_the_last_bit(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again, (rows, _) = daskem.load(tmp_path / "model"), clouds()
    assert again.model.log_noise == fitted.model.log_noise
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(again, method)(rows), getattr(fitted, method)(rows))
    about = json.loads(zarr.open_group(tmp_path / "model", mode="r").attrs["daskem"])
    assert about["noise"] == fitted.model.log_noise


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_it_is_resumed_to_the_same_bits(tmp_path):
    rows, _ = clouds(1000)
    model = Mixture(Gaussian(), noise=True)
    options = {"random_state": 0, "tol": 0.0, "algorithm": "em", "max_passes": 5}
    whole = daskem.fit(model, rows, 3, **options)
    for result in daskem.iterate(model, rows, 3, checkpoint=tmp_path / "fit", **options):
        if len(result.history) == 2:
            break
    resumed = daskem.resume(tmp_path / "fit", rows)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


# Answers.


def test_labels_of_noise_are_flags_beside_those_of_what_is_missing():
    rows, _ = clouds(1000)
    rows[:3] = np.nan
    data = xr.DataArray(rows, dims=("profile", "feature"))
    model = Mixture(Gaussian(), noise=True)
    result = daskem.fit(model, data, 3, random_state=0, missing="omit")
    labels = result.predict(data)
    assert labels.attrs["flag_values"].tolist() == [-1, 0, 1, 2, 3]
    assert labels.attrs["flag_meanings"].split() == [
        *("missing", "component_0", "component_1", "component_2", "noise")
    ]
    assert labels.values[:3].tolist() == [-1] * 3
    assert set(np.unique(labels)) == {-1, 0, 1, 2, 3}
    shares = result.predict_proba(data)
    rest = 1 - shares.sum("component")
    noise = (labels == 3).values
    assert (rest.values[noise] >= shares.max("component").values[noise]).all()
    assert (rest.values[3:][~noise[3:]] <= shares.max("component").values[3:][~noise[3:]]).all()
    assert "noise: 0." in str(result)


def test_the_label_of_noise_fits_beside_many_components():
    params = {
        "weights": np.full(128, 1 / 128),
        "noise": np.array(0.5),
        "means": np.arange(128.0)[:, None],
        "covariances": np.full(128, 1e-3),
    }
    model = Mixture(Gaussian("spherical", resolution=0.0), noise=True, log_noise=-8.0)
    rows = np.array([[0.0], [127.0], [60.5]])
    labels = daskem.results.predictions.labels(Block(rows), model, params)
    assert labels.tolist() == [0, 127, 128]


# Rows that lack values.

BOX = [(-9.0, 5.0), (-4.0, 8.0), (-7.0, 7.0)]


def log_density_of_some(row, params, j, x):
    """log p of the values that a row has, given component j."""
    o = ~np.isnan(x)
    mean, matrix = params["means"][j][o], row.matrix(params, j)[np.ix_(o, o)]
    if isinstance(row, StudentRow):
        return stats.multivariate_t.logpdf(x[o], mean, matrix, row.df(params, 3)[j])
    return stats.multivariate_normal.logpdf(x[o], mean, matrix)


@every_normal
@pytest.mark.parametrize("worth", [0, 10**9], ids=["by pattern", "together"])
def test_rows_with_gaps_have_the_noise_of_what_they_have(row, worth, monkeypatch):
    params, rows, _ = some(row, d=3, n=60)
    rows = holed(rows, 0.4)
    there = ~np.isnan(rows)
    shares = np.log(0.8 * params["weights"])
    joint = [[shares[j] + log_density_of_some(row, params, j, x) for x in rows] for j in range(3)]
    joint = np.vstack([joint, np.log(0.2) - there @ np.log(np.diff(BOX)).ravel()])
    expected = logsumexp(joint, axis=0)
    monkeypatch.setattr(weighted, "_WORTH", worth)
    model = Mixture(row.family, noise=True, box=BOX).with_incomplete(True)
    tiles = list(model.posterior(Block(rows), params))
    found = np.concatenate([tile.log_prob for tile in tiles])
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    responsibilities = np.concatenate([tile.responsibilities for tile in tiles], axis=1)
    np.testing.assert_allclose(responsibilities, np.exp(joint - expected)[:3], atol=1e-10)
    statistics = model.e_step(Block(rows), params)
    assert statistics["log_likelihood"] == pytest.approx(expected.sum(), rel=1e-11)
    assert statistics["noise"] == pytest.approx(np.exp(joint - expected)[3].sum(), rel=1e-9)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_the_truth_comes_back_from_noise_and_gaps():
    rows, made_by = clouds()
    rows = holed(rows, 0.2)
    model, options = Mixture(Gaussian(), noise=True), {"missing": "model", "random_state": 0}
    result = daskem.fit(model, rows, 3, **options)
    assert result.params["noise"] == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(result.params["means"], [[0, 0], [10, 2], [4, 9]], atol=0.15)
    whole = ~np.isnan(rows).any(axis=1)
    assert (result.predict(rows) == made_by)[whole].mean() > 0.98
    plain = daskem.fit(model, rows, 3, algorithm="em", max_passes=8, **options)
    assert (np.diff([p.objective for p in plain.history]) > -1e-13).all()
    # What noise has made lies anywhere.
    far = np.array([[np.nan, 1e4]])
    middle = np.mean(result.model.box, axis=1)
    np.testing.assert_allclose(result.impute(far), [[middle[0], 1e4]])


def test_complete_rows_have_the_same_bits_beside_gaps():
    rows, model = clouds(500)[0], Mixture(Gaussian(), noise=True, box=[(-10, 20), (-10, 20)])
    start = daskem.fit(model, rows, 3, random_state=0).params
    one, two = (m.e_step(Block(rows), start) for m in (model, model.with_incomplete(True)))
    assert one["log_likelihood"] == two["log_likelihood"]
    with pytest.raises(ParameterError, match=r"give box=\[\(lowest, highest"):
        Mixture(Gaussian(), noise=True, log_noise=-3.0).with_incomplete(True)


def test_components_beside_noise_are_merged_and_diagnosed(fitted):
    rows, made_by = clouds()
    four = daskem.fit(Mixture(Gaussian(), noise=True), rows, 4, random_state=0)
    merged = daskem.merge(four, rows).cut(3)
    labels = merged.predict(rows)
    assert (made_by[labels == 3] == 3).mean() > 0.9
    sizes = daskem.diagnose(fitted, rows)["size"]
    noise = fitted.params["noise"]
    np.testing.assert_allclose(sizes / 4000, fitted.params["weights"] * (1 - noise), rtol=1e-3)


def test_noise_is_for_densities():
    with pytest.raises(ParameterError, match=r"Poisson make whole numbers >= 0: it is for Gauss"):
        Mixture(Poisson(), noise=True)


def test_rows_of_noise_are_drawn_from_the_box_of_the_data(fitted, tmp_path):
    rows, labels = fitted.sample(20_000, random_state=0)
    noise = rows[labels == 3]
    assert len(noise) / 20_000 == pytest.approx(fitted.params["noise"], abs=0.01)
    spans = np.sort(clouds()[0], axis=0)[[0, -1]]
    for values, (lowest, highest) in zip(noise.T, spans.T, strict=True):
        uniform = stats.uniform(lowest, highest - lowest)
        assert stats.kstest(values, uniform.cdf).pvalue > 1e-3
    for k in range(3):
        mean = rows[labels == k].mean(axis=0)
        np.testing.assert_allclose(mean, fitted.params["means"][k], atol=0.1)
    fitted.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model").sample(20_000, random_state=0)
    np.testing.assert_array_equal(again[0], rows)


def test_a_box_is_given_or_noise_is_not_drawn(fitted):
    box = [(-50, 50), (0.0, 100.0)]
    model = Mixture(Gaussian(), noise=True, box=box)
    rows = clouds()[0][:500]
    result = daskem.fit(model, rows, 3, random_state=0)
    assert result.model.log_noise == pytest.approx(-np.log(1e4), rel=1e-15)
    drawn, labels = result.sample(5000, random_state=0)
    assert (drawn[labels == 3].max(axis=0) > [40, 90]).all()
    known = Mixture(Gaussian(), noise=True, log_noise=-9.0)
    with pytest.raises(ModelError, match=r"log_noise=-9 alone does not tell: give it, Mixture\("):
        daskem.fit(known, rows, 3, random_state=0).sample(5)


@pytest.mark.parametrize("box", [[(1.0, 0.0)], [0.0, 1.0], [(0.0, np.inf)], "wide"])
def test_a_box_that_is_none_is_told(box):
    with pytest.raises(ParameterError, match="should be the lowest and the highest value of each"):
        Mixture(Gaussian(), noise=True, box=box)


def test_a_box_without_noise_or_of_other_features_is_told():
    with pytest.raises(ParameterError, match="pass noise=True with them"):
        Mixture(Gaussian(), box=[(0, 1)])
    model = Mixture(Gaussian(), noise=True, box=[(0.0, 1.0)])
    with pytest.raises(ParameterError, match="box of noise is of 1 features; there are 2"):
        daskem.fit(model, clouds()[0][:100], 2)
