"""Selection: the right size is found, in the reads of one fit, and the table tells the truth."""

import threading
from collections import Counter
from importlib import import_module

import dask
import dask.array as da
import numpy as np
import pytest
from cluster import bits
from reading import look
from samples import counting, planted

import daskem
from daskem import EM, Gaussian, Mixture, Poisson, Status
from daskem.cli import main
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import ConvergenceWarning, DataError, ParameterError
from daskem.fitting.loop import passes
from daskem.fitting.probe import Slowest
from daskem.fitting.run import Run
from daskem.fitting.stopping import Stop
from daskem.models.heldout import HeldOut
from daskem.selection.criteria import entropies, judge
from daskem.selection.selection import Selection


@pytest.fixture(scope="module")
def selection() -> Selection:
    return daskem.select(planted(3), range(1, 6), ("full", "diag"), n_init=2, random_state=0)


@pytest.mark.torture
def test_planted_sizes_are_found():
    found = []
    for seed in range(10):
        k, d = 2 + seed % 5, 2 + seed % 3
        rows = planted(k, d, 10_000, seed)
        found.append(daskem.select(rows, range(1, 9), random_state=seed).best.n_components == k)
    assert sum(found) >= 9


def test_a_planted_size_and_shape_are_found(selection):
    assert selection.best_candidate == ("diag", 3)
    assert selection.best.n_components == 3
    assert selection.best.converged
    assert "best by bic: diag, K = 3" in str(selection)


@pytest.mark.parametrize("name", ["bic", "aic"])
def test_the_table_is_what_the_fits_say(selection, name):
    rows = planted(3)
    for model in ("full", "diag"):
        for k in range(1, 6):
            row = selection.table.sel(model=model, n_components=k)
            fit = selection.result(model, k)
            assert int(row["n_parameters"]) == fit.n_parameters
            assert float(row["log_likelihood"]) == fit.log_likelihood
            # The params are an M step further than the pass that the table tells of.
            assert getattr(fit, name)(rows) == pytest.approx(float(row[name]), abs=2.5)
            # That never falls with the prior of reg_covar, k times 1e-6 n in weight.
            assert getattr(fit, name)(rows) <= float(row[name]) + 2 * 1e-6 * len(rows) * k
    assert np.isfinite(selection.table["bic"]).all()


@pytest.mark.parametrize("n", [600, 200_000])
def test_every_candidate_keeps_a_run_to_the_end(n):
    """Dropped or not, nobody's best run leaves before the best candidate has converged; but for
    those that fits to all of the rows, where these are few, have shown to end well behind.
    """
    selection = daskem.select(planted(3, n=n), range(1, 6), n_init=3, random_state=0)
    longest = selection.n_reads - 1
    least = selection.standings[0].value
    for runs in selection.runs.values():
        kept = any(run.status is Status.CONVERGED or len(run.history) == longest for run in runs)
        told = [selection.field.value(run) > least + 10 for run in runs]
        assert kept or (n == 600 and all(told))


def test_candidates_and_restarts_share_every_read_of_every_chunk():
    calls, lock = Counter(), threading.Lock()
    data = counting(planted(3), 500, calls, lock)
    with dask.config.set(scheduler="threads"):
        found = daskem.select(
            data, (2, 3, 4), ("full", "tied"), n_init=2, random_state=0, cache="none"
        )
        before = set(calls.values())
        wider = found.extend([3, 5])
    assert before == {found.n_reads}
    assert len(calls) == data.numblocks[0]
    longest = max(len(run.history) for name in ("full", "tied") for run in wider.runs[name, 5])
    assert set(calls.values()) == {found.n_reads + longest}
    for cell, runs in found.runs.items():
        assert wider.runs[cell] is runs


def test_more_sizes_give_the_table_that_they_would_have_given_at_once(selection):
    part = daskem.select(planted(3), (1, 2), ("full", "diag"), n_init=2, random_state=0)
    wider = part.extend(range(1, 6))
    assert wider.best_candidate == selection.best_candidate
    assert list(wider.table["n_components"]) == [1, 2, 3, 4, 5]
    # Passes end when the best candidate is known, so that the others may be some passes apart.
    np.testing.assert_allclose(wider.table["bic"], selection.table["bic"], atol=5)
    assert wider.extend([2]) is wider


@pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning")
def test_candidates_of_more_parameters_than_a_sample_can_tell_are_started_too():
    """They begin as diagonal components that have grown, without a memory of full ones."""
    rows = planted(2, d=4, n=100)
    found = daskem.select(rows, [1, 2, 5], random_state=0, n_init=3)
    assert {k for _, k in found.runs} == {1, 2, 5}
    assert found.best.n_components == 2


def test_sizes_that_can_be_listed_once_are_tried_with_every_model():
    found = daskem.select(planted(2, n=300), [1], ("diag", "tied"), random_state=0)
    assert set(found.extend(iter([2])).runs) == {(m, k) for m in ("diag", "tied") for k in (1, 2)}


def test_the_best_of_a_size_is_no_worse_than_a_fit_of_that_size(selection):
    rows = planted(3)
    for k in (2, 3, 4):
        alone = daskem.fit(Mixture(Gaussian()), rows, k, random_state=2)
        assert selection.result("full", k).log_likelihood > alone.log_likelihood - 1e-3


def test_the_same_bits_from_numpy_threads_and_a_cluster(client):
    rows = planted(2, n=17_000)
    data = da.from_array(rows, chunks=(as_blocks(rows).chunk_rows, -1))
    options = {"n_components": (1, 2), "n_init": 1, "random_state": 5}
    here, there = daskem.select(rows, **options), daskem.select(data, **options)
    with client.as_current(), dask.config.set(scheduler="threads"):
        threads = daskem.select(data, **options)
    assert bits(here.best) == bits(there.best) == bits(threads.best)
    assert here.table.identical(there.table)


def test_other_families_are_chosen_among_by_name():
    rng = np.random.default_rng(0)
    rows = rng.poisson(np.array([[2.0, 9.0], [12.0, 3.0]])[rng.integers(2, size=3000)]).astype(
        float
    )
    models = {"counts": Mixture(Poisson()), "round": Mixture(Gaussian("spherical"))}
    found = daskem.select(rows, (1, 2, 3), models=models, n_init=1, random_state=0)
    assert found.best_candidate == ("counts", 2)


# Criteria.


def test_icl_adds_twice_the_entropy_of_one_more_read():
    rows = planted(3, apart=4.0)
    found = daskem.select(rows, (2, 3), criterion="icl", n_init=1, random_state=0, tol=1e-5)
    r = found.result("full", 3).predict_proba(rows)
    entropy = -(r * np.log(np.maximum(r, 1e-300))).sum()
    row = found.table.sel(model="full", n_components=3)
    assert float(row["entropy"]) == pytest.approx(entropy, rel=1e-9)
    assert float(row["icl"] - row["bic"]) == pytest.approx(2 * entropy, rel=1e-6)
    assert found.n_reads == 2 + max(len(r.history) for runs in found.runs.values() for r in runs)


def test_entropies_count_weights_as_repeats():
    rows = planted(2, n=300, apart=2.0)
    times = np.random.default_rng(0).integers(0, 4, size=len(rows))
    model = Mixture(Gaussian())
    result = daskem.fit(model, rows, 2, random_state=0)
    fits = [(result.model, result.best.framed)] * 2
    weighted = entropies(Block(rows, times.astype(float)), fits)
    np.testing.assert_allclose(weighted, entropies(Block(np.repeat(rows, times, axis=0)), fits))


