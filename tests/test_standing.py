"""What is said of a selection: no more than its restarts and its sizes bear out."""

from types import SimpleNamespace

import numpy as np
import pytest
from samples import planted

import daskem
from daskem import EM, Gaussian, Mixture
from daskem.fitting.record import Pass
from daskem.fitting.run import Run
from daskem.selection.standing import Standing, spread, verdict


def standings(values, spreads=(), improper=()):
    """Of full covariances, by number of components, the best one first."""
    rows = [
        Standing(("full", k), SimpleNamespace(improper=k in improper), v, dict(spreads).get(k, 0.0))
        for k, v in values.items()
    ]
    return sorted(rows, key=lambda standing: (standing.run.improper, standing.value))


@pytest.mark.parametrize(
    ("behind", "words", "flat"),
    [
        (1.0, "hardly any evidence", True),
        (4.0, "positive evidence", True),
        (8.0, "strong evidence", True),
        (10.5, "very strong evidence", False),
    ],
)
def test_a_flat_criterion_is_called_flat(behind, words, flat):
    told = verdict("bic", 5, standings({2: 100.0, 3: 100.0 + behind, 9: 300.0}))
    assert words in told
    assert ("the criterion is flat: within 10 of the best are full K = 3" in told) is flat
    assert "full K = 9" not in told


def test_one_candidate_needs_no_runner_up():
    assert verdict("bic", 5, standings({2: 1.0})) == "best by bic: full, K = 2"


@pytest.mark.parametrize("spreads", [{}, {4: 900.0}])
def test_what_is_improper_is_no_rival(spreads):
    """Its criterion may be as low as one likes; all others count, if all are."""
    values = {2: 0.0, 3: 50.0, 4: -300.0}
    told = verdict("bic", 5, standings(values, spreads, improper=[4]))
    assert told == "best by bic: full, K = 2; full, K = 3 is 50 behind: very strong evidence"
    alone = verdict("bic", 5, standings({3: 0.0, 2: -300.0}, spreads, improper=[2]))
    assert alone == (
        "best by bic: full, K = 3\nthe best is the largest K tried: extend() with larger ones"
    )
    all_of_them = verdict("bic", 5, standings(values, improper=values))
    assert all_of_them.startswith("best by bic: full, K = 4; full, K = 2 is 300 behind")


@pytest.mark.parametrize(
    ("spreads", "doubt"),
    [
        ({2: 15.0, 3: 20.0, 4: 120.0}, None),
        ({2: 26.0, 3: 25.0}, 26),
        ({2: 51.0}, 51),  # The best may have been found by luck,
        ({3: 60.0}, 60),  # the next may have been missed,
        ({2: 1.0, 4: 200.0}, 200),  # and so may any other.
    ],
)
def test_there_is_no_evidence_where_restarts_differ_by_more_than_candidates(spreads, doubt):
    told = verdict("bic", 5, standings({2: 0.0, 3: 50.0, 4: 150.0}, spreads))
    assert ("evidence: restarts of one K differ" in told) is (doubt is not None)
    if doubt is None:
        assert "very strong evidence" in told
    else:
        assert f"restarts of one K differ by up to {doubt}: raise n_init=5" in told
        assert "strong" not in told


@pytest.mark.parametrize(
    ("spreads", "words"),
    [
        ({}, "very strong"),
        ({2: 2.0, 3: 3.0}, "very strong"),
        ({2: 20.0, 3: 25.0}, "positive"),
        ({4: 149.0}, "hardly any"),
    ],
)
def test_evidence_is_what_other_seeds_leave_of_the_lead(spreads, words):
    told = verdict("bic", 5, standings({2: 0.0, 3: 50.0, 4: 150.0}, spreads))
    assert told == f"best by bic: full, K = 2; full, K = 3 is 50 behind: {words} evidence"


@pytest.mark.parametrize("n_init", [1, 2])
def test_few_restarts_bear_out_nothing(n_init):
    told = str(daskem.select(planted(3), (2, 3, 4), n_init=n_init, random_state=0))
    assert f"no evidence: n_init={n_init} does not tell" in told
    assert "raise n_init to 3" in told


