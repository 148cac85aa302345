"""The command line: what it prints, what it writes, and what it refuses."""

import dataclasses
import inspect
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster
from fsspec.core import url_to_fs
from PIL import Image
from table import every_row_of_any_width, every_setting_of_any_width

import daskem
from daskem.cli import commands as cli
from daskem.cli import demo, main
from daskem.cli.arguments import parser
from daskem.cli.families import candidates
from daskem.data.inputs import address
from daskem.models.families import FAMILIES
from daskem.results.plot import plot

FEATURES = ["temperature", "salinity", "oxygen"]


@pytest.fixture(scope="module")
def rows():
    """(time, station, feature), from two clusters far apart."""
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, size=(20, 50, 1))
    return rng.normal(size=(20, 50, 3)) + 12 * side


@pytest.fixture(scope="module")
def originals(tmp_path_factory, rows):
    """A folder of two stores and a model, for each test to have copies of."""
    folder = tmp_path_factory.mktemp("originals")
    array = xr.DataArray(
        da.from_array(rows, chunks=(6, 20, 3)),
        dims=("time", "station", "feature"),
        coords={
            "time": np.datetime64("2026-01-01", "ns") + np.arange(20) * np.timedelta64(1, "D"),
            "latitude": ("station", np.linspace(-60, 60, 50)),
            "ship": (("time", "station"), np.full((20, 50), "Meteor")),
            "feature": FEATURES,
        },
    )
    labelled = str(folder / "labelled.zarr")
    array.to_dataset(name="profiles").to_zarr(labelled, zarr_format=2)
    store = zarr.create_array(folder / "plain.zarr", shape=(1000, 3), chunks=(300, 3), dtype="f4")
    store[:] = rows.reshape(-1, 3)
    assert main(fit_command(labelled, str(folder / "model"), "--array", "profiles")) == 0
    return folder


@pytest.fixture
def labelled(originals, tmp_path):
    """Path of a store that xarray has written, with an array ``profiles``."""
    return str(shutil.copytree(originals / "labelled.zarr", tmp_path / "labelled.zarr"))


@pytest.fixture
def plain(originals, tmp_path):
    """Path of a zarr array without labels."""
    return str(shutil.copytree(originals / "plain.zarr", tmp_path / "plain.zarr"))


@pytest.fixture
def model(originals, tmp_path):
    """Path of a model fitted to ``labelled``."""
    return str(shutil.copytree(originals / "model", tmp_path / "model"))


def fit_command(store, out, *options):
    return ["fit", store, "-k", "2", "--random-state", "0", "--out", out, *options]


def predict_command(store, model, out, *options):
    return ["predict", store, "--model", model, "--out", str(out), *options]


def same_params(a, b):
    return all(np.array_equal(a.params[name], b.params[name]) for name in b.params)


# Fit, predict, info


def test_fit_saves_what_daskem_fit_returns(labelled, model):
    data = xr.open_zarr(labelled)["profiles"]
    model_here = daskem.Mixture(daskem.Gaussian("full"))
    expected = daskem.fit(model_here, data, 2, random_state=0)
    assert same_params(daskem.load(model), expected)
    assert daskem.load(model).to_dataset().feature.values.tolist() == FEATURES


def test_fit_prints_every_pass_how_it_ended_and_the_clusters(labelled, tmp_path, capsys):
    out = str(tmp_path / "model")
    main(fit_command(labelled, out, "--array", "profiles"))
    lines = capsys.readouterr().out.splitlines()
    result = daskem.load(out)
    n = len(result.history)
    assert [line.split()[0] for line in lines[1 : n + 1]] == [str(i + 1) for i in range(n)]
    shown = [float(line.split()[1]) for line in lines[1 : n + 1]]
    np.testing.assert_allclose(shown, [p.log_likelihood for p in result.history], rtol=1e-8)
    assert lines[n + 1] == result.status.value
    assert lines[n + 2].startswith("note: cache: the chunks are kept in memory")
    assert "\n".join(lines[n + 3 : -1]) == result.table()
    assert lines[-1] == f"model: {out}"


