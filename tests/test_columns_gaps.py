"""Columns of several kinds in rows with gaps: by brute force, row by row and family by family."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from gaps import conditional, holed
from scipy import stats
from scipy.special import logsumexp

import daskem
from daskem import Categorical, Gaussian, HiddenMarkov, Independent, Mixture, Poisson, StudentT
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.errors import DataError, ModelError

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]

DF = 4.0
KINDS = Independent(
    {
        (5, 0): Gaussian("full", resolution=0),
        1: Poisson(),
        2: Categorical(3),
        (3, 6): StudentT("full", DF, resolution=0),
        4: Gaussian("diag", resolution=0),
    }
)
PLAIN = {"algorithm": "em", "tol": 0.0, "max_passes": 3}


def some(n=60, seed=0, whole=False):
    """Params of two components, and rows that lack a third of their values, or all of a family."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 2, 2))
    matrices = root @ root.swapaxes(1, 2) + 0.3 * np.eye(2)
    params = {
        "weights": np.array([0.4, 0.6]),
        "means_5_0": np.array([[0.0, 1.0], [2.0, -1.0]]),
        "covariances_5_0": matrices[:2],
        "rates_1": np.array([[2.0], [6.0]]),
        "probabilities_2": np.array([[[0.6, 0.3, 0.1]], [[0.2, 0.2, 0.6]]]),
        "means_3_6": np.array([[1.0, 1.0], [-1.0, 0.0]]),
        "covariances_3_6": matrices[2:],
        "means_4": np.array([[0.0], [3.0]]),
        "covariances_4": np.array([[1.0], [2.0]]),
    }
    normal = 2 * rng.normal(size=(n, 7))
    rows = np.column_stack(
        [normal[:, 0], rng.poisson(4, n), rng.integers(0, 3, n), normal[:, 3:]]
    ).astype(float)
    return params, rows if whole else holed(rows, 0.35, seed=seed)


def scaled(x, mean, covariance):
    """Of a t: log p of what a row has, its scale, and mean and covariance given these."""
    o = ~np.isnan(x)
    if not o.any():
        return 0.0, 1.0, mean, covariance
    seen = covariance[np.ix_(o, o)]
    log_p = stats.multivariate_t.logpdf(x[o], mean[o], seen, df=DF)
    apart = x[o] - mean[o]
    u = (DF + o.sum()) / (DF + apart @ np.linalg.solve(seen, apart))
    _, expected, rest = conditional(x, mean, covariance)
    return log_p, u, expected, rest


def normal(x, mean, covariance):
    """The same of a normal, whose rows all have the scale 1."""
    if np.isnan(x).all():
        return 0.0, 1.0, mean, covariance
    log_p, expected, rest = conditional(x, mean, covariance)
    return log_p, 1.0, expected, rest


def each_of(rows, p, k):
    """What component k says of each row: log p, and of the three families with means (u, m, C)."""
    for x in rows:
        found = [
            normal(x[[5, 0]], p["means_5_0"][k], p["covariances_5_0"][k]),
            scaled(x[[3, 6]], p["means_3_6"][k], p["covariances_3_6"][k]),
            normal(x[[4]], p["means_4"][k], np.diag(p["covariances_4"][k])),
        ]
        log_p = sum(one[0] for one in found)
        if not np.isnan(x[1]):
            log_p += stats.poisson.logpmf(x[1], p["rates_1"][k, 0])
        if not np.isnan(x[2]):
            log_p += np.log(p["probabilities_2"][k, 0, int(x[2])])
        yield log_p, [one[1:] for one in found]


def brute(rows, p):
    """Log-likelihood per row, responsibilities, the params after one step, and E[x] of rows."""
    told = [list(each_of(rows, p, k)) for k in range(2)]
    joint = np.array([[one[0] for one in each] for each in told]) + np.log(p["weights"])[:, None]
    log_p = logsumexp(joint, axis=0)
    r = np.exp(joint - log_p)
    new, expected = {"weights": r.mean(axis=1)}, np.zeros_like(rows)
    for f, (name, columns) in enumerate({"5_0": [5, 0], "3_6": [3, 6], "4": [4]}.items()):
        means, covariances = [], []
        for k in range(2):
            scales, centres, rests = zip(*(one[1][f] for one in told[k]), strict=True)
            centres, w = np.array(centres), r[k] * np.array(scales)
            means.append(w @ centres / w.sum())
            apart = centres - means[-1]
            total = (w[:, None] * apart).T @ apart + np.einsum("n,nij->ij", r[k], np.array(rests))
            covariances.append(total / r[k].sum())
            expected[:, columns] += r[k][:, None] * centres
        new[f"means_{name}"], new[f"covariances_{name}"] = np.array(means), np.array(covariances)
    new["covariances_4"] = new["covariances_4"][:, 0]
    count, kind = rows[:, 1], rows[:, 2]
    there = ~np.isnan(kind)
    levels = (kind[:, None] == np.arange(3)).astype(float)
    filled = np.where(np.isnan(count), p["rates_1"], count)
    new["rates_1"] = ((r * filled).sum(axis=1) / r.sum(axis=1))[:, None]
    new["probabilities_2"] = (r @ levels / (r @ there)[:, None])[:, None]
    expected[:, 1] = r.T @ p["rates_1"][:, 0]
    expected[:, 2] = (r.T @ p["probabilities_2"][:, 0]).argmax(axis=1)
    return log_p, new, np.where(np.isnan(rows), expected, rows)


def test_it_is_the_em_that_takes_row_by_row():
    params, rows = some()
    result = daskem.fit(Mixture(KINDS), rows, start=params, missing="model", **PLAIN)
    expected = params
    for told in result.history:
        log_p, expected, _ = brute(rows, expected)
        assert told.log_likelihood == pytest.approx(log_p.mean(), rel=1e-11)
    for name, value in expected.items():
        np.testing.assert_allclose(
            result.params[name], value, rtol=1e-8, atol=1e-10, err_msg=f"{name}"
        )


