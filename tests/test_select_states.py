"""Selections over the number of states: chains ride the same race as mixtures."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.errors import DataError, ParameterError
from daskem.fitting.starts.first_read import first_read
from daskem.selection.splitting import grown

TRUTH = {
    "initial": np.array([0.5, 0.3, 0.2]),
    "transitions": np.array([[0.9, 0.05, 0.05], [0.1, 0.85, 0.05], [0.1, 0.1, 0.8]]),
    "means": np.array([[0.0, 0.0], [3.0, 1.0], [0.0, 4.0]]),
    "covariances": np.stack([np.eye(2)] * 3),
}
CHAIN = HiddenMarkov(Gaussian())
N_STEPS, N_SEQUENCES = 40, 20
pytestmark = pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    drawn = [CHAIN.sample(Params(TRUTH), N_STEPS, rng)[0] for _ in range(N_SEQUENCES)]
    return np.concatenate(drawn)


@pytest.fixture(scope="module")
def chosen(rows):
    models = {"chain": CHAIN, "mixture": Mixture(Gaussian())}
    settings = {"models": models, "lengths": N_STEPS, "n_init": 2, "random_state": 0}
    return daskem.select(rows, range(1, 5), **settings)


def test_the_number_of_states_is_found_and_order_tells_something(chosen):
    assert chosen.best_candidate == ("chain", 3)
    table = chosen.table
    assert list(table["n_parameters"].sel(model="chain").values) == [5, 13, 23, 35]
    # A single state is a mixture of one component, but for its rounding.
    one = table["log_likelihood"].sel(n_components=1)
    assert one[0].item() == pytest.approx(one[1].item(), abs=1e-12)


def test_the_best_is_a_fit_of_its_own(chosen, rows):
    alone = daskem.fit(CHAIN, rows, 3, lengths=N_STEPS, random_state=0)
    assert chosen.best.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-4)
    path = chosen.best.predict(rows, lengths=N_STEPS)
    assert (path == alone.predict(rows, lengths=N_STEPS)).mean() > 0.99
    bic = chosen.table["bic"].sel(model="chain", n_components=3).item()
    assert bic == pytest.approx(chosen.best.bic(rows, lengths=N_STEPS), abs=1e-2)


def test_labelled_data_and_an_extension(rows):
    field = xr.DataArray(
        rows.reshape(N_SEQUENCES, N_STEPS, 2), dims=("buoy", "time", "feature")
    ).chunk(buoy=5)
    settings = {"models": {"chain": CHAIN}, "n_init": 1, "random_state": 0}
    some = daskem.select(field, [1, 2], sequence_dim="time", **settings)
    more = some.extend([3])
    assert more.best.n_components == 3
    assert more.best.predict(field).dims == ("buoy", "time")
    flat = da.from_array(rows, chunks=(5 * N_STEPS, 2))
    same = daskem.select(flat, [1, 2], lengths=N_STEPS, **settings)
    for name, value in same.best.params.items():
        np.testing.assert_array_equal(some.best.params[name], value)


def test_a_selection_of_chains_is_resumed(rows, tmp_path):
    settings = {"models": {"chain": CHAIN}, "n_init": 1, "random_state": 0, "lengths": N_STEPS}
    whole = daskem.select(rows, [1, 2], **settings, checkpoint=tmp_path / "race")
    again = daskem.resume(tmp_path / "race", rows, lengths=N_STEPS)
    np.testing.assert_array_equal(again.best.params["means"], whole.best.params["means"])


@pytest.mark.parametrize("gaps", [False, True])
def test_a_state_that_is_split_makes_the_chain_no_less_likely(rows, gaps):
    """A chain of two states, of which one is split, is a chain of three that is as likely."""
    holed = rows.copy()
    holed[np.random.default_rng(0).random(len(rows)) < 0.2 * gaps] = np.nan
    blocks = as_blocks(holed, None, "omit", lengths=N_STEPS)
    first = first_read(CHAIN, blocks, np.random.default_rng(0), "k-means++", [2])
    two = daskem.fit(CHAIN, holed, 2, lengths=N_STEPS, missing="omit", random_state=0)
    params = first.model.to_frame(two.params)
    draft = grown(first, params, 3)
    assert first.model.n_components(draft.params) == 3
    np.testing.assert_allclose(draft.params["transitions"].sum(axis=1), 1)
    before, after = (
        blocks.sum(first.model.e_step, p)["log_likelihood"] for p in (params, draft.params)
    )
    # The third state is there in truth, and a short climb finds it.
    assert after > before + 100


def test_the_first_rows_of_sequences_are_whole_ones():
    kept = np.array([True, False, True, True, True, False, False, True])
    block = Block(np.arange(5.0)[:, None], edges=np.array([0, 3, 6, 8]), kept=kept)
    for n, expected in ((1, 2), (2, 2), (3, 2), (4, 4), (5, 5), (9, 5)):
        head = block.head(n)
        assert len(head) == expected
        assert head.edges is not None
    assert len(Block(np.zeros((5, 1))).head(3)) == 3


def test_what_cannot_be_chosen_is_said(rows):
    with pytest.raises(
        ParameterError, match=r"models\['it'\] is a EM, and select chooses among mi"
    ):
        daskem.select(rows, [1, 2], models={"it": daskem.EM()})
    with pytest.raises(DataError, match="which rows are a sequence"):
        daskem.select(rows, [1, 2], models={"a": Mixture(Gaussian()), "b": CHAIN})
