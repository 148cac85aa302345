"""A fit that is interrupted after any pass goes on from its checkpoint to the same bits."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import dask.array as da
import fsspec
import numpy as np
import pytest
from cluster import PATIENCE
from samples import chunked, overlapping
from table import every_row

import daskem
from daskem import Gaussian, Mixture, Status
from daskem.cli.commands import main
from daskem.errors import CheckpointError, DataReadError
from daskem.fitting.algorithms import EM
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.running.checkpoints import places
from daskem.running.checkpoints.container import decode, encode
from daskem.running.checkpoints.recording import saved
from daskem.running.checkpoints.shelf import last, opened
from daskem.running.resuming import resumed
from daskem.selection.preparing import prepare_selection

pytestmark = [
    pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::daskem.errors.ImproperFitWarning"),
]
SHORT = {"n_components": 3, "random_state": 0, "tol": 1e-12, "max_passes": 6}


def whole(result):
    """All that a fit has found, to the last bit; but for the seconds, which are the clock's."""
    params = [{name: value.tobytes() for name, value in run.params.items()} for run in result.runs]
    histories = [[repr(replace(p, seconds=0.0)) for p in run.history] for run in result.runs]
    return params, histories, [run.status for run in result.runs], result.notes[:1]


def interrupted(path, passes, *args, **options):
    """Make some passes of a fit, and leave it."""
    fit = daskem.iterate(*args, checkpoint=path, **options)
    assert len(list(islice(fit, passes))) == passes
    fit.close()


def goes_on_to_the_same(tmp_path, model, data, riders=None, **options):
    """A fit whose checkpoints are put aside after every pass, and one from each of these."""
    riders, path = riders or {}, tmp_path / "all"
    for passes, expected in enumerate(  # noqa: B007
        daskem.iterate(model, data, checkpoint=path, **options, **riders), 1
    ):
        shutil.copytree(path, tmp_path / f"after-{passes}")
    assert passes > 2
    # The one before it is that of the starts.
    shutil.copytree(tmp_path / "after-1", tmp_path / "after-0")
    (tmp_path / "after-0" / "000001-000001.checkpoint").unlink()
    for left in tmp_path.glob("after-*"):
        assert whole(daskem.resume(left, data, **riders)) == whole(expected), left
    return expected


@pytest.fixture(scope="module")
def rows():
    return overlapping(600)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_goes_on_after_every_pass(tmp_path, rows, algorithm):
    options = {**SHORT, "max_passes": 8, "algorithm": algorithm, "n_init": 3, "n_components": 4}
    expected = goes_on_to_the_same(tmp_path, Mixture(Gaussian()), rows, **options)
    assert whole(daskem.fit(Mixture(Gaussian()), rows, **options)) == whole(expected)
    # Leaps that fall are among what goes on, where an algorithm tries them alone.
    if algorithm in ("squarem", "anderson"):
        assert any(not record.accepted for run in expected.runs for record in run.history)


@every_row
def test_every_family_goes_on(tmp_path, row):
    goes_on_to_the_same(
        tmp_path, Mixture(row.family), row.rows(), **{**SHORT, "max_passes": 4, "n_init": 2}
    )


@pytest.mark.parametrize("data", [np.asarray, chunked], ids=["NumPy", "Dask"])
def test_weights_and_missing_rows(tmp_path, rows, data):
    holes = rows.copy()
    holes[::7, 1] = np.nan
    weights = np.random.default_rng(0).gamma(2.0, size=len(rows))
    options = {**SHORT, "missing": "omit", "algorithm": "candidates"}
    riders = {"sample_weight": weights}
    goes_on_to_the_same(tmp_path, Mixture(Gaussian("tied")), data(holes), riders, **options)


def test_names_seeds_by_three_more_reads_and_starts_in_part(tmp_path, rows):
    import xarray as xr

    dataset = xr.Dataset({name: ("profile", rows[:, i]) for i, name in enumerate("ts")})
    options = {**SHORT, "init_params": "k-means||", "features": ["s", "t"], "max_passes": 3}
    goes_on_to_the_same(tmp_path, Mixture(Gaussian("diag")), dataset, **options)
    start = {"means": np.array([[9.0, 0.0], [0.0, 9.0], [1.0, 1.0]])}
    goes_on_to_the_same(
        tmp_path / "start", Mixture(Gaussian()), rows, start=start, **{**SHORT, "max_passes": 3}
    )


