"""The loop: it climbs, shares its passes, keeps its books, stops when it should and says why."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import look
from samples import scattered
from scipy import stats
from sklearn.metrics import adjusted_rand_score
from table import KINDS, all_settings, every_kind, every_row, every_setting

import daskem
from daskem import EM, Bernoulli, Gaussian, Mixture, Poisson, Status
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning, LikelihoodFellError, ModelError, ParameterError
from daskem.fitting.algorithms.gain import gain_of_tail, predicted_gain
from daskem.fitting.algorithms.state import State
from daskem.fitting.confirming import _is_still
from daskem.fitting.loop import passes
from daskem.fitting.record import Pass
from daskem.fitting.run import Read, Run
from daskem.fitting.stopping import Stop, resolution
from daskem.models.families.covariance_floor import ROUNDING


def fit(family, rows, k=None, **options):
    """`daskem.fit`, where it is of no interest whether max_passes comes first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return daskem.fit(Mixture(family), rows, k, **{"random_state": 0, **options})


def record(objective, remaining=math.inf):
    return Pass(objective, objective, remaining, 0.0, 1, 8)


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_row
@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.torture)])
def test_the_objective_never_falls(row, examples):
    @given(st.sampled_from(all_settings(row)), st.integers(0, 2**32), st.integers(1, 5))
    @settings(max_examples=examples)
    def never_falls(one, seed, k):
        # Anywhere: what a search for a start finds is near the top, and little is left to climb.
        start = one.mixture(k, 2, np.random.default_rng(seed))
        result = fit(one.family, one.rows(150, seed=seed), start=start, max_passes=40)
        objectives = [p.objective for p in result.history]
        assert (np.diff(objectives) >= -1e-12 * np.maximum(1, np.abs(objectives[1:]))).all()

    never_falls()


@every_kind
@pytest.mark.parametrize("reg_covar", [0.0, 0.01])
def test_the_objective_is_the_likelihood_and_the_prior(kind, reg_covar):
    """The prior is that of imaginary rows around each mean, 0 at the covariance of the data."""
    family = Gaussian(kind, reg_covar)
    rows = scattered()
    settings = {"algorithm": "em", "tol": 0, "max_passes": 6, "random_state": 0}
    *_, before, last = daskem.iterate(Mixture(family), rows, 3, **settings)
    frame = before.model.frame
    inverse = np.diag(frame.inverse) if frame.inverse.ndim == 1 else frame.inverse
    unit = inverse @ inverse.T
    matrices = {
        "full": lambda c: c,
        "tied": lambda c: c[None],
        "diag": lambda c: c[:, :, None] * np.eye(2),
        "spherical": lambda c: c[:, None, None] * np.eye(2),
    }[kind](before.params["covariances"])
    prior = sum(
        (np.linalg.slogdet(unit)[1] - np.linalg.slogdet(m)[1]) / 2
        - (np.trace(np.linalg.solve(m, unit)) - 2) / 2
        for m in matrices
    )
    ending = last.history[-1]
    assert ending.log_likelihood == pytest.approx(before.score(rows), abs=1e-12)
    assert ending.objective - ending.log_likelihood == pytest.approx(reg_covar * prior, abs=1e-10)


@every_setting
def test_the_params_of_a_pass_are_those_of_a_fit_that_ends_there(row):
    family, rows = row.family, row.rows()
    # One that is given, since to search for one takes longer than these passes.
    start = start_of(Mixture(family), rows, 3, 1)
    walk = daskem.iterate(Mixture(family), rows, start=start, tol=0, max_passes=8)
    for number, stand in enumerate(walk, start=1):
        ended = fit(family, rows, start=start, tol=0, max_passes=number)
        assert len(stand.history) == len(ended.history) == number
        for name, value in ended.params.items():
            np.testing.assert_array_equal(stand.params[name], value)


def test_a_walk_can_be_left_and_taken_up_again():
    rows = scattered()
    walk = daskem.iterate(Mixture(Gaussian()), rows, 3, tol=0, max_passes=10, random_state=1)
    for stand in walk:
        if len(stand.history) == 4:
            break
    kept = {name: value.copy() for name, value in stand.params.items()}
    later = list(walk)
    assert [len(result.history) for result in later] == [5, 6, 7, 8, 9, 10]
    through = fit(Gaussian(), rows, 3, tol=0, max_passes=10, random_state=1)
    for name, value in through.params.items():
        np.testing.assert_array_equal(later[-1].params[name], value)
        np.testing.assert_array_equal(stand.params[name], kept[name])