@pytest.fixture
def counts(tmp_path):
    """Path of a zarr array of counts."""
    rates = np.array([[1.0, 9.0], [8.0, 2.0]])[np.random.default_rng(0).integers(2, size=600)]
    path = str(tmp_path / "counts.zarr")
    zarr.create_array(path, data=np.random.default_rng(1).poisson(rates))
    return path


def said(family):
    """The options that name a family and all of its settings."""
    options = ["--family", type(family).__name__.lower()]
    for field in dataclasses.fields(family):
        options += ["--" + field.name.replace("_", "-"), str(vars(family)[field.name]).lower()]
    return options


@every_setting_of_any_width
def test_every_setting_of_a_family_is_an_option(row):
    given = parser([cli.fit]).parse_args(fit_command("store", "model", *said(row.family)))
    assert list(candidates(given.family, given.settings).values()) == [row.family]


@every_row_of_any_width
def test_fit_knows_every_family(tmp_path, row, capsys):
    data = row.rows(600)
    path, out = str(tmp_path / "data.zarr"), str(tmp_path / "model")
    zarr.create_array(path, data=data)
    assert main(fit_command(path, out, *said(row.family), "--tol", "0.01")) == 0
    assert daskem.load(out).model.family == row.family
    expected = daskem.fit(daskem.Mixture(row.family), data, 2, random_state=0, tol=0.01)
    assert same_params(daskem.load(out), expected)
    assert main(["info", out]) == 0
    assert f"{type(row.family).__name__} mixture" in capsys.readouterr().out


@dataclasses.dataclass(frozen=True)
class Strange(daskem.Poisson):
    """Counts with settings of every type.

    Parameters
    ----------
    flavour : {"up", "down"}
        Which way, 100% sure. No more of it.
    depth : int
        How deep.
    reg_covar : float or None, default 0.5
        Not that of a Gaussian.
    steps : float, tuple of float or None
        How wide, along each feature.
    """

    depth: int
    flavour: str = "up"
    reg_covar: float | None = 0.5
    steps: float | tuple[float, ...] | None = None
    loud: bool = False


@pytest.fixture
def strange(monkeypatch):
    monkeypatch.setitem(FAMILIES, "Strange", Strange)


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize(
    ("options", "family"),
    [
        ("--depth 3", Strange(3)),
        ("--depth 3 --flavour down --loud true", Strange(3, "down", loud=True)),
        ("--depth 3 --reg-covar none --steps 0.5", Strange(3, reg_covar=None, steps=0.5)),
        ("--depth 3 --reg-covar 1e-3 --steps 1,2", Strange(3, reg_covar=1e-3, steps=(1.0, 2.0))),
    ],
)
def test_settings_of_a_family_of_ones_own_are_options(options, family):
    given = parser([cli.fit]).parse_args(
        ["fit", "store", "-k", "2", "--family", "strange", *options.split()]
    )
    assert list(candidates(given.family, given.settings).values()) == [family]


