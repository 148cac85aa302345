"""Leaps are taken when they climb, refused when they do not, and never change what a fit is."""

import json
import math
import weakref
from dataclasses import asdict, dataclass, replace

import dask.array as da
import numpy as np
import pytest
from cluster import bits
from distributed import Client
from reading import look

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson, Status
from daskem.core.parameters import REAL, Parameter, count_free
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning, ParameterError
from daskem.fitting.algorithms import EM, Candidate, Candidates, Squarem, choose
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.fitting.algorithms.climb import FARTHEST, Climb
from daskem.fitting.algorithms.gain import Outlook, left_to_gain
from daskem.fitting.algorithms.secants import Pair, secant_leap
from daskem.fitting.loop import passes
from daskem.fitting.record import Pass
from daskem.fitting.run import Run
from daskem.fitting.stopping import Stop
from daskem.running.preparing import prepare

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
every_leaping = pytest.mark.parametrize("algorithm", [n for n in ALGORITHMS if n != "em"])


@pytest.fixture(scope="module")
def overlapping():
    rng = np.random.default_rng(3)
    means = np.array([[0.0, 0.0], [2.0, 0.5], [0.5, 3.0]])
    return means[rng.integers(3, size=1200)] + rng.normal(size=(1200, 2)) * [0.6, 1.0]


def fit(rows, algorithm, passes=40, model=None, **options):
    model = Mixture(Gaussian()) if model is None else model
    settings = {"tol": 0, "max_passes": passes, "random_state": 0, **options}
    start = settings.get("start")
    with pytest.warns(ConvergenceWarning):
        return daskem.fit(model, rows, None if start else 3, algorithm=algorithm, **settings)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_squared_extrapolations_that_fail_become_shorter(seed):
    """Without a limit, from a third to half of the passes over such a plateau are for nothing."""
    rows = np.random.default_rng(seed).standard_normal((2000, 3))
    rows[:1000] += 2
    with pytest.warns(ConvergenceWarning):
        result = daskem.fit(
            Mixture(Gaussian()),
            rows,
            5,
            start={"means": rows[:5]},
            algorithm="squarem",
            tol=0,
            max_passes=120,
            random_state=seed,
        )
    assert sum(not p.accepted for p in result.history) < 0.2 * 120


@every_algorithm
@pytest.mark.parametrize("family", [Gaussian(), Gaussian("tied", 0.1), Poisson(), Bernoulli()])
def test_accepted_objectives_never_fall(algorithm, family, overlapping):
    rows = {"Poisson": np.floor(np.abs(3 * overlapping)), "Bernoulli": (overlapping > 0) * 1.0}
    result = fit(rows.get(type(family).__name__, overlapping), algorithm, model=Mixture(family))
    objectives = np.array([p.objective for p in result.history])
    assert (np.diff(objectives) >= -1e-12 * np.abs(objectives[1:])).all()


@every_algorithm
def test_a_fit_ends_on_a_plain_em_step(algorithm, overlapping):
    settings = {"tol": 0, "max_passes": 15, "random_state": 0}
    fitted = prepare(Mixture(Gaussian()), overlapping, 3, algorithm=algorithm, **settings)
    *_, ((run,), _) = fitted.passes()
    (own,) = run.model.e_steps(Block(overlapping), [run.accepted])
    n = len(overlapping)
    assert own["log_likelihood"] / n == pytest.approx(run.history[-1].log_likelihood, abs=1e-12)
    for name, value in run.model.m_step(own, run.accepted).items():
        np.testing.assert_allclose(run.params[name], value, 1e-9, 1e-12)


@every_leaping
def test_leaps_save_reads(algorithm, overlapping):
    rows = overlapping[:600]
    start = {"weights": np.full(3, 1 / 3), "means": rows[:3], "covariances": [np.eye(2)] * 3}
    plain, fast = (fit(rows, name, 80, start=start) for name in ("em", algorithm))
    goal = max(plain.history[-1].objective, fast.history[-1].objective) - 1e-6
    reads = [
        next((t for t, p in enumerate(r.history, 1) if p.objective >= goal), 81)
        for r in (plain, fast)
    ]
    assert reads[1] < 0.75 * reads[0]


