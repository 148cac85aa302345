"""Answers of several kinds: against Bernoulli and hmmlearn, levels of the data, tables of words."""

from importlib import import_module

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from classes import PUBLISHED, SEVERAL

import daskem
from daskem import Bernoulli, Categorical, Gaussian, HiddenMarkov, Independent, Mixture
from daskem.core.frames import in_units_of_the_data
from daskem.data.blocks import Block
from daskem.errors import DataError, DataTypeError, ParameterError

SIZES = (2, 4, 3)
# A few steps of EM.
FIVE = {"algorithm": "em", "max_passes": 5, "tol": 0.0}


def truth(k, sizes=SIZES, seed=0):
    """Params of classes whose features have so many levels, 0 beyond the last."""
    rng = np.random.default_rng(seed)
    shares = np.zeros((k, len(sizes), max(sizes)))
    for j, size in enumerate(sizes):
        shares[:, j, :size] = rng.dirichlet(np.full(size, 0.5), k)
    return {"weights": rng.dirichlet(np.full(k, 8.0)), "probabilities": shares}


def drawn(params, n, seed=0):
    """Codes (sample, feature), and the class of each row."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(len(params["weights"]), n, p=params["weights"])
    limits = params["probabilities"][classes].cumsum(axis=2)
    u = rng.random((n, limits.shape[1], 1))
    return (u >= limits[:, :, :-1] - 1e-12).sum(axis=2).astype(float), classes


def fit(rows, k, family=None, **options):
    return daskem.fit(Mixture(family or Categorical()), rows, k, random_state=0, **options)


@pytest.fixture(scope="module")
def rows():
    return drawn(truth(3), 3000)[0]


# Against what is known otherwise.


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_two_levels_are_yes_and_no():
    rows = PUBLISHED["carcinoma"].rows
    rng = np.random.default_rng(1)
    p, weights = rng.uniform(0.1, 0.9, (3, 7)), np.array([0.5, 0.3, 0.2])
    options = {"algorithm": "em", "max_passes": 30, "tol": 0.0}
    start = {"weights": weights, "probabilities": p}
    yes = daskem.fit(Mixture(Bernoulli(prior_rows=0.5)), rows, start=start, **options)
    start["probabilities"] = np.stack([1 - p, p], -1)
    either = daskem.fit(Mixture(Categorical(prior_rows=0.5)), rows, start=start, **options)
    found = either.params["probabilities"]
    np.testing.assert_allclose(found[:, :, 1], yes.params["probabilities"], rtol=1e-10)
    assert either.log_likelihood == pytest.approx(yes.log_likelihood, abs=1e-12)
    objectives = [[p.objective for p in result.history] for result in (either, yes)]
    np.testing.assert_allclose(*objectives, atol=1e-12)
    assert either.n_parameters == yes.n_parameters


def test_hmmlearn_makes_the_same_iterations():
    hmm = pytest.importorskip("hmmlearn.hmm")
    rng = np.random.default_rng(0)
    codes, lengths = rng.integers(4, size=(900, 1)), [200, 300, 400]
    start = {
        "initial": np.array([0.6, 0.4]),
        "transitions": np.array([[0.8, 0.2], [0.3, 0.7]]),
        "probabilities": rng.dirichlet(np.full(4, 3.0), 2)[:, None],
    }
    theirs = hmm.CategoricalHMM(
        2, n_iter=20, tol=-np.inf, init_params="", startprob_prior=1, transmat_prior=1
    )
    theirs.startprob_, theirs.transmat_ = start["initial"], start["transitions"]
    theirs.emissionprob_ = start["probabilities"][:, 0]
    theirs.fit(codes, lengths)
    options = {"algorithm": "em", "max_passes": 20, "tol": 0.0, "lengths": lengths}
    with pytest.warns(daskem.errors.ConvergenceWarning):
        ours = daskem.fit(HiddenMarkov(Categorical()), codes, start=start, **options)
    for name, value in {
        "initial": theirs.startprob_,
        "transitions": theirs.transmat_,
        "probabilities": theirs.emissionprob_[:, None],
    }.items():
        np.testing.assert_allclose(ours.params[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    total = ours.score(codes, lengths=lengths) * len(codes)
    assert total == pytest.approx(theirs.score(codes, lengths), rel=1e-10)
    np.testing.assert_array_equal(
        ours.predict(codes, lengths=lengths), theirs.predict(codes, lengths)
    )


def test_the_truth_comes_back_whatever_the_codes():
    params = truth(4, (5, 6, 4, 6, 5), seed=3)
    rows, _ = drawn(params, 20_000)
    result = fit(rows, 4)
    order = np.argsort(-params["weights"])
    np.testing.assert_allclose(result.params["weights"], params["weights"][order], atol=0.02)
    np.testing.assert_allclose(
        result.params["probabilities"], params["probabilities"][order], atol=0.04
    )


def test_select_finds_how_many_classes_there_are():
    rows, _ = drawn(truth(3, (4, 5, 3, 4, 3), seed=1), 800)
    models = {"classes": Mixture(Categorical())}
    assert (
        daskem.select(rows, (2, 3, 4), models=models, n_init=1, random_state=0).best.n_components
        == 3
    )


def test_select_compares_probabilities_with_probabilities(rows):
    """And not with densities, which are per unit of the features."""
    models = {"classes": Mixture(Categorical()), "normal": Mixture(Gaussian())}
    with pytest.raises(ParameterError, match="probabilities of categories, and densities"):
        daskem.select(rows, (2,), models=models)


# Levels.


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_levels_are_those_of_the_data_whatever_their_numbers(rows):
    values = np.array([1.0, 2.0, 5.0, 99.0])
    data = rows, values[rows.astype(int)]
    coded, other = (daskem.fit(Mixture(Categorical()), x, start=truth(3), **FIVE) for x in data)
    assert coded.model.family.levels == tuple(tuple(map(float, range(n))) for n in SIZES)
    assert other.model.family.levels == tuple(tuple(values[:n]) for n in SIZES)
    np.testing.assert_allclose(
        other.params["probabilities"], coded.params["probabilities"], rtol=1e-12
    )
    np.testing.assert_array_equal(other.predict(data[1]), coded.predict(rows))


def test_features_of_fewer_levels_have_fewer_parameters(rows):
    result = fit(rows, 3)
    assert result.n_parameters == 2 + 3 * (1 + 3 + 2)
    shares = result.params["probabilities"]
    assert (shares[:, 0, 2:] == 0).all()
    assert (shares[:, 2, 3:] == 0).all()
    np.testing.assert_allclose(shares.sum(axis=2), 1.0, rtol=1e-14)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_level_that_only_one_row_of_many_has_is_found(monkeypatch):
    """By the whole read, not in the sample; the same on chunks."""
    monkeypatch.setattr(import_module("daskem.data.survey.survey"), "_MOST_SAMPLED", 2**10)
    rows = drawn(truth(2), 40_000)[0]
    rows[31_234, 1] = 7.0
    start = truth(2, (2, 5, 3))
    here = daskem.fit(Mixture(Categorical()), rows, start=start, **FIVE)
    assert here.model.family.levels[1] == (0.0, 1.0, 2.0, 3.0, 7.0)
    share = here.params["weights"] @ here.params["probabilities"][:, 1, 4]
    assert share == pytest.approx(1 / 40_000, rel=1e-3)
    lazy = da.from_array(rows, chunks=(10_000, 3))
    there = daskem.fit(Mixture(Categorical()), lazy, start=start, **FIVE)
    assert there.model.family == here.model.family
    for name, value in there.params.items():
        np.testing.assert_allclose(value, here.params[name], rtol=1e-12)


def test_levels_that_are_given_may_have_no_row(rows):
    result = fit(rows, 2, Categorical([[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]]))
    assert (result.params["probabilities"][:, 2, 3:] == 0).all()
    assert result.n_parameters == 1 + 2 * (1 + 3 + 4)
    assert fit(rows, 2, Categorical(4)).n_parameters == 1 + 2 * 9


@pytest.mark.parametrize(
    ("rows", "family", "told"),
    [
        ([[0.5, 1.0]], Categorical(), r"contains 0.5 at .*column 0; expected whole numbers"),
        ([[0.0, 3.0]], Categorical(3), r"contains 3.0 at .*column 1; expected one of .*0, 1, 2"),
        ([[0.0, 3.0]], Categorical([[0, 1], [0, 2]]), r"0, 1 in column 0; 0, 2 in column 1"),
        (np.arange(4000).reshape(2000, 2), Categorical(), r"column 0 has more than 1024 values"),
    ],
)
def test_rows_that_are_no_such_categories_are_told(rows, family, told):
    with pytest.raises(DataError, match=told):
        fit(np.asarray(rows), 1, family)


@pytest.mark.parametrize("levels", [0, [[]], [[1, 0]], [[1, 1]], 2000])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(ParameterError, match=r"levels=.*from 1 to 1024 values that rise"):
        Categorical(levels)


def test_lists_of_levels_for_other_features_are_refused(rows):
    with pytest.raises(ParameterError, match="levels has 2 lists; there are 3 features"):
        fit(rows, 2, Categorical([[0, 1], [0, 1, 2, 3]]))


def test_a_start_with_shares_of_levels_that_there_are_not_is_refused(rows):
    start = truth(3)
    start["probabilities"][:, 0] = 0.25
    with pytest.raises(ParameterError, match=r"probabilities\[0, 0\].*over the levels.*2, 4, 3"):
        daskem.fit(Mixture(Categorical()), rows, start=start)


def test_a_code_that_the_fit_never_saw_is_an_error_that_says_where(rows):
    new = rows[:5].copy()
    new[3, 2] = 3.0
    with pytest.raises(DataError, match=r"contains 3.0 at .*row 3, column 2; .*0, 1, 2 in column"):
        fit(rows, 2).predict(new)


# Starts and prior.


def test_a_start_leaves_room_for_every_level_of_the_data(rows):
    model = Mixture(Categorical()).given(survey_of(rows))
    found = model.from_labels(Block(rows), (rows[:, 1] == 0).astype(int), rows[:2])
    shares = np.bincount(rows[:, 1].astype(int)) / len(rows)
    n = (rows[:, 1] == 0).sum()
    assert found["probabilities"][1, 1, 1:] == pytest.approx(shares[1:] / (n + 1), rel=1e-3)
    np.testing.assert_allclose(found["probabilities"].sum(axis=2), 1.0, rtol=1e-14)


def survey_of(rows):
    from daskem.data.inputs import as_blocks
    from daskem.fitting.starts.first_read import surveyed

    return surveyed(Mixture(Categorical()), as_blocks(rows), 0)


def test_prior_rows_are_rows_with_the_shares_of_all(rows):
    model = Mixture(Categorical(prior_rows=3.0)).given(survey_of(rows))
    params = truth(3, seed=5)
    statistics = model.e_step(Block(rows), params)
    overall = np.stack([np.bincount(column.astype(int), minlength=4) for column in rows.T])
    overall = overall / len(rows)
    counts = statistics["counts"][:, None, None]
    expected = (statistics["levels"] + 3 * overall) / (counts + 3)
    np.testing.assert_allclose(model.m_step(statistics, params)["probabilities"], expected)
    assert model.log_prior({**params, "probabilities": np.stack([overall] * 3)}, 1.0) == 0.0
    plain = in_units_of_the_data(rows.mean(axis=0))
    assert Categorical().log_prior(params, 1.0, plain) == 0.0


# Words.


def words(n=600, seed=0):
    """A table of strings, a categorical of pandas, and codes, of two classes."""
    codes, _ = drawn(truth(2, (2, 3, 3), seed=2), n, seed)
    codes = codes.astype(int)
    meals = pd.Categorical.from_codes(codes[:, 1], ["none", "fish", "meat"])
    return pd.DataFrame(
        {"smokes": np.array(["yes", "no"])[codes[:, 0]], "meals": meals, "visits": codes[:, 2] + 1}
    )


@pytest.fixture(scope="module")
def spoken():
    return fit(words(), 2)


def test_strings_and_categoricals_are_coded_and_told(spoken):
    codes = words()
    codes["smokes"], codes["meals"] = codes["smokes"] == "yes", codes["meals"].cat.codes
    bare = fit(codes.to_numpy(dtype=float), 2)
    for name, value in bare.params.items():
        np.testing.assert_array_equal(spoken.params[name], value)
    assert spoken.features.labels == {"smokes": ("no", "yes"), "meals": ("none", "fish", "meat")}
    notes = " ".join(spoken.notes)
    assert "'smokes' is coded by its categories: 0 'no', 1 'yes'" in notes
    assert "0 'none', 1 'fish', 2 'meat'" in notes


def test_other_families_refuse_them():
    with pytest.raises(DataTypeError, match="'smokes'"):
        fit(words(), 2, Bernoulli())


def test_words_stand_in_the_table_and_in_the_dataset(spoken):
    shown, modes = str(spoken), spoken.params["probabilities"].argmax(axis=2)
    for j, labels in ((0, ("no", "yes")), (1, ("none", "fish", "meat"))):
        assert all(labels[code] in shown for code in modes[:, j])
    level = spoken.to_dataset()["level"]
    assert level.dims == ("feature", "category")
    expected = [["no", "yes", ""], ["none", "fish", "meat"], ["1", "2", "3"]]
    assert level.values.tolist() == expected
    bare = fit(drawn(truth(2), 500)[0], 2).to_dataset()["level"].values
    np.testing.assert_array_equal(bare[0], [0.0, 1.0, np.nan, np.nan])


def test_new_tables_get_the_codes_of_the_fit(spoken, tmp_path):
    spoken.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert again.features.labels == spoken.features.labels
    data, few = words(), words()[lambda t: (t["meals"] != "none") & (t["smokes"] == "yes")]
    # Its categories come in another order, and some not at all.
    few = few.assign(meals=few["meals"].astype(str))[["visits", "meals", "smokes"]]
    for result in (spoken, again):
        np.testing.assert_array_equal(result.predict(few), result.predict(data)[few.index])
        np.testing.assert_array_equal(result.score_samples(data), spoken.score_samples(words()))
    assert again.score(data) == spoken.score(data)


def test_missing_words_are_missing_values(spoken):
    data = words()
    data.loc[3, "smokes"], data.loc[8, "meals"] = None, np.nan
    result = fit(data, 2, missing="omit")
    labels = result.predict(data)
    assert np.flatnonzero(labels == -1).tolist() == [3, 8]
    with pytest.raises(DataError, match=r"NaN at .*row 3 .*column 0 \('smokes'\)"):
        fit(data, 2)


def test_a_word_that_the_fit_never_saw_is_an_error_that_says_where(spoken):
    data = words().assign(smokes="no")
    data.loc[7, "smokes"] = "sometimes"
    with pytest.raises(
        DataError, match=r"'sometimes' in row 7, column 'smokes', .*never saw.*'no'"
    ):
        spoken.predict(data)
    # One that a categorical declares, and no row of the fit had.
    data = words()
    data["meals"] = data["meals"].cat.add_categories(["cake"])
    result = fit(data, 2)
    data.loc[7, "meals"] = "cake"
    with pytest.raises(DataError, match=r"3.0 \('cake'\) at .*row 7, column 1 \('meals'\); exp"):
        result.predict(data)


def test_imputed_answers_are_words(spoken):
    data = words()
    data.loc[3, "smokes"], data.loc[8, "meals"] = None, np.nan
    filled = spoken.impute(data)
    there = data["smokes"].notna()
    assert filled["smokes"][there].tolist() == words()["smokes"][there].tolist()
    assert filled.loc[3, "smokes"] in ("no", "yes")
    assert filled.loc[8, "meals"] in ("none", "fish", "meat")


def test_imputed_answers_of_dask_are_words(spoken):
    dd, data = pytest.importorskip("dask.dataframe"), words()
    data.loc[3, "smokes"], data.loc[8, "meals"] = None, np.nan
    filled = spoken.impute(data)
    lazy = spoken.impute(dd.from_pandas(data, npartitions=2))
    assert lazy.compute()["meals"].tolist() == filled["meals"].tolist()


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_an_answer_of_minus_one_is_told():
    answers = drawn(truth(2), 300)[0]
    assert fit(answers, 2).notes == ()
    answers[:7, 1] = -1
    (note,) = fit(answers, 2).notes
    assert note.startswith("-1 is a category of column 1 like the others")
    # Of a column of another kind it is a number.
    family = Independent({0: Categorical(), 1: Gaussian(), 2: Categorical()})
    assert daskem.fit(Mixture(family), answers, 2, random_state=0, max_passes=2).notes == ()


def test_words_outside_a_table_are_told():
    spoken = np.array([["no", "yes"]] * 20)
    for data in (spoken, spoken.astype(object), xr.Dataset({"a": ("i", spoken[:, 0])})):
        with pytest.raises(DataTypeError, match="Categorical codes the strings of a DataFrame"):
            fit(data, 2)


def test_columns_of_no_kind_are_told():
    data = words().assign(smokes=[object()] * 600)
    with pytest.raises(DataTypeError, match="'smokes' is object"):
        fit(data, 2)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_tables_of_dask_are_coded_where_their_categories_are_known(spoken):
    dd = pytest.importorskip("dask.dataframe")
    lazy = dd.from_pandas(words(), npartitions=3)
    with pytest.raises(DataTypeError, match=r"'smokes'.*table.categorize\(\['smokes'\]\)"):
        fit(lazy, 2)
    tables = lazy.categorize(["smokes"]), words()
    start = truth(2, (2, 3, 3), seed=5)
    here, there = (daskem.fit(Mixture(Categorical()), x, start=start, **FIVE) for x in tables)
    assert here.features.labels == there.features.labels == spoken.features.labels
    found = here.params["probabilities"]
    np.testing.assert_allclose(there.params["probabilities"], found, rtol=1e-11)
    np.testing.assert_array_equal(spoken.predict(lazy).compute(), spoken.predict(words()))
    with pytest.raises(DataError, match=r"'never' in row 0 of a partition.*never saw"):
        spoken.predict(lazy.assign(smokes="never")).compute()


def test_counted_patterns_are_their_rows():
    patterns, counts = SEVERAL.table
    counted = fit(patterns, 2, sample_weight=counts)
    assert counted.log_likelihood * counts.sum() >= SEVERAL.published[2] - 1e-2
    assert counted.n_rows == 1202


# Rows that repeat.


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("values", [np.arange(4.0), np.arange(4.0) + 1])
def test_patterns_are_counted_once(values, weighted):
    """Here 24 of 5,000 rows; the statistics are those of all rows one by one."""
    rows = values[drawn(truth(3), 5000)[0].astype(int)]
    weights = np.random.default_rng(0).integers(0, 3, 5000) / 2.0 if weighted else None
    model = Mixture(Categorical([values[:n] for n in SIZES]))
    kernel, block = model.kernel([truth(3, seed=4), truth(2, seed=5)]), Block(rows, weights)
    patterns = kernel.counted(block)
    assert len(patterns.rows) <= 24
    assert patterns.weights.sum() == block.weight
    pairs = zip(kernel.e_step(block), kernel.kernel.e_step(block), strict=True)
    for counted, plain in pairs:
        assert set(counted) == set(plain)
        for name, value in plain.items():
            np.testing.assert_allclose(counted[name], value, rtol=1e-11, atol=1e-11)


def test_few_rows_and_many_patterns_are_not_counted():
    kernel = Mixture(Categorical([[0, 1], [0, 1, 2, 3], [0, 1, 2]])).kernel([truth(2)])
    rows = drawn(truth(2), 95)[0]
    assert kernel.counted(Block(rows)) is None
    assert kernel.counted(Block(np.tile(rows, (2, 1)))) is not None
    many = Mixture(Categorical(4)).kernel([truth(2, (4,) * 9)])
    assert many.counted(Block(np.zeros((10**6, 9)))) is None
    gaps = Mixture(Categorical([[0, 1], [0, 1, 2, 5], [0, 1, 2]])).kernel([truth(2)])
    assert gaps.counted(Block(np.tile(rows, (2, 1)))) is None
    rows[:] = np.nan
    assert kernel.counted(Block(np.tile(rows, (2, 1)))) is None


def test_questions_without_an_answer_leave_the_others_their_say():
    """Shares of levels are of those who answered, weighted by their class; what lacks is likely."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=3000)
    asked = np.where(rng.random((3000, 6)) < 0.85, labels[:, None], rng.integers(3, size=(3000, 6)))
    answers = asked.astype(float)
    answers[rng.random(asked.shape) < 0.3] = np.nan
    assert np.isnan(answers).any(axis=1).mean() > 0.8
    result = daskem.fit(Mixture(Categorical()), answers, 2, missing="model", random_state=0)
    r = result.predict_proba(answers)
    for j in range(6):
        for level in range(3):
            share = r[answers[:, j] == level].sum(axis=0) / r[~np.isnan(answers[:, j])].sum(axis=0)
            found = result.params["probabilities"][:, j, level]
            np.testing.assert_allclose(found, share, atol=2e-3)
    found = result.predict(answers)
    assert max(np.mean(found == labels), np.mean(found != labels)) > 0.98
    filled = result.impute(answers)
    here = np.isnan(answers)
    np.testing.assert_array_equal(filled[~here], answers[~here])
    assert np.mean(filled[here] == asked[here]) > 0.85