def test_starts_that_a_person_gives_are_no_restarts_after_a_checkpoint_either(tmp_path, rows):
    starts = [{"means": rows[i : i + 3]} for i in (0, 3)]
    options = {**SHORT, "max_passes": 8, "algorithm": "candidates", "start": starts}
    expected = goes_on_to_the_same(tmp_path, Mixture(Gaussian()), rows, **options)
    assert Status.DROPPED not in {run.status for run in expected.runs}


def test_sequences_go_on_and_are_given_again(tmp_path, rows):
    model, lengths = daskem.HiddenMarkov(Gaussian("diag")), [50] * 12
    options = {**SHORT, "max_passes": 3}
    goes_on_to_the_same(tmp_path, model, rows, {"lengths": lengths}, **options)
    with pytest.raises(CheckpointError, match="sums and sample: "):
        daskem.resume(tmp_path / "after-1", rows, lengths=[100] * 6)


def test_a_missing_step_is_of_the_sequence_that_it_was_of(tmp_path, rows):
    model, gappy = daskem.HiddenMarkov(Gaussian("diag")), rows.copy()
    gappy[49] = np.nan
    options = {**SHORT, "max_passes": 3, "missing": "omit"}
    interrupted(tmp_path, 1, model, gappy, lengths=[50] * 12, **options)
    with pytest.raises(CheckpointError, match="sums and sample: "):
        daskem.resume(tmp_path, gappy, lengths=[49, 51, *[50] * 10])


class Drift:
    """A model of one's own, with a number for a param, and values that tell one from another."""

    def __init__(self, step):
        self.step = step

    def e_step(self, block, params):
        x = block.rows[:, 0]
        return {"log_likelihood": -0.5 * ((x - params["mean"]) ** 2).sum(), "total": x.sum()}

    def m_step(self, statistics, params):
        return {"mean": params["mean"] + self.step * (statistics["total"] / 600 - params["mean"])}


def test_a_model_of_ones_own_is_given_again_and_compared(tmp_path, rows):
    options = {"start": {"mean": 0.0}, "tol": 1e-12, "max_passes": 5}
    expected = daskem.fit(Drift(0.5), rows, **options)
    interrupted(tmp_path, 2, Drift(0.5), rows, **options)
    with pytest.raises(CheckpointError, match="Drift, a model of your own: give it again"):
        daskem.resume(tmp_path, rows)
    with pytest.raises(CheckpointError, match=r"the fit differs .*model: "):
        daskem.resume(tmp_path, rows, Drift(0.25))
    assert whole(daskem.resume(tmp_path, rows, Drift(0.5))) == whole(expected)


class Slow(EM):
    name = "slow"


def test_an_algorithm_of_ones_own_is_given_again_and_compared(tmp_path, rows):
    options = {**SHORT, "algorithm": Slow()}
    expected = daskem.fit(Mixture(Gaussian()), rows, **options)
    interrupted(tmp_path, 2, Mixture(Gaussian()), rows, **options)
    with pytest.raises(CheckpointError, match="an algorithm of your own: give it again"):
        daskem.resume(tmp_path, rows)
    with pytest.raises(CheckpointError, match=r"the fit differs .*algorithm: "):
        daskem.resume(tmp_path, rows, algorithm=EM())
    assert whole(daskem.resume(tmp_path, rows, algorithm=Slow())) == whole(expected)


# What differs is refused, with the difference.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:-1], "rows: 600 then, 599 now"),
        (lambda x: np.nextafter(x, 9.0), "sums and sample: "),
        (lambda x: x[::-1].copy(), "sums and sample: "),
        (lambda x: np.column_stack([x, x]), r"columns: \[2\] then, \[4\] now"),
    ],
    ids=["fewer", "last bits", "order", "columns"],
)
def test_other_data_are_refused(tmp_path, rows, change, words):
    interrupted(tmp_path, 2, Mixture(Gaussian()), rows, **SHORT)
    with pytest.raises(CheckpointError, match=words):
        daskem.resume(tmp_path, change(rows))
    with pytest.raises(CheckpointError, match=r"riders: \[\] then, \['sample_weight'\] now"):
        daskem.resume(tmp_path, rows, sample_weight=np.ones(len(rows)))
    with pytest.raises(CheckpointError, match=r"model: .*full.* then, .*diag.* now"):
        daskem.resume(tmp_path, rows, Mixture(Gaussian("diag")))


