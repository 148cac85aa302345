"""Values at the ends of what numbers can hold, and rows that do not count."""

import dask.array as da
import numpy as np
import pytest
from samples import chunked, planted
from table import TABLE

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture, StudentT
from daskem.core.numerics import squarable
from daskem.errors import DataError
from daskem.models.families.protocol import Marginals

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]
SHORT = {"n_components": 3, "random_state": 0, "max_passes": 3}
FAMILIES = [Gaussian(), Gaussian("spherical"), StudentT("diag")]
GAPLESS = [(row, "raise") for row in TABLE]
GAPPY = [(row, "model") for row in TABLE if isinstance(row.family, Marginals)]


@pytest.fixture(scope="module")
def rows():
    return planted(3, 2, 450)


def scaled(rows, column, factor):
    copy = rows.copy()
    copy[:, column] *= factor
    return copy


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("exponent", [-480, 470])
def test_what_is_accepted_is_fitted_as_it_would_be_at_order_one(rows, family, exponent):
    # 2^-480 is 3e-145, and 2^470 is 3e141.
    labels = daskem.fit(Mixture(family), rows, **SHORT).predict(rows)
    far = rows * 2.0**exponent
    np.testing.assert_array_equal(daskem.fit(Mixture(family), far, **SHORT).predict(far), labels)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_values_whose_squares_overflow_are_told_by_column_and_value(rows, family):
    spoilt = rows.copy()
    spoilt[321, 1] = -1e154
    told = r"X contains -1e\+154 at chunk 0, row 321.*column 1; expected finite numbers below 1e"
    with pytest.raises(DataError, match=told):
        daskem.fit(Mixture(family), spoilt, **SHORT)
    with pytest.raises(DataError, match=r"at chunk 2, row 21 \(row 321 of the input\), column 1"):
        daskem.fit(Mixture(family), chunked(spoilt), **SHORT)
    result = daskem.fit(Mixture(family), rows, **SHORT)
    with pytest.raises(DataError, match=told):
        result.predict(spoilt)
    with pytest.raises(DataError, match=told):
        daskem.fit(HiddenMarkov(family), spoilt, lengths=[450], **SHORT)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("exponent", [-300, -147])
def test_spreads_whose_squares_vanish_are_told_by_column(rows, family, exponent):
    spoilt = scaled(rows, 0, 10.0**exponent)
    with pytest.raises(DataError, match=rf"column 0 goes from .*e-{-exponent}.*Multiply"):
        daskem.fit(Mixture(family), spoilt, **SHORT)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_numbers_of_any_type_are_judged_without_a_warning(dtype):
    assert squarable(np.array([[0, 1]], dtype)).all()
    assert not squarable(np.array([np.inf, np.nan, 3e38], np.float32))[:2].any()


def test_a_column_that_does_not_vary_at_all_is_another_matter(rows):
    assert daskem.fit(Mixture(Gaussian()), scaled(rows, 0, 0.0), **SHORT).constant == (0,)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_that_lose_digits_are_told(dtype):
    rows = np.arange(300, dtype=dtype).reshape(150, 2)
    rows[77, 1] = 2**53

    def told_of(data):
        result = daskem.fit(Mixture(Gaussian("diag")), data, n_components=1, max_passes=1)
        return [note for note in result.notes if "2^53" in note]

    assert told_of(rows) == told_of(da.from_array(rows, (50, 2))) == []
    rows[[77, 144], 1] = 2**53 + 1, 2**53 + 3  # the first of them is told
    for data in (rows, da.from_array(rows, (50, 2))):
        (told,) = told_of(data)
        assert told.startswith("column 1: 9007199254740993 at chunk ")
        assert "(row 77 of the input)" in told


@pytest.mark.parametrize(("row", "missing"), [*GAPLESS, *GAPPY], ids=repr)
def test_what_rows_of_weight_zero_hold_reaches_no_bit(row, missing):
    """They are absent, but for their places: any values like those of others may be there."""
    rows, rng = row.rows().astype(float), np.random.default_rng(0)
    weights = rng.gamma(2.0, size=len(rows))
    absent = rng.random(len(rows)) < 0.3
    absent[0] = True
    weights[absent] = 0
    others = rows.copy()
    others[absent] = rows[np.flatnonzero(~absent)[0]]
    if missing == "model":
        for data in (rows, others):
            data[np.arange(len(rows)) % 5 == 1, 0] = np.nan

    def fitted(data):
        chunks = da.from_array(data, (len(rows) // 3, -1))
        options = {"sample_weight": weights, "random_state": 0, "max_passes": 2, "missing": missing}
        return daskem.fit(Mixture(row.family), chunks, 2, **options)

    one, other = fitted(rows), fitted(others)
    assert [p.log_likelihood for p in one.history] == [p.log_likelihood for p in other.history]
    for name, value in one.params.items():
        np.testing.assert_array_equal(other.params[name], value)