@every_algorithm
def test_numpy_and_a_cluster_give_the_same_bits(algorithm, overlapping, client):
    """One chunk, as small NumPy arrays are; the cuts of larger ones are tested elsewhere."""
    lazy = da.from_array(overlapping, chunks=overlapping.shape)
    assert bits(fit(lazy, algorithm, 8)) == bits(fit(overlapping, algorithm, 8))


@every_algorithm
def test_threads_and_a_cluster_give_the_same_bits(algorithm, overlapping, scheduler_file):
    lazy = da.from_array(overlapping, chunks=(400, 2))
    threads = bits(fit(lazy, algorithm, 8))
    with Client(scheduler_file=str(scheduler_file)):
        assert bits(fit(lazy, algorithm, 8)) == threads


@every_algorithm
def test_a_fit_taken_up_again_is_the_one_that_went_on(algorithm, overlapping):
    model = look(Mixture(Gaussian()), as_blocks(overlapping)).model
    how = ALGORITHMS[algorithm]()
    blocks = as_blocks(overlapping)
    start = {
        "weights": np.full(3, 1 / 3),
        "means": model.frame.apply(overlapping[:3]),
        "covariances": np.stack([np.eye(2)] * 3),
    }
    *_, (whole,) = passes([Run(model, how, how.start(start))], blocks, Stop(0, 20))
    for half_way in range(1, 20, 3):
        *_, (half,) = passes([Run(model, how, how.start(start))], blocks, Stop(0, half_way))
        # What a checkpoint holds: the state and the history.
        taken_up = Run(model, how, half.state, half.history)
        *_, (rest,) = passes([taken_up], blocks, Stop(0, 20))
        for name, value in whole.params.items():
            np.testing.assert_array_equal(rest.params[name], value)
        assert [p.objective for p in rest.history] == [p.objective for p in whole.history]


@every_leaping
def test_relabelling_the_start_relabels_the_result(algorithm, overlapping):
    start = {
        "weights": np.array([0.5, 0.3, 0.2]),
        "means": overlapping[:3],
        "covariances": np.stack([np.eye(2)] * 3),
    }
    order = np.array([2, 0, 1])
    moved = {name: value[order] for name, value in start.items()}
    one, other = (fit(overlapping, algorithm, 8, start=s) for s in (start, moved))
    for name, value in one.params.items():
        np.testing.assert_allclose(other.params[name], value[order], 1e-7, 1e-9)


class Location:
    """N(x | mean, 1) with an M step that goes a tenth of the way: linear and slow."""

    parameters = {"mean": Parameter((), REAL)}  # noqa: RUF012

    def e_step(self, block, params):
        u = block.rows[:, 0] - params["mean"]
        return {"log_likelihood": -0.5 * (u @ u), "n": float(len(u)), "excess": u.sum()}

    def m_step(self, statistics, params):
        return {"mean": params["mean"] + 0.1 * statistics["excess"] / statistics["n"]}


class Undeclared(Location):
    parameters = property(lambda self: (_ for _ in ()).throw(AttributeError("parameters")))


@pytest.mark.parametrize("algorithm", sorted({"auto", *ALGORITHMS} - {"em"}))
def test_a_model_of_ones_own_is_accelerated_when_it_declares_its_parameters(algorithm):
    rows = np.random.default_rng(0).normal(2.0, size=(200, 1))
    result = daskem.fit(Location(), rows, start={"mean": 0.0}, algorithm=algorithm, tol=1e-9)
    assert len(result.history) < 12
    assert result.params["mean"] == pytest.approx(rows.mean(), abs=1e-4)
    plain = daskem.fit(Undeclared(), rows, start={"mean": 0.0}, tol=1e-9)
    assert isinstance(plain.best.algorithm, EM)
    assert "declares no parameters" in plain.best.choice
    assert len(plain.history) > 60


def test_a_leap_needs_declared_parameters():
    with pytest.raises(ParameterError, match=r"algorithm='squarem' .* Undeclared has no"):
        daskem.fit(Undeclared(), np.zeros((5, 1)), start={"mean": 0.0}, algorithm="squarem")
    with pytest.raises(ParameterError, match="'newton' is not one of"):
        daskem.fit(Location(), np.zeros((5, 1)), start={"mean": 0.0}, algorithm="newton")


@dataclass(frozen=True)
class Wild(Climb):
    """Leaps to where nobody should go."""

    to: float = 100.0
    together: bool = False
    name = "wild"

    def leaps(self, memory, state):
        return [("wild", np.array([self.to]))]


