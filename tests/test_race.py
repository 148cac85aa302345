"""The race of a selection: runs end by the rules of any fit, nobody who may win is dropped."""

from collections import Counter
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from reading import look
from samples import count_rows, overlapping, planted
from table import every_row

import daskem
from daskem import EM, Gaussian, Mixture, Status
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.fitting import loop
from daskem.fitting.algorithms import Draft, State
from daskem.fitting.algorithms.secants import Pair
from daskem.fitting.dropping import drop_before, drop_the_slower
from daskem.fitting.record import Pass
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_starts, shortlists
from daskem.fitting.starts.contest import Contest
from daskem.fitting.starts.seedbed import Seedbed
from daskem.fitting.stopping import Stop
from daskem.models.views import Flaw
from daskem.running.checkpoints.recording import Recording, saved
from daskem.selection.criteria import reachable
from daskem.selection.keeping import Course, course
from daskem.selection.preparing import prepare_selection
from daskem.selection.race import (
    Progress,
    _drop_hopeless,
    _fallen,
    _follow_the_leader,
    _has_lost,
    _to_lead,
    race,
)
from daskem.selection.splitting import grown
from daskem.selection.standing import best_of


def field_of(rows, **options):
    return prepare_selection(rows, (2, 3), random_state=0, **options).search.first_read()


class Impatient(Stop):
    """A rule that nobody has thought of yet: three passes are enough."""

    def __call__(self, history, resolution=0.0):
        return Status.CONVERGED if len(history) > 2 else Status.RUNNING


@pytest.mark.parametrize("criterion", ["bic", "heldout"])
def test_a_run_ends_by_stop_whatever_its_rules(criterion):
    task = prepare_selection(planted(3), (2, 3, 4), criterion=criterion, random_state=0)
    prepared = replace(task.search.prepared, stop=Impatient(1e-300, 200))
    *_, last = replace(task, search=replace(task.search, prepared=prepared)).results("here")
    assert last.best.status is Status.CONVERGED
    assert len(last.best.history) == last.n_passes == 3


def test_a_candidate_ends_where_a_fit_would():
    rows = planted(3)
    stop = prepare_selection(rows, random_state=0).search.prepared.stop
    found = daskem.select(rows, (2, 3, 4), random_state=0)
    weight = len(rows)
    tol = found.best.n_parameters / (200 * weight)
    assert stop == Stop(None, 200)
    assert all(p.remaining < max(tol, 1e-6) for p in found.best.history[-2:])


@pytest.mark.parametrize("n_passes", [3, 5, 10, 100])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_nobody_is_dropped_who_may_still_climb_as_em_does_with_a_component_too_many(
    n_passes, power
):
    """Then what is left falls like 1/t, or faster, and nothing predicts it."""
    left = 1 / np.arange(1.0, n_passes + 1) ** power
    history = tuple(Pass(-g, -g, np.inf, 1.0, 1, 8) for g in left)
    assert reachable(Run(Mixture(Gaussian()), EM(), None, history)) >= left[-1]


def test_a_pass_that_gains_nothing_is_no_end():
    """Its leap may have failed: what the pass before it has gained may be gained again."""
    history = tuple(Pass(o, o, np.inf, 1.0, 1, 8) for o in (-1.0, -0.5, -0.5))
    assert reachable(Run(Mixture(Gaussian()), EM(), None, history)) == pytest.approx(3 * 0.5)


def told(objective, *remaining, memory=()):
    """A run that has said in each of its passes how much is left to gain."""
    history = tuple(Pass(objective, objective, left, 1.0, 1, 8) for left in remaining)
    return Run(Mixture(Gaussian()), EM(), State({}, memory=memory), history)


@pytest.mark.parametrize(
    ("remaining", "status"),
    [
        ((0.2, 0.2), Status.RUNNING),  # predicted to end in front
        ((0.05, 0.05), Status.DROPPED),
        ((0.05,), Status.RUNNING),  # one prediction is none
        ((np.inf, 0.05), Status.RUNNING),
    ],
)
def test_a_restart_is_dropped_where_it_is_behind_and_predicted_to_stay_there(remaining, status):
    runs = [told(-1.0, 1e-3, 1e-3), told(-1.1, *remaining)]
    drop_the_slower(runs, [0, 1])
    assert [run.status for run in runs] == [Status.RUNNING, status]