@every_setting
def test_params_that_start_another_fit_go_on_where_they_were(row):
    family, rows = row.family, row.rows()
    start = start_of(Mixture(family), rows, 3, 1)
    whole = fit(family, rows, start=start, tol=0, max_passes=10, algorithm="em")
    half = fit(family, rows, start=start, tol=0, max_passes=5, algorithm="em")
    rest = fit(family, rows, start=half.params, tol=0, max_passes=5, algorithm="em")
    for name, value in whole.params.items():
        np.testing.assert_allclose(rest.params[name], value, 1e-9, 1e-11)


@dataclass(frozen=True)
class Counting:
    """Blocks that count how often they are read, and what for."""

    blocks: object
    names: list

    n_features = property(lambda self: self.blocks.n_features)

    def sum(self, f, *args, name="sum", source=""):
        self.names.append(name)
        return self.blocks.sum(f, *args, name=name, source=source)


def start_of(model, rows, k, seed):
    rng = np.random.default_rng(seed)
    centres = rows[rng.choice(len(rows), k, replace=False)]
    return model.from_labels(Block(rows), rng.integers(k, size=len(rows)), centres)


@every_kind
def test_runs_of_different_size_share_every_pass(kind):
    rows = scattered(500)
    model = Mixture(Gaussian(kind))
    blocks = Counting(as_blocks(rows), [])
    stop = Stop(tol=1e-6, max_passes=100)
    runs = [Run(model, EM(), EM().start(start_of(model, rows, k, k))) for k in (1, 2, 5, 3)]
    *_, together = passes(runs, blocks, stop)
    lengths = [len(run.history) for run in together]
    assert len(set(lengths)) > 1
    assert len(blocks.names) == max(lengths)
    for run, shared in zip(runs, together, strict=True):
        *_, (alone,) = passes([run], as_blocks(rows), stop)
        assert len(alone.history) == len(shared.history)
        assert alone.status is shared.status
        for name, value in alone.params.items():
            np.testing.assert_allclose(shared.params[name], value, 1e-8, 1e-10)


def test_runs_of_different_models_share_every_pass():
    rows = scattered(500)
    models = [Mixture(Gaussian(kind)) for kind in KINDS]
    blocks = Counting(as_blocks(rows), [])
    runs = [Run(model, EM(), EM().start(start_of(model, rows, 3, 0))) for model in models]
    *_, ended = passes(runs, blocks, Stop(0, 5))
    assert len(blocks.names) == 5
    for run, model in zip(ended, models, strict=True):
        assert run.model is model
        assert run.params["covariances"].ndim == {"full": 3, "tied": 2, "diag": 2}.get(
            model.family.covariance_type, 1
        )


def test_a_sweep_over_k_keeps_the_size_with_the_best_bic():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(900, 2)) + np.array([[0, 0], [9, 0], [0, 9]])[rng.integers(3, size=900)]
    result = fit(Gaussian(), rows, [1, 2, 3, 4], n_init=2)
    assert [len(run.params["weights"]) for run in result.runs] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert result.n_components == 3
    kept = {id(run) for run in result.runs if run is result.best}
    assert len(kept) == 1


def test_the_best_of_several_starts_is_kept():
    rows = scattered(600)
    result = fit(Gaussian("full", 0.0), rows, 4, n_init=6)
    objectives = [run.history[-1].objective for run in result.runs]
    assert len({round(value, 6) for value in objectives}) > 1
    assert result.history[-1].objective == max(objectives)


def test_restarts_that_have_lost_are_dropped_and_the_best_is_what_it_would_be(monkeypatch):
    rows = scattered(600)
    found = fit(Gaussian("full", 0.0), rows, 4, n_init=6)
    assert Status.DROPPED in {run.status for run in found.runs}
    assert found.converged
    for name in ("drop_before", "drop_the_slower"):
        monkeypatch.setattr(f"daskem.fitting.loop.{name}", lambda *_: None)
    all_followed = fit(Gaussian("full", 0.0), rows, 4, n_init=6)
    assert {run.status for run in all_followed.runs} == {Status.CONVERGED}
    assert found.history[-1].objective == all_followed.history[-1].objective