def test_scores_and_imputed_values_are_those_given_what_a_row_has():
    params, rows = some(40, seed=1)
    model = Mixture(KINDS, incomplete=True)
    result = daskem.fit(model, rows, start=params, missing="model", max_passes=1)
    log_p, _, filled = brute(rows, result.params)
    np.testing.assert_allclose(result.score_samples(rows), log_p, rtol=1e-10)
    np.testing.assert_allclose(result.impute(rows), filled, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("narrow", [1.0, 1e-7])
def test_rows_with_gaps_beside_complete_ones_are_what_they_are_alone(narrow):
    params, rows = some(60)
    # Of a component so narrow only the centred form is accurate.
    params["covariances_4"] = params["covariances_4"] * narrow**2
    complete = some(60, seed=3, whole=True)[1]
    model = Mixture(KINDS, incomplete=True)
    both = model.e_step(Block(np.concatenate([rows, complete])), Params(params))
    each = [model.e_step(Block(one), Params(params)) for one in (rows, complete)]
    for name, value in both.items():
        total = each[0][name] + each[1][name]
        scale = np.abs(value).max()
        np.testing.assert_allclose(value, total, rtol=1e-9, atol=1e-11 * scale, err_msg=name)


def test_a_chain_with_equal_rows_of_transitions_is_the_mixture():
    params, rows = some(100)
    weights = params["weights"]
    own = {name: value for name, value in params.items() if name != "weights"}
    chain = {"initial": weights, "transitions": np.stack([weights] * 2), **own}
    one = Mixture(KINDS, incomplete=True).e_step(Block(rows), Params(params))
    block = Block(rows, edges=np.array([0, 40, 100]))
    two = HiddenMarkov(KINDS, incomplete=True).e_step(block, Params(chain))
    assert two["log_likelihood"] == pytest.approx(one["log_likelihood"], rel=1e-12)
    np.testing.assert_allclose(two["counts"], one["counts"], rtol=1e-11)


def climates(n=300):
    """A table of two climates with gaps, and the climate of each row."""
    rng = np.random.default_rng(5)
    z = rng.integers(2, size=n)
    table = pd.DataFrame(
        {
            "T": rng.normal(6.0 * z, 1.0),
            "cover": np.array(["forest", "steppe"], dtype=object)[
                (rng.random(n) < np.array([0.1, 0.9])[z]).astype(int)
            ],
            "storms": rng.poisson(np.array([1.0, 9.0])[z]).astype(float),
        }
    )
    for column in table:
        table.loc[rng.random(n) < 0.3, column] = None
    return table, z


BY_NAME = Independent({"T": Gaussian(), "cover": Categorical(), "storms": Poisson()})
FEW = {"random_state": 0, "missing": "model", "n_init": 1, "max_passes": 20}


def test_tables_with_strings_and_gaps_are_fitted_selected_and_kept(tmp_path):
    table, z = climates()
    result = daskem.fit(Mixture(BY_NAME), table, 2, **FEW)
    labels = np.asarray(result.predict(table))
    there = ~table.isna().all(axis=1).to_numpy()
    assert (labels[~there] == -1).all()
    right = labels[there] == z[there]
    assert max(right.mean(), 1 - right.mean()) > 0.95
    imputed = result.impute(table)
    assert imputed[there].notna().all(axis=None)
    result.save(tmp_path / "model")
    np.testing.assert_array_equal(daskem.load(tmp_path / "model").predict(table), labels)
    chosen = daskem.select(table, (1, 2), models={"": Mixture(BY_NAME)}, **FEW)
    assert chosen.best.n_components == 2


def test_chunks_of_dask_give_the_same_bits_lazily():
    params, rows = some(300)
    options = {"start": params, "missing": "model", "max_passes": 3}
    here = daskem.fit(Mixture(KINDS), da.from_array(rows, (100, 7)), **options)
    there = daskem.fit(Mixture(KINDS), rows, **options)
    assert here.log_likelihood == pytest.approx(there.log_likelihood, rel=1e-12)
    lazy = here.impute(da.from_array(rows, (70, 7)))
    np.testing.assert_allclose(lazy.compute(), here.impute(rows), rtol=1e-12)
    labelled = xr.DataArray(rows, dims=("time", "feature"))
    assert here.predict(labelled).dims == ("time",)


class Plain:
    """A family with what `Independent` needs, which says nothing of rows with gaps."""

    def __init__(self):
        self.inner = Poisson()

    cross_moments = False
    domain = "counts"
    parameters = property(lambda self: self.inner.parameters)
    valid = property(lambda self: self.inner.valid)
    at = property(lambda self: self.inner.at)
    locations = property(lambda self: self.inner.locations)
    kernel = property(lambda self: self.inner.kernel)
    m_step = property(lambda self: self.inner.m_step)
    frame = property(lambda self: self.inner.frame)
    to_frame = property(lambda self: self.inner.to_frame)
    from_frame = property(lambda self: self.inner.from_frame)


def test_what_can_take_no_part_is_told():
    _, rows = some(50)
    family = Independent({(0, 3, 4, 5, 6): Gaussian(), (1, 2): Plain()})
    with pytest.raises(ModelError, match="beside other families needs `by_pattern`, `gapped`, `ma"):
        daskem.fit(Mixture(family), rows, 2, missing="model")
    rows[3, 1] = -2.0
    with pytest.raises(DataError, match=r"-2.0 at .*row 3"):
        daskem.fit(Mixture(KINDS), rows, 2, missing="model")