@pytest.mark.parametrize(("of_data", "status"), [(True, Status.DROPPED), (False, Status.RUNNING)])
def test_a_restart_that_goes_on_where_its_start_ended_is_known_at_once(of_data, status):
    """But not one whose start has climbed on other rows."""
    x = np.zeros(1)
    memory = tuple(Pair(x, x, objective) for objective in (-1.2 if of_data else np.nan, -1.1))
    runs = [told(-1.0, 1e-3), told(-1.1, 0.05, memory=memory)]
    drop_the_slower(runs, [0, 1])
    assert [run.status for run in runs] == [Status.RUNNING, status]


def test_the_record_of_one_that_is_dropped_before_is_what_all_rows_say_of_its_start():
    field = field_of(overlapping(600), n_init=3)
    (runs,) = field.begin([("full", 5)]).values()
    sample, before = field.survey.sample, list(runs)
    drop_before(runs, range(len(runs)), field.survey.weight)
    assert runs[0] is before[0]
    dropped = [run for run in runs if run.status is Status.DROPPED]
    assert dropped
    for run in dropped:
        (sums,) = run.model.e_steps(sample, [run.accepted])
        mean = sums["log_likelihood"] / len(sample)
        (record,) = run.history
        assert record.log_likelihood == pytest.approx(mean, rel=1e-12)
        assert record.objective <= runs[0].state.objective
    # Not where the sample is a part of the rows.
    (runs,) = field_of(overlapping(200_000), n_init=3).begin([("full", 5)]).values()
    drop_before(runs, range(len(runs)), 2e5)
    assert {run.status for run in runs} == {Status.RUNNING}


def test_a_restart_is_dropped_that_would_end_in_front_by_less_than_tol():
    for tol, status in ((1e-3, Status.RUNNING), (3e-3, Status.DROPPED)):
        runs = [told(-1.0, 0.0, 0.0), told(-1.0, 2e-3, 2e-3)]
        drop_the_slower(runs, [0, 1], tol)
        assert [run.status for run in runs] == [Status.RUNNING, status]


def test_the_one_that_others_have_lost_to_stays_the_best_though_it_falls_by_rounding():
    runs = [told(-1.0, 0.0, 0.0), replace(told(-1.0 + 1e-15, 0.0), status=Status.DROPPED)]
    assert best_of(runs[::-1]) is runs[0]
    drop_the_slower(runs, [0, 1], 1e-3)
    assert [run.status for run in runs] == [Status.RUNNING, Status.DROPPED]


def test_one_that_was_dropped_goes_on_if_the_other_becomes_improper():
    dropped = replace(told(-1.1, 0.05, 0.05), status=Status.DROPPED)
    flawed = told(-1.0, 1e-3, 1e-3)
    last = replace(flawed.history[-1], flaws=(Flaw("placed", 0),))
    runs = [replace(flawed, history=(*flawed.history, last)), dropped]
    drop_the_slower(runs, [0, 1])
    assert runs[1].status is Status.RUNNING
    # Not where none of them is followed any more.
    runs = [replace(runs[0], status=Status.DROPPED), dropped]
    drop_the_slower(runs, [0, 1])
    assert [run.status for run in runs] == [Status.DROPPED, Status.DROPPED]


def test_nobody_is_dropped_for_what_the_first_may_yet_find():
    """On the way out of a saddle nothing tells how far it is."""
    runs = [told(-1.0, np.inf, np.inf), told(-1.1, 0.2, 0.2), told(-1.1, 0.05, 0.05)]
    drop_the_slower(runs, [0, 1, 2])
    assert [run.status for run in runs] == [Status.RUNNING, Status.RUNNING, Status.DROPPED]


@pytest.mark.parametrize(
    ("remaining", "lost"),
    [
        ((0.1, 0.1), True),
        ((5.0, 0.1), False),  # a single small prediction settles nothing
        ((0.1,), False),
        ((0.6, 0.6), False),  # to be known so poorly is to know nothing
    ],
)
def test_a_candidate_has_lost_where_two_predictions_say_that_it_stays_behind(remaining, lost):
    one_row = SimpleNamespace(
        value=lambda run, gain=0.0: -(run.history[-1].objective + gain),
        survey=SimpleNamespace(weight=1.0),
    )
    assert _has_lost(one_row, told(-1.0, *remaining), least=0.5, is_proper=True) == lost