def test_restarts_that_have_lost_in_a_sample_of_all_rows_take_part_in_no_pass():
    found = fit(Gaussian("full", 0.0), scattered(600), 4, n_init=6)
    unread = [run for run in found.runs if not run.history[0].n_rows]
    assert {run.status for run in unread} == {Status.DROPPED}
    for run in unread:
        end = run.history[-1].objective + run.history[-1].remaining
        assert end < found.history[-1].objective


def test_fits_that_are_no_restarts_of_one_another_are_all_followed():
    rows = scattered(600)
    starts = [{"means": rows[i : i + 3]} for i in (0, 3)]
    results = [fit(Gaussian(), rows, [2, 3], n_init=1), fit(Gaussian(), rows, 3, start=starts)]
    for result in results:
        assert Status.DROPPED not in {run.status for run in result.runs}


@pytest.mark.parametrize("weighted", [False, True])
def test_the_history_keeps_the_books_of_every_pass(weighted):
    rows = scattered().astype(np.float32)
    weights = np.linspace(0.5, 2, len(rows)) if weighted else None
    settings = {"tol": 0, "max_passes": 7, "algorithm": "em", "sample_weight": weights}
    result = fit(Gaussian(), rows, 3, **settings)
    assert len(result.history) == 7
    assert {p.n_rows for p in result.history} == {400}
    assert {p.n_bytes for p in result.history} == {400 * 2 * 4}
    assert all(p.seconds > 0 for p in result.history)
    assert result.n_rows == pytest.approx(400 if weights is None else weights.sum())
    assert result.log_likelihood == result.history[-1].log_likelihood
    assert result.score(rows, weights) >= result.log_likelihood


def test_what_plain_em_is_told_to_have_left_is_what_it_then_gains():
    """Of well separated clusters, where the climb is a geometric series."""
    rng = np.random.default_rng(0)
    rows = np.repeat([[0.0], [4.0]], 500, axis=0) + rng.normal(size=(1000, 1))
    start = {"means": np.array([[0.5], [3.0]])}
    history = fit(Gaussian(), rows, 2, start=start, algorithm="em", tol=0, max_passes=300).history
    assert np.isinf([p.remaining for p in history[:2]]).all()
    top = history[-1].objective
    for passed in history[8:26]:
        assert passed.remaining == pytest.approx(top - passed.objective, rel=0.01)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_aitken_predicts_what_a_geometric_climb_has_left(rate):
    climb = [-2 - 0.3 * rate**t for t in range(6)]
    for t in range(2, 6):
        assert predicted_gain(climb[t - 2 : t + 1]) == pytest.approx(-2 - climb[t], rel=1e-6)


def test_two_geometric_climbs_at_once_are_predicted_by_both_their_rates():
    """Aitken's one rate says too little while the faster one fades."""
    climb = [-2 - 0.3 * 0.95**t - 0.2 * 0.4**t for t in range(9)]
    for t in range(4, 9):
        assert predicted_gain(climb[: t + 1]) == pytest.approx(-2 - climb[t], rel=1e-6)
    assert predicted_gain(climb[2:5]) < 0.5 * (-2 - climb[4])


@pytest.mark.parametrize("power", [0.5, 0.8, 3.0])
def test_where_ever_slower_rates_take_over_more_is_left_than_one_rate_says(power):
    """As on a plateau, where gains fall like a power of the passes."""
    climb = [-2 - t**-power for t in range(1, 2000)]
    left = -2 - climb[299]
    assert predicted_gain(climb[:300]) < 0.8 * left
    assert 0.95 * left < gain_of_tail(climb[:300]) < 1.5 * left


@pytest.mark.parametrize("rate", [0.7, 0.9])
def test_where_one_rate_is_left_nothing_is_added(rate):
    climb = [-2 - 0.3 * rate**t for t in range(100)]
    for t in (20, 40):
        assert 1 <= gain_of_tail(climb[:t]) / predicted_gain(climb[:t]) < 2.1


@pytest.mark.parametrize(
    ("objectives", "gain"),
    [
        ([], math.inf),
        ([1.0], math.inf),
        ([1.0, 2.0], math.inf),
        ([1.0, 2.0, 3.0], math.inf),
        ([1.0, 2.0, 4.0], math.inf),
        ([1.0, 2.0, 2.0], 0.0),
        ([-3.0, -3.0, -3.0], 0.0),
    ],
)
def test_aitken_where_there_is_little_to_go_by(objectives, gain):
    assert predicted_gain(objectives) == gain == gain_of_tail(objectives)


