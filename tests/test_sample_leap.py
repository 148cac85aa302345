"""Leaps that a sample leads: where EM of all rows goes, and asked for where they help."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from reading import look

import daskem
from daskem import Bernoulli, Gaussian, Mixture
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.fitting.algorithms.climb import LED
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.algorithms.state import Candidate, State
from daskem.fitting.confirming import AfterPass, left_after_leaps
from daskem.fitting.loop import passes
from daskem.fitting.record import Pass
from daskem.fitting.run import Run
from daskem.fitting.sample_leap import led, with_leap
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.stopping import Stop

RNG = np.random.default_rng(0)
ALL = Block(RNG.standard_normal((40_000, 3)))
SAMPLE = ALL[:4000]


@dataclass(frozen=True)
class Towards:
    """An EM step that leaves `rate` of the way to the mean of the rows."""

    rate: float

    parameters = Mixture(Gaussian("diag")).parameters

    def e_step(self, block, params):
        away = block.rows.mean(axis=0) - params["means"]
        likelihood = -float(np.square(away).sum()) * len(block)
        return {"log_likelihood": likelihood, "mean": block.rows.mean(axis=0)}

    def m_step(self, statistics, params):
        mean = statistics["mean"]
        return Params({**params, "means": mean + self.rate * (params["means"] - mean)})


def start() -> Params:
    zeros, ones = np.zeros((1, 3)), np.ones((1, 3))
    return Params({"weights": np.ones(1), "means": zeros, "covariances": ones})


def step(model, params):
    return model.m_step(model.e_step(ALL, params), params)


@pytest.mark.parametrize("rate", [0.3, 0.95, 0.999])
def test_a_leap_leads_to_the_optimum_of_all_rows(rate):
    model, params = Towards(rate), start()
    ended = led(model, SAMPLE, params, step(model, params))
    np.testing.assert_allclose(ended["means"][0], ALL.rows.mean(axis=0), rtol=1e-6)


def test_values_on_an_edge_stay_where_the_em_step_of_all_rows_has_led_them():
    kinds = np.array([[0.2, 0.9, 0.7, 0.0], [0.8, 0.3, 0.1, 0.0]])
    rows = (RNG.random((20_000, 4)) < kinds[RNG.integers(2, size=20_000)]).astype(float)
    model, block = Mixture(Bernoulli()), Block(rows)
    params = Params({"weights": np.array([0.5, 0.5]), "probabilities": kinds})
    em_step = model.m_step(model.e_step(block, params), params)
    ended = led(model, block[:5000], params, em_step)
    assert (ended["probabilities"][:, 3] == 0).all()
    assert (
        model.e_step(block, ended)["log_likelihood"]
        > (model.e_step(block, em_step)["log_likelihood"])
    )


def record(objective: float, *candidates: tuple[str, bool], remaining: float = np.inf) -> Pass:
    made = tuple(Candidate(name, objective, taken, "") for name, taken in candidates)
    return Pass(objective, objective, remaining, 0.0, len(ALL), 0, candidates=made)


EM, LEAP = ("em", False), (LED, True)


def standing(*history: Pass) -> AfterPass:
    params = start()
    state = State(
        step(Towards(0.5), params),
        accepted=params,
        statistics={},
        objective=history[-1].objective,
        candidates=history[-1].candidates,
    )
    return AfterPass(replace(state, asked=(("em", state.params),)), history)


def names(after: AfterPass, algorithm: str = "candidates", sample: Block = SAMPLE) -> list[str]:
    state = with_leap(after, Towards(0.5), ALGORITHMS[algorithm](), sample, 1e-6)
    return [name for name, _ in state.tried]


def test_leaps_are_asked_for_where_there_is_a_sample_of_more_rows():
    after = standing(record(-4.0, ("em", True)))
    assert names(after) == names(after, "squarem") == ["em", LED]
    assert names(after, "em") == names(after, sample=ALL) == names(after, sample=ALL[:40]) == ["em"]


def test_a_leap_in_vain_is_not_tried_again_at_once():
    vain = record(-4.0, ("em", True), (LED, False))
    others = [record(-3.9, ("em", True))] * 4
    assert names(standing(vain, *others[:3])) == ["em"]
    assert names(standing(vain, *others)) == ["em", LED]


def test_after_the_last_leap_the_em_step_goes_alone():
    before = [record(-4.0, ("em", True)), record(-3.9, EM, LEAP)]
    assert names(standing(*before, record(-3.8, EM, LEAP, remaining=1e-3))) == ["em", LED]
    assert names(standing(*before, record(-3.8, EM, LEAP, remaining=1e-9))) == ["em"]


def test_what_is_left_after_leaps_each_of_which_leaves_a_fraction():
    history = [record(-1.0, ("em", True)), record(-0.3, EM, LEAP)]
    after = standing(*history, record(-0.09, EM, LEAP))
    left = left_after_leaps(history, after.state)
    assert left == pytest.approx(0.09)
    assert left_after_leaps(history[:1], after.state) is None
    # An EM step after them tells no more; one that was better says that they tell nothing.
    known = [*history, replace(after.history[-1], remaining=left)]
    for candidates, told in (((("em", True),), left), ((("em", True), (LED, False)), None)):
        ended = standing(record(-0.08, *candidates)).state
        assert left_after_leaps(known, ended) == told


def test_squarem_takes_no_leap_for_an_em_step():
    squarem, x = ALGORITHMS["squarem"](), np.ones(3)
    memory = (Pair(0 * x, x, -2.0), Pair(x, 1.5 * x, -1.0))
    for candidates, leaps in (((EM, LEAP), False), ((("em", True),), True)):
        state = State(start(), memory=memory, candidates=record(-1.0, *candidates).candidates)
        assert bool(squarem.leaps(memory, state)) is leaps


def test_a_fit_of_many_rows_ends_at_its_optimum_after_few_passes():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((150_000, 2)) + 3.0 * rng.integers(2, size=(150_000, 2))
    found = daskem.fit(Mixture(Gaussian()), rows, 4, random_state=0)
    assert found.converged
    assert len(found.history) <= 5
    further = {"start": found.params, "algorithm": "em", "max_passes": 30, "tol": 0}
    with pytest.warns(ConvergenceWarning):
        more = daskem.fit(Mixture(Gaussian()), rows, 4, **further)
    assert more.history[-1].objective - found.history[-1].objective < 1e-6


def test_those_are_led_who_are_to_be():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((70_000, 2)) + 2.0 * rng.integers(2, size=(70_000, 2))
    blocks = as_blocks(rows)
    first = look(Mixture(Gaussian()), blocks)
    draws = [np.random.default_rng(seed) for seed in range(3)]
    drafts = best_starts(first, 5, None, "k-means++", draws)
    begun = [Run.begin(first.model, "auto", draft, 2, 70_000) for draft in drafts]
    for led_ones, expected in ((None, [0, 1, 2]), (lambda _: [1], [1])):
        runs = next(passes(begun, blocks, Stop(None, 9), first.survey, led=led_ones))
        assert [i for i, run in enumerate(runs) if LED in dict(run.state.tried)] == expected
