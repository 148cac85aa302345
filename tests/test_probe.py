"""What predictions do not see: a saddle, and a probability on its way back from an edge."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest

import daskem
from daskem import EM, Bernoulli, Gaussian, Mixture, Status
from daskem.core.coordinates import from_free_each, from_steady, nearest_edges, to_steady
from daskem.core.parameters import NON_NEGATIVE, PROBABILITY, Parameter, Params
from daskem.data.blocks import Block
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.fitting.algorithms.state import Candidate, State
from daskem.fitting.confirming import AfterPass, confirmed, shown_rate
from daskem.fitting.probe import Slowest, slowest
from daskem.fitting.record import Pass
from daskem.fitting.stopping import gain_left

ROWS = Block(np.zeros((8, 3)))


@dataclass(frozen=True)
class Linear:
    """An EM step around the params 0, or 1/2, in which every coordinate has its rate."""

    rates: np.ndarray

    parameters = Mixture(Gaussian("diag")).parameters

    def e_step(self, block, params):
        return {
            "log_likelihood": -float(np.square(params["means"]).sum()),
            "means": params["means"],
        }

    def m_step(self, statistics, params):
        return {**params, "means": self.rates * statistics["means"]}


@pytest.mark.parametrize("largest", [0.3, 0.9, 1.2])
def test_the_slowest_direction_is_found(largest):
    rates = np.linspace(0, 0.25, 60).reshape(20, 3)
    rates[1, 1] = largest
    # Weights and variances stay where they are put: a rate of 1 all by themselves.
    x = Params({"weights": np.ones(20) / 20, "means": 0 * rates, "covariances": np.ones((20, 3))})
    assert slowest(Linear(rates), ROWS, x).rate == pytest.approx(max(largest, 1.0), abs=0.02)


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_what_is_left_of_a_parabola(rate):
    before, left = 1.0, rate**2
    assert left <= gain_left(rate, before - left) <= 8 * before
    assert gain_left(1.1, 0.0) == np.inf


@pytest.mark.parametrize("rate", [0.3, 0.99, 1.1])
def test_a_step_aside_shows_the_rate_of_the_data(rate):
    model = Linear(np.linspace(0, 0.25, 60).reshape(20, 3))
    model.rates[1, 1] = rate
    means = np.zeros((20, 3))
    means[1, 1] = 1e-5
    rest = {"weights": np.ones(20) / 20, "covariances": np.ones((20, 3))}
    asked = [(n, Params({"means": m, **rest})) for n, m in (("em", 0 * means), ("aside", means))]
    statistics = [model.e_step(ROWS, params) for _, params in asked]
    em = asked[0][1]
    taken = State(Params(model.m_step(statistics[0], em)), accepted=em)
    for told in (taken, State(em)):
        assert shown_rate(model, asked, statistics, told) == pytest.approx(rate)
    assert shown_rate(model, asked[:1], statistics, taken) is None


@pytest.mark.parametrize(("fall", "rate", "left"), [(1e-9, 1.1, np.inf), (500.0, np.nan, 1e-9)])
def test_a_step_aside_that_leaves_the_rows_of_a_component_shows_no_rate(fall, rate, left):
    params = Params({"weights": np.ones(1), "means": np.zeros((1, 3)), "covariances": np.ones(3)})
    tried = (
        Candidate("em", -3.5, True, ""),
        Candidate("aside", -3.5 - fall, False, ""),
    )
    record = Pass(-3.5, -3.5, 1e-9, 0.0, 100_000, 0, candidates=tried)
    standing = AfterPass(State(params, accepted=params), (record,), shown=1.1)
    model, algorithm = Mixture(Gaussian("diag")), EM()
    (last,) = confirmed(standing, model, algorithm, ROWS, 1e-6).history
    assert last.rate == pytest.approx(rate, nan_ok=True)
    assert last.remaining == left


@pytest.mark.parametrize(("taken", "rate"), [(None, 0.99), (True, 0.99), (False, 0.999)])
def test_a_way_out_of_the_sample_that_all_rows_refuse_leaves_the_rate_in_doubt(taken, rate):
    params = Params({"weights": np.ones(1), "means": np.zeros((1, 3)), "covariances": np.ones(3)})
    tried = [Candidate("em", -3.5, not taken, ""), Candidate("aside", -3.5, False, "")]
    if taken is not None:
        tried.append(Candidate("out of a saddle", -3.5, taken, ""))
    record = Pass(-3.5, -3.5, 1e-9, 0.0, 100_000, 0, candidates=tuple(tried))
    standing = AfterPass(State(params, accepted=params), (record,), shown=0.99)
    model, algorithm = Mixture(Gaussian("diag")), EM()
    (last,) = confirmed(standing, model, algorithm, ROWS, 1e-6).history
    assert last.rate == pytest.approx(rate)


def test_what_is_a_saddle_of_the_sample_alone_does_not_hold_up_a_fit():
    """Three components where there is one: a rate beyond 1 in the sample, and below in the data."""
    rows = np.random.default_rng(2).standard_normal((200_000, 2))
    found = daskem.fit(Mixture(Gaussian()), rows, 3, random_state=0)
    asides = [c for p in found.history for c in p.candidates if c.name == "aside"]
    assert asides
    assert not any(c.taken for c in asides)
    assert all(p.rate < 1 for p in found.history if p.rate is not None)


def test_where_nothing_can_be_asked_of_the_data_the_sample_decides(monkeypatch):
    """A slow way back from an edge has no direction in which one could step aside."""
    confirming = import_module("daskem.fitting.confirming")
    monkeypatch.setattr(confirming, "slowest", lambda *_: Slowest(0.95, np.zeros(1)))
    rows = np.random.default_rng(0).standard_normal((20_000, 1))
    rows[::2] += 9
    found = daskem.fit(Mixture(Gaussian()), rows, 2, random_state=0)
    assert found.converged
    assert 0.95 in [p.rate for p in found.history]


def edged():
    return Params(
        {"weights": np.array([0.25, 0.75]), "probabilities": np.array([[0.0, 1e-9], [0.5, 1.0]])}
    )


def test_steady_coordinates_lead_back():
    declared, params = Mixture(Bernoulli()).parameters, edged()
    back = from_steady(declared, params, to_steady(declared, params))
    for name, value in params.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
def test_rows_that_are_fewer_than_the_params_are_not_asked():
    """The prediction of the climb stands: they tell neither the params nor a rate."""
    rows = np.random.default_rng(0).normal(size=(400, 30)) + np.arange(400)[:, None] % 2
    model = Mixture(Gaussian("diag"))  # with two components, of 121 parameters
    few, many = (daskem.fit(model, rows[:n], 2, random_state=0) for n in (100, 400))
    assert few.converged
    assert all(passed.rate is None for passed in few.history)
    assert any(passed.rate is not None for passed in many.history)


@pytest.mark.parametrize(("support", "far"), [(PROBABILITY, 40.0), (NON_NEGATIVE, -800.0)])
def test_a_leap_that_rounding_carries_to_an_edge_leads_nowhere(support, far):
    """From there no leap would come back: of values on an edge EM alone decides."""
    declared, like = {"p": Parameter(("component",), support)}, Params({"p": np.full(2, 0.5)})
    near, gone = from_free_each(declared, [like] * 2, np.array([[1.0, far / 10], [1.0, far]]))
    np.testing.assert_allclose(near["p"], support.from_free(np.array([1.0, far / 10])))
    assert gone is None


def test_every_probability_has_an_edge_next_to_it():
    edges = nearest_edges(Mixture(Bernoulli()).parameters, edged())
    assert edges[[2, 3, 5]].tolist() == [0.0, 0.0, np.pi]
    assert np.isnan(
        nearest_edges(
            Linear.parameters,
            Params(
                {"weights": np.ones(1), "means": np.zeros((1, 2)), "covariances": np.ones((1, 2))}
            ),
        )[1:]
    ).all()


def test_a_probability_that_is_on_its_way_back_from_an_edge_is_seen():
    """Half of the rows of either class have the feature, which one class says never to have."""
    rng = np.random.default_rng(0)
    classes = rng.integers(2, size=400)
    rows = (rng.random((400, 6)) < np.where(classes, 0.9, 0.1)[:, None]) * 1.0
    rows[:, 5] = rng.random(400) < 0.5
    p = np.array([[0.1] * 5 + [1e-30], [0.9] * 5 + [0.5]])
    x = Params({"weights": np.ones(2) / 2, "probabilities": p})
    found = slowest(Mixture(Bernoulli()), Block(rows), x)
    assert found.rate > 1.3
    assert found.out["probabilities"][0, 5] > 1e-4


@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
def test_a_saddle_is_no_end(algorithm):
    """Of two components that are the same, EM makes the same again for ever."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((600, 2)) + 4.0 * rng.integers(2, size=600)[:, None]
    same = {
        "weights": np.ones(2) / 2,
        "means": np.tile(rows.mean(axis=0), (2, 1)),
        "covariances": np.tile(np.cov(rows.T, bias=True), (2, 1, 1)),
    }
    found = daskem.fit(Mixture(Gaussian()), rows, start=same, algorithm=algorithm)
    assert found.converged
    assert any(c.name == "out of a saddle" and c.taken for p in found.history for c in p.candidates)
    np.testing.assert_allclose(np.sort(found.params["means"][:, 0]), [0, 4], atol=0.3)