@pytest.mark.usefixtures("strange")
def test_help_says_what_is_written_of_a_setting(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "--flavour {up,down} of strange components: Which way, 100% sure (up)" in told
    assert "--depth DEPTH of strange components: How deep (required)" in told
    assert "--loud LOUD of strange components (False)" in told
    assert "--reg-covar REG_COVAR of gaussian and strange components: Conjugate prior" in told


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "strange components need depth: give --depth"),
        ("--depth 1.5", "--depth 1.5 should be a whole number"),
        ("--depth 1 --loud perhaps", "--loud perhaps should be true or false"),
        ("--depth 1 --steps a", "--steps a should be none or a number or numbers A,B,..."),
        ("--depth 1 --covariance-type full", "which is for gaussian"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_words(plain, capsys, options, words):
    command = ["fit", plain, "-k", "2", "--plan", "--family", "strange", *options.split()]
    assert words in refusal(capsys, command)


@pytest.mark.usefixtures("strange")
def test_select_chooses_among_all_combinations_of_settings():
    command = "select store --family strange --depth 1 2 --flavour up down"
    given = parser([cli.select]).parse_args(command.split())
    assert candidates(given.family, given.settings) == {
        f"{flavour} depth={depth}": Strange(depth, flavour)
        for depth in (1, 2)
        for flavour in ("up", "down")
    }


def test_select_calls_candidates_as_the_library_does():
    assert list(candidates("gaussian", {})) == ["full"]
    assert list(candidates("gaussian", {"covariance_type": ["tied", "diag"]})) == ["tied", "diag"]
    assert list(candidates("poisson", {})) == ["poisson"]


def test_a_value_that_a_family_refuses_is_its_own_error(plain, capsys):
    told = refusal(capsys, ["fit", plain, "-k", "2", "--plan", "--covariance-type", "round"])
    assert "covariance_type='round' is not one of ['full', 'tied', 'diag', 'spherical']" in told


def test_select_knows_every_registered_family(counts, tmp_path, capsys):
    out = str(tmp_path / "best")
    options = ["-k", "1-3", "--random-state", "0", "--family", "poisson", "--out", out]
    assert main(["select", counts, *options]) == 0
    models = {"poisson": daskem.Mixture(daskem.Poisson())}
    data = zarr.open(counts, mode="r")[:]
    expected = daskem.select(data, range(1, 4), models=models, random_state=0)
    assert same_params(daskem.load(out), expected.best)
    assert str(expected) in capsys.readouterr().out


@pytest.mark.parametrize("command", ["fit", "select"])
def test_other_families_have_no_type_of_covariance(counts, tmp_path, command, capsys):
    options = ["-k", "2", "--family", "poisson", "--covariance-type", "diag"]
    told = refusal(capsys, [command, counts, *options, "--out", str(tmp_path / "model")])
    assert "poisson components have no covariance_type: leave out --covariance-type" in told


def test_other_families_have_no_prior_on_covariances(counts, tmp_path, capsys):
    options = ["--family", "poisson", "--reg-covar", "0"]
    told = refusal(capsys, fit_command(counts, str(tmp_path / "model"), *options))
    assert "poisson components have no reg_covar: leave out --reg-covar" in told


def test_settings_of_gaussian_components(plain, tmp_path):
    out = str(tmp_path / "model")
    options = ["--family", "gaussian", "--covariance-type", "diag", "--reg-covar", "0.01"]
    assert main(fit_command(plain, out, *options)) == 0
    assert daskem.load(out).model.family == daskem.Gaussian("diag", 0.01)


def test_a_plan_is_printed_and_nothing_is_fitted(plain, tmp_path, capsys):
    assert main(["fit", plain, "-k", "2", "--plan"]) == 0
    told = capsys.readouterr().out
    assert "to read in a pass" in told
    assert "pass  log-likelihood/row" not in told


def test_a_fit_needs_somewhere_to_save_the_model(plain, capsys):
    assert main(["fit", plain, "-k", "2"]) == 2
    assert "--out MODEL" in capsys.readouterr().err


def test_fit_says_when_it_has_not_converged(plain, tmp_path, capsys):
    assert main(fit_command(plain, str(tmp_path / "model"), "--max-passes", "1")) == 0
    assert daskem.Status.MAX_PASSES.value in capsys.readouterr().out


def test_fit_prints_events_once(tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(400, 2))
    rows[:, 1] = 3.0
    path = str(tmp_path / "constant.zarr")
    zarr.create_array(path, data=rows)
    assert main(fit_command(path, str(tmp_path / "model"))) == 0
    assert capsys.readouterr().out.count("from pass 1: covariance of component 0: no spread") == 1


def test_fit_passes_every_option_on(labelled, tmp_path):
    renamed = str(tmp_path / "bands.zarr")
    data = xr.open_zarr(labelled)["profiles"].rename(feature="band").drop_encoding()
    data.transpose("band", ...).to_dataset(name="scene").to_zarr(renamed, zarr_format=2)
    options = ["--array", "scene", "--feature-dim", "band", "--covariance-type", "diag"]
    options += ["--n-init", "3", "--max-passes", "7", "--tol", "1e-12", "--reg-covar", "1e-3"]
    assert main(fit_command(renamed, str(tmp_path / "model"), *options)) == 0
    expected = daskem.fit(
        daskem.Mixture(daskem.Gaussian("diag", reg_covar=1e-3)),
        xr.open_zarr(renamed)["scene"],
        2,
        feature_dim="band",
        n_init=3,
        max_passes=7,
        tol=1e-12,
        random_state=0,
    )
    assert same_params(daskem.load(str(tmp_path / "model")), expected)


def test_defaults_are_those_of_the_library():
    options = vars(parser([cli.fit]).parse_args(["fit", "store", "-k", "2", "--out", "model"]))
    for function in (daskem.iterate, daskem.Gaussian):
        declared = inspect.signature(function).parameters
        shared = options.keys() & declared.keys() - {"n_components"}
        assert {name: options[name] for name in shared} == {
            name: declared[name].default for name in shared
        }
    assert {"tol", "max_passes", "n_init", "random_state", "feature_dim"} <= options.keys()


def test_a_cluster_gives_the_same_bits(plain, tmp_path, capsys):
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    main(fit_command(plain, here))
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        assert main(fit_command(plain, there, "--scheduler", cluster.scheduler_address)) == 0
        assert cluster.scheduler.transition_counter > 0
    told = capsys.readouterr().out.split("pass  log")
    assert "the loop ran on the scheduler" in told[2]
    # Every pass has its line, as here.
    n = len(daskem.load(there).history)
    assert [line.split()[:2] for line in told[2].splitlines()[1 : n + 1]] == [
        line.split()[:2] for line in told[1].splitlines()[1 : n + 1]
    ]
    assert same_params(daskem.load(there), daskem.load(here))
    with pytest.raises(ValueError, match="No clients found"):
        Client.current()


def test_labels_lie_where_their_rows_do(labelled, model, tmp_path, rows):
    out = tmp_path / "labels.zarr"
    assert main(predict_command(labelled, model, out, "--array", "profiles")) == 0
    labels = xr.open_zarr(out)["labels"]
    data = xr.open_zarr(labelled)["profiles"]
    assert labels.dtype == np.int8
    assert labels.dims == ("time", "station")
    assert labels.chunks == data.chunks[:2]
    xr.testing.assert_identical(
        labels.coords.to_dataset().compute(),
        data.drop_vars("feature").coords.to_dataset().compute(),
    )
    high = daskem.load(model).params["means"][:, 0].argmax()
    assert np.array_equal(labels == high, rows[..., 0] > 6)


def test_responsibilities_have_a_component_dimension(labelled, model, tmp_path):
    out = tmp_path / "responsibilities.zarr"
    assert main(predict_command(labelled, model, out, "--array", "profiles", "--proba")) == 0
    proba = xr.open_zarr(out)["responsibilities"]
    assert proba.dims == ("time", "station", "component")
    expected = daskem.load(model).predict_proba(xr.open_zarr(labelled)["profiles"])
    assert np.array_equal(proba, expected)


@pytest.mark.parametrize(("option", "shape"), [([], (1000,)), (["--proba"], (1000, 2))])
def test_an_array_without_labels_gives_an_array_without_labels(plain, tmp_path, option, shape):
    model, out = str(tmp_path / "model"), str(tmp_path / "answers.zarr")
    assert main(fit_command(plain, model)) == 0
    assert main(predict_command(plain, model, out, *option)) == 0
    answers, result = zarr.open(out, mode="r"), daskem.load(model)
    predict = result.predict_proba if option else result.predict
    assert answers.shape == shape
    assert np.array_equal(answers[:], predict(zarr.open(plain, mode="r")[:]))


def test_an_array_in_a_group_without_labels(plain, tmp_path):
    group = str(tmp_path / "group.zarr")
    zarr.create_group(group)
    zarr.create_array(group, name="rows", data=zarr.open(plain, mode="r")[:])
    alone, grouped = str(tmp_path / "alone"), str(tmp_path / "grouped")
    assert main(fit_command(plain, alone)) == 0
    assert main(fit_command(group, grouped, "--array", "rows")) == 0
    np.testing.assert_allclose(
        daskem.load(grouped).params["means"], daskem.load(alone).params["means"], rtol=1e-12
    )


def test_info_in_a_process_of_its_own(model):
    script = str(Path(sys.executable).parent / "daskem")
    told = subprocess.run([sys.executable, script, "info", model], capture_output=True, text=True)
    result = daskem.load(model)
    assert told.returncode == 0
    assert told.stderr == ""
    assert "Gaussian mixture: covariance_type=full, reg_covar=0.0, resolution=auto" in told.stdout
    assert "2 components of 3 features, from 1,000 rows" in told.stdout
    assert f"{len(result.history)} passes" in told.stdout
    assert result.status.value in told.stdout
    assert result.table() in told.stdout


@pytest.fixture
def ocean(tmp_path, rows):
    """Path of a store with a variable for each feature, and rows that are missing."""
    dims = ("time", "station")
    ocean = xr.Dataset({name: (dims, rows[..., i]) for i, name in enumerate(FEATURES)})
    path = str(tmp_path / "ocean.zarr")
    ocean.where(ocean["oxygen"] < 14).chunk(time=6).to_zarr(path, zarr_format=2)
    return path


def test_variables_of_a_store_are_features_and_missing_rows_stay_missing(ocean, tmp_path, capsys):
    model, out = str(tmp_path / "model"), tmp_path / "labels.zarr"
    options = ["--features", "oxygen,temperature", "--sample-dims", "station,time"]
    assert "NaN at chunk" in refusal(capsys, fit_command(ocean, model, *options))
    assert main(fit_command(ocean, model, *options, "--missing", "omit")) == 0
    data = xr.open_zarr(ocean)
    expected = daskem.fit(
        daskem.Mixture(daskem.Gaussian()),
        data,
        2,
        features=["oxygen", "temperature"],
        sample_dims=["time", "station"],
        missing="omit",
        random_state=0,
    )
    assert same_params(daskem.load(model), expected)
    assert main(predict_command(ocean, model, out)) == 0
    labels = xr.open_zarr(out)["labels"].load()
    xr.testing.assert_equal(labels == -1, data["salinity"].isnull().load())
    xr.testing.assert_identical(labels, expected.predict(data).load())


def test_labels_of_a_few_rows_are_a_variable_of_the_store(ocean, tmp_path, capsys):
    data = xr.open_zarr(ocean).load()
    cold = data["temperature"].mean("station") < 6
    known = xr.full_like(data["oxygen"], -1, dtype="i2")
    known[:, 3] = np.where(cold, 1, 0)  # The smaller cluster is 1, whatever its size is.
    path, model, out = (str(tmp_path / name) for name in ("named.zarr", "named", "labels.zarr"))
    data.assign(named=known).chunk(time=6).to_zarr(path, zarr_format=2)
    options = ["--features", "oxygen,temperature", "--missing", "omit", "--labels", "named"]
    assert main(fit_command(path, model, *options)) == 0
    expected = daskem.fit(
        daskem.Mixture(daskem.Gaussian()),
        xr.open_zarr(path),
        2,
        features=["oxygen", "temperature"],
        along={"component": "named"},
        missing="omit",
        random_state=0,
    )
    assert same_params(daskem.load(model), expected)
    assert main(predict_command(path, model, out, "--labels", "named")) == 0
    found = xr.open_zarr(out)["labels"].load()[:, 3]
    assert (found == known[:, 3]).where(found >= 0, True).all()
    assert "no 'name' to ride along" in refusal(
        capsys, fit_command(path, model, *options[:-1], "name")
    )


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"daskem {daskem.__version__}\n"


# Mistakes


def refusal(capsys, command):
    """What a command that cannot be done prints on stderr."""
    capsys.readouterr()
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.startswith("daskem: ")
    return told


def test_a_store_that_is_not_there(tmp_path, capsys):
    path = str(tmp_path / "nowhere.zarr")
    assert f"no zarr store at {path!r}" in refusal(capsys, fit_command(path, "model"))


def test_an_array_that_is_not_there(labelled, capsys):
    told = refusal(capsys, fit_command(labelled, "model", "--array", "prfiles"))
    assert "'profiles'" in told
    assert "'latitude'" in told


def test_a_model_that_is_not_there(plain, tmp_path, capsys):
    path = str(tmp_path / "nothing")
    for command in (["info", path], predict_command(plain, path, tmp_path / "labels.zarr")):
        assert f"no model at {path!r}" in refusal(capsys, command)


def test_a_damaged_model(model, capsys):
    victim = next(p for p in Path(model, "state", "means").iterdir() if p.name != ".zarray")
    victim.write_bytes(victim.read_bytes()[:-3] + b"???")
    assert "damaged" in refusal(capsys, ["info", model])


def test_labels_are_not_written_over_anything(labelled, model, tmp_path, capsys):
    out = tmp_path / "labels.zarr"
    out.mkdir()
    (out / "precious").write_text("mine")
    told = refusal(capsys, predict_command(labelled, model, out, "--array", "profiles"))
    assert f"{str(out)!r} exists already" in told
    assert [p.name for p in out.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("out", "words"),
    [("", "'' is no path"), ("/dev/null/labels", "there is no folder '/dev/null'")],
)
def test_labels_need_a_path(plain, model, capsys, out, words):
    assert words in refusal(capsys, predict_command(plain, model, out))


def test_labels_where_no_folder_can_be_made_are_told(plain, model, tmp_path, capsys):
    told = refusal(capsys, predict_command(plain, model, tmp_path / ("m" * 240)))
    assert "no folder can be made at" in told
    assert "partial" not in told


def test_a_model_is_not_written_over_anything_else(plain, tmp_path, capsys):
    told = refusal(capsys, fit_command(plain, plain))
    assert "is not a model; choose another path" in told
    assert zarr.open(plain, mode="r").shape == (1000, 3)


SCHEMES = ["", "file://", "local://", "memory://"]


@pytest.fixture(params=SCHEMES)
def taken(request, tmp_path):
    """A path or URL with something of somebody's below it."""
    url = f"{request.param}{tmp_path}/taken"
    fs, root = url_to_fs(url)
    fs.makedirs(root)
    fs.pipe_file(f"{root}/precious", b"mine")
    yield url
    assert [fs.cat_file(found) for found in fs.find(root)] == [b"mine"]


@pytest.mark.parametrize("command", ["fit", "select"])
def test_what_may_not_be_replaced_is_known_before_anything_runs(
    plain, taken, monkeypatch, capsys, command
):
    for name in ("prepare", "choose"):
        monkeypatch.setattr(cli, name, lambda *args, **options: 1 / 0)
    k = {"fit": "2", "select": "1-2"}[command]
    told = refusal(capsys, [command, plain, "-k", k, "--out", taken])
    assert "is not a model; choose another path. It holds 'precious'" in told


@pytest.mark.parametrize("option", [[], ["--proba"]])
@pytest.mark.parametrize("labels", [True, False])
def test_labels_are_not_written_among_anything(
    labelled, plain, model, taken, capsys, option, labels
):
    rows = [labelled, "--array", "profiles"] if labels else [plain]
    command = ["predict", *rows, "--model", model, "--out", taken, *option]
    assert "exists already" in refusal(capsys, command)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("labels", [True, False])
def test_labels_at_a_url(labelled, plain, tmp_path, scheme, labels):
    rows = [labelled, "--array", "profiles"] if labels else [plain]
    model, out = f"{scheme}{tmp_path}/model", f"{scheme}{tmp_path}/labels"
    assert main(fit_command(rows[0], model, *rows[1:])) == 0
    assert main(predict_command(rows[0], model, out, *rows[1:])) == 0
    data = xr.open_zarr(labelled)["profiles"] if labels else zarr.open(plain, mode="r")[:]
    written = zarr.open(address(out), mode="r")
    written = written["labels"] if labels else written
    assert np.array_equal(written[:], daskem.load(model).predict(data))


def test_labels_come_together_where_nobody_has_anything(labelled, model, tmp_path):
    (tmp_path / "labels.zarr.partial").mkdir()
    (tmp_path / "labels.zarr.partial" / "precious").write_text("mine")
    before = {p.name for p in tmp_path.iterdir()}
    out = tmp_path / "labels.zarr"
    assert main(predict_command(labelled, model, out, "--array", "profiles")) == 0
    assert (tmp_path / "labels.zarr.partial" / "precious").read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == before | {"labels.zarr"}


def test_a_model_is_replaced_by_a_newer_one(plain, model):
    assert main(fit_command(plain, model)) == 0
    assert daskem.load(model).features.names is None


def test_rows_that_cannot_be_labelled_leave_no_labels_behind(plain, tmp_path, capsys):
    model, out = str(tmp_path / "model"), tmp_path / "labels.zarr"
    main(fit_command(plain, model))
    store = zarr.open(plain, mode="r+")
    store[700, 1] = np.nan
    told = refusal(capsys, predict_command(plain, model, out))
    assert "NaN at chunk 0, row 700" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "plain.zarr"]
    store[700, 1] = 0.0
    assert main(predict_command(plain, model, out)) == 0
    assert zarr.open(str(out), mode="r").shape == (1000,)


