"""A run that cannot go on ends with its reason, and does not take the others with it."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from table import every_row

import daskem
from daskem import Gaussian, Mixture
from daskem.core.parameters import Params
from daskem.errors import LikelihoodFellError, ModelError
from daskem.fitting.record import Status


@dataclass(frozen=True)
class Placed(Mixture):
    """A mixture that fails, or falls, at the given pass of a fit of three components."""

    at: int = 1
    falls: bool = False

    def m_step(self, statistics, params):
        counts = statistics["counts"]
        after = super().m_step(statistics, params)
        if len(counts) != 3:
            return after
        told = params.get("pass", 0) + 1
        if told == self.at and not self.falls:
            raise ModelError("placed")
        if told == self.at:
            after["means"] = after["means"] + 5.0
        return Params({**after, "pass": told})

    def kernel(self, candidates):
        return super().kernel(
            [{n: v for n, v in params.items() if n != "pass"} for params in candidates]
        )


ROWS = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0.0, 0.0], [5.0, 5.0]], 150, 0)


def start(k):
    covariances = np.tile(np.eye(2), (k, 1, 1))
    return {
        "weights": np.full(k, 1 / k),
        "means": ROWS[:: 300 // k][:k],
        "covariances": covariances,
    }


@pytest.mark.parametrize("at", [1, 4])
@pytest.mark.parametrize("falls", [False, True])
def test_a_run_that_fails_leaves_the_others(at, falls):
    model = Placed(Gaussian(), at=at, falls=falls)
    result = daskem.fit(model, ROWS, start=[start(3), start(2)], algorithm="em", tol=1e-4)
    alone = daskem.fit(Mixture(Gaussian()), ROWS, start=start(2), algorithm="em", tol=1e-4)
    failed, other = result.runs
    assert failed.status is Status.FAILED
    assert ("the objective per row fell" if falls else "placed") in failed.failure
    assert result.best is other
    for name, value in alone.params.items():
        # What shares a product with others differs in last bits.
        np.testing.assert_allclose(result.params[name], value, rtol=1e-9)


def test_if_all_fail_the_fit_fails_of_the_first_reason():
    with pytest.raises(ModelError, match="placed"):
        daskem.fit(Placed(Gaussian(), at=2), ROWS, start=start(3), algorithm="em")
    with pytest.raises(LikelihoodFellError, match="fell"):
        daskem.fit(Placed(Gaussian(), at=2, falls=True), ROWS, start=start(3), algorithm="em")


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
@every_row
def test_an_m_step_that_is_wrong_by_a_millionth_is_seen(row, monkeypatch):
    """From the optimum it falls by its square."""
    rows, most = row.rows(500), 400 if row.latent else 5
    options = {"algorithm": "em", "tol": 0.0, "max_passes": most}
    best = daskem.fit(Mixture(row.family), rows, 1, **options)
    right, names = (
        type(row.family).m_step,
        {n for n in row.family.parameters if "covariances" not in n},
    )

    def wrong(family, statistics, params, frame):
        after = right(family, statistics, params, frame)
        return {n: v + 1e-6 * aside(n, v) * (n in names) for n, v in after.items()}

    def aside(name, value):
        # Shares add to 1 in any case.
        shared = "category" in " ".join(row.family.parameters[name].dims[-1:])
        return np.linspace(-1, 1, value.shape[-1]) if shared else np.maximum(value, 1)

    monkeypatch.setattr(type(row.family), "m_step", wrong)
    with pytest.raises(LikelihoodFellError):
        daskem.fit(Mixture(row.family), rows, start=best.params, **options)


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_feature_that_is_recorded_beside_one_that_is_not_costs_no_digit():
    """Two values of one feature, whose grid holds the covariance open, and floats in another."""
    rows = load_diabetes().data
    options = {"algorithm": "em", "tol": 0.0, "max_passes": 30, "random_state": 0}
    result = daskem.fit(Mixture(Gaussian("tied")), rows, 3, **options)
    assert not result.flaws
    objectives = [p.objective for p in result.history]
    assert np.diff(objectives).min() > -1e-12