@pytest.mark.parametrize("shake", [1e-15, 3e-14, 1e-11])
@pytest.mark.parametrize("pattern", [[1, -1], [0, 1], [1, 1, -2], [0, 2, 1]])
def test_a_climb_that_only_shakes_has_converged(shake, pattern):
    """At the top the objective goes up and down by rounding, which predicts nothing."""
    stop, objectives = Stop(tol=1e-4, max_passes=100), [-4.6 + shake * step for step in 4 * pattern]
    history = [record(o, predicted_gain(objectives[:t][-3:])) for t, o in enumerate(objectives, 1)]
    assert Status.CONVERGED in {stop(history[:t]) for t in range(1, len(history))}


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@every_kind
@pytest.mark.parametrize(
    ("n", "d", "k", "sd"),
    [(1000, 3, 3, 1), (1000, 40, 10, 1), (2000, 3, 3, 2e-4), (2000, 3, 3, 1e-5)],
)
def test_groups_that_are_found_at_once_end_the_fit_at_once(kind, n, d, k, sd):
    rng = np.random.default_rng(0)
    centres = 20 * rng.normal(size=(k, d))
    rows = centres[rng.integers(k, size=n)] + sd * rng.normal(size=(n, d))
    for seed in range(2):
        result = fit(Gaussian(kind), rows, k, random_state=seed)
        objectives = [p.objective for p in result.history]
        gained = next(i for i, o in enumerate(objectives) if objectives[-1] - o < 1e-6)
        assert result.status is Status.CONVERGED
        assert len(objectives) <= gained + 8