def test_held_out_rows_are_judged_and_not_fitted():
    rows = planted(2, n=3000)
    model = look(Mixture(Gaussian()), as_blocks(rows)).model
    outer = HeldOut(model, fraction=0.3, seed=4)
    start = model.from_labels(Block(rows), np.arange(3000) % 2, rows[:2])
    run = Run(outer, EM(), EM().start(start))
    *_, (run,) = passes([run], as_blocks(rows), Stop(0, 5))
    held = Block(rows).hash(4) < 0.3 * 2.0**64
    assert 0.25 < held.mean() < 0.35
    plain = Run(model, EM(), EM().start(start))
    *_, (plain,) = passes([plain], as_blocks(rows[~held]), Stop(0, 5))
    for name, value in plain.params.items():
        np.testing.assert_allclose(run.params[name], value, rtol=1e-10, atol=1e-12)
    for one, other in zip(run.history, plain.history, strict=True):
        assert one.objective == pytest.approx(other.objective, abs=1e-12)
    judged = model.e_step(Block(rows[held]), run.state.accepted)["log_likelihood"]
    statistics = run.state.statistics
    assert statistics["heldout_log_likelihood"] == pytest.approx(judged)
    assert statistics["heldout_weight"] + statistics["fitted_weight"] == len(rows)
    one, other = judge(run, len(rows)), judge(plain, np.sum(~held))
    assert {name: one[name] for name in other} == pytest.approx(other, rel=1e-12)


def test_rows_that_are_held_out_do_not_depend_on_the_chunks():
    data = planted(2, n=5000)
    found = [
        daskem.select(
            da.from_array(data, chunks=(size, -1)),
            [2],
            criterion="heldout",
            n_init=1,
            random_state=0,
        ).table["heldout"]
        for size in (5000, 333)
    ]
    np.testing.assert_allclose(*found, rtol=1e-7)


def test_held_out_rows_find_a_planted_size():
    found = daskem.select(planted(3), (1, 2, 3), criterion="heldout", n_init=1, random_state=0)
    assert found.best.n_components == 3
    assert found.best.predict(planted(3)[:5]).shape == (5,)


def test_held_out_candidates_of_one_model_share_every_sweep(monkeypatch):
    sweeps, plain = [], HeldOut.e_steps

    def counted(self, block, candidates):
        sweeps.append(len(candidates))
        return plain(self, block, candidates)

    monkeypatch.setattr(HeldOut, "e_steps", counted)
    # Steps aside in the sample are sweeps too, but none of the data.
    confirming = import_module("daskem.fitting.confirming")
    monkeypatch.setattr(confirming, "slowest", lambda *_: Slowest(0.5, np.zeros(1)))
    found = daskem.select(planted(3), (1, 2, 3), criterion="heldout", n_init=1, random_state=0)
    assert len(sweeps) == found.n_reads - 1
    assert sweeps[0] == 3


# What is refused, and the command line.


def test_a_choice_that_has_not_converged_warns():
    with pytest.warns(ConvergenceWarning, match="raise max_passes"):
        daskem.select(planted(3), [3], n_init=1, max_passes=1, random_state=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "bci"}, "criterion='bci'"),
        ({"n_components": []}, "n_components is empty"),
        ({"n_components": [0]}, "n_components=0"),
        ({"n_components": 3}, "n_components=3 leaves nothing to choose: pass several"),
        ({"covariance_type": "round"}, "covariance_type='round'"),
        ({"n_init": 0}, "n_init=0"),
        ({"max_passes": 0}, "max_passes=0"),
        ({"init_params": "kmeans"}, "init_params='kmeans'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        daskem.select(planted(2, n=200), **options)


def test_more_components_than_rows_are_refused():
    with pytest.raises(DataError, match="n_components = 7"):
        daskem.select(np.eye(5), [7])


def test_sizes_that_are_no_sizes_are_refused_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["select", "rows.zarr", "-k", "1..4"])
    assert "'1..4' is not like 8 or 1-20" in capsys.readouterr().err


def test_the_command_line_selects(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    store, out, picture = (str(tmp_path / name) for name in ("rows.zarr", "model", "bic.png"))
    da.from_array(planted(2, n=1000), chunks=(300, -1)).to_zarr(store)
    arguments = ["-k", "1-3", "--covariance-type", "full", "diag", "--n-init", "1"]
    arguments += ["--random-state", "0", "--out", out, "--plot", picture]
    assert main(["select", store, *arguments]) == 0
    told = capsys.readouterr().out
    assert "best by bic: diag, K = 2" in told
    assert "reads of the data" in told
    assert daskem.load(out).n_components == 2
    assert (tmp_path / "bic.png").stat().st_size > 1000
