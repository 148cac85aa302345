import contextlib
import itertools
import json
import os
import pickletools
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem
from table import every_setting

import daskem
from daskem.data.inputs import address
from daskem.errors import ModelFileError, ParameterError, StoreNotFoundError
from daskem.results.description import describe, restore


@pytest.fixture(scope="module")
def results(rows):
    """Models whose files differ."""
    models = {
        "full": (daskem.Gaussian("full"), rows),
        "diag": (daskem.Gaussian("diag"), rows),
        "poisson": (daskem.Poisson(), np.floor(np.abs(rows))),
    }
    return {
        name: daskem.fit(daskem.Mixture(family), data, 2, random_state=0, tol=1e-2)
        for name, (family, data) in models.items()
    }


@pytest.fixture
def labelled(rows):
    data = xr.DataArray(rows, dims=("profile", "level"), coords={"level": ["a", "b", "c"]})
    return daskem.fit(daskem.Mixture(daskem.Gaussian()), data, 2, random_state=0, tol=1e-2)


@every_setting
def test_a_model_comes_back_to_the_last_bit(row, tmp_path):
    start, data = row.some(2, 3, 1000)
    result = daskem.fit(daskem.Mixture(row.family), data, start=start, tol=1e-2)
    result.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(again, method)(data), getattr(result, method)(data))
    for parameter, value in result.params.items():
        np.testing.assert_array_equal(again.params[parameter], value)
    assert again.model.family == result.model.family
    assert again.history == result.history
    assert again.status is result.status
    assert (again.n_features, again.n_rows) == (result.n_features, result.n_rows)
    assert again.score(data) == result.score(data)
    assert again.bic(data) == result.bic(data)
    assert str(again) == str(result)


def test_a_model_that_was_loaded_can_be_saved_again(labelled, tmp_path):
    labelled.save(tmp_path / "first")
    daskem.load(tmp_path / "first").save(tmp_path / "second")
    assert same(daskem.load(tmp_path / "second"), labelled)