def spherical(objective, n_passes=2, flaws=()):
    """A run of one spherical component, after some passes."""
    means, variances = np.zeros((1, 1)), np.ones(1)
    params = Params({"weights": np.ones(1), "means": means, "covariances": variances})
    model = Mixture(Gaussian("spherical"))
    run = replace(told(objective, *[0.1] * n_passes), state=State(params), model=model)
    return replace(run, history=tuple(replace(p, flaws=flaws) for p in run.history))


PRICED = SimpleNamespace(
    value=lambda run: -run.history[-1].objective, price=lambda n_components, n_parameters: 0.1
)


def test_of_candidates_the_best_run_is_led_and_of_those_near_the_front_all():
    """And all after their first pass."""
    runs = [
        *map(spherical, [-2.0, -3.0, -1.0, -1.1, -1.15, -9.0]),
        spherical(-4.0, 1),
        spherical(-3),
    ]
    cells = {("full", 2): [0, 1], ("full", 3): [2, 3], ("full", 4): [4, 5], ("full", 5): [6, 7]}
    assert _to_lead(PRICED, cells, runs) == [0, 2, 3, 4, 5, 6, 7]


def test_a_proper_candidate_is_in_front_of_an_improper_one():
    """However likely that is."""
    improper = spherical(5.0, flaws=(Flaw("placed", 0),))
    runs = [spherical(-1.0), spherical(-1.1), improper, spherical(-9.0), spherical(-9.1)]
    cells = {("full", 2): [0, 1], ("full", 3): [2], ("full", 4): [3, 4]}
    # Of the improper one what is near the front is led, as it has the better criterion.
    assert _to_lead(PRICED, cells, runs) == [0, 1, 2, 3]


def test_the_best_candidate_is_followed_to_its_end_even_if_it_was_dropped():
    field = field_of(planted(3))
    riders = next(race(field, field.begin([("full", 2), ("full", 3)]), {}))
    riders["full", 3] = [replace(run, status=Status.DROPPED) for run in riders["full", 3]]
    _follow_the_leader(field, riders, known=np.inf)
    assert best_of(riders["full", 3]).status is Status.RUNNING
    # Not where an earlier candidate is better anyway.
    riders["full", 3] = [replace(run, status=Status.DROPPED) for run in riders["full", 3]]
    _follow_the_leader(field, riders, known=-np.inf)
    assert best_of(riders["full", 3]).status is Status.DROPPED


def flawed(run):
    """The same run, which has become improper."""
    return replace(run, history=(*run.history[:-1], replace(run.history[-1], flaws=("placed",))))


def test_no_race_goes_on_for_what_is_improper_once_the_best_candidate_has_ended():
    field = field_of(planted(3, n=600), n_init=1)
    riders = next(race(field, field.begin([("full", 2), ("full", 3)]), {}))
    ((two,), (three,)) = riders["full", 2], riders["full", 3]
    assert field.value(three) < field.value(two) - 100
    three = flawed(replace(three, status=Status.RUNNING))
    for status, expected in [
        (Status.RUNNING, Status.RUNNING),
        (Status.CONVERGED, Status.DROPPED),
    ]:
        riders = {("full", 2): [replace(two, status=status)], ("full", 3): [three]}
        _follow_the_leader(field, riders, known=np.inf)
        assert riders["full", 3][0].status is expected
    # All of them improper, they are compared as others are.
    riders = {("full", 2): [flawed(two)], ("full", 3): [three]}
    _follow_the_leader(field, riders, known=np.inf)
    assert riders["full", 3] == [three]
    # But if an earlier one is better, and is not.
    _follow_the_leader(field, riders, known=field.value(three) - 1)
    assert riders["full", 3][0].status is Status.DROPPED


def test_candidates_are_compared_with_earlier_ones_that_are_proper():
    """However likely an improper one was."""
    field = field_of(planted(3, n=600), n_init=1)
    begun = field.begin([("full", 2), ("full", 3)])
    *_, earlier = race(field, {("full", 3): begun["full", 3]}, {})
    known = {("full", 3): list(map(flawed, earlier["full", 3]))}
    *_, riders = race(field, {("full", 2): begun["full", 2]}, known)
    assert [run.status for run in riders["full", 2]] == [Status.CONVERGED]