def wide(n, d=40, seed=0):
    """Rows of three clusters in many features, and the cluster of each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n)
    return 2 * rng.normal(size=(3, d))[truth] + rng.normal(size=(n, d)), truth


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("n", [30, 60, 200])
def test_where_params_exceed_rows_a_fit_ends_when_em_leads_nowhere(kind, n):
    rows, truth = wide(n)
    result = fit(Gaussian(kind), rows, 3)
    assert result.converged
    assert result.history[-1].remaining == 0.0
    assert adjusted_rand_score(truth, result.predict(rows)) == 1.0
    start = dict(result.params)
    again = fit(Gaussian(kind), rows, start=start, algorithm="em", tol=0, max_passes=5)
    assert again.status is Status.MAX_PASSES
    objectives = [p.objective for p in again.history]
    np.testing.assert_allclose(objectives, objectives[0], rtol=1e-7)


@pytest.mark.parametrize("name", ["weights", "means", "covariances"])
def test_an_em_step_that_moves_a_floor_leads_somewhere(name):
    rows, _ = wide(60)
    model = look(Mixture(Gaussian()), as_blocks(rows)).model
    params = model.from_labels(Block(rows), np.arange(60) % 3, rows[:3])
    moved = params[name].copy()
    moved.flat[-1] += 1e-3 * ROUNDING
    state = State(Params({**params, name: moved}), accepted=params)
    still = State(Params({**params}), accepted=params)
    assert [_is_still(s) for s in (state, still)] == [False, True]


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("n", [20, 39, 41, 150])
def test_the_objective_does_not_fall_in_many_features(kind, n):
    """From any start, with rows that go from one component to another on the way."""
    rows, _ = wide(n)
    start = {"means": rows[[0, 1, 2]], "weights": np.array([0.6, 0.3, 0.1])}
    history = fit(
        Gaussian(kind), rows, 3, start=start, algorithm="em", tol=0, max_passes=12
    ).history
    objectives = np.array([p.objective for p in history])
    assert np.diff(objectives).min() > -1e-3
    assert objectives[-1] > objectives[0] + 10


def test_few_rows_are_seen_in_units_of_the_features():
    """Their covariance has directions without any width, which nothing can be scaled by."""
    for n in (39, 40, 41):
        frame = look(Mixture(Gaussian()), as_blocks(wide(n)[0])).model.frame
        assert frame.linear.ndim == (2 if n > 40 else 1)


def test_a_run_stops_when_little_is_left_twice_in_a_row():
    stop = Stop(tol=1e-3, max_passes=4)
    little, much = record(0.0, 1e-4), record(0.0, 1e-2)
    assert stop([little]) is Status.RUNNING
    assert stop([little, much]) is Status.RUNNING
    assert stop([much, little]) is Status.RUNNING
    assert stop([much, little, little]) is Status.CONVERGED
    assert stop([much, little, much, little]) is Status.MAX_PASSES
    assert stop([much, much, little, little]) is Status.CONVERGED


def test_tol_0_goes_on_to_max_passes():
    result = fit(Gaussian(), scattered(), 1, tol=0, max_passes=9)
    assert result.status is Status.MAX_PASSES
    assert len(result.history) == 9


@every_setting
def test_little_is_left_when_a_fit_has_converged(row):
    family, rows = row.family, row.rows()
    result = fit(family, rows, 3, tol=1e-5, max_passes=5000)
    assert result.converged
    further = fit(family, rows, start=result.params, tol=0, max_passes=60)
    # Aitken's extrapolation predicts what is left; it is no bound.
    assert further.history[-1].objective - result.history[-1].objective < 1e-4


def test_a_fit_that_did_not_converge_warns_with_advice():
    rows = scattered()
    with pytest.warns(ConvergenceWarning, match="raise max_passes") as caught:
        result = daskem.fit(Mixture(Gaussian()), rows, 3, max_passes=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert result.status is Status.MAX_PASSES
    assert not result.converged


def test_the_same_seed_gives_the_same_bits():
    rows = scattered()
    one, other = (fit(Gaussian(), rows, 3, n_init=2, random_state=5) for _ in range(2))
    for name, value in one.params.items():
        np.testing.assert_array_equal(other.params[name], value)


class Mean:
    """The simplest model of all: N(x | mean, 1), with whatever is wrong put in."""

    def __init__(self, wrong=None):
        self.wrong = wrong

    def e_step(self, block, params):
        u = block.rows[:, 0] - params["mean"]
        log_likelihood = -0.5 * (u @ u) - len(u) * np.log(2 * np.pi) / 2
        if self.wrong == "nan":
            log_likelihood = np.nan
        if self.wrong == "inf":
            log_likelihood = np.inf
        return {"log_likelihood": log_likelihood, "n": len(u), "sum": block.rows[:, 0].sum()}

    def m_step(self, statistics, params):
        mean = statistics["sum"] / statistics["n"]
        return {"mean": params["mean"] + 10.0 if self.wrong == "leaps" else mean}


def test_a_model_of_ones_own_needs_two_methods():
    rows = np.random.default_rng(0).normal(3.0, size=(100, 1))
    result = daskem.fit(Mean(), rows, start={"mean": 0.0})
    assert result.params["mean"] == pytest.approx(rows.mean())
    assert result.converged


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_likelihood_that_is_no_number_is_an_error(value):
    with pytest.raises(ModelError, match=f"pass 1: the log-likelihood is {value}"):
        daskem.fit(Mean(value), np.zeros((5, 1)), start={"mean": 0.0})


def test_a_likelihood_that_falls_is_an_error():
    with pytest.raises(LikelihoodFellError, match=r"pass 2: .* fell from .*check_model"):
        daskem.fit(Mean("leaps"), np.zeros((5, 1)), start={"mean": 0.0})


def test_nobody_is_blamed_for_a_family_of_daskem(monkeypatch):
    monkeypatch.setattr(
        Poisson, "m_step", lambda self, s, params, frame: {"rates": params["rates"] + 9}
    )
    start = {"weights": [1.0], "rates": [[1.0]]}
    with pytest.raises(LikelihoodFellError, match=r"pass 2: .*Poisson\(.*\).*report it") as caught:
        daskem.fit(Mixture(Poisson()), np.ones((5, 1)), start=start)
    assert "check_model" not in str(caught.value)


def test_a_likelihood_that_falls_by_rounding_is_none():
    stop, seen = Stop(1e-4, 10), Read(n_rows=1, n_bytes=8, weight=1.0, seconds=0.0)
    run = Run(Mean(), EM(), EM().start({"mean": 0.0}))
    for log_likelihood in (-100.0, -100.0 - 1e-9):
        run = run.tell([{"log_likelihood": log_likelihood, "n": 1, "sum": 0.0}], seen, stop)
    fallen = run.tell([{"log_likelihood": -100.0 - 1e-6, "n": 1, "sum": 0.0}], seen, stop)
    assert fallen.status is Status.FAILED
    assert isinstance(fallen.failure, LikelihoodFellError)


def test_a_model_without_declared_parameters_needs_a_start():
    with pytest.raises(ParameterError, match=r"start=\{"):
        daskem.fit(Mean(), np.zeros((5, 1)))


@every_kind
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_the_truth_is_recovered(kind, reg_covar):
    rng = np.random.default_rng(7)
    means = np.array([[0.0, 0.0], [7.0, 1.0], [1.0, 8.0]])
    rotation = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    axes = np.stack([np.diag(v) for v in ([1.0, 2.0], [0.5, 1.0], [2.0, 0.3])])
    shapes = {
        "full": rotation @ axes @ rotation.T,
        "tied": np.tile(rotation @ axes[2] @ rotation.T, (3, 1, 1)),
        "diag": axes,
        "spherical": np.stack([v * np.eye(2) for v in (1.0, 2.0, 0.5)]),
    }[kind]
    weights = np.array([0.5, 0.3, 0.2])
    labels = rng.choice(3, 20_000, p=weights)
    noise = rng.normal(size=(20_000, 2))
    rows = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(shapes)[labels], noise)
    result = fit(Gaussian(kind, reg_covar), rows, 3, n_init=3)
    assert result.converged
    order = [np.square(result.params["means"] - mean).sum(axis=1).argmin() for mean in means]
    np.testing.assert_allclose(result.params["weights"][order], weights, atol=0.015)
    np.testing.assert_allclose(result.params["means"][order], means, atol=0.08)
    expected = {
        "full": shapes,
        "tied": shapes[0],
        "diag": np.diagonal(shapes, axis1=1, axis2=2),
        "spherical": shapes[:, 0, 0],
    }[kind]
    found = result.params["covariances"]
    np.testing.assert_allclose(found if kind == "tied" else found[order], expected, atol=0.12)
    assert adjusted_rand_score(labels, result.predict(rows)) > 0.97


def test_the_truth_of_counts_is_recovered():
    rng = np.random.default_rng(7)
    rates = np.array([[1.0, 9.0, 4.0], [8.0, 2.0, 4.0]])
    labels = rng.choice(2, 10_000, p=[0.7, 0.3])
    rows = rng.poisson(rates[labels]).astype(float)
    result = fit(Poisson(), rows, 2, n_init=2)
    order = np.argsort(result.params["rates"][:, 0])
    np.testing.assert_allclose(result.params["rates"][order], rates, rtol=0.05)
    np.testing.assert_allclose(result.params["weights"][order], [0.7, 0.3], atol=0.02)


def test_the_truth_of_presences_is_recovered():
    rng = np.random.default_rng(7)
    p = np.array([[0.1, 0.9, 0.8, 0.2, 0.9, 0.1], [0.7, 0.2, 0.3, 0.9, 0.1, 0.8]])
    labels = rng.choice(2, 10_000, p=[0.7, 0.3])
    rows = (rng.random((10_000, 6)) < p[labels]).astype(float)
    result = fit(Bernoulli(), rows, 2, n_init=2)
    order = np.argsort(result.params["probabilities"][:, 0])
    np.testing.assert_allclose(result.params["probabilities"][order], p, atol=0.04)
    np.testing.assert_allclose(result.params["weights"][order], [0.7, 0.3], atol=0.02)


class Normal:
    """One normal component that declares nothing of its parameters."""

    def e_step(self, block, params):
        return {"log_likelihood": stats.norm.logpdf(block.rows, params["m"], params["s"]).sum()}

    def m_step(self, statistics, params):
        return params


@pytest.mark.parametrize("declared", [True, False])
def test_the_data_can_tell_apart_what_the_best_fit_has_before_the_truth(declared):
    """In expectation, whatever the truth is (Wilks 1938): here one normal feature."""
    model, params = Normal(), {"m": np.zeros(1), "s": np.ones(1)}
    if declared:
        model = Mixture(Gaussian())
        params = {"weights": np.ones(1), "means": np.zeros((1, 1)), "covariances": np.eye(1)[None]}
    x = np.random.default_rng(0).normal(size=(20_000, 100))
    best, truth = -np.log(x.var(axis=1)) / 2 - 1 / 2, -(x**2).mean(axis=1) / 2
    # Beside the leading term there is another, 1 / n of it in size.
    assert resolution(model, params, 100) == pytest.approx((best - truth).mean(), rel=0.03)
