"""check_model passes sound models, and names the law that a broken one breaks."""

import re
import threading
from typing import ClassVar

import numpy as np
import pytest
from table import every_setting

import daskem
from daskem.core.parameters import POSITIVE, SIMPLEX, Parameter
from daskem.errors import ModelError
from daskem.testing import check_model

RNG = np.random.default_rng(0)
WAITS = np.concatenate([RNG.exponential(1.0, (120, 1)), RNG.exponential(9.0, (80, 1))])
START = {"weights": np.array([0.5, 0.5]), "rates": np.array([2.0, 0.2])}


class Waits:
    """A sound model: a mixture of exponential distributions."""

    def weights(self, block):
        return np.ones(len(block.rows)) if block.weights is None else block.weights

    def e_step(self, block, params):
        x, w = block.rows[:, 0], self.weights(block)
        joint = params["weights"] * params["rates"] * np.exp(-params["rates"] * x[:, None])
        density = joint.sum(axis=1)
        r = joint * (w / density)[:, None]
        return {
            "log_likelihood": w @ np.log(density),
            "counts": r.sum(axis=0),
            "totals": r.T @ x,
        }

    def m_step(self, statistics, params):
        counts = statistics["counts"]
        return {"weights": counts / counts.sum(), "rates": counts / statistics["totals"]}


class Declared(Waits):
    parameters: ClassVar = {
        "weights": Parameter(("component",), SIMPLEX),
        "rates": Parameter(("component",), POSITIVE),
    }


def laws_broken_by(model, start=START, rows=WAITS):
    with pytest.raises(ModelError) as caught:
        check_model(model, rows, start=start)
    return set(re.findall(r"^- ([\w ]+):", str(caught.value), re.M)), str(caught.value)


@pytest.mark.parametrize("model", [Waits(), Declared()], ids=["two methods", "declared"])
@pytest.mark.parametrize("rows", [WAITS, WAITS.astype("f4"), WAITS.reshape(20, 10, 1)])
def test_a_sound_model_of_ones_own_passes(model, rows):
    check_model(model, rows, start=START)


def test_statistics_may_be_nested():
    class Nested(Waits):
        def e_step(self, block, params):
            own = super().e_step(block, params)
            pair = [own["counts"], {"totals": own["totals"]}]
            return {"log_likelihood": own["log_likelihood"], "pair": pair}

        def m_step(self, statistics, params):
            counts, rest = statistics["pair"]
            return super().m_step({"counts": counts, **rest}, params)

    check_model(Nested(), WAITS, start=START)


@every_setting
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_mixtures_of_every_family_pass(row, dtype):
    check_model(daskem.Mixture(row.family), row.rows(300, d=3).astype(dtype), n_components=3)


# Broken models: each wrong in one place.


class NotADict(Waits):
    def e_step(self, block, params):
        return tuple(super().e_step(block, params).values())