@pytest.mark.parametrize(
    ("behind", "expected", "status"),
    [(9, 0.0, Status.RUNNING), (11, 0.0, Status.DROPPED), (11, np.inf, Status.RUNNING)],
)
def test_what_all_rows_have_shown_to_end_well_behind_is_dropped(behind, expected, status):
    field = field_of(planted(3, n=600), n_init=1)
    riders = next(race(field, field.begin([("full", 2), ("full", 3)]), {}))
    ((best,), (run,)) = riders["full", 3], riders["full", 2]
    further = (field.value(run) - field.value(best) - behind) / (2 * field.survey.weight)
    likelihood = run.history[-1].log_likelihood + further
    record = replace(run.history[-1], log_likelihood=likelihood, remaining=0.0)
    state = replace(run.state, expected=expected)
    riders["full", 2] = [replace(run, history=(record,), state=state, status=Status.RUNNING)]
    _drop_hopeless(field, riders, np.inf)
    assert riders["full", 2][0].status is status
    assert riders["full", 3] == [best]


def test_nothing_proper_is_dropped_for_what_is_improper():
    field = field_of(planted(3, n=600), n_init=1)
    riders = next(race(field, field.begin([("full", 2), ("full", 3)]), {}))
    ((improper,), (proper,)) = riders["full", 3], riders["full", 2]
    assert field.value(improper) < field.value(proper) - 100
    record = replace(improper.history[-1], flaws=(Flaw("placed", 0),))
    riders["full", 3] = [replace(improper, history=(*improper.history[:-1], record))]
    proper = replace(proper, status=Status.RUNNING)
    riders["full", 2] = [proper]
    _drop_hopeless(field, riders, np.inf)
    assert riders["full", 2] == [proper]


def test_restarts_share_nothing():
    """What they find differs where what other seeds would find does."""
    (runs,) = field_of(overlapping(2000), n_init=3).begin([("full", 5)]).values()
    found = {run.params["means"].tobytes() for run in runs}
    assert len(found) == len(runs) == 3


def foretold(field, run):
    """BIC of the params of a run, by the sample."""
    (sums,) = run.model.e_steps(field.survey.sample, [run.params])
    p, weight = run.n_parameters, field.survey.weight
    return p * np.log(weight) - 2 * sums["log_likelihood"]


def test_the_candidate_in_front_is_polished_as_if_it_were_alone(monkeypatch):
    """And others until no more is left than a little of what they lie behind."""
    field = field_of(planted(3, n=3000), n_init=3)
    cells, counted = [("full", k) for k in (1, 2, 3, 6)], count_rows(monkeypatch)
    alone = {cell: field.begin([cell])[cell] for cell in cells}
    rows_alone, counted[0] = counted[0], 0
    together = field.begin(cells)
    assert counted[0] < 0.8 * rows_alone
    values = {cell: foretold(field, runs[0]) for cell, runs in together.items()}
    first, least = min(values, key=values.get), min(values.values())
    assert first == ("full", 3)
    for run, same in zip(together[first], alone[first], strict=True):
        # Restarts that end alike, to rounding, may have changed places.
        weights = (np.sort(each.params["weights"]) for each in (run, same))
        np.testing.assert_allclose(*weights, rtol=1e-9)
        assert foretold(field, run) == pytest.approx(foretold(field, same), rel=1e-12)
    for cell, value in values.items():
        assert value - foretold(field, alone[cell][0]) <= 0.2 * (value - least)


@pytest.fixture
def searched(monkeypatch):
    """The numbers of components of all restarts, of quick ones too, and of all that are regrown."""
    restarts, quick_ones, regrown = [], [], []
    begin, regrow = Contest.restarts, Contest.regrown

    def spied(self, rngs, quick=False):
        restarts.extend([self.n_components] * len(rngs))
        quick_ones.extend([self.n_components] * len(rngs) * quick)
        return begin(self, rngs, quick)

    def spied_too(self, restart):
        regrown.append(self.n_components)
        return regrow(self, restart)

    monkeypatch.setattr(Contest, "restarts", spied)
    monkeypatch.setattr(Contest, "regrown", spied_too)
    return restarts, quick_ones, regrown


