"""Short climbs of many starts at once, against the loop of all fits and against each alone."""

import numpy as np
import pytest
from reading import look
from samples import count_rows
from table import TABLE, every_setting

from daskem import Gaussian, Mixture, Status, StudentT
from daskem.core.coordinates import from_free_each, to_free, to_free_each
from daskem.core.parameters import REAL, Parameter, Support
from daskem.data.inputs import as_blocks
from daskem.errors import ModelError
from daskem.fitting.algorithms import Draft, Squarem
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_of_many
from daskem.fitting.starts.contest import ranking
from daskem.fitting.starts.seedbed import Seedbed
from daskem.fitting.starts.short_climbs import climbed, in_memory, judged
from daskem.fitting.stopping import Stop
from daskem.models.asking import EmSteps, all_allowed_of, allowed
from daskem.models.families.covariances import STRUCTURES
from daskem.models.views import Flaw

PASSES = 9


def begun(row, counts=(3, 4, 3)):
    """A model in its frame, a sample of its rows, and starts of some numbers of components."""
    first = look(Mixture(row.family), as_blocks(row.rows()))
    bed, rng = Seedbed(first.model, first.survey.sample, "k-means++"), np.random.default_rng(0)
    return first, first.survey.sample, [Draft(bed.seeded(k, [rng])[0]) for k in counts]


@every_setting
def test_climbs_in_step_go_where_the_loop_goes(row, monkeypatch):
    monkeypatch.setattr("daskem.fitting.starts.one_climb._LITTLE", 0.0)
    first, sample, drafts = begun(row)
    runs = [Run(first.model, Squarem(), draft.start(Squarem())) for draft in drafts]
    *_, runs = passes(runs, in_memory(sample), Stop(0.0, PASSES))
    for found, run in zip(climbed(first.model, drafts, sample, PASSES), runs, strict=True):
        assert found.objective == pytest.approx(run.history[-1].objective, rel=1e-10)
        assert found.unfit == run.unfit
        for name, value in found.draft.params.items():
            np.testing.assert_allclose(value, run.accepted[name], rtol=1e-6, atol=1e-9)
        assert found.draft.memory[-1].objective == found.objective


@every_setting
def test_long_climbs_in_step_end_where_the_loop_ends(row):
    first, sample, drafts = begun(row)
    stop = Stop(1e-4, 60)
    ended = climbed(first.model, drafts, sample, stop.max_passes, [stop.tol] * len(drafts))
    for found, draft in zip(ended, drafts, strict=True):
        run = Run(first.model, Squarem(), draft.start(Squarem()))
        *_, (run,) = passes([run], in_memory(sample), stop)
        assert found.unfit == run.unfit
        if run.status is not Status.FAILED:
            assert found.objective == pytest.approx(run.history[-1].objective, abs=stop.tol)


