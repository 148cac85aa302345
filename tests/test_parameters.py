"""One declaration of each parameter serves validation, shapes and the count of BIC."""

import numpy as np
import pytest

import daskem
from daskem import Bernoulli, Gaussian, Mixture, Poisson
from daskem.core.parameters import check, count_free, sizes
from daskem.errors import ParameterError

K, D = 3, 4

KINDS = ["full", "tied", "diag", "spherical"]


def gaussian_params(kind, d=D):
    covariances = {
        "full": np.tile(np.eye(d), (K, 1, 1)),
        "tied": np.eye(d),
        "diag": np.ones((K, d)),
        "spherical": np.ones(K),
    }
    return {
        "weights": np.full(K, 1 / K),
        "means": np.zeros((K, d)),
        "covariances": covariances[kind],
    }


@pytest.mark.parametrize(
    ("kind", "of_covariances"),
    [("full", K * D * (D + 1) // 2), ("tied", D * (D + 1) // 2), ("diag", K * D), ("spherical", K)],
)
def test_free_parameters_of_gaussians(kind, of_covariances):
    declared = Mixture(Gaussian(kind)).parameters
    assert count_free(declared, gaussian_params(kind)) == (K - 1) + K * D + of_covariances


@pytest.mark.parametrize("family", [Poisson(), Bernoulli()], ids=repr)
def test_free_parameters_of_counts(family):
    (name,) = family.parameters
    params = {"weights": np.full(K, 1 / K), name: np.full((K, D), 0.5)}
    assert count_free(Mixture(family).parameters, params) == (K - 1) + K * D


@pytest.mark.parametrize("kind", KINDS)
def test_the_lengths_of_the_dimensions(kind):
    declared = Mixture(Gaussian(kind)).parameters
    assert sizes(declared, gaussian_params(kind)) == {"component": K, "feature": D}


def test_params_come_out_as_float64():
    declared = Mixture(Poisson()).parameters
    params = check(declared, {"weights": [1], "rates": np.array([[3]], dtype=np.int8)})
    assert {value.dtype for value in params.values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weights", [0.5, 0.6, 0.2], "weights .* probabilities that add to 1"),
        ("weights", [1.2, -0.2, 0.0], "weights .* probabilities that add to 1"),
        ("weights", np.ones((K, 1)), r"'weights' has shape \(3, 1\)"),
        ("means", np.zeros((K + 1, D)), r"'means' has shape \(4, 4\); it should be \(3, "),
        ("means", np.where(np.eye(K, D) > 0, np.nan, 0), r"means\[0, 0\] = nan .* finite"),
        ("covariances", np.zeros((K, D, D)), r"(?s)covariances\[0\] .* positive definite"),
        ("covariances", np.ones((K, D, D + 1)), r"'covariances' has shape \(3, 4, 5\)"),
        ("covariances", np.eye(D) + np.eye(D, k=1) / 2 + np.zeros((K, 1, 1)), "symmetric"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(name, value, says):
    params = {**gaussian_params("full"), name: value}
    with pytest.raises(ParameterError, match=says):
        check(Mixture(Gaussian()).parameters, params)


@pytest.mark.parametrize(
    ("family", "name", "value", "says"),
    [
        (Gaussian("diag"), "covariances", [[1.0, 0.0]], r"covariances\[0, 1\] = 0.0 .* positive"),
        (Gaussian("spherical"), "covariances", [-1.0], r"covariances\[0\] = -1.0 .* positive"),
        (Poisson(), "rates", [[1.0, -2.0]], r"rates\[0, 1\] = -2.0 .* numbers >= 0"),
        (Poisson(), "rates", [[np.inf, 2.0]], r"rates\[0, 0\] = inf"),
        (Bernoulli(), "probabilities", [[0.5, 1.5]], r"probabilities\[0, 1\] = 1.5 .* \[0, 1\]"),
        (Bernoulli(), "probabilities", [[np.nan, 0.5]], r"probabilities\[0, 0\] = nan"),
    ],
    ids=repr,
)
def test_each_family_knows_its_supports(family, name, value, says):
    params = {"weights": [1.0], "means": np.zeros((1, 2)), name: value}
    params = {key: params[key] for key in Mixture(family).parameters}
    with pytest.raises(ParameterError, match=says):
        check(Mixture(family).parameters, params)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_names_have_to_match(change):
    params = gaussian_params("full")
    params = {"weights": params["weights"]} if change == "missing" else {**params, "rates": [1.0]}
    with pytest.raises(ParameterError, match=r"the parameters are .* but this model has"):
        check(Mixture(Gaussian()).parameters, params)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"covariance_type": "round"}, "'round' is not one of .*'full'"),
        ({"reg_covar": -1e-6}, "reg_covar=-1e-06 should be a number >= 0"),
        ({"reg_covar": np.nan}, "reg_covar=nan should be a number >= 0"),
    ],
)
def test_settings_of_a_gaussian(arguments, says):
    with pytest.raises(ParameterError, match=says):
        Gaussian(**arguments)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tol": -1}, "tol=-1 should be a number >= 0"),
        ({"tol": np.nan}, "tol=nan should be a number >= 0"),
        ({"max_passes": 0}, "max_passes=0 should be a whole number >= 1"),
        ({"max_passes": "many"}, "max_passes='many' should be a whole number >= 1"),
        ({"max_passes": 2.5}, "max_passes=2.5 should be a whole number >= 1"),
        ({"n_init": 0}, "n_init=0 should be a whole number >= 1"),
        ({"n_components": 0}, "n_components=0 should be a whole number >= 1"),
        ({"n_components": None}, "pass n_components"),
        ({"init_params": "guess"}, "'guess' is not one of"),
        ({"start": {"rates": np.zeros((2, 2))}}, "rates"),
    ],
    ids=str,
)
def test_settings_of_a_fit(options, says):
    rows = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ParameterError, match=says):
        daskem.fit(Mixture(Gaussian()), rows, **{"n_components": 2, **options})


@pytest.mark.parametrize(
    ("kind", "name"),
    [*((kind, "means") for kind in KINDS), *((kind, "covariances") for kind in KINDS[:3])],
)
@pytest.mark.parametrize("features", [1, D + 1])
def test_a_start_for_other_features_is_refused(kind, name, features):
    """One feature would broadcast, and that is no start either."""
    rows = np.random.default_rng(0).normal(size=(50, D))
    start = {name: gaussian_params(kind, features)[name]}
    with pytest.raises(ParameterError, match=name):
        daskem.fit(Mixture(Gaussian(kind)), rows, K, start=start)


@pytest.mark.parametrize("wanted", [K, None])
def test_a_start_for_another_number_of_components_is_refused(wanted):
    rows = np.random.default_rng(0).normal(size=(50, D))
    start = {**gaussian_params("diag"), "means": np.zeros((K + 1, D))}
    with pytest.raises(ParameterError, match="'means' has shape"):
        daskem.fit(Mixture(Gaussian("diag")), rows, wanted, start=start)