@pytest.mark.parametrize("what", ["daskem", "numpy", "arithmetic"])
def test_other_versions_and_other_arithmetic_are_refused(tmp_path, rows, what):
    interrupted(tmp_path, 1, Mixture(Gaussian()), rows, **SHORT)
    name, content = last(str(tmp_path))
    about, arrays = decode(content, name)
    about["made by"][what] = "another"
    (tmp_path / "000009-000001.checkpoint").write_bytes(encode(about, arrays))
    with pytest.raises(CheckpointError, match=f"who computes differs .*{what}: 'another' then"):
        daskem.resume(tmp_path, rows)


# Who writes.


def test_a_new_fit_does_not_take_the_place_of_another(tmp_path, rows):
    interrupted(tmp_path, 2, Mixture(Gaussian()), rows, **SHORT)
    before = last(str(tmp_path))
    with pytest.raises(CheckpointError, match=r"holds checkpoints of another fit: daskem\.resume"):
        daskem.fit(Mixture(Gaussian()), rows, checkpoint=tmp_path, **SHORT)
    assert last(str(tmp_path)) == before


def test_a_second_writer_ends_the_first(tmp_path, rows):
    expected = daskem.fit(Mixture(Gaussian()), rows, **SHORT)
    first = daskem.iterate(Mixture(Gaussian()), rows, checkpoint=tmp_path, **SHORT)
    next(first)
    assert whole(daskem.resume(tmp_path, rows)) == whole(expected)
    with pytest.raises(CheckpointError, match="another fit has begun to write"):
        next(first)
    # Given back as it was, though the first writer came last.
    assert whole(daskem.resume(tmp_path, rows)) == whole(expected)


def test_what_the_first_writer_writes_late_is_not_read(tmp_path):
    first, second = opened(str(tmp_path), fresh=True), opened(str(tmp_path), fresh=True)
    second.write(1, {"by": "second"}, {})
    first.place.write("000001-000099.checkpoint", encode({"by": "first"}, {}))
    assert decode(last(str(tmp_path))[1], "")[0] == {"by": "second"}


@pytest.mark.parametrize("remote", [False, True])
def test_an_epoch_is_claimed_once(tmp_path, remote):
    where = places.place(f"memory://{tmp_path.name}/claims" if remote else str(tmp_path / "claims"))
    assert [where.claim(f"00000{n}.epoch") for n in (1, 1, 2, 1)] == [True, False, True, False]


def test_who_goes_on_from_copied_checkpoints_is_read_before_them(tmp_path):
    """Whoever copies checkpoints may leave behind what has claimed their epoch."""
    (tmp_path / "000007-000003.checkpoint").write_bytes(encode({"by": "first"}, {}))
    opened(str(tmp_path), fresh=False).write(4, {"by": "second"}, {})
    assert decode(last(str(tmp_path))[1], "")[0] == {"by": "second"}


def test_the_last_two_are_kept_and_nothing_of_others_is_touched(tmp_path, rows):
    others = ["notes.txt", "000001-000000.checkpoint.bak", ".mine.partial"]
    for name in others:
        (tmp_path / name).write_text("mine")
    daskem.fit(Mixture(Gaussian()), rows, checkpoint=tmp_path, **SHORT)
    made = {"000001-000005.checkpoint", "000001-000006.checkpoint", "000001.epoch"}
    assert {path.name for path in tmp_path.iterdir()} == {*others, *made}


