import contextlib
import json
import pickletools

import numpy as np
import pytest
import xarray as xr
import zarr

import daskem
from daskem.errors import ModelFileError, ParameterError, StoreNotFoundError

FAMILIES = {
    "full": daskem.Gaussian("full"),
    "tied": daskem.Gaussian("tied"),
    "diag": daskem.Gaussian("diag"),
    "spherical": daskem.Gaussian("spherical", reg_covar=0.01),
    "poisson": daskem.Poisson(),
    "bernoulli": daskem.Bernoulli(),
}


def data_for(name, rows):
    if name == "poisson":
        return np.floor(np.abs(rows))
    return (rows > 1).astype(float) if name == "bernoulli" else rows


@pytest.fixture(scope="module")
def results(rows):
    return {
        name: daskem.fit(daskem.Mixture(family), data_for(name, rows), 2, random_state=0, tol=1e-2)
        for name, family in FAMILIES.items()
    }


@pytest.fixture
def labelled(rows):
    data = xr.DataArray(rows, dims=("profile", "level"), coords={"level": ["a", "b", "c"]})
    return daskem.fit(daskem.Mixture(daskem.Gaussian()), data, 2, random_state=0, tol=1e-2)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_comes_back_to_the_last_bit(results, rows, tmp_path, name):
    result, data = results[name], data_for(name, rows)
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
    return {str(p.relative_to(path)): p.read_bytes() for p in files(path)}


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


def test_a_model_is_replaced(results, tmp_path):
    results["full"].save(tmp_path / "model")
    results["poisson"].save(tmp_path / "model")
    assert daskem.load(tmp_path / "model").model.family == daskem.Poisson()
    results["poisson"].save(tmp_path / "fresh")
    assert contents(tmp_path / "model") == contents(tmp_path / "fresh")


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


OTHERS = [an_array, a_dataset, a_folder, an_empty_folder, a_file]


@pytest.mark.parametrize("make", OTHERS)
def test_anything_else_is_left_alone(results, tmp_path, make):
    make(tmp_path / "other")
    before = contents(tmp_path)
    with pytest.raises(ParameterError, match=r"other.* is not a model; choose another path"):
        results["full"].save(tmp_path / "other")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("make", OTHERS)
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


def test_a_model_of_your_own_is_refused_with_what_to_do(rows, tmp_path):
    result = daskem.fit(Own(), rows, start={"a": np.ones(1)}, tol=1)
    with pytest.raises(ParameterError, match="Own is not a mixture"):
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


def test_a_model_from_the_future_asks_for_an_upgrade(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    group = zarr.open_group(tmp_path / "model", mode="r+")
    about = json.loads(group.attrs["daskem"])
    group.attrs["daskem"] = json.dumps({**about, "format": 99})
    with pytest.raises(ModelFileError, match=r"has format 99.*upgrade daskem"):
        daskem.load(tmp_path / "model")


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