def presences():
    rng = np.random.default_rng(5)
    probabilities = rng.beta(0.3, 0.9, (8, 30))
    return (rng.random((1000, 30)) < probabilities[rng.integers(8, size=1000)]) * 1.0


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@pytest.mark.parametrize("algorithm", ["em", "auto"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_mixture_of_presences_has_converged_only_where_nothing_is_left(algorithm, seed):
    """From soft starts, where the climb rests among saddles on the edge."""
    rows = presences()
    start = {
        "weights": np.full(8, 1 / 8),
        "probabilities": np.random.default_rng(seed).uniform(0.25, 0.75, (8, 30)),
    }
    model, tol = Mixture(Bernoulli()), 1e-6
    ended = daskem.fit(model, rows, start=start, algorithm=algorithm, tol=tol)
    on = daskem.fit(model, rows, start=ended.params, algorithm="squarem", tol=0, max_passes=600)
    left = on.history[-1].objective - ended.history[-1].objective
    assert ended.status is Status.CONVERGED
    assert left < tol


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_shoulder_is_no_end():
    """Where gains nearly end and grow again, by a thousand times, eighty passes later."""
    rng = np.random.default_rng(7)
    k, d = rng.integers(3, 9), rng.integers(8, 31)
    probabilities = rng.beta(0.3, 0.9, (k, d))
    rows = (rng.random((1500, d)) < probabilities[rng.integers(k, size=1500)]) * 1.0
    start = {"weights": np.full(k, 1 / k), "probabilities": rng.uniform(0.25, 0.75, (k, d))}
    model, tol = Mixture(Bernoulli()), 6e-4
    ended = daskem.fit(model, rows, start=start, algorithm="em", tol=tol, random_state=0)
    on = daskem.fit(model, rows, start=ended.params, algorithm="squarem", tol=0, max_passes=600)
    assert ended.status is Status.CONVERGED
    assert on.history[-1].objective - ended.history[-1].objective < tol


def test_a_fit_says_where_it_has_asked():
    rows = presences()
    found = daskem.fit(Mixture(Bernoulli()), rows, 8, random_state=0)
    assert [p.rate for p in found.history if p.rate is not None][-1] < 1.001


def test_steps_longer_than_a_component_is_wide_tell_nothing():
    rows = np.append(np.zeros(2000), np.random.default_rng(0).gamma(2.0, 2.0, 100))[:, None]
    found = daskem.fit(Mixture(Gaussian()), rows, 2, random_state=0)
    assert found.converged
    assert np.isnan([p.rate for p in found.history if p.rate is not None]).any()