def test_other_errors_keep_their_traceback(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "prepare", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(fit_command(plain, str(tmp_path / "model")))


# The demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A demo in processes of its own: where it left everything, and how it ended."""
    out = tmp_path_factory.mktemp("shown") / "demo"
    command = [sys.executable, "-m", "daskem.cli", "demo", "--rows", "5000", "--out", str(out)]
    return out, subprocess.run(command, capture_output=True, text=True)


def test_the_demo_recovers_its_truth(shown):
    out, told = shown
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    assert "http://127.0.0.1:" in told.stdout
    assert "the truth is recovered" in told.stdout
    result, water = daskem.load(out / "model.zarr"), xr.open_zarr(out / "water.zarr")["water"]
    assert result.table() in told.stdout
    assert np.array_equal(xr.open_zarr(out / "labels.zarr")["labels"], result.predict(water))
    with Image.open(out / "fit.png") as image:
        assert min(image.size) > 500


def test_the_demo_can_fail(shown, tmp_path, monkeypatch, capsys):
    altered = demo.truth()
    altered["means"] = altered["means"] + 0.2 * demo.SPREADS
    # The fit is that of the test before, to rows of another truth.
    found = daskem.load(shown[0] / "model.zarr")
    monkeypatch.setattr(demo, "truth", lambda: altered)
    monkeypatch.setattr(demo, "fitting", lambda data: iter([found]))
    monkeypatch.setattr(demo, "WORKERS", 1)
    # A worker in this process would be paused for what other tests have in memory.
    monkeypatch.setattr(demo, "MEMORY", 0)
    # That the demo brings processes of its own up is seen by that test, too.
    monkeypatch.setattr(
        demo, "LocalCluster", partial(demo.LocalCluster, processes=False, protocol="tcp://")
    )
    assert main(["demo", "--rows", "5000", "--out", str(tmp_path / "demo")]) == 1
    assert "the truth is NOT recovered" in capsys.readouterr().out


def test_the_demo_leaves_alone_what_it_has_not_made(tmp_path, capsys):
    (tmp_path / "water.zarr").write_text("mine")
    assert "not the work of an earlier demo" in refusal(capsys, ["demo", "--out", str(tmp_path)])
    assert (tmp_path / "water.zarr").read_text() == "mine"


def test_clearing_removes_what_the_demo_made_and_nothing_else(tmp_path):
    demo.clear(tmp_path)
    (tmp_path / "water.zarr").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    demo.clear(tmp_path)
    assert not (tmp_path / "water.zarr").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["weights", "means", "covariances"])
