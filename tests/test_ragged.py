"""Sequences of any length in one array: lengths by the name of what holds them, or identifiers."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskem
from daskem import Gaussian, HiddenMarkov
from daskem.errors import DataError, ParameterError

MODEL = HiddenMarkov(Gaussian(resolution=0))
LENGTHS = [30, 1, 25, 44]
IDS = np.repeat([7, 3, 12, 5], LENGTHS)
START = {
    "initial": np.array([0.6, 0.4]),
    "transitions": np.array([[0.9, 0.1], [0.2, 0.8]]),
    "means": np.array([[0.0, 1.0], [3.0, -1.0]]),
    "covariances": np.stack([np.eye(2)] * 2),
}
FEW = {"start": START, "algorithm": "em", "max_passes": 3, "tol": 0}
ROWS = np.random.default_rng(0).normal(size=(100, 2)) + 3 * (np.arange(100)[:, None] // 15 % 2)
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


def table():
    return pd.DataFrame({"buoy": IDS, "a": ROWS[:, 0], "b": ROWS[:, 1]})


def ragged():
    return xr.Dataset(
        {
            "a": ("obs", ROWS[:, 0]),
            "b": ("obs", ROWS[:, 1]),
            "rowsize": ("trajectory", LENGTHS, {"sample_dimension": "obs"}),
        }
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (table(), "buoy"),
        (ragged(), "rowsize"),
        (ragged().chunk(obs=17), "rowsize"),
        (ragged().assign(id=("obs", IDS)).drop_vars("rowsize"), "id"),
    ],
    ids=["table", "ragged", "chunks", "indexed"],
)
def test_a_name_says_which_rows_are_a_sequence(data, name):
    plain = daskem.fit(MODEL, ROWS, lengths=LENGTHS, **FEW)
    named = daskem.fit(MODEL, data, lengths=name, **FEW)
    for key, value in plain.params.items():
        np.testing.assert_allclose(named.params[key], value, rtol=1e-12, atol=1e-13)
    labels = named.predict(data, lengths=name)
    assert type(labels) is (pd.Series if isinstance(data, pd.DataFrame) else xr.DataArray)
    np.testing.assert_array_equal(labels, plain.predict(ROWS, lengths=LENGTHS))
    assert named.score(data, lengths=name) == pytest.approx(plain.score(ROWS, lengths=LENGTHS))


CALLED = np.array([f"buoy{number}" for number in IDS], dtype=object)


@pytest.mark.parametrize(
    "data",
    [
        table().assign(buoy=CALLED),
        table().assign(buoy=pd.Series(CALLED, dtype="string")),
        table().assign(buoy=pd.Categorical(CALLED)),
        table().assign(buoy=pd.to_datetime(IDS * 10**15)),
        ragged().assign(buoy=("obs", CALLED.astype(str))),
        ragged().assign(buoy=("obs", CALLED)).chunk(obs=17),
        np.rec.fromarrays([CALLED.astype(str), *ROWS.T], names=["buoy", "a", "b"]),
    ],
    ids=["objects", "strings", "categories", "dates", "variable", "chunks", "records"],
)
def test_identifiers_are_of_any_kind(data):
    plain = daskem.fit(MODEL, ROWS, lengths=LENGTHS, **FEW)
    named = daskem.fit(MODEL, data, features=["a", "b"], lengths="buoy", **FEW)
    for key, value in plain.params.items():
        np.testing.assert_allclose(named.params[key], value, rtol=1e-12, atol=1e-13)
    predicted = np.asarray(named.predict(data, lengths="buoy"))
    np.testing.assert_array_equal(predicted, plain.predict(ROWS, lengths=LENGTHS))
    scores = named.score_samples(data, lengths="buoy")
    expected = plain.score_samples(ROWS, lengths=LENGTHS)
    np.testing.assert_allclose(np.asarray(scores), expected, rtol=1e-11)
    if isinstance(data, pd.DataFrame | xr.Dataset):
        called = scores.index if isinstance(scores, pd.Series) else scores["sequence"].values
        assert list(called) == list(dict.fromkeys(np.asarray(data["buoy"])))


def test_a_row_without_an_identifier_is_told():
    for kind in (CALLED, IDS.astype(float)):
        gap = table().assign(buoy=np.where(np.arange(100) == 31, None, kind))
        with pytest.raises(DataError, match="'buoy' is missing in row 31; each row needs that of"):
            daskem.fit(MODEL, gap, 2, features=["a", "b"], lengths="buoy")


def test_identifiers_that_are_not_sorted_are_told():
    mixed = table().assign(buoy=CALLED).iloc[[*range(10), *range(40, 100), *range(10, 40)]]
    with pytest.raises(DataError, match="not sorted by 'buoy': buoy7 is there again in row 70"):
        daskem.fit(MODEL, mixed, 2, features=["a", "b"], lengths="buoy")


def test_rows_that_are_not_sorted_are_told():
    mixed = table().iloc[[*range(10), *range(40, 100), *range(10, 40)]]
    with pytest.raises(
        DataError, match=r"not sorted by 'buoy': 7 is there again in row 70, after other values"
    ):
        daskem.fit(MODEL, mixed, 2, lengths="buoy")
    # In time within each they are as they come.
    assert np.isfinite(daskem.fit(MODEL, table()[::-1], lengths="buoy", **FEW).log_likelihood)


def test_names_that_are_not_there_are_told():
    with pytest.raises(DataError, match="there is no 'float' to ride along"):
        daskem.fit(MODEL, table(), 2, lengths="float", features=["a", "b"])
    with pytest.raises(DataError, match="'buoy' names a column or variable, and these data have n"):
        daskem.fit(MODEL, ROWS, 2, lengths="buoy")
    short = ragged().assign(rowsize=("trajectory", [30, 1, 25, 43]))
    with pytest.raises(DataError, match="the lengths of 4 sequences add to 99 rows, and the data"):
        daskem.fit(MODEL, short, 2, lengths="rowsize")


def test_sequences_of_one_row_tell_nothing_of_transitions():
    result = daskem.fit(MODEL, ROWS, lengths=1, **FEW)
    np.testing.assert_array_equal(result.params["transitions"], START["transitions"])
    assert any("no sequence has a second step" in text for text in result.history[-1].events)


def test_sequences_of_which_all_is_missing():
    with pytest.raises(DataError, match="there are no rows to fit: all 100 rows have a NaN"):
        daskem.fit(MODEL, np.full((100, 2), np.nan), 2, lengths=LENGTHS, missing="omit")
    holed = ROWS.copy()
    holed[31:56] = np.nan
    some = daskem.fit(MODEL, holed, lengths=LENGTHS, missing="omit", **FEW)
    without = daskem.fit(MODEL, np.delete(ROWS, slice(31, 56), axis=0), lengths=[30, 1, 44], **FEW)
    for key, value in without.params.items():
        np.testing.assert_allclose(some.params[key], value, rtol=1e-12, atol=1e-13)


def test_few_sequences_cannot_be_held_out():
    with pytest.raises(ParameterError, match="a tenth of them, and there are 4; there should be"):
        daskem.select(
            ROWS, [1, 2], models={"chain": MODEL}, lengths=LENGTHS, criterion="heldout", n_init=1
        )
