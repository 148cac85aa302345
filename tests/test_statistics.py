import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskem.core.statistics import FAN_IN, TreeSum, add, add_all

numbers = st.floats(-1e6, 1e6)
statistics = st.builds(
    lambda count, first, runs: {
        "count": count,
        "inner": {"first": np.array(first)},
        "runs": [np.float64(run) for run in runs],
    },
    st.integers(-(2**40), 2**40),
    st.tuples(numbers, numbers),
    st.tuples(numbers, numbers),
)


def flat(s: dict) -> list:
    return [s["count"], *s["inner"]["first"], *s["runs"]]


def grouped(parts: list) -> float:
    """The tree as a definition rather than as a stream."""
    while len(parts) > 1:
        groups = [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
        parts = [add_all(group) for group in groups]
    return parts[0]


def tree(parts: list) -> float:
    total = TreeSum()
    for part in parts:
        total.push(part)
    return total.total()


@given(st.integers(1, FAN_IN**3 + FAN_IN + 2), st.integers(0, 2**32))
def test_a_stream_is_added_in_the_same_tree_as_groups_of_groups(n_parts, seed):
    parts = list(np.random.default_rng(seed).standard_cauchy(n_parts))
    assert tree(parts) == grouped(parts)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_the_tree_is_the_same_around_full_levels(power, beyond):
    parts = list(np.random.default_rng(power).standard_cauchy(FAN_IN**power + beyond))
    assert tree(parts) == grouped(parts)


def test_the_shape_of_the_tree_matters_to_the_last_bits():
    # Otherwise the tests above could not fail.
    parts = list(np.random.default_rng(0).standard_cauchy(1000))
    assert tree(parts) != add_all(parts)


def test_a_stream_holds_few_partial_sums():
    total = TreeSum()
    for part in range(FAN_IN**3 - 1):
        total.push(part)
        assert sum(map(len, total._levels)) <= 3 * (FAN_IN - 1)


@given(statistics, statistics)
def test_adding_commutes(a, b):
    assert flat(add(a, b)) == flat(add(b, a))


@given(statistics, statistics, statistics)
def test_adding_is_associative_but_for_rounding(a, b, c):
    left, right = flat(add(add(a, b), c)), flat(add(a, add(b, c)))
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-9)


@given(statistics, statistics)
def test_adding_adds_every_leaf_and_keeps_the_form(a, b):
    total = add(a, b)
    assert flat(total) == [x + y for x, y in zip(flat(a), flat(b), strict=True)]
    assert total.keys() == a.keys()
    assert type(total["runs"]) is list


@given(statistics, statistics)
def test_adding_leaves_its_arguments_as_they_were(a, b):
    before = flat(a), flat(b)
    add(a, b)
    assert (flat(a), flat(b)) == before


def test_statistics_that_differ_in_form_do_not_add():
    with pytest.raises(KeyError):
        add({"counts": 1, "first": 2}, {"counts": 1})
    with pytest.raises(ValueError, match="zip"):
        add([1, 2], [1])