def test_departures_count_standard_errors_whatever_the_order(name):
    true, errors = demo.truth(), demo.standard_errors(demo.truth(), 10**6)
    moved = {**true, name: true[name] + 7 * errors[name]}
    found = {key: value[[3, 0, 4, 1, 2]] for key, value in moved.items()}
    for key, values in demo.departures(found, true, errors).items():
        np.testing.assert_allclose(values, 7.0 if key == name else 0.0, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("departure", "good"), [(4.9, True), (5.1, False)])
def test_the_verdict(departure, good):
    assert demo.verdict({"weights": np.array([0.0, departure])}) is good


def test_standard_errors_of_one_gaussian_are_the_closed_form():
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    params = {"weights": np.ones(1), "means": np.zeros((1, 2)), "covariances": covariance[None]}
    errors = demo.standard_errors(params, 100)
    variance = np.diagonal(covariance)
    of_covariance = np.sqrt((np.outer(variance, variance) + covariance**2) / 100)
    np.testing.assert_allclose(errors["weights"], 0, atol=1e-12)
    np.testing.assert_allclose(errors["means"][0], np.sqrt(variance / 100), rtol=0.03)
    np.testing.assert_allclose(errors["covariances"][0], of_covariance, rtol=0.03)


def test_standard_errors_are_the_scatter_of_repeated_fits():
    model, true, n = daskem.Mixture(daskem.Gaussian("full", reg_covar=0)), demo.truth(), 5_000
    errors = demo.standard_errors(true, n)
    squares = []
    for seed in range(60):
        fitted = daskem.fit(model, demo.draw(true, n, [1, seed]), start=true, tol=1e-7)
        away = demo.departures(fitted.params, true, errors).values()
        squares.append(np.concatenate([values.ravel() ** 2 for values in away]).mean())
    # Its own standard error, seen over such fits, is 0.035: the bounds are four of them away.
    assert 0.85 < np.mean(squares) < 1.15