def test_where_nothing_can_be_written_is_told_before_anything_is_read(tmp_path, rows):
    (tmp_path / "file").write_text("mine")

    def never(block):
        raise AssertionError("it was read")

    lazy = da.from_array(rows, (200, -1)).map_blocks(never, dtype=float, meta=rows[:0])
    with pytest.raises(CheckpointError, match="checkpoints cannot be kept at"):
        daskem.fit(Mixture(Gaussian()), lazy, checkpoint=tmp_path / "file", **SHORT)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_the_last_good_one(tmp_path, rows, monkeypatch):
    expected = daskem.fit(Mixture(Gaussian()), rows, **SHORT)
    fit = daskem.iterate(Mixture(Gaussian()), rows, checkpoint=tmp_path, **SHORT)
    next(fit)

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match="No space left"):
            next(fit)
    assert not list(tmp_path.glob(".*partial"))
    assert whole(daskem.resume(tmp_path, rows)) == whole(expected)


def test_anywhere_that_fsspec_reaches_and_no_secret_is_told(rows):
    expected = daskem.fit(Mixture(Gaussian()), rows, **SHORT)
    interrupted("memory://checkpoints/of-mine", 2, Mixture(Gaussian()), rows, **SHORT)
    assert whole(daskem.resume("memory://checkpoints/of-mine", rows)) == whole(expected)
    kept = fsspec.filesystem("memory").ls("/checkpoints/of-mine", detail=False)
    assert len([name for name in kept if name.endswith(".checkpoint")]) == 2
    with pytest.raises(CheckpointError) as caught:
        daskem.resume("nowhere://me:canary@host/a?key=canary", rows)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


# What is not whole.


@pytest.fixture
def checkpoint(tmp_path, rows):
    interrupted(tmp_path / "good", 2, Mixture(Gaussian()), rows, **{**SHORT, "n_init": 2})
    return last(str(tmp_path / "good"))[1]


def test_every_truncation_and_every_flip_is_told(checkpoint):
    rng = np.random.default_rng(0)
    for size in {*range(60), *rng.integers(len(checkpoint), size=100).tolist()}:
        with pytest.raises(CheckpointError):
            decode(checkpoint[:size], "it")
    for place in {*range(60), *rng.integers(len(checkpoint), size=200).tolist()}:
        flipped = bytearray(checkpoint)
        flipped[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(CheckpointError):
            decode(bytes(flipped), "it")
    with pytest.raises(CheckpointError, match="1 bytes too many"):
        decode(checkpoint + b"\0", "it")


@pytest.mark.parametrize(
    "entry",
    [
        ["<f8", [2**40], [0], 0],
        ["<f8", [-1], [0], 0],
        ["|O", [1], [0], 0],
        ["<f8", [1], [3], 0],
        ["<f8", [1], [0], 7],
        ["<f8", "many", [0], 0],
        None,
    ],
    ids=repr,
)
def test_sizes_and_names_are_checked_before_anything_is_made_of_them(entry, monkeypatch):
    import json

    dumps = json.dumps

    def forged(parts, **options):
        return dumps({**parts, "arrays": {"a": entry}}, **options)

    monkeypatch.setattr("daskem.running.checkpoints.container.json.dumps", forged)
    with pytest.raises(CheckpointError, match="it is damaged"):
        decode(encode({}, {"a": np.ones(1)}), "it")


def test_what_is_whole_and_yet_no_fit(tmp_path, rows):
    wrong = [{}, {"made by": 1}, {"made by": {}, "passes": 0, "seed": 0, "survey": {}, "runs": []}]
    for i, about in enumerate(wrong):
        (tmp_path / f"00000{i + 1}-000001.checkpoint").write_bytes(encode(about, {}))
        with pytest.raises(CheckpointError):
            daskem.resume(tmp_path, rows)


def test_the_one_before_it_serves_if_the_last_is_torn(tmp_path, rows):
    expected = daskem.fit(Mixture(Gaussian()), rows, **SHORT)
    interrupted(tmp_path, 3, Mixture(Gaussian()), rows, **SHORT)
    newest = tmp_path / "000001-000003.checkpoint"
    newest.write_bytes(newest.read_bytes()[:-5])
    assert last(str(tmp_path))[0].startswith("000001-000002.checkpoint")
    assert whole(daskem.resume(tmp_path, rows)) == whole(expected)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "000001-000001.checkpoint")
    with pytest.raises(CheckpointError, match="is no file of this size"):
        last(str(tmp_path))
    (tmp_path / "000001-000002.checkpoint").write_bytes(b"not mine")
    with pytest.raises(CheckpointError, match="does not begin like one"):
        last(str(tmp_path))
    with pytest.raises(CheckpointError, match="there are no checkpoints at"):
        last(str(tmp_path / "nothing"))