def test_what_cannot_come_to_be_in_front_has_few_restarts_that_do_not_grow(searched):
    """Cannot is what would be behind even if it were as likely as an over-fit."""
    field = field_of(planted(3, n=3000), n_init=5)
    field.begin([("full", k) for k in (1, 2, 3, 8)])
    restarts, quick_ones, regrown = map(Counter, searched)
    assert restarts == {1: 1, 2: 5, 3: 5, 8: 3}
    assert quick_ones == {1: 1, 2: 3, 3: 3, 8: 3}
    assert regrown == {2: 3, 3: 3}


@pytest.mark.parametrize(("n_init", "n_quick"), [(3, 0), (4, 3)])
def test_alone_it_is_in_front(n_init, n_quick, searched):
    """Its first restarts are quick where others follow."""
    field_of(planted(3, n=3000), n_init=n_init).begin([("full", 8)])
    restarts, quick_ones, regrown = searched
    assert (len(restarts), len(quick_ones), len(regrown)) == (n_init, n_quick, 3)


def test_a_quick_restart_has_no_seeds_for_just_as_many_components(monkeypatch):
    """But where labels say where each of them begins, so that none is too many."""
    drawn, seeded = [], Seedbed.seeded

    def spied(self, n_components, rngs):
        drawn.append(n_components)
        return seeded(self, n_components, rngs)

    monkeypatch.setattr(Seedbed, "seeded", spied)
    first = field_of(planted(3)).reads["full"]
    contest = shortlists(first, "k-means++", [4])[4].contest
    rngs = [np.random.default_rng(0)]
    contest.restarts(rngs)
    assert drawn == [4, 6]
    contest.restarts(rngs, quick=True)
    assert drawn == [4, 6, 6]
    known = replace(contest, effort=replace(contest.effort, counts=(4,)))
    known.restarts(rngs, quick=True)
    assert drawn == [4, 6, 6, 4]


# A likelihood that falls with the number of components.


def stuck(field, n_components):
    """A run of as many equal components, which is one to EM, and stays one."""
    sample = field.survey.sample
    model = field.reads["full"].model
    one = model.from_labels(sample, np.zeros(len(sample), dtype=int), sample.rows[:1])
    equal = {name: np.repeat(value, n_components, axis=0) for name, value in one.items()}
    return field._run("full", Draft(Params({**equal, "weights": equal["weights"] / n_components})))


def test_a_likelihood_that_falls_is_mended_by_a_component_that_is_split():
    field = field_of(planted(3))
    begun = {("full", 3): [stuck(field, 3)], **field.begin([("full", 2)])}
    *_, riders = race(field, begun, {})
    two, three = (best_of(riders["full", k]) for k in (2, 3))
    assert len(riders["full", 3]) == 2
    assert three.history[-1].log_likelihood > two.history[-1].log_likelihood
    # It is the fit that other starts lead to, and ends as any other does.
    (runs,) = field.begin([("full", 3)]).values()
    *_, other = race(field, {("full", 3): runs[:1]}, {})
    mended, found = three.history[-1], best_of(other["full", 3]).history[-1]
    assert mended.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-5)
    assert three.status is Status.CONVERGED


def test_nothing_is_mended_with_what_is_improper():
    """However likely that is; but with a proper fit of still fewer components."""
    field = field_of(planted(3))
    begun = field.begin([("full", 2), ("full", 3)])
    riders = next(race(field, begun, {}))
    two, three = (best_of(riders["full", k]) for k in (2, 3))
    known = {("full", 2): [two], ("full", 3): [flawed(three)]}
    four = next(race(field, {("full", 4): [stuck(field, 4)]}, {}))
    assert list(_fallen(field, four, known)) == [(("full", 4), two)]


def test_a_race_that_goes_on_knows_what_was_mended(tmp_path):
    field = field_of(planted(3))
    recording = Recording.at(tmp_path, {})
    runs = field.begin([("full", 2), ("full", 3)])
    here = Course(runs, 4, Progress(2.5, {("full", 3)}))
    here.write(recording.opened(0), field)
    left = course(field, list(runs), replace(recording, before=saved(recording.path)))
    assert left.progress == here.progress
    assert left.passes == 4
    assert {cell: len(of) for cell, of in left.runs.items()} == {c: len(r) for c, r in runs.items()}