# The figure


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_ellipses_lie_one_and_two_standard_deviations_away(covariance_type, rows):
    data = rows.reshape(-1, 3) * [1, 5, 9]
    result = daskem.fit(daskem.Mixture(daskem.Gaussian(covariance_type)), data, 2, random_state=0)
    axes = plot(result, data, features=(2, 0)).axes[0]
    full = result.model.family.covariances(result.params)[:, [2, 0]][:, :, [2, 0]]
    heaviest_first = np.argsort(-result.params["weights"])
    edges = iter(axes.lines)
    for k in heaviest_first:
        for deviations in (1, 2):
            away = next(edges).get_xydata() - result.params["means"][k, [2, 0]]
            distance = np.einsum("ni,ij,nj->n", away, np.linalg.inv(full[k]), away)
            np.testing.assert_allclose(distance, deviations**2)
    assert len(axes.lines) == 4
    assert len(axes.collections[0].get_offsets()) == len(data)


def test_axes_are_named_after_the_features(labelled, model):
    figure = plot(daskem.load(model), xr.open_zarr(labelled)["profiles"], features=(0, 2))
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("temperature", "oxygen")


def test_a_figure_needs_gaussians_and_features_that_exist(rows):
    counts = np.random.default_rng(0).poisson(3, size=(200, 2))
    poisson = daskem.fit(daskem.Mixture(daskem.Poisson()), counts, 1)
    with pytest.raises(daskem.errors.ParameterError, match="Poisson components have no ellipses"):
        plot(poisson, counts)
    gaussian = daskem.fit(daskem.Mixture(daskem.Gaussian()), rows, 1)
    with pytest.raises(daskem.errors.ParameterError, match="a model of 3 features"):
        plot(gaussian, rows, features=(0, 3))