class NoLikelihood(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        return {name: own[name] for name in ("counts", "totals")}


class LikelihoodOfEachRow(Waits):
    def e_step(self, block, params):
        return {**super().e_step(block, params), "log_likelihood": np.zeros(len(block.rows))}


class LikelihoodNan(Waits):
    def e_step(self, block, params):
        return {**super().e_step(block, params), "log_likelihood": np.nan}


class SinglePrecision(Waits):
    def e_step(self, block, params):
        return {k: np.float32(v) for k, v in super().e_step(block, params).items()}


class Words(Waits):
    def e_step(self, block, params):
        return {**super().e_step(block, params), "names": np.array(["a", "b"])}


class NoWeightsAtAll(Waits):
    def weights(self, block):
        return block.weights * 1.0


class ParamsInATuple(Waits):
    def m_step(self, statistics, params):
        return tuple(super().m_step(statistics, params).values())


class LosesAParam(Waits):
    def m_step(self, statistics, params):
        return {"rates": super().m_step(statistics, params)["rates"]}


class InfiniteParam(Waits):
    def m_step(self, statistics, params):
        return {**super().m_step(statistics, params), "rates": np.array([1.0, np.inf])}


class MStepRaises(Waits):
    def m_step(self, statistics, params):
        return statistics["sums"]


NOT_EVEN = [
    (NotADict(), "e step gives sums", "returned a tuple, not a dict"),
    (NoLikelihood(), "e step gives sums", r"\['counts', 'totals'\], without 'log_likelihood'"),
    (LikelihoodOfEachRow(), "e step gives sums", r"has shape \(200,\), not \(\)"),
    (LikelihoodNan(), "e step gives sums", "'log_likelihood' is nan"),
    (SinglePrecision(), "e step gives sums", "'counts' is float32"),
    (Words(), "e step gives sums", "'names' is of type <U1"),
    (ParamsInATuple(), "m step gives params", "returned a tuple"),
    (LosesAParam(), "m step gives params", r"\['rates'\], but was given .*'weights'"),
    (InfiniteParam(), "m step gives params", r"'rates'\[1\] is inf"),
    (NoWeightsAtAll(), "e step gives sums", "block of 200 rows without weights raised TypeError"),
    (MStepRaises(), "m step gives params", "m_step raised KeyError: 'sums'"),
]


def names(cases):
    return [type(model).__name__ for model, *_ in cases]


@pytest.mark.parametrize(("model", "law", "says"), NOT_EVEN, ids=names(NOT_EVEN))
def test_what_is_not_statistics_or_params_is_said_first(model, law, says):
    laws, text = laws_broken_by(model)
    assert laws == {law}
    assert re.search(says, text)


class Mean(Waits):
    """One term is a mean over the block."""

    def e_step(self, block, params):
        own = super().e_step(block, params)
        return {**own, "log_likelihood": own["log_likelihood"] / max(len(block.rows), 1)}


class PriorInEveryBlock(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        return {**own, "counts": own["counts"] + 1.0, "totals": own["totals"] + 1.0}


class Squeezes(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        sums = self.weights(block) @ block.rows
        return {**own, "sums": sums.squeeze() if len(block.rows) == 1 else sums}


class EveryRow(Waits):
    def e_step(self, block, params):
        return {**super().e_step(block, params), "density": self.weights(block)}


class KeyThatComesAndGoes(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        return {**own, "late": 0.0} if (block.rows > 5).any() else own


class NoEmptyBlocks(Waits):
    def e_step(self, block, params):
        block.rows.max()
        return super().e_step(block, params)


class IgnoresWeights(Waits):
    def weights(self, block):
        return np.ones(len(block.rows))


class ForgetsOneWeight(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        x = block.rows[:, 0]
        rates = params["rates"]
        density = (params["weights"] * rates * np.exp(-rates * x[:, None])).sum(axis=1)
        return {**own, "log_likelihood": np.log(density).sum()}


class SquaresWeights(Waits):
    def weights(self, block):
        return super().weights(block) ** 2


class WholeWeightsOnly(Waits):
    def weights(self, block):
        return np.ceil(super().weights(block))


class LooksAtNeighbours(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        x = block.rows[:, 0]
        return {**own, "lagged": (x[1:] * x[:-1]).sum()}


class ChangesRows(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        block.rows[:] = np.log(block.rows)
        return own


class NormalisesWeightsInPlace(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        if block.weights is not None:
            block.weights[:] /= block.weights.sum()
        return own


class ChangesParams(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        params["rates"][:] = np.log(params["rates"])
        return own


class DividesStatisticsInPlace(Waits):
    def m_step(self, statistics, params):
        rates = statistics["counts"] / statistics["totals"]
        weights = statistics["counts"]
        weights /= weights.sum()
        return {"weights": weights.copy(), "rates": rates}


class UpdatesParamsInPlace(Waits):
    def m_step(self, statistics, params):
        new = super().m_step(statistics, params)
        params["rates"][:] = new["rates"]
        return {**new, "rates": params["rates"].copy()}


class KeepsResponsibilities(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        self.counts = own["counts"]
        return own

    def m_step(self, statistics, params):
        return super().m_step({**statistics, "counts": self.counts}, params)


class CountsItsCalls(Waits):
    calls = 0

    def e_step(self, block, params):
        self.calls += 1
        own = super().e_step(block, params)
        return {**own, "totals": own["totals"] * (1 + 1e-12 * self.calls)}


class DrawsAtRandom(Waits):
    def m_step(self, statistics, params):
        new = super().m_step(statistics, params)
        return {**new, "rates": new["rates"] * (1 + 1e-12 * np.random.default_rng().random(2))}


class HoldsALock(Waits):
    def __init__(self):
        self.lock = threading.Lock()


class LosesASetting(Waits):
    share = 1.0

    def m_step(self, statistics, params):
        new = super().m_step(statistics, params)
        return {**new, "rates": new["rates"] * self.share}

    def __reduce__(self):
        return _without_setting, ()


def _without_setting():
    model = LosesASetting()
    model.share = 0.5
    return model


class WrongDivisor(Waits):
    """Each component takes the other's divisor."""

    def m_step(self, statistics, params):
        counts, totals = statistics["counts"], statistics["totals"]
        return {"weights": counts / counts.sum(), "rates": counts / totals[::-1]}


class WrongLikelihood(Waits):
    def e_step(self, block, params):
        own = super().e_step(block, params)
        return {**own, "log_likelihood": -own["log_likelihood"]}


class FixedNumberOfRows(Waits):
    def m_step(self, statistics, params):
        new = super().m_step(statistics, params)
        return {**new, "weights": statistics["counts"] / len(WAITS)}


class PriorInTheMStep(Waits):
    def m_step(self, statistics, params):
        more = {name: statistics[name] + 1.0 for name in ("counts", "totals")}
        return super().m_step(more, params)


class WeightsOffTheSimplex(Declared):
    def m_step(self, statistics, params):
        new = super().m_step(statistics, params)
        return {**new, "weights": new["weights"] * 1.01}


ADD, WEIGHTS, ORDER = "statistics add", "weights are repeats", "order does not matter"
STAY, REMEMBERED = "arguments stay as they are", "nothing is remembered"
TRAVELS, FALLS = "the model travels", "the objective never falls"
REPEATED, DECLARED = "repeating the data changes nothing", "declared parameters hold"


BROKEN = [
    (Mean(), {ADD, WEIGHTS}, "'log_likelihood' is .* Is it a mean"),
    (PriorInEveryBlock(), {ADD, WEIGHTS}, r"'counts'\[0\] is 1, not 0 for a block of no rows"),
    (Squeezes(), {ADD}, r"'sums' has shape .* for a block of 1 rows"),
    (EveryRow(), {ADD, WEIGHTS}, r"'density' has shape \(1,\) .*one entry kept for each row"),
    (KeyThatComesAndGoes(), {ADD}, "'late'"),
    (NoEmptyBlocks(), {ADD}, "e_step on a block of 0 rows without weights raised ValueError"),
    (IgnoresWeights(), {WEIGHTS}, "'counts'.* Multiply each row's term by block.weights"),
    (ForgetsOneWeight(), {WEIGHTS}, "'log_likelihood'.* Multiply each row's term by block.weights"),
    (SquaresWeights(), {WEIGHTS}, "with weights 0, 1, 2, .*once, in every"),
    (WholeWeightsOnly(), {WEIGHTS}, "with all weights 1/2. Are they rounded"),
    (LooksAtNeighbours(), {ADD, WEIGHTS, ORDER}, "'lagged' is .* in another order"),
    (ChangesRows(), {STAY}, "e_step changed block.rows"),
    (ChangesParams(), {STAY}, r"e_step changed params\['rates'\]"),
    (NormalisesWeightsInPlace(), {STAY}, "e_step changed block.weights"),
    (DividesStatisticsInPlace(), {STAY}, r"m_step changed statistics\['counts'\]"),
    (UpdatesParamsInPlace(), {STAY}, r"m_step changed params\['rates'\]"),
    (KeepsResponsibilities(), {REMEMBERED, REPEATED}, "m_step gave another 'weights'"),
    (CountsItsCalls(), {REMEMBERED}, "e_step gave another 'totals'"),
    (DrawsAtRandom(), {REMEMBERED, TRAVELS}, "drawn at random"),
    (HoldsALock(), {TRAVELS}, "cannot be pickled.*_thread.lock"),
    (LosesASetting(), {TRAVELS}, "m_step gives another 'rates' after pickling"),
    (WrongDivisor(), {FALLS}, r"from the start, it fell from -\d.* to -\d.* in iteration 1"),
    (WrongLikelihood(), {FALLS}, "it fell"),
    (FixedNumberOfRows(), {REPEATED}, r"'weights'\[.\] is .* divide by a fixed number"),
    (PriorInTheMStep(), {REPEATED}, "hold a prior"),
    (WeightsOffTheSimplex(), {DECLARED}, "after 1 iterations .* probabilities that add to 1"),
]


@pytest.mark.parametrize(("model", "laws", "says"), BROKEN, ids=names(BROKEN))
def test_a_broken_law_is_named(model, laws, says):
    broken, text = laws_broken_by(model)
    assert broken == laws
    assert re.search(says, text)


def test_the_callers_rows_and_start_are_left_alone():
    rows, start = WAITS.copy(), {name: value.copy() for name, value in START.items()}
    for model in (ChangesRows(), ChangesParams(), UpdatesParamsInPlace()):
        laws_broken_by(model, start, rows)
    np.testing.assert_array_equal(rows, WAITS)
    for name, value in start.items():
        np.testing.assert_array_equal(value, START[name])


def test_an_error_of_the_model_itself_is_the_cause():
    with pytest.raises(ModelError) as caught:
        check_model(MStepRaises(), WAITS, start=START)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_group_of_which_a_part_is_missing_is_named():
    class Halfway:
        def e_step(self, block, params):
            return {"log_likelihood": -0.5 * np.square(block.rows).sum() * (block.weights is None)}

        def m_step(self, statistics, params):
            return params

        def posterior(self, block, params):
            return iter(())

    with pytest.raises(ModelError, match=r"has posterior, but lacks n_components.*`predict`"):
        check_model(Halfway(), np.zeros((5, 1)), start={"mean": 0.0})
