"""Arithmetic: softmax, logarithms, positive definiteness, threads of BLAS, sums in a tree."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp, softmax
from threadpoolctl import threadpool_info, threadpool_limits

from daskem.core import numerics
from daskem.core.numerics import (
    exponentiate,
    is_positive_definite,
    log_factorial,
    one_blas_thread,
    sum_of_logs,
)
from daskem.core.statistics import FAN_IN, TreeSum, add, add_all

logits = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-1e6, 1e6),
)


@given(logits)
def test_exponentiate_is_the_softmax_and_its_normaliser(values):
    joint = values.copy()
    peak, total = exponentiate(joint, np.empty((2, joint.shape[1])))
    # Nats are judged by their absolute error: log(1 + small) has that of the 1.
    np.testing.assert_allclose(peak + np.log(total), logsumexp(values, axis=0), 1e-14, 1e-15)
    np.testing.assert_allclose(joint / total, softmax(values, axis=0), rtol=1e-11, atol=1e-130)


@pytest.mark.parametrize("k", [1, 2, 8, 1000, 10**6])
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000])
def test_sum_of_logs_with_few_logs(k, n):
    totals = np.random.default_rng(n).uniform(1, k, n)
    assert sum_of_logs(totals, k) == pytest.approx(math.fsum(map(math.log, totals)), rel=1e-13)


@pytest.mark.parametrize("k", [2, 1000, 10**6, 1e100])
def test_sum_of_logs_does_not_overflow(k):
    assert sum_of_logs(np.full(1000, float(k)), k) == pytest.approx(1000 * math.log(k), rel=1e-13)


@pytest.mark.parametrize("largest", [10, 1023, 1024, 1e6])
def test_log_factorial(largest):
    counts = np.array([[0.0, 1.0, 2.0], [7.0, 9.0, largest]])
    expected = [[math.lgamma(n + 1) for n in row] for row in counts]
    np.testing.assert_allclose(log_factorial(counts), expected, rtol=1e-14)


def test_log_factorial_of_nothing():
    assert log_factorial(np.empty((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(
    ("matrix", "answer"),
    [
        (np.eye(3), True),
        (np.diag([1e-300, 1.0, 1e300]), True),
        (np.diag([1.0, 0.0]), False),
        (np.diag([1.0, -1.0]), False),
        (np.ones((2, 2)), False),
        ([[1.0, 2.0], [2.0, 1.0]], False),
        ([[1.0, np.nan], [np.nan, 1.0]], False),
        ([[np.inf, 0.0], [0.0, 1.0]], False),
    ],
)
def test_positive_definite(matrix, answer):
    assert is_positive_definite(np.array(matrix)) == answer


def test_positive_definite_answers_for_each_matrix_of_a_stack():
    stack = np.array([[np.eye(2), -np.eye(2), np.ones((2, 2))]])
    np.testing.assert_array_equal(is_positive_definite(stack), [[True, False, False]])


def test_a_singular_matrix_that_rounding_made_definite_is_not_positive():
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = rng.normal(size=(3, 6))
        assert not is_positive_definite(rows.T @ rows)


def test_a_singular_matrix_whose_last_pivot_is_rounding_is_not_positive():
    """Three directions in a plane; two of them are so near that little is left of a pivot."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        angles = np.array([0.0, 10 ** rng.uniform(-4, -1), 1.0])
        plane = np.column_stack([np.cos(angles), np.sin(angles)])
        assert not is_positive_definite(plane @ plane.T, least=1e-12)
        assert not is_positive_definite(plane @ plane.T)


def blas_threads():
    return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}


@pytest.fixture
def two_threads():
    """BLAS with two threads, however many the environment allows: a limit of one can be seen."""
    with threadpool_limits(2, "blas"):
        assert blas_threads() == {2}
        yield


def test_blas_has_one_thread_until_the_last_one_leaves(two_threads):
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with one_blas_thread():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with one_blas_thread():
        assert blas_threads() == {1}
        other.start()
        assert inside.wait(10)
    assert blas_threads() == {1}
    leave.set()
    other.join()
    assert blas_threads() == {2}


def test_who_is_inside_already_lifts_nothing(two_threads):
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


@pytest.mark.parametrize("moment", ["setting", "lifting"])
def test_nobody_computes_before_the_limit_is_set_or_lifted(two_threads, monkeypatch, moment):
    """Whoever comes second must not find the limit half set, nor have it lifted from him."""
    half, go, computed = threading.Event(), threading.Event(), threading.Event()
    take_control = numerics._take_control

    def slowly():
        half.set()
        go.wait(10)
        take_control()

    def first():
        if moment == "setting":
            monkeypatch.setattr(numerics, "_take_control", slowly)
        with one_blas_thread():
            monkeypatch.setattr(numerics, "_take_control", slowly)

    def second():
        with one_blas_thread():
            computed.set()

    both = [threading.Thread(target=who) for who in (first, second)]
    both[0].start()
    assert half.wait(10)
    both[1].start()
    assert not computed.wait(0.2)
    go.set()
    for thread in both:
        thread.join()
    assert computed.is_set()
    assert blas_threads() == {2}


def test_blas_gets_its_threads_back_after_an_error(two_threads):
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas_threads() == {2}


def test_statistics_add_whatever_their_nesting():
    one = {"n": 1, "of": {"x": np.ones(2)}, "each": [1.0, (2, np.zeros(1))]}
    two = {"n": 2, "of": {"x": np.arange(2.0)}, "each": [0.5, (3, np.ones(1))]}
    total = add(one, two)
    assert total["n"] == 3
    np.testing.assert_array_equal(total["of"]["x"], [1, 2])
    assert total["each"] == [1.5, (5, np.ones(1))]


def tree_by_groups(parts):
    while len(parts) > 1:
        parts = [add_all(parts[i : i + FAN_IN]) for i in range(0, len(parts), FAN_IN)]
    return parts[0]


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 255, 256, 257, 16**3 + 5])
def test_the_tree_that_grows_has_the_bits_of_the_tree_by_groups(n):
    parts = list(np.random.default_rng(n).normal(size=n) * 10.0 ** (np.arange(n) % 9))
    tree = TreeSum()
    for part in parts:
        tree.push(part)
    assert tree.total() == tree_by_groups(parts)