def test_enough_restarts_that_agree_are_evidence():
    told = str(daskem.select(planted(3), (2, 3, 4), random_state=0))
    assert "best by bic: full, K = 3; full, K = 4 is" in told
    assert "very strong evidence" in told
    assert "largest" not in told


def test_the_largest_that_was_tried_is_called_that():
    few = daskem.select(planted(3), (1, 2), random_state=0)
    assert "the best is the largest K tried: extend() with larger ones" in str(few)
    assert "largest" not in str(few.extend([3, 4]))
    # One size leaves nothing to compare.
    assert "largest" not in str(daskem.select(planted(3), [2], ("full", "diag"), random_state=0))


# What restarts tell.

FIELD = SimpleNamespace(value=lambda run, gain: -100.0 * (run.history[-1].objective + gain))


def run_that_ended_at(objective, remaining=0.0, n_passes=2, flaws=()):
    history = (Pass(objective, objective, remaining, 1.0, 1, 8, flaws=flaws),) * n_passes
    return Run(Mixture(Gaussian()), EM(), None, history)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([-1.0, -2.0, -5.0], 400.0),
        ([-5.0, -1.0, -2.0], 400.0),
        ([-1.0, -1.0, -1.5, -9.0], 50.0),
        ([-1.0, -1.0], np.inf),
    ],
)
def test_restarts_differ_by_what_the_third_is_behind_the_first(ends, expected):
    runs = [run_that_ended_at(end) for end in ends]
    assert spread(FIELD, ("full", 2), runs) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ends", "improper", "expected"),
    [
        ([-1.0, -2.0, 7.0], [7.0], 100.0),
        ([-1.0, 6.0, 7.0], [6.0, 7.0], 0.0),
        ([5.0, 6.0, 7.0], [5.0, 6.0, 7.0], 200.0),
    ],
)
def test_what_is_improper_tells_nothing_beside_what_is_not(ends, improper, expected):
    """It is as likely as one likes, so that it would seem that others lie far behind it."""
    runs = [run_that_ended_at(end, flaws=("narrow",) * (end in improper)) for end in ends]
    assert spread(FIELD, ("full", 2), runs) == pytest.approx(expected)


def test_one_component_has_one_maximum():
    assert spread(FIELD, ("full", 1), [run_that_ended_at(-1.0)]) == 0.0


def test_one_pass_tells_no_more_of_where_runs_end_than_their_starts_do():
    runs = [run_that_ended_at(-1.0, np.inf, n_passes=1) for _ in range(3)]
    assert spread(FIELD, ("full", 2), runs) == np.inf
    predicted = [run_that_ended_at(-1.0, left, n_passes=1) for left in (0.0, 0.0, 0.5)]
    assert spread(FIELD, ("full", 2), predicted) == pytest.approx(50.0)


def continuum(n=3000, d=5, seed=0):
    """Temperatures at some depths, from a continuum of latitudes: no true number of clusters."""
    rng = np.random.default_rng(seed)
    lat, season = rng.uniform(-70, 10, n), rng.uniform(0, 2 * np.pi, n)
    front = np.tanh((lat + 50) / 6) + 0.6 * np.tanh((lat + 35) / 5)
    surface = 12 + 8 * front + 3 * np.cos(season) * np.exp(-np.abs(lat + 30) / 30)
    deep = 2.5 + 0.4 * front
    mixed = 80 + 60 * np.cos(season) + 40 * rng.gamma(2, 0.5, n)
    scale = np.maximum(300 + 250 * front + 60 * rng.standard_normal(n), 60)
    depths = np.array([10.0, 100.0, 300.0, 700.0, 1500.0])[:d]
    decay = np.exp(-np.maximum(depths - mixed[:, None], 0) / scale[:, None])
    eddies = rng.standard_t(5, n)[:, None] * np.exp(-depths / 600)
    noise = 0.15 * rng.standard_normal((n, d))
    return deep[:, None] + (surface - deep)[:, None] * decay + 0.7 * eddies + noise


@pytest.mark.torture
def test_where_there_is_evidence_other_seeds_find_the_same():
    rows = continuum()
    found = [daskem.select(rows, range(5, 11), random_state=seed) for seed in range(10)]
    claimed = {s.best_candidate for s in found if "no evidence" not in str(s)}
    assert {s.best_candidate for s in found} == claimed
    assert sum("no evidence" in str(s) for s in found) > 2
