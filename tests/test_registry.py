"""Families of one's own: what the contract asks for, and what registration buys."""

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import pytest
import zarr
from scipy import stats
from table import TABLE, every_setting

import daskem
from daskem import Bernoulli, Categorical, Gaussian, Mixture, Poisson, register_family
from daskem.core.parameters import NON_NEGATIVE
from daskem.data.blocks import Block
from daskem.errors import ModelError, ModelFileError, ParameterError
from daskem.models.families import FAMILIES
from daskem.models.families.covariances import STRUCTURES
from daskem.models.families.independent import MeanFamily
from daskem.models.families.protocol import (
    Coordinates,
    Ellipses,
    Events,
    Family,
    Prior,
    Softens,
)


@dataclass(frozen=True)
class Geometric(MeanFamily):
    """Failures before a success: log p(x | k) = x log(m / (1 + m)) - log(1 + m), m the mean."""

    unit: str = "failures"

    mean = "failures"
    support = NON_NEGATIVE
    domain = "whole numbers >= 0"

    def valid(self, rows):
        return np.isfinite(rows) & (rows >= 0) & (rows == np.floor(rows))

    def natural(self, params):
        m = np.maximum(params["failures"], 1e-300)
        return np.column_stack([-np.log1p(m).sum(axis=1), np.log(m) - np.log1p(m)])


@pytest.fixture
def registered():
    register_family(Geometric)
    yield
    FAMILIES.pop("Geometric", None)


@pytest.fixture(scope="module")
def waits():
    rng = np.random.default_rng(0)
    means = np.array([[1.0, 8.0], [9.0, 2.0]])[rng.integers(2, size=2000)]
    return rng.geometric(1 / (1 + means)) - 1.0


@pytest.fixture(scope="module")
def fitted(waits):
    return daskem.fit(Mixture(Geometric("trials")), waits, 2, random_state=0, tol=1e-3)


def edited(family, **members):
    """A class like that of `family`, with other members; None takes one out."""
    kept = {name: value for name, value in members.items() if value is not None}
    hidden = {name for name, value in members.items() if value is None}

    class Edited:
        def __getattribute__(self, name):
            if name in hidden:
                raise AttributeError(name)
            return kept[name] if name in kept else getattr(family, name)

        def __dir__(self):
            return sorted({*dir(family), *kept} - hidden)

    return Edited()


# The contract.


def test_every_registered_family_has_a_row_in_the_table_of_the_laws():
    assert {type(row.family) for row in TABLE} == set(FAMILIES.values())


@every_setting
def test_families_have_the_required_members(row):
    assert isinstance(row.family, Family)


def test_groups_are_those_that_a_family_has():
    groups = (Coordinates, Ellipses, Prior, Events, Softens)
    of_gaussians, of_means = groups, (Coordinates, Prior, Softens)
    for family in (Gaussian(), Poisson(), Bernoulli(), Categorical(), Geometric()):
        expected = of_gaussians if isinstance(family, Gaussian) else of_means
        assert tuple(group for group in groups if isinstance(family, group)) == expected