@every_setting
def test_a_climb_goes_on_where_one_on_the_same_rows_ended(row):
    first, sample, drafts = begun(row)
    before = climbed(first.model, drafts, sample, 4)
    there = climbed(first.model, [entry.draft for entry in before], sample, 1)
    for old, new in zip(before, there, strict=True):
        assert new.draft.params is old.draft.step
        assert new.objective >= old.objective - 1e-9
    # On other rows all is new.
    some = sample[: len(sample) // 2]
    elsewhere = climbed(first.model, [entry.draft for entry in before], some, 1)
    assert [e.draft.params for e in elsewhere] == [entry.draft.params for entry in before]


@pytest.mark.parametrize(("n", "is_all"), [(500, True), (70_000, False)])
def test_a_fit_goes_on_from_a_sample_that_is_all_of_the_data(n, is_all):
    rows = np.random.default_rng(4).normal(size=(n, 1)) ** 3
    first = look(Mixture(Gaussian()), as_blocks(rows))
    (entry,) = best_of_many(first, 2, "k-means++", [np.random.default_rng(0)])
    draft = entry.draft
    asked = draft.start(Squarem()).asked[0][1]
    assert (asked is draft.step) == is_all
    assert (asked is draft.params) != is_all


@every_setting
def test_m_steps_of_many_are_those_of_each(row):
    """To the bit: components that share nothing are those of one mixture."""
    first, sample, drafts = begun(row)
    candidates = [draft.params for draft in drafts]
    statistics = [first.model.e_step(sample, params) for params in candidates]
    together = EmSteps(first.model).m_steps(statistics, candidates)
    for found, sums, params in zip(together, statistics, candidates, strict=True):
        alone = first.model.m_step(sums, params)
        assert set(found) == set(alone)
        assert all(np.array_equal(found[name], alone[name]) for name in alone)


@every_setting
def test_what_is_allowed_of_many_is_that_of_each(row):
    """And nothing of none, as where all leaps lead out of a model."""
    first, _, drafts = begun(row)
    all_allowed, candidates = all_allowed_of(first.model), [draft.params for draft in drafts]
    for one, params in zip(all_allowed(candidates), candidates, strict=True):
        for name, value in allowed(first.model, params).items():
            np.testing.assert_allclose(one[name], value, rtol=1e-12)
    assert not all_allowed([])
    assert not EmSteps(first.model).m_steps([], [])


@every_setting
def test_starts_are_judged_as_they_are(row):
    first, sample, drafts = begun(row)
    for found, draft in zip(judged(first.model, drafts, sample), drafts, strict=True):
        (alone,) = climbed(first.model, [draft], sample, 1)
        assert found.draft is draft
        assert found.objective == pytest.approx(alone.objective, rel=1e-12)
        assert found.unfit == alone.unfit


@pytest.mark.parametrize("k", [2, 3, 5])
def test_restarts_in_step_find_what_each_finds_alone(k):
    rng = np.random.default_rng(0)
    rows = 3 * rng.normal(size=(4, 2))[rng.integers(4, size=400)] + rng.normal(size=(400, 2))
    first = look(Mixture(Gaussian()), as_blocks(rows))
    draws = [np.random.default_rng(seed) for seed in range(4)]
    together = best_of_many(first, k, "k-means++", draws)
    for seed, found in enumerate(together):
        (alone,) = best_of_many(first, k, "k-means++", [np.random.default_rng(seed)])
        assert found.objective == pytest.approx(alone.objective, rel=1e-9)


def test_a_climb_ends_where_little_is_gained(monkeypatch):
    rng = np.random.default_rng(1)
    rows = 9 * rng.normal(size=(2, 2))[rng.integers(2, size=500)] + rng.normal(size=(500, 2))
    first = look(Mixture(Gaussian()), as_blocks(rows))
    (found,) = best_of_many(first, 2, "k-means++", [rng])
    counted = count_rows(monkeypatch)
    (again,) = climbed(first.model, [found.draft], first.survey.sample, 50)
    assert counted[0] <= 3 * len(rows)
    assert again.objective == pytest.approx(found.objective, abs=1e-4)


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize(
    "family", [*map(Gaussian, STRUCTURES), StudentT(), Gaussian(reg_covar=0.1)]
)
def test_no_flaw_escapes_a_glance_at_all_fits(family, d):
    """And not all are looked at, where a component may be flawed by itself."""
    rng = np.random.default_rng(d)
    first = look(Mixture(family), as_blocks(rng.normal(size=(150, d))))
    model, sample = first.model, first.survey.sample
    drafts = []
    for k in [1, 2, 3, 4, 6, 7, 8, 9] * 3:
        centres = sample.rows[rng.choice(len(sample), k, replace=False)]
        labels = np.square(sample.rows[:, None] - centres).sum(axis=2).argmin(axis=1)
        drafts.append(Draft(model.from_labels(sample, labels, centres)))
    candidates = [entry.draft.params for entry in climbed(model, drafts, sample, PASSES)]
    statistics = [model.e_step(sample, params) for params in candidates]
    suspects = model.suspects(statistics, candidates)
    pairs = zip(statistics, candidates, strict=True)
    flawed = [any(isinstance(e, Flaw) for e in model.events(*pair)) for pair in pairs]
    assert any(flawed) == (family not in (Gaussian("tied"), Gaussian(reg_covar=0.1)))
    assert all(suspect >= flaw for suspect, flaw in zip(suspects, flawed, strict=True))
    assert all(suspects) == (family == Gaussian("tied"))


def test_a_climb_that_fails_leaves_the_others_alone(monkeypatch):
    rng = np.random.default_rng(2)
    first = look(Mixture(Gaussian()), as_blocks(rng.normal(size=(300, 2))))
    sample = first.survey.sample
    bed = Seedbed(first.model, sample, "k-means++")
    drafts = [Draft(params) for params in bed.seeded(3, [rng] * 3)]
    (expected,) = climbed(first.model, drafts[2:], sample, PASSES)
    m_steps = Mixture.m_steps

    def fails_of_the_second(self, statistics, candidates):
        if any(params is drafts[1].params for params in candidates):
            raise np.linalg.LinAlgError("placed")
        return m_steps(self, statistics, candidates)

    monkeypatch.setattr(Mixture, "m_steps", fails_of_the_second)
    found = climbed(first.model, drafts, sample, PASSES)
    assert [entry.unfit[0] for entry in found] == [False, True, False]
    assert found[2].objective == pytest.approx(expected.objective, rel=1e-10)
    assert ranking(found)[-1] is found[1]


def test_an_e_step_on_the_sample_fails_as_one_on_the_data_does(monkeypatch):
    first, sample, drafts = begun(TABLE[0])

    def fails(*_):
        raise np.linalg.LinAlgError("placed")

    monkeypatch.setattr(Mixture, "e_steps", fails)
    for way, how in ((climbed, (PASSES,)), (climbed, (PASSES, [1e-4] * len(drafts))), (judged, ())):
        with pytest.raises(ModelError, match="the E step met params that are no model"):
            way(first.model, drafts, sample, *how)


def test_coordinates_of_many_are_those_of_each():
    """One of them without a Cholesky factor, one that a leap leads out of the model."""
    rng = np.random.default_rng(3)
    model = Mixture(Gaussian())
    many = []
    for k in (2, 3, 2, 2):
        roots = rng.normal(size=(k, 2, 2))
        many.append(
            {
                "weights": np.full(k, 1 / k),
                "means": rng.normal(size=(k, 2)),
                "covariances": roots @ roots.swapaxes(1, 2) + np.eye(2),
            }
        )
    many[2]["covariances"] = np.ones((2, 2, 2))
    points = to_free_each(model.parameters, many)
    for point, params in zip(points, many, strict=True):
        np.testing.assert_array_equal(point, to_free(model.parameters, params))
    assert [np.isfinite(point).all() for point in points] == [True, True, False, True]
    points[3] = points[3] + 1e4
    found = from_free_each(model.parameters, many, points)
    assert [params is None for params in found] == [False, False, True, True]
    for params, like, point in zip(found[:2], many, points, strict=False):
        (alone,) = from_free_each(model.parameters, [like], [point])
        for name, value in like.items():
            np.testing.assert_array_equal(params[name], alone[name])
            np.testing.assert_allclose(params[name], value, rtol=1e-12)


@every_setting
def test_coordinates_of_many_numbers_of_components_are_those_of_each(row):
    """To the bit, there and back; one of them on an edge."""
    first, _, drafts = begun(row, (3, 1, 4, 3))
    declared, many = first.model.parameters, [draft.params for draft in drafts]
    lost = np.array([0.5, 0.0, 0.5])
    many[3] = {name: lost if np.shape(v) == (3,) else v for name, v in many[3].items()}
    points = to_free_each(declared, many)
    for i, found in enumerate(from_free_each(declared, many, points)):
        np.testing.assert_array_equal(points[i], to_free(declared, many[i]))
        (alone,) = from_free_each(declared, many[i : i + 1], points[i : i + 1])
        assert (found is None) == (alone is None)
        for name, value in (found or {}).items():
            np.testing.assert_array_equal(value, alone[name])
            np.testing.assert_allclose(value, many[i][name], rtol=1e-9, atol=1e-12)


def test_a_support_that_says_nothing_of_its_axes_sees_stacks_of_equal_shapes():
    """As of a set whose members are whole arrays: here, numbers around their mean."""
    seen = []

    def about_mean(values):
        seen.append(values.shape)
        return values - values.mean(axis=(1, 2), keepdims=True)

    centred = Support("numbers", np.isfinite, np.prod, to_free=about_mean)
    declared = {"a": Parameter(("component", "x"), centred), "b": Parameter((), REAL)}
    rng = np.random.default_rng(0)
    many = [{"a": rng.normal(size=(k, 3)), "b": np.array(k)} for k in (2, 4, 2)]
    points = to_free_each(declared, many)
    assert sorted(seen) == [(1, 4, 3), (2, 2, 3)]
    for point, params in zip(points, many, strict=True):
        expected = [*(params["a"] - params["a"].mean()).ravel(), params["b"]]
        np.testing.assert_allclose(point, expected, rtol=1e-13)
    for params, point in zip(from_free_each(declared, many, points), points, strict=True):
        np.testing.assert_array_equal(params["a"].ravel(), point[:-1])
        assert params["b"] == point[-1]