def climbs(how, reads, rows):
    run = Run(Location(), how, how.start({"mean": np.array(0.0)}))
    *_, (run,) = passes([run], as_blocks(rows), Stop(0, reads))
    return run


@pytest.mark.parametrize("to", [-100.0, 100.0, 1.0])
def test_no_coordinate_leaps_farther_than_is_known_of_it(to):
    run = climbs(Wild(to, together=True), 3, np.random.default_rng(0).normal(size=(50, 1)))
    (_, em), (_, leap) = run.state.asked
    np.testing.assert_array_equal(em["mean"], run.state.params["mean"])
    here = run.state.accepted["mean"]
    assert leap["mean"] - here == pytest.approx(np.clip(to - here, -FARTHEST, FARTHEST))


def test_a_bad_leap_costs_one_pass_alone_and_none_in_company():
    rows = np.random.default_rng(0).normal(2.0, size=(50, 1))
    plain = climbs(EM(), 10, rows)
    # Leaps are shortened; this one goes the wrong way.
    together = climbs(Wild(-100.0, together=True), 10, rows)
    alone = climbs(Wild(-100.0), 19, rows)
    assert together.params["mean"] == plain.params["mean"] == alone.params["mean"]
    assert [p.accepted for p in alone.history] == [True, False] * 9 + [True]
    assert all(p.accepted for p in together.history)
    refused = alone.history[1]
    assert "below the iterate before it" in refused.candidates[0].reason
    assert refused.objective == alone.history[0].objective
    assert not together.history[1].candidates[1].taken


def test_a_leap_to_no_number_is_never_asked_for():
    rows = np.random.default_rng(0).normal(2.0, size=(50, 1))
    run = climbs(Wild(math.nan, together=True), 3, rows)
    books = run.history[-1].candidates
    assert [c.name for c in books] == ["em", "wild"]
    assert "not asked for" in books[1].reason


class Nowhere(Location):
    """No likelihood on the left of 0: as bad a place as a leap can meet."""

    def e_step(self, block, params):
        statistics = super().e_step(block, params)
        return {**statistics, "log_likelihood": math.nan} if params["mean"] < 0 else statistics


@pytest.mark.parametrize("together", [False, True])
def test_a_leap_without_likelihood_is_refused_rather_than_an_error(together):
    rows = np.random.default_rng(0).normal(2.0, size=(50, 1))
    how = Wild(-100.0, together=together)
    run = Run(Nowhere(), how, how.start({"mean": np.array(0.0)}))
    *_, (run,) = passes([run], as_blocks(rows), Stop(0, 9))
    assert "no number" in run.history[1].candidates[-1].reason
    assert np.isfinite([p.objective for p in run.history]).all()


def quadratic(rates, x):
    """Iterates of a linear EM map with fixed point 0 and these rates."""
    x, rates = np.asarray(x), np.asarray(rates)
    return Pair(x, rates * x, -0.5 * float((1 - rates) @ x**2))


class Slow(Location):
    """Many features, each with an M step that goes its own part of the way."""

    parameters = {"mean": Parameter(("feature",), REAL)}  # noqa: RUF012

    def __init__(self, parts):
        self.parts = parts

    def e_step(self, block, params):
        u = block.rows - params["mean"]
        return {"log_likelihood": -0.5 * (u * u).sum(), "n": float(len(u)), "excess": u.sum(axis=0)}

    def m_step(self, statistics, params):
        return {"mean": params["mean"] + self.parts * statistics["excess"] / statistics["n"]}


@pytest.mark.parametrize("d", [20, 80])
def test_what_is_left_to_gain_is_told_where_more_rates_are_slow_than_secants_known(d):
    rows = np.random.default_rng(0).normal(size=(10, d))
    model, how = Slow(np.geomspace(1e-3, 1, d)), Candidates()
    run = Run(model, how, how.start({"mean": rows.mean(axis=0) + 1 / np.sqrt(model.parts)}))
    *_, (run,) = passes([run], as_blocks(rows), Stop(0, 60))
    top = -0.5 * rows.var(axis=0).sum()
    ratios = [p.remaining / (top - p.objective) for p in run.history if p.objective < top - 1e-7]
    assert 1 / 3 < np.median(ratios) < 3