def test_labels_come_back(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert again.features.dims == ("level",)
    xr.testing.assert_identical(again.to_dataset(), labelled.to_dataset())


def test_the_estimator_saves_its_result(rows, tmp_path):
    fitted = daskem.GaussianMixture(2, random_state=0, tol=1e-2).fit(rows)
    fitted.save(str(tmp_path / "model"))
    np.testing.assert_array_equal(
        daskem.load(str(tmp_path / "model")).predict(rows), fitted.predict(rows)
    )


def test_any_reader_of_zarr_opens_it(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    readable = xr.open_zarr(tmp_path / "model", chunks=None)
    np.testing.assert_array_equal(readable["means"], labelled.params["means"])
    assert readable["feature"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(
        zarr.open_group(tmp_path / "model", mode="r")["weights"][:], labelled.params["weights"]
    )


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


def contents(path):
    return {str(p.relative_to(path)): content(p) for p in files(path)}


def content(path):
    # Older versions of zarr consolidate in any order.
    found = path.read_bytes()
    return json.loads(found) if path.name == ".zmetadata" else found


def test_there_is_no_pickle_in_it(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    for path in files(tmp_path / "model"):
        assert b"pickle" not in path.read_bytes()
        with pytest.raises((ValueError, IndexError)):
            list(pickletools.genops(path.read_bytes()))
        if path.name == ".zarray":
            about = json.loads(path.read_text())
            codecs = [codec["id"] for codec in about["filters"] or []]
            assert about["dtype"] != "|O" or codecs == ["vlen-utf8"]


# What is already there.


@pytest.fixture(params=["", "file://", "local://", "memory://"])
def place(request, tmp_path):
    """Where models can be, as a path or a URL."""
    return f"{request.param}{tmp_path}/place"


def put_thesis(url):
    fs, root = url_to_fs(url)
    fs.makedirs(f"{root}/notes")
    fs.pipe_file(f"{root}/notes/thesis", b"twelve years of work")


def objects(url):
    fs, root = url_to_fs(url)
    return {found.removeprefix(root): fs.cat_file(found) for found in fs.find(root)}


def test_a_model_is_replaced(results, place):
    results["full"].save(f"{place}/model")
    results["poisson"].save(f"{place}/model")
    assert daskem.load(f"{place}/model").model.family == daskem.Poisson()
    results["poisson"].save(f"{place}/fresh")
    assert objects(f"{place}/model") == objects(f"{place}/fresh")
    assert len(objects(place)) == 2 * len(objects(f"{place}/fresh"))


def test_what_lies_below_a_url_is_left_alone(results, place):
    put_thesis(place)
    before = objects(place)
    match = "is not a model; choose another path. It holds 'notes/thesis'"
    with pytest.raises(ParameterError, match=match):
        results["full"].save(place)
    assert objects(place) == before


def test_what_lies_beside_a_model_is_left_alone(results, place):
    put_thesis(f"{place}/model2")
    put_thesis(place)
    results["full"].save(f"{place}/model")
    results["poisson"].save(f"{place}/model")
    assert {"/notes/thesis", "/model2/notes/thesis"} < set(objects(place))


def test_what_lies_in_a_model_is_left_alone(results, place):
    results["full"].save(place)
    put_thesis(place)
    before = objects(place)
    with pytest.raises(ParameterError, match=r"more than the model.*of the model: 'notes/thesis'$"):
        results["poisson"].save(place)
    assert objects(place) == before


def test_coordinates_that_somebody_gave_a_model_are_left_alone(results, tmp_path):
    results["full"].save(tmp_path / "model")
    group = zarr.open_group(tmp_path / "model", mode="r+", use_consolidated=False)
    names = group.create_array("component", shape=(2,), dtype="int64")
    names[:] = [1850, 1900]
    names.attrs["_ARRAY_DIMENSIONS"] = ["component"]
    assert (daskem.load(tmp_path / "model").params["means"] == group["means"][:]).all()
    with pytest.raises(ParameterError, match=r"of the model: 'component/.zarray'"):
        results["poisson"].save(tmp_path / "model")
    assert (group["component"][:] == [1850, 1900]).all()


def test_a_damaged_model_is_left_alone(results, place):
    results["full"].save(place)
    zarr.open_group(address(place), mode="r+")["means"][0, 0] = 99.0
    before = objects(place)
    with pytest.raises(ParameterError, match=r"is not a sound model; choose.*is damaged"):
        results["poisson"].save(place)
    assert objects(place) == before


def test_a_model_of_several_chunks_is_replaced(results, place):
    model = daskem.Mixture(daskem.Gaussian())
    wide = np.random.default_rng(0).standard_normal((3, 500))
    start = {"weights": [1.0], "means": wide[:1], "covariances": np.eye(500)[None]}
    next(daskem.iterate(model, wide, start=start, max_passes=1)).save(place)
    assert any(key.endswith("/covariances/0.1.1") for key in objects(place))
    results["full"].save(place)
    assert daskem.load(place).n_features == 3


def test_an_empty_folder_takes_a_model(results, tmp_path):
    an_empty_folder(tmp_path / "model")
    results["full"].save(tmp_path / "model")
    assert daskem.load(tmp_path / "model").model.family == daskem.Gaussian("full")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_link_stays_a_link_to_the_model(results, tmp_path):
    results["full"].save(tmp_path / "model")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    results["poisson"].save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert daskem.load(tmp_path / "model").model.family == daskem.Poisson()


def test_a_url_that_nobody_serves_is_named(results):
    with pytest.raises(ParameterError, match="'nowhere://model' cannot be listed"):
        results["full"].save("nowhere://model")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file/model", "Not a directory"),
        ("file/far/model", "Not a directory"),
        ("m" * 300, "File name too long"),
        ("/dev/null/model", "Not a directory"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(results, tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    a_file(tmp_path / "file")
    before = contents(tmp_path)
    with pytest.raises(ParameterError, match=f"'{name}': {words}; choose another") as told:
        results["full"].save(name)
    assert "partial" not in str(told.value)
    assert told.value.__suppress_context__
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", ["", "file://", "a\0b"])
def test_what_is_no_path_is_no_place_for_a_model(results, tmp_path, monkeypatch, path):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ParameterError, match="is no path"):
        results["full"].save(path)
    assert os.listdir(tmp_path) == ["here"]
    assert os.listdir() == []


# A save that fails.


def test_what_cannot_be_encoded_leaves_the_old_model(results, place, monkeypatch):
    results["full"].save(f"{place}/model")
    before = objects(place)
    names = np.array([0, *"bcdefgh"], dtype=object)
    odd = results["full"].to_dataset()
    odd = odd.assign_coords(feature=names[: odd.sizes["feature"]])
    monkeypatch.setattr("daskem.results.result.along_features", lambda *_: odd)
    with pytest.raises(ValueError, match="mixed native types"):
        results["full"].save(f"{place}/model")
    assert objects(place) == before
    assert daskem.load(f"{place}/model").n_components == 2


def failing(function, n):
    """`function`, which fails when it is called for the n-th time."""
    calls = itertools.count(1)

    def fails(*args, **kwargs):
        if next(calls) == n:
            raise OSError("No space left on device")
        return function(*args, **kwargs)

    return fails


@pytest.mark.parametrize("n", [1, 2, 9, 20])
@pytest.mark.parametrize("old", ["full", "poisson", None])
def test_a_full_disk_leaves_what_was_there(results, place, monkeypatch, old, n):
    if old is not None:
        results[old].save(f"{place}/model")
    before = objects(place)
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", failing(os.fsync, n))
        patched.setattr(MemoryFileSystem, "pipe_file", failing(MemoryFileSystem.pipe_file, n))
        with pytest.raises(OSError, match="No space left"):
            results["diag"].save(f"{place}/model")
    assert objects(place) == before


@pytest.mark.parametrize("n", [1, 2])
def test_a_model_that_cannot_be_moved_leaves_what_was_there(results, tmp_path, monkeypatch, n):
    results["full"].save(tmp_path / "model")
    before = contents(tmp_path)
    with monkeypatch.context() as patched:
        # As where folders cannot change places at once.
        patched.setattr("daskem.results.files._exchanged", lambda *_: False)
        patched.setattr(Path, "rename", failing(Path.rename, n))
        with pytest.raises(OSError, match="No space left"):
            results["diag"].save(tmp_path / "model")
    assert contents(tmp_path) == before


def an_array(path):
    zarr.save_array(path, np.ones(3))


def a_dataset(path):
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(path, zarr_format=2, consolidated=True)


def a_folder(path):
    path.mkdir()
    (path / "thesis.tex").write_text("twelve years of work")


def an_empty_folder(path):
    path.mkdir()


def a_file(path):
    path.write_text("not a store")


OTHERS = [an_array, a_dataset, a_folder, a_file]


@pytest.mark.parametrize("make", OTHERS)
def test_anything_else_is_left_alone(results, tmp_path, make):
    make(tmp_path / "other")
    before = contents(tmp_path)
    with pytest.raises(ParameterError, match=r"other.* is not a model; choose another path"):
        results["full"].save(tmp_path / "other")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("make", [*OTHERS, an_empty_folder])
def test_anything_else_is_not_loaded(tmp_path, make):
    make(tmp_path / "other")
    with pytest.raises(ModelFileError, match=r"other.* is not a daskem model"):
        daskem.load(tmp_path / "other")


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreNotFoundError, match=r"no model at .*nowhere"):
        daskem.load(tmp_path / "nowhere")


class Own:
    def e_step(self, block, params):
        return {"log_likelihood": -1.0 * len(block)}

    def m_step(self, statistics, params):
        return params


def test_a_model_that_declares_nothing_is_refused_with_what_to_do(rows, tmp_path):
    result = daskem.fit(Own(), rows, start={"a": np.ones(1)}, tol=1)
    with pytest.raises(ParameterError, match=r"declares its `parameters`.*and Own has none"):
        result.save(tmp_path / "model")
    assert not files(tmp_path)


# Damage.


def same(again, result):
    params = all(np.array_equal(again.params[n], v) for n, v in result.params.items())
    told = again.history == result.history and again.status is result.status
    sizes = (again.n_rows, again.n_features) == (result.n_rows, result.n_features)
    names = again.features.dims == result.features.dims
    return params and told and sizes and names and list(again.features.names) == ["a", "b", "c"]


def test_any_file_that_goes_missing_is_noticed_or_not_needed(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    needed = 0
    for path in files(tmp_path / "model"):
        sound = path.read_bytes()
        path.unlink()
        try:
            assert same(daskem.load(tmp_path / "model"), labelled), path
        except ModelFileError:
            needed += 1
        path.write_bytes(sound)
    # Every chunk and every .zarray of the params and the frame, and the root's metadata.
    assert needed >= 2 * (3 + 6)


def test_any_file_that_is_cut_short_is_noticed_or_not_needed(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    for path in files(tmp_path / "model"):
        sound = path.read_bytes()
        for length in (0, len(sound) // 2):
            path.write_bytes(sound[:length])
            with contextlib.suppress(ModelFileError):
                assert same(daskem.load(tmp_path / "model"), labelled), (path, length)
        path.write_bytes(sound)


def test_any_flipped_bit_is_noticed_or_without_effect(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    wrong = []
    for path in files(tmp_path / "model"):
        sound = path.read_bytes()
        # A few places of every file: each costs a load.
        for place in range(0, len(sound), max(1, len(sound) // 4)):
            spoilt = bytearray(sound)
            spoilt[place] ^= 1
            path.write_bytes(spoilt)
            try:
                if not same(daskem.load(tmp_path / "model"), labelled):
                    wrong.append((path.name, place, "loads something else"))
            except ModelFileError:
                pass
            except Exception as error:
                wrong.append((path.name, place, repr(error)))
        path.write_bytes(sound)
    assert wrong == []
    assert same(daskem.load(tmp_path / "model"), labelled)


@pytest.mark.parametrize("attribute", ["sha256", "daskem"])
def test_an_attribute_that_goes_missing_is_noticed(labelled, tmp_path, attribute):
    labelled.save(tmp_path / "model")
    path = tmp_path / "model" / ".zattrs"
    about = json.loads(path.read_text())
    del about[attribute]
    path.write_text(json.dumps(about))
    with pytest.raises(ModelFileError, match="model"):
        daskem.load(tmp_path / "model")


def test_a_changed_number_of_rows_is_noticed(labelled, tmp_path):
    # BIC comparisons of a loaded model hang on it.
    labelled.save(tmp_path / "model")
    path = tmp_path / "model" / ".zattrs"
    sound = path.read_text()
    assert "3000" in sound
    path.write_text(sound.replace("3000", "8000"))
    with pytest.raises(ModelFileError, match="damaged"):
        daskem.load(tmp_path / "model")


def test_dims_that_change_places_are_noticed(labelled, tmp_path):
    """Predictions would be the same; a person would read the covariances of another feature."""
    labelled.save(tmp_path / "model")
    path = tmp_path / "model" / "covariances" / ".zattrs"
    dims = json.loads(path.read_text())["_ARRAY_DIMENSIONS"]
    assert dims == ["component", "feature", "feature_2"]
    path.write_text(json.dumps({"_ARRAY_DIMENSIONS": [dims[0], dims[2], dims[1]]}))
    with pytest.raises(ModelFileError, match="damaged"):
        daskem.load(tmp_path / "model")


def test_a_model_from_the_future_asks_for_an_upgrade(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    group = zarr.open_group(tmp_path / "model", mode="r+")
    about = json.loads(group.attrs["daskem"])
    group.attrs["daskem"] = json.dumps({**about, "format": 99})
    with pytest.raises(ModelFileError, match=r"has format 99.*upgrade daskem"):
        daskem.load(tmp_path / "model")


def test_a_model_of_an_older_format_has_its_frame(labelled):
    """The first format knew no floors, the second no mean but the origin."""
    about, state = describe(labelled.best, labelled.features)
    about["n_features"] = 3
    frame = labelled.model.frame
    for version, unknown in ((1, ["floor", "recorded", "mean"]), (2, ["mean"])):
        run, _ = restore({**about, "format": version}, state.drop_vars(unknown))
        np.testing.assert_array_equal(run.model.frame.mean, frame.origin)
        np.testing.assert_array_equal(run.model.frame.linear, frame.linear)
        floor = np.zeros(3) if version == 1 else frame.floor
        np.testing.assert_array_equal(run.model.frame.floor, floor)


def test_damage_says_what_to_do(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    group = zarr.open_group(tmp_path / "model", mode="r+")
    group["means"][0, 0] = 99.0
    with pytest.raises(ModelFileError, match=r"do not match their checksum. Fit again, or restore"):
        daskem.load(tmp_path / "model")


@pytest.mark.parametrize(
    "names",
    [
        [5.0, 20.5, 1500.0],
        [1, 2, 3],
        np.array(["2020-01-01", "2020-02-01", "2020-03-01"], dtype="M8[ns]"),
        ["a", "b", "c"],
    ],
    ids=["depths", "numbers", "dates", "words"],
)
def test_names_of_features_survive_with_their_type(names, tmp_path):
    rows = np.random.default_rng(0).standard_normal((100, 3))
    data = xr.DataArray(rows, dims=("sample", "level"), coords={"level": names})
    result = daskem.fit(daskem.Mixture(daskem.Gaussian()), data, 1, tol=1)
    result.save(tmp_path / "model")
    loaded = daskem.load(tmp_path / "model")
    assert (loaded.features.names == result.features.names).all()
    assert (loaded.score_samples(data) == result.score_samples(data)).all()
    assert (loaded.score_samples(data[:, ::-1]) == result.score_samples(data)).all()