def test_arrays_come_back_as_they_lay_in_memory():
    a = np.arange(24.0).reshape(2, 3, 4)
    views = {"c": a, "f": np.asfortranarray(a), "t": a.swapaxes(0, 1), "n": np.array(3)}
    views |= {"b": a > 3, "one": np.broadcast_to(a[0, 0], (3, 4)), "none": np.empty((0, 2))}
    about, back = decode(encode({"x": [1.5, float("inf")]}, views), "it")
    assert about == {"x": [1.5, float("inf")]}
    for name, view in views.items():
        np.testing.assert_array_equal(back[name], view, strict=True)
    assert back["f"].flags.f_contiguous
    assert not back["t"].flags.c_contiguous
    assert back["t"].strides == views["t"].strides


def test_equal_arrays_are_written_once():
    a = np.random.default_rng(0).normal(size=1000)
    assert len(encode({}, {"a": a, "b": a.copy()})) < len(encode({}, {"a": a})) + 200


# Killed while it writes.

_KILLS = """
import os, random, signal, sys, time
import numpy as np
from daskem.running.checkpoints.container import decode
from daskem.running.checkpoints import places
from daskem.running.checkpoints.recording import saved
from daskem.running.checkpoints.shelf import last, opened
from daskem.running.resuming import resumed
from daskem.selection.preparing import prepare_selection

path, times, kinds = sys.argv[1], int(sys.argv[2]), set()
rng = random.Random(0)
opened(path, fresh=True).write(0, {"passes": 0}, {"a": np.zeros(20_000)})
for _ in range(times):
    child = os.fork()
    if not child:
        shelf = opened(path, fresh=False)
        for passes in range(10**9):
            shelf.write(passes, {"passes": passes}, {"a": np.full(20_000, float(passes))})
    time.sleep(rng.uniform(0.001, 0.02))
    kinds |= {name.rpartition(".")[2] for name in os.listdir(path)}
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    name, content = last(path)
    about, arrays = decode(content, name)
    assert (arrays["a"] == about["passes"]).all()
    newest = max(file for file in os.listdir(path) if file.endswith("checkpoint"))
    assert name.startswith(newest), "the newest is torn"
print(sorted(kinds), max(os.listdir(path)))
"""