def test_what_is_left_of_a_long_climb_keeps_few_iterates_and_is_as_told_at_once():
    """Estimates that wait to be asked for must not hold all of the way."""
    rng = np.random.default_rng(0)
    pairs = [Pair(x, x + 0.9**i * rng.random(5), -(0.8**i)) for i, x in enumerate(np.eye(12, 5))]
    slowness, told, outlooks, known = (), [], [], None
    for i in range(3, 12):
        slowness, left = left_to_gain(pairs[:i], 2.0, slowness)
        told.append(left)
        outlooks.append(Outlook(pairs[:i], 2.0, known))
        known = outlooks[-1]
        assert [outlook.left for outlook in outlooks[-2:]] == told[-2:]
    first = weakref.ref(outlooks[0])
    del outlooks[:-2]
    assert first() is None


def test_what_is_left_to_gain_is_exact_where_there_is_one_rate():
    rows = np.random.default_rng(0).normal(2.0, size=(50, 1))
    run = climbs(Wild(-100.0, together=True), 12, rows)
    top = -0.5 * rows.var()
    for p in run.history[3:]:
        assert p.remaining == pytest.approx(top - p.objective, rel=1e-6)


def test_secants_that_span_the_space_lead_to_the_top():
    rng = np.random.default_rng(0)
    memory = [quadratic([0.9, 0.5, 0.99], rng.normal(size=3)) for _ in range(4)]
    np.testing.assert_allclose(secant_leap(memory, 3), 0, atol=1e-9)


def test_a_leap_goes_away_from_a_saddle():
    memory = [quadratic([1.1], np.array([x])) for x in (1.0, 1.1)]
    assert secant_leap(memory, 1)[0] == pytest.approx(2.2)


def test_what_is_chosen_follows_from_the_size_of_a_row():
    small, large = (
        {"weights": np.ones(k) / k, "means": np.zeros((k, d)), "covariances": c}
        for k, d, c in ((2, 4, np.ones((2, 4))), (50, 50, np.ones((50, 50, 50))))
    )
    cheap, words = choose("auto", Mixture(Gaussian("diag")), small, 4)
    dear, _ = choose("auto", Mixture(Gaussian()), large, 50)
    assert isinstance(cheap, Candidates)
    assert isinstance(dear, Squarem)
    assert "ns" in words


def test_time_ends_a_fit_and_says_so(overlapping):
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        result = daskem.fit(Mixture(Gaussian()), overlapping, 3, max_seconds=0.0, tol=0)
    assert result.status is Status.MAX_SECONDS
    assert len(result.history) == 1


def test_the_default_tol_follows_what_the_data_resolve(overlapping):
    stop = Stop(None, 10)
    record = Pass(0.0, 0.0, 1e-4, 0.0, 1, 8)
    assert stop([record, record], resolution=0.011) is Status.CONVERGED
    assert stop([record, record], resolution=0.009) is Status.RUNNING
    few = daskem.fit(Mixture(Gaussian()), overlapping[:200], 3, random_state=0)
    assert few.history[-1].remaining < 17 / (200 * 200)


def test_a_refused_leap_is_no_evidence_of_convergence():
    little = Pass(0.0, 0.0, 1e-9, 0.0, 1, 8)
    much = replace(little, remaining=1.0)
    refused = replace(little, candidates=(Candidate("x", 0.0, False, ""),))
    assert Stop(1e-3, 9)([much, little, refused]) is Status.RUNNING
    assert Stop(1e-3, 9)([little, refused, little]) is Status.CONVERGED


def test_the_books_survive_json(overlapping):
    history = fit(overlapping, "candidates", 6).history
    there = [Pass.restore(json.loads(json.dumps(asdict(p)))) for p in history]
    assert [p.candidates for p in there[1:]] == [p.candidates for p in history[1:]]
    assert {c.name for c in history[-1].candidates} > {"em", "longer"}


def test_plain_em_where_parameters_exceed_rows():
    rows = np.random.default_rng(0).normal(size=(60, 20))
    model, params = Mixture(Gaussian()), {"weights": np.ones(1), **Gaussian().at(rows[:1])}
    assert count_free(model.parameters, params) == 230
    assert isinstance(choose("auto", model, params, 20, 229)[0], EM)
    assert not isinstance(choose("auto", model, params, 20, 230)[0], EM)
    assert isinstance(choose("squarem", model, params, 20, 229)[0], Squarem)
