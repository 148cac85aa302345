"""Tables in, tables out: answers have the index of the rows, and are lazy where these are."""

import dask
import numpy as np
import pandas as pd
import pytest

import daskem
from daskem.errors import DataError

RNG = np.random.default_rng(0)
ROWS = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(6, 1, (60, 2))])
METHODS = ["predict", "predict_proba", "score_samples"]
INDICES = {
    "numbers": np.arange(1000, 1120)[::-1],
    "dates": pd.date_range("2000-01-01", periods=120, tz="Europe/Berlin"),
    "levels": pd.MultiIndex.from_product([range(40), list("abc")], names=["ship", "cast"]),
    "twice": np.arange(120) // 2,
    "strings": [f"station {i}" for i in range(120)],
}


@pytest.fixture(scope="module")
def model():
    return daskem.GaussianMixture(2, random_state=0, tol=0.01).fit(ROWS)


def frame(name="numbers"):
    return pd.DataFrame(ROWS, columns=["a", "b"], index=INDICES[name])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", INDICES)
def test_answers_have_the_index_of_a_dataframe(model, name, method):
    data = frame(name)
    answers, bare = getattr(model, method)(data), getattr(model, method)(ROWS)
    assert type(answers) is (pd.DataFrame if method == "predict_proba" else pd.Series)
    assert answers.index is data.index
    assert answers.index.equals(data.index)
    np.testing.assert_array_equal(answers.to_numpy(), bare)
    if method == "predict_proba":
        assert list(answers.columns) == [0, 1]
        assert answers.columns.name == "component"
    else:
        assert answers.name == {"predict": "labels", "score_samples": "log_prob"}[method]


def test_labels_are_what_they_are_for_numpy(model):
    assert model.predict(frame()).dtype == model.predict(ROWS).dtype == np.int64


def test_answers_go_back_into_the_table(model):
    data = frame().sample(frac=1, random_state=1)
    data["cluster"] = model.predict(data)
    again = data.sort_index(ascending=False)
    np.testing.assert_array_equal(again["cluster"], model.predict(ROWS))
    assert data.groupby("cluster").size().sum() == 120


def test_a_row_that_is_missing_keeps_its_label(model):
    data = frame()
    data.iloc[7, 0] = np.nan
    told = daskem.GaussianMixture(2, random_state=0, tol=0.01).fit(data, missing="omit")
    assert told.predict(data)[data.index[7]] == -1
    assert np.isnan(told.predict_proba(data).loc[data.index[7]]).all()
    assert (told.predict(data) == -1).sum() == 1


def test_a_series_is_a_table_too():
    series = frame()["a"]
    model = daskem.GaussianMixture(2, random_state=0, tol=0.01).fit(series)
    assert model.predict(series).index.equals(series.index)
    assert model.fit_predict(series).index.equals(series.index)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("filtered", [False, True])
def test_answers_for_a_dask_table_are_lazy_with_its_index(model, method, filtered):
    dd = pytest.importorskip("dask.dataframe")
    data = dd.from_pandas(frame(), npartitions=3, sort=False)
    data = data[data["a"] > 1] if filtered else data
    answers = getattr(model, method)(data)
    assert isinstance(answers, dd.DataFrame if method == "predict_proba" else dd.Series)
    assert dask.is_dask_collection(answers)
    assert answers.npartitions == data.npartitions
    found, here = answers.compute(), data.compute()
    assert found.index.equals(here.index)
    np.testing.assert_allclose(found, getattr(model, method)(here.to_numpy()), rtol=1e-12)
    assert answers.dtypes is not None
    if method == "predict":
        assert found.dtype == answers.dtype


def test_arrays_stay_arrays(model):
    assert type(model.predict(ROWS)) is np.ndarray
    polars = pytest.importorskip("polars")
    assert type(model.predict(polars.DataFrame(ROWS, schema=["a", "b"]))) is np.ndarray


TWICE = {
    "columns": lambda: pd.DataFrame(ROWS, columns=["a", "a"]),
    "one of many": lambda: pd.DataFrame(ROWS[:, [0, 1, 0]], columns=["b", "a", "b"]),
    "levels": lambda: pd.DataFrame(
        ROWS, columns=pd.MultiIndex.from_tuples([("t", "mean"), ("t", "mean")])
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_names_that_come_twice_are_refused_before_the_fit(name):
    with pytest.raises(DataError, match=r"2 features are called .* at \[0, .\]; .* rename them"):
        daskem.GaussianMixture(2).fit(TWICE[name]())


def test_a_name_that_comes_twice_cannot_be_chosen():
    data = pd.DataFrame(ROWS[:, [0, 1, 0]], columns=["b", "a", "b"])
    with pytest.raises(DataError, match="several features are called 'b'"):
        daskem.GaussianMixture(2).fit(data, features=["a", "b"])