def test_it_is_mended_with_what_an_earlier_selection_has_found():
    field = field_of(planted(3))
    *_, earlier = race(field, field.begin([("full", 2)]), {})
    *_, riders = race(field, {("full", 4): [stuck(field, 4)]}, earlier)
    two, four = best_of(earlier["full", 2]), best_of(riders["full", 4])
    assert two.history[-1].log_likelihood < four.history[-1].log_likelihood
    assert set(riders) == {("full", 4)}


def test_what_falls_in_the_last_pass_is_mended_too():
    """The fit with fewer components leaves a saddle, and all runs end, before it is seen."""
    field = field_of(planted(3), algorithm="em")
    prepared = replace(field.search.prepared, stop=Stop(0.0, 3))
    field = replace(field, search=replace(field.search, prepared=prepared))
    two = stuck(field, 2).params
    aside = Draft(Params({**two, "means": two["means"] + np.array([[0.03], [-0.03]])}))
    begun = {("full", 2): [field._run("full", aside)], ("full", 3): [stuck(field, 3)]}
    *_, riders = race(field, begun, {})
    two, three = (best_of(riders["full", k]).history[-1].log_likelihood for k in (2, 3))
    assert three > two


def test_a_run_that_joins_later_has_no_more_time_than_the_others(monkeypatch):
    seconds = count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    field = field_of(planted(3), tol=1e-300, max_seconds=2.5)
    begun = {("full", 3): [stuck(field, 3)], **field.begin([("full", 2)])}
    passes = list(race(field, begun, {}))
    assert len(passes) == 3
    joined = passes[-1]["full", 3][-1]
    assert joined.status is Status.MAX_SECONDS
    assert len(joined.history) == 2


def test_a_proper_split_is_taken_rather_than_one_that_nothing_but_rounding_bounds():
    """Four rows in two halves gain more than a cluster of sixty that are two."""
    rng = np.random.default_rng(0)
    two = rng.normal(size=(60, 2)) + np.repeat([[-1.5, 0.0], [1.5, 0.0]], 30, axis=0)
    rows = np.append(two, rng.normal(size=(4, 2)) + np.array([6.0, 0.0]), axis=0)
    first = look(Mixture(Gaussian()), as_blocks(rows))
    labels = np.arange(64) // 60
    params = first.model.from_labels(Block(rows), labels, rows[[0, 60]])
    grown_params = grown(first, params, 3).params
    statistics = first.model.e_step(Block(rows), grown_params)
    told = first.model.events(statistics, grown_params)
    assert not [event for event in told if isinstance(event, Flaw)]


@pytest.mark.parametrize(("n", "of_data"), [(600, True), (200_000, False)])
def test_what_a_part_of_the_rows_says_of_a_split_is_not_what_all_of_them_say(n, of_data):
    first = look(Mixture(Gaussian()), as_blocks(planted(3, n=n)), 0)
    (two,) = best_starts(first, 2, None, "k-means++", [np.random.default_rng(0)])
    draft = grown(first, two.params, 3)
    assert (draft.step is not None) == of_data
    assert draft.memory


def test_rows_of_no_weight_are_not_split():
    rows = overlapping(300)
    more, weights = (
        np.vstack([rows, np.tile(rows[:1], (200, 1))]),
        np.repeat([1.0, 0.0], [300, 200]),
    )
    found = []
    for data, counts in ((rows, np.ones(300)), (more, weights)):
        first = look(Mixture(Gaussian()), as_blocks(data, counts))
        sample = Block(rows)
        params = first.model.from_labels(sample, np.zeros(300, dtype=int), rows[:1])
        found.append(grown(first, params, 2).params)
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-9, atol=1e-12, err_msg=name)


@every_row
@pytest.mark.parametrize("n_components", [3, 4])
def test_a_fit_with_split_components_is_more_likely(row, n_components):
    # Of two features that are yes or no, two components say all that there is to say.
    rows, model = row.rows(600, d=4, k=4), Mixture(row.family)
    first = look(model, as_blocks(rows))
    fit = daskem.fit(model, rows, 2, random_state=0)
    draft = grown(first, fit.best.framed, n_components)
    assert first.model.n_components(draft.params) == n_components
    before, after = (
        first.model.e_step(Block(rows), params)["log_likelihood"]
        for params in (fit.best.framed, draft.params)
    )
    assert after > before
