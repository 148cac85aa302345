"""Params come back in the shape that the data had, and features without any value are named."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskem
from daskem.errors import DataError

N = 120
RNG = np.random.default_rng(0)
GROUP = 6.0 * (np.arange(N) % 2)
DEPTH = [5.0, 10.0, 20.0]


def profiles():
    """Two variables along a depth, and one without."""
    t, s = RNG.normal(size=(2, N, 3)) + GROUP[:, None]
    variables = {
        "TEMP": (("profile", "DEPTH"), t),
        "PSAL": (("DEPTH", "profile"), s.T),
        "ssh": ("profile", RNG.normal(size=N)),
    }
    return xr.Dataset(variables, {"DEPTH": DEPTH})


def fitted(data, kind="full", **options):
    return daskem.GaussianMixture(2, covariance_type=kind, random_state=0, tol=0.1).fit(
        data, **options
    )


def test_means_are_variables_with_their_own_dims():
    model = fitted(profiles(), sample_dims=["profile"])
    shaped = model.to_dataset()
    assert shaped["TEMP"].dims == ("component", "DEPTH")
    assert shaped["PSAL"].dims == ("component", "DEPTH")
    assert shaped["ssh"].dims == ("component",)
    assert shaped["weights"].dims == ("component",)
    assert shaped["DEPTH"].to_numpy().tolist() == DEPTH
    parts = [shaped[v].to_numpy().reshape(2, -1) for v in ("TEMP", "PSAL", "ssh")]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), model.means_)
    # The labels are those of the data: a mean is compared by name.
    near = shaped["TEMP"].sel(DEPTH=10.0).max()
    assert near == pytest.approx(model.means_[:, 1].max())


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_covariances_are_of_pairs_of_variables(kind):
    model = fitted(profiles(), kind, sample_dims=["profile"])
    shaped, whole = model.to_dataset(), model.covariances_
    of_each = () if kind == "tied" else ("component",)
    spans = {"TEMP": slice(0, 3), "PSAL": slice(3, 6), "ssh": slice(6, 7)}
    dims = {"TEMP": ("DEPTH",), "PSAL": ("DEPTH",), "ssh": ()}
    pairs = [("TEMP", "TEMP"), ("TEMP", "PSAL"), ("TEMP", "ssh"), ("PSAL", "ssh"), ("ssh", "ssh")]
    for one, other in pairs:
        found = shaped[f"covariances_{one}_{other}"]
        assert found.dims == (*of_each, *dims[one], *(f"{d}_2" for d in dims[other]))
        expected = whole[..., spans[one], spans[other]]
        np.testing.assert_array_equal(found.to_numpy().ravel(), expected.ravel())
    assert shaped["DEPTH_2"].to_numpy().tolist() == DEPTH


def test_variances_and_rates_are_of_one_variable():
    shaped = fitted(profiles(), "diag", sample_dims=["profile"]).to_dataset()
    assert shaped["covariances_TEMP"].dims == ("component", "DEPTH")
    counts = xr.Dataset({"n": (("cell", "bin"), RNG.poisson(3.0, (50, 4)))})
    model = daskem.Mixture(daskem.Poisson())
    rates = daskem.fit(model, counts, 2, sample_dims=["cell"], random_state=0, tol=0.1)
    assert rates.to_dataset()["n"].dims == ("component", "bin")


def field():
    values = RNG.normal(size=(N, 3, 2)) + GROUP[:, None, None]
    coords = {"lat": [1.0, 2.0, 3.0], "lon": [7.0, 8.0]}
    return xr.DataArray(values, dims=("time", "lat", "lon"), coords=coords, name="t")


def test_a_field_has_the_dims_of_its_map():
    whole = fitted(field(), sample_dims=["time"]).to_dataset()
    assert whole["t"].dims == ("component", "lat", "lon")
    assert whole["covariances_t_t"].dims == ("component", "lat", "lon", "lat_2", "lon_2")
    bare = fitted(field().rename(None), sample_dims=["time"]).to_dataset()
    assert bare["means"].dims == ("component", "lat", "lon")
    stacked = fitted(field().stack(cell=["lat", "lon"]), sample_dims=["time"]).to_dataset()
    assert stacked["t"].dims == ("component", "cell")
    assert stacked["lon"].to_numpy().tolist() == [7.0, 8.0] * 3


@pytest.mark.parametrize("name", ["component", "feature_2", "weights", "DEPTH"])
def test_names_that_params_have_too(name):
    data = profiles()[["TEMP", "ssh"]].rename(TEMP=name if name != "DEPTH" else "DEPTH_m")
    data = data.rename(DEPTH="component") if name == "DEPTH" else data
    shaped = fitted(data, sample_dims=["profile"]).to_dataset()
    (called,) = {f"means_{name}", "DEPTH_m"} & set(shaped.data_vars)
    told = shaped[called]
    assert told.sizes == {told.dims[0]: 2, told.dims[1]: 3}
    assert len(set(told.dims)) == 2


def test_dims_that_are_called_like_second_axes():
    data = profiles()[["TEMP"]].rename(DEPTH="z").expand_dims(z_2=[1.0, 2.0]).copy()
    data["TEMP"] = data["TEMP"] + RNG.normal(size=data["TEMP"].shape)
    shaped = fitted(data, sample_dims=["profile"]).to_dataset()
    found = shaped["covariances_TEMP_TEMP"]
    assert set(found.dims) == {"component", "z", "z_2", "z_2_2", "z_2_2_2"}
    assert (found.sizes["z_2_2"], found.sizes["z_2_2_2"]) == (3, 2)


def test_variables_without_dims_of_their_own_are_features():
    data = profiles()[["ssh"]].assign(sst=("profile", GROUP))
    assert fitted(data).to_dataset()["means"].dims == ("component", "feature")


def test_the_shape_is_saved(tmp_path):
    for number, data in enumerate((profiles(), field(), field().stack(cell=["lat", "lon"]))):
        dim = [d for d in ("profile", "time") if d in data.dims]
        model = fitted(data, sample_dims=dim)
        model.save(tmp_path / f"{number}.zarr")
        again = daskem.load(tmp_path / f"{number}.zarr")
        xr.testing.assert_identical(again.to_dataset(), model.to_dataset())
        xr.testing.assert_identical(again.predict(data), model.predict(data))


# Land.


def with_land():
    return field().where((field().lat != 2.0) | (field().lon != 8.0))


LAND = {
    "field": (with_land, {"sample_dims": ["time"]}, r"1 of 6 features .*: t\[2.0, 8.0\]. Drop"),
    "lazy": (
        lambda: with_land().chunk(time=50),
        {"sample_dims": ["time"]},
        r"t\[2.0, 8.0\].*data.dropna\(dim",
    ),
    "table": (
        lambda: pd.DataFrame({"a": GROUP, "b": np.full(N, np.nan), "c": GROUP}),
        {},
        r"1 of 3 features .*: b\. .*dropna\(axis=1",
    ),
    "array": (lambda: da.full((N, 2), np.nan, chunks=(50, 2)), {}, "2 of 2 features .*: 0, 1"),
}


@pytest.mark.parametrize("missing", ["raise", "omit"])
@pytest.mark.parametrize("name", LAND)
def test_features_without_any_value_are_named(name, missing):
    make, options, words = LAND[name]
    with pytest.raises(DataError, match=words):
        fitted(make(), missing=missing, **options)


def test_the_way_to_drop_them_works():
    sea = with_land().stack(cell=["lat", "lon"]).dropna("cell", how="all")
    model = fitted(sea, sample_dims=["time"])
    assert model.to_dataset()["t"].sizes == {"component": 2, "cell": 5}
    assert model.predict(sea).dims == ("time",)


def test_a_row_that_is_missing_is_no_feature_that_is():
    spoilt = field().to_numpy().reshape(N, 6)
    spoilt[3, 2] = np.nan
    with pytest.raises(DataError, match="NaN at chunk 0, row 3") as caught:
        fitted(spoilt)
    assert "in every row" not in str(caught.value)