REQUIRED = ["parameters", "domain", "valid", "at", "locations", "kernel", "m_step"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_family_without_a_required_member_is_told_which(name):
    with pytest.raises(ParameterError, match=rf"needs a family.*; Edited lacks `{name}`$"):
        Mixture(edited(Poisson(), **{name: None}))


def test_a_mean_family_without_its_natural_parameters_is_told_so():
    @dataclass(frozen=True)
    class Half(MeanFamily):
        mean = "half"

    with pytest.raises(TypeError, match="natural"):
        Half()


def test_a_family_that_cannot_draw_is_told_what_it_lacks(fitted):
    with pytest.raises(ModelError, match="drawing rows needs `sample`, which Geometric"):
        fitted.sample(10)


class Bare:
    """What is required of a family, and no more."""

    def __init__(self, family):
        vars(self).update({name: getattr(family, name) for name in REQUIRED})


def test_a_mixture_of_a_bare_family_has_no_prior_no_frame_and_only_its_own_events(fitted, waits):
    bare = daskem.fit(Mixture(Bare(Geometric())), waits, 2, random_state=0, tol=1e-3)
    model, params = bare.model, bare.best.framed
    np.testing.assert_allclose(params["failures"], fitted.params["failures"], rtol=1e-6)
    assert model.frame is None
    assert not model.cross_moments
    assert model.log_prior(params, 100.0) == 0.0
    statistics = model.e_step(Block(waits), params)
    assert model.events(statistics, params) == []
    statistics["counts"] = np.array([2000.0, 0.0])
    assert model.events(statistics, params) == ["component 1 has lost all its rows"]


def test_densities_are_those_of_scipy(fitted, waits):
    weights, means = fitted.params["weights"], fitted.params["failures"]
    p = sum(
        w * stats.geom.pmf(waits + 1, 1 / (1 + m)).prod(axis=1)
        for w, m in zip(weights, means, strict=True)
    )
    np.testing.assert_allclose(fitted.score_samples(waits), np.log(p), rtol=1e-12)


def test_it_is_fitted_selected_and_tabled_like_any_other(fitted, waits):
    order = np.argsort(fitted.params["failures"][:, 0])
    found = fitted.params["failures"][order]
    np.testing.assert_allclose(found, [[1, 8], [9, 2]], rtol=0.15)
    header, *lines = fitted.table().splitlines()
    assert "principal axes" not in header
    assert len(lines) == 2
    choice = daskem.select(
        waits,
        range(1, 4),
        models={"geometric": Mixture(Geometric()), "poisson": Mixture(Poisson())},
        random_state=0,
    )
    assert isinstance(choice.best.model.family, Geometric)
    assert choice.best.n_components == 2


# Questions that other rooms ask.


@pytest.mark.parametrize("kind", STRUCTURES)
def test_ellipses_are_those_of_the_data(kind, rows):
    result = daskem.fit(Mixture(Gaussian(kind)), rows * [1.0, 10.0, 0.1], 2, random_state=0, tol=1)
    model, params = result.model, result.params
    family = model.family
    np.testing.assert_array_equal(family.locations(params), params["means"])
    covariances = family.covariances(params)
    as_matrices = {
        "full": lambda c: c,
        "tied": lambda c: np.stack([c, c]),
        "diag": lambda c: np.eye(3) * c[:, None],
        "spherical": lambda c: np.eye(3) * c[:, None, None],
    }
    np.testing.assert_array_equal(covariances, as_matrices[kind](params["covariances"]))
    upper = family.precision_factors(result.best.framed, model.frame)
    np.testing.assert_array_equal(upper, np.triu(upper))
    assert (np.diagonal(upper, axis1=1, axis2=2) > 0).all()
    precisions = upper @ upper.swapaxes(1, 2)
    np.testing.assert_allclose(precisions @ covariances, np.stack([np.eye(3)] * 2), atol=1e-9)


# Registration.


def test_a_registered_family_is_saved_and_loaded_to_the_last_bit(
    registered, fitted, waits, tmp_path
):
    fitted.save(tmp_path / "model")
    again = daskem.load(tmp_path / "model")
    assert again.model.family == Geometric("trials")
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(again, method)(waits), getattr(fitted, method)(waits))
    for name, value in fitted.params.items():
        np.testing.assert_array_equal(again.params[name], value)


def test_a_family_that_is_not_registered_is_not_saved(fitted, tmp_path):
    with pytest.raises(ParameterError, match=r"Geometric is not registered.*register_family above"):
        fitted.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_is_not_registered_is_not_loaded(registered, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    del FAMILIES["Geometric"]
    with pytest.raises(ModelFileError, match=r"Geometric distributions.*register it first"):
        daskem.load(tmp_path / "model")


def test_a_file_names_the_family_and_its_settings(registered, fitted, tmp_path):
    fitted.save(tmp_path / "model")
    about = json.loads(zarr.open_group(tmp_path / "model", mode="r").attrs["daskem"])
    assert (about["family"], about["settings"]) == (
        "Geometric",
        {"unit": "trials", "prior_rows": 0.0},
    )


def test_registration_returns_the_class_so_that_it_may_decorate_it(registered):
    assert register_family(Geometric) is Geometric
    assert FAMILIES["Geometric"] is Geometric


def test_a_cell_that_runs_twice_registers_the_later_class(registered, fitted, tmp_path):
    again = dataclasses.make_dataclass("Geometric", ["unit"], bases=(Geometric,), frozen=True)
    again.__module__ = Geometric.__module__
    register_family(again)
    fitted.save(tmp_path / "model")
    assert isinstance(daskem.load(tmp_path / "model").model.family, again)


@pytest.mark.parametrize("name", ["Gaussian", "POISSON"])
def test_a_name_that_is_taken_is_refused(name):
    other = dataclasses.make_dataclass(name, [], bases=(Geometric,), frozen=True)
    known = dict(FAMILIES)
    with pytest.raises(ParameterError, match=r"already.*choose another name"):
        register_family(other)
    assert known == FAMILIES


@pytest.mark.parametrize("thing", [Geometric(), object, "Geometric"])
def test_what_is_no_dataclass_is_refused(thing):
    with pytest.raises(ParameterError, match=r"is no dataclass: put @dataclass\(frozen=True\)"):
        register_family(thing)