def survives(path, kills):
    command = [sys.executable, "-c", _KILLS, str(path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE + kills)
    assert done.returncode == 0, done.stderr
    # Some were killed in the midst of it, else this says nothing.
    assert "'partial'" in done.stdout


def test_a_hundred_kills_tear_nothing(tmp_path):
    survives(tmp_path, 100)


@pytest.mark.torture
def test_a_thousand_kills_tear_nothing(tmp_path):
    survives(tmp_path, 1000)


# On a cluster.


def breaking(rows, folder, at):
    """A Dask array whose first chunk cannot be read for the time `at`, and only then."""

    def read(block, block_info=None):
        if block_info[None]["chunk-location"][0] == 0:
            with open(folder / "reads", "ab") as file:
                file.write(b".")
            if (folder / "reads").stat().st_size == at:
                # Other errors of reading would be tried again.
                raise FileNotFoundError("the disk is gone")
        return block

    lazy = da.from_array(rows, (200, -1), name="rows")
    return lazy.map_blocks(read, dtype=float, meta=rows[:0], name=f"broken-{folder.name}-{at}")


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_a_fit_that_broke_on_the_scheduler_goes_on_there_and_here(tmp_path, rows, client, passes):
    options = {**SHORT, "cache": "none"}
    path = tmp_path / "there"
    # One read is the survey.
    data = breaking(rows, tmp_path, 1 + passes)
    handle = daskem.submit(Mixture(Gaussian()), data, checkpoint=path, **options)
    with pytest.raises(DataReadError, match="the disk is gone"):
        handle.result()
    assert last(str(path))[0].startswith(f"000001-00000{passes - 1}.checkpoint")
    shutil.copytree(path, tmp_path / "here")
    there = daskem.resume(path, data)
    assert there.coordinator.startswith("on the scheduler")
    lazy = da.from_array(rows, (200, -1))
    *_, whole_fit = daskem.iterate(Mixture(Gaussian()), lazy, **options)
    assert whole(there) == whole(whole_fit)
    *_, here = resumed(saved(str(tmp_path / "here")), tmp_path / "here", lazy).results("here")
    assert whole(here) == whole(whole_fit)


def test_a_selection_goes_on_after_every_pass(tmp_path, rows):
    path, options = tmp_path / "all", {"n_init": 2, "random_state": 0, "tol": 1e-4}
    task = prepare_selection(rows, [1, 2, 4], checkpoint=path, **options)
    for passes, expected in enumerate(task.results("here"), 1):  # noqa: B007
        shutil.copytree(path, tmp_path / f"after-{passes}")
    assert passes > 2
    same_selection(daskem.select(rows, [1, 2, 4], **options), expected)
    for left in tmp_path.glob("after-*"):
        same_selection(daskem.resume(left, rows), expected)
    # What goes on from it is another selection, and leaves the checkpoints alone.
    before = last(str(path))
    expected.extend([3])
    assert last(str(path)) == before


class Unregistered(Gaussian):
    """A family of one's own, which nobody has registered."""


def test_a_selection_among_models_of_ones_own_takes_them_again(tmp_path, rows):
    path, options = tmp_path / "all", {"n_init": 2, "random_state": 0, "tol": 1e-4}
    models = {"own": Mixture(Unregistered("diag")), "full": Mixture(Gaussian())}
    task = prepare_selection(rows, [1, 2], models=models, checkpoint=path, **options)
    next(task.results("here"))
    with pytest.raises(CheckpointError, match=r"families of your own \(\['own'\]\): give all"):
        daskem.resume(path, rows)
    with pytest.raises(CheckpointError, match="models by name"):
        daskem.resume(path, rows, models["own"])
    with pytest.raises(CheckpointError, match=r"the fit differs .*models: "):
        daskem.resume(path, rows, {**models, "own": Mixture(Unregistered("tied"))})
    expected = daskem.select(rows, [1, 2], models=models, **options)
    same_selection(daskem.resume(path, rows, models), expected)
    interrupted(tmp_path / "fit", 1, Mixture(Gaussian()), rows, **SHORT)
    with pytest.raises(CheckpointError, match="is of a fit: give its model"):
        daskem.resume(tmp_path / "fit", rows, models)


def same_selection(one, other):
    assert one.n_passes == other.n_passes
    assert {cell: len(runs) for cell, runs in one.runs.items()} == {
        cell: len(runs) for cell, runs in other.runs.items()
    }
    for cell, runs in one.runs.items():
        for a, b in zip(runs, other.runs[cell], strict=True):
            assert [replace(p, seconds=0.0) for p in a.history] == [
                replace(p, seconds=0.0) for p in b.history
            ]
            assert (a.status, a.choice) == (b.status, b.choice)
            assert all(a.params[n].tobytes() == b.params[n].tobytes() for n in a.params)


def test_the_command_line_writes_checkpoints_and_goes_on_from_them(tmp_path, rows, capsys):
    store, kept = str(tmp_path / "rows.zarr"), str(tmp_path / "kept")
    da.from_array(rows, (200, -1)).to_zarr(store)
    settings = ["--tol", "1e-12", "--max-passes", "4", "--random-state", "0"]
    assert main(["fit", store, "-k", "3", *settings, "--out", str(tmp_path / "model")]) == 0
    more = ["--checkpoint", kept, "--out", str(tmp_path / "unused")]
    assert main(["fit", store, "-k", "3", *settings, *more]) == 0
    for name in ("000001-000003.checkpoint", "000001-000004.checkpoint"):
        os.truncate(f"{kept}/{name}", 100)
    assert main(["resume", store, kept]) == 2
    assert "is damaged" in capsys.readouterr().err
    shutil.rmtree(kept)
    interrupted(kept, 2, Mixture(Gaussian()), store, **{**SHORT, "max_passes": 4})
    assert main(["resume", store, kept, "--out", str(tmp_path / "again")]) == 0
    one, other = (daskem.load(str(tmp_path / name)) for name in ("model", "again"))
    assert all(one.params[name].tobytes() == other.params[name].tobytes() for name in one.params)
