"""Kernels: one sweep over the rows of a block, whatever was computed with them before."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax
from table import KINDS, TABLE, every_kind, every_plain_gaussian, every_row, every_row_of_any_width

from daskem import Gaussian, Mixture
from daskem.core.candidates import Candidates
from daskem.core.frames import scaling
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.models.heldout import HeldOut
from daskem.models.kernels import centred, guard
from daskem.models.kernels.apart import SharpApart
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.tiled import TiledKernel, normalise, normalise_each
from daskem.models.kernels.tiles import Tiles, narrowed, tile_width


def params_of(row, k, d, seed):
    return row.mixture(k, d, np.random.default_rng(seed))


def block_of(row, n, d, seed, weighted=False):
    rng = np.random.default_rng(seed)
    return Block(row.rows(n, d, seed=seed), rng.uniform(0, 2, n) if weighted else None)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def posterior(kernel, block):
    parts = [(log_prob, r.copy()) for _, log_prob, r in kernel.posterior(block)]
    return {
        "log_prob": np.concatenate([log_prob for log_prob, _ in parts]),
        "responsibilities": np.concatenate([r for _, r in parts], axis=1),
    }


@every_row
@pytest.mark.parametrize("weighted", [False, True])
def test_a_kernel_that_was_used_gives_what_a_fresh_one_gives(row, weighted):
    model, candidates = Mixture(row.family), [params_of(row, k, 3, k) for k in (4, 1, 2)]
    together, alone = model.kernel(candidates), model.kernel(candidates[:1])
    for seed, n in enumerate((20_000, 100, 0, 17_000)):
        block = block_of(row, n, 3, seed, weighted)
        labels = np.random.default_rng(seed).integers(4, size=n)
        for one, other in zip(
            together.e_step(block), model.kernel(candidates).e_step(block), strict=True
        ):
            assert_same_bits(one, other)
        assert_same_bits(
            alone.hard(block, labels), model.kernel(candidates[:1]).hard(block, labels)
        )
        if n:
            assert_same_bits(
                posterior(alone, block), posterior(model.kernel(candidates[:1]), block)
            )


@every_row
def test_sweeps_of_one_kernel_do_not_disturb_one_another(row):
    kernel = Mixture(row.family).kernel([params_of(row, 3, 2, 0)])
    block, other = block_of(row, 40_000, 2, 1), block_of(row, 30_000, 2, 2)
    expected = posterior(kernel, block)
    seen = []
    for span, log_prob, r in kernel.posterior(block):
        kernel.e_step(other)
        np.testing.assert_array_equal(log_prob, expected["log_prob"][span])
        np.testing.assert_array_equal(r, expected["responsibilities"][:, span])
        seen.append(span)
    assert len(seen) > 1


@every_row
def test_threads_may_share_a_kernel(row):
    kernel = Mixture(row.family).kernel([params_of(row, 3, 4, 0)])
    blocks = [block_of(row, 20_000, 4, seed) for seed in range(6)]
    alone = [kernel.e_step(block)[0] for block in blocks]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(pool.map(kernel.e_step, blocks), alone, strict=True):
            assert_same_bits(one[0], other)


@every_row
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [0, 1, 500, 20_000])
def test_hard_labels_are_responsibilities_of_0_and_1(row, weighted, n):
    """As Bayes' rule has them where all other components have no weight."""
    params, block = params_of(row, 3, 2, 0), block_of(row, n, 2, 0, weighted)
    labels = np.random.default_rng(n).integers(3, size=n)
    alone = [{**params, "weights": one} for one in np.eye(3)]
    expected = add_all([Mixture(row.family).e_step(block[labels == j], alone[j]) for j in range(3)])
    found = Mixture(row.family).kernel([params]).hard(block, labels)
    assert found.keys() == expected.keys() - {"log_likelihood"}
    for name, value in found.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], 0, 1e-12 * scale, err_msg=name)


@every_row
def test_hard_labels_do_not_depend_on_where_the_components_were(row):
    """Unless they say what else is expected of a row besides its component."""
    block, labels = block_of(row, 3000, 3, 0), np.random.default_rng(0).integers(4, size=3000)
    model, found = Mixture(row.family), []
    for seed in (1, 2):
        params = params_of(row, 4, 3, seed)
        found.append(model.m_step(model.kernel([params]).hard(block, labels), params))
    same = all(np.allclose(found[1][name], found[0][name], 1e-9, 1e-12) for name in found[0])
    assert same is not row.latent


def forms(kind, scale):
    """Product and centred form, and a guard, of two components `scale` wide."""
    family = Gaussian(kind)
    params = {"weights": np.full(2, 0.5), **family.at(np.array([[0.0, 1.0], [1.0, 0.0]]))}
    params["covariances"] = params["covariances"] * scale**2
    return Mixture(family).kernel([params]).guard


@every_kind
def test_the_guard_lets_the_product_form_pass_up_to_its_limit(kind):
    choose = forms(kind, 1e-3)
    sharpness = 1e6
    assert choose.sharpness == pytest.approx(sharpness, rel=1e-12)
    reach = np.sqrt(guard.LIMIT / sharpness)
    for sign in (-1, 1):
        inside, outside = (np.array([[0.0, sign * reach * x], [0.0, 0.0]]) for x in (0.999, 1.001))
        assert type(choose.form(inside)) is ProductForm
        assert type(choose.form(outside)) is CentredForm


@every_plain_gaussian
@pytest.mark.parametrize("weighted", [False, True])
def test_any_form_makes_a_kernel(row, weighted):
    """The sweep asks a form for nothing but the contract: the careful one sweeps alone, too."""
    block, candidates = (
        block_of(row, 20_000, 3, 0, weighted),
        [params_of(row, k, 3, k) for k in (4, 1, 2)],
    )
    usual = Mixture(row.family).kernel(candidates)
    alone = TiledKernel(usual.guard.centred)
    for one, other in zip(alone.e_step(block), usual.e_step(block), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], 1e-9, 1e-8, err_msg=name)


@every_kind
def test_the_guard_looks_at_the_narrowest_of_all_candidates(kind):
    family = Gaussian(kind)
    wide = {"weights": np.ones(1), **family.at(np.zeros((1, 2)))}
    narrow = {**wide, "covariances": wide["covariances"] * 1e-8}
    kernel = Mixture(family).kernel([wide, narrow, wide])
    assert kernel.guard.sharpness == pytest.approx(1e8, rel=1e-12)


@every_kind
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sharp_candidate_leaves_the_fast_form_to_the_others(kind, weighted):
    """And has itself what the careful form says of it alone."""
    family, rng = Gaussian(kind), np.random.default_rng(5)
    weights = rng.gamma(1.0, size=300) if weighted else None
    rows = rng.normal(size=(300, 2))
    rows[:100] = [1.0, 2.0] + 1e-5 * rng.normal(size=(100, 2))
    block, candidates = Block(rows, weights=weights), []
    for k, width in ((4, 1.0), (1, 1e-5), (2, 1.0), (2, 1e-5)):
        params = family.at([1.0, 2.0] + width * rng.normal(size=(k, 2)))
        covariances = width**2 * params["covariances"]
        if kind != "tied" and k > 1:
            covariances[0] = params["covariances"][0]  # of the rows that are far from the narrow
        candidates.append({"weights": np.full(k, 1 / k), **params, "covariances": covariances})
    model = Mixture(family)
    kernel = model.kernel(candidates)
    form = kernel.guard.form(block.rows.T)
    assert type(form) is SharpApart
    assert form.numbers == [1, 3]
    found = kernel.e_step(block)
    for numbers in ([0, 2], [1, 3]):
        alone = model.kernel([candidates[i] for i in numbers]).e_step(block)
        for i, expected in zip(numbers, alone, strict=True):
            assert found[i].keys() == expected.keys()
            for name, value in expected.items():
                each = np.atleast_2d(np.transpose(value))  # (..., component)
                wrong = np.abs(np.atleast_2d(np.transpose(found[i][name])) - each).max(axis=0)
                assert (wrong <= 1e-9 * np.abs(each).max(axis=0)).all(), name


@pytest.mark.parametrize("n", [1, 300, 3000])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_candidates_are_normalised_as_each_is(n, weighted):
    """Whether all at once, or one after the other, where rows are many."""
    rng = np.random.default_rng(n)
    bounds, spare = np.array([0, 3, 4, 9]), np.empty((2, n))
    joint = 100 * rng.normal(size=(9, n))
    joint[1:3] = -1e300
    weights = rng.gamma(1.0, size=n) if weighted else None
    together = joint.copy()
    sums = normalise_each(together, bounds, weights, spare)
    for c, (low, high) in enumerate(pairwise(bounds)):
        alone = joint[low:high].copy()
        assert sums[c] == pytest.approx(normalise(alone, weights, spare), rel=1e-13)
        np.testing.assert_allclose(together[low:high], alone, rtol=1e-14, atol=0)


@every_kind
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_both_forms_say_the_same_of_a_tile(kind, scale):
    both = forms(kind, scale)
    z = np.random.default_rng(0).normal(size=(2, 50)) * scale
    found = []
    for form in (both.product, both.centred):
        sums = form.sums(2, 64)
        logits = sums.log_joint(sums.features(z), out=np.empty((2, 50))) + form.log_base(z, 0)
        sums.add(z, sums.features(z), softmax(logits, axis=0), None)
        found.append((logits, sums.statistics()[0]))
    (logits, product), (expected, careful) = found
    np.testing.assert_allclose(logits, expected, 1e-9, 1e-7)
    for name in ("counts", "first", "second"):
        np.testing.assert_allclose(product[name], careful[name], 1e-8, 1e-9 * 50)


@every_kind
def test_components_that_are_looked_at_together_are_as_each_is_alone(kind, monkeypatch):
    row = TABLE[KINDS.index(kind)]
    block, params = block_of(row, 90, 3, 0, weighted=True), params_of(row, 5, 3, 1)
    kernel = TiledKernel(Mixture(Gaussian(kind)).kernel([params]).guard.centred)
    (together,) = kernel.e_step(block)
    # Two, two, and a last one.
    for numbers in (0, 2 * 3 * 90 + 2):
        monkeypatch.setattr(centred, "_TOGETHER", numbers)
        (others,) = kernel.e_step(block)
        for name, value in together.items():
            np.testing.assert_allclose(others[name], value, 1e-12, 1e-12 * 90, err_msg=name)


@pytest.mark.parametrize(("d", "k", "kinds"), [(40, 2, {"full"}), (40, 20, set())])
def test_the_careful_form_is_the_usual_one_where_the_products_would_be_long_and_low(d, k, kinds):
    found = set()
    for kind, row in zip(KINDS, TABLE, strict=False):
        block = block_of(row, 300, d, 0, weighted=True)
        kernel = Mixture(Gaussian(kind)).kernel([row.mixture(k, d, np.random.default_rng(0))])
        (usual,) = kernel.e_step(block)
        (product,) = replace(kernel, guard=None).e_step(block)
        for name, value in product.items():
            np.testing.assert_allclose(usual[name], value, 1e-9, 1e-9 * 300, err_msg=name)
        if type(kernel.accurate(np.zeros((d, 1)))) is CentredForm:
            found.add(kind)
    assert found == kinds


@pytest.mark.parametrize("width", [1, 7, 64, 100])
@pytest.mark.parametrize("framed", [False, True])
def test_tiles_are_all_rows_once_in_their_order(width, framed):
    rows = np.random.default_rng(0).normal(size=(64, 3))
    frame = scaling(np.arange(3.0), np.full(3, 4.0)) if framed else None
    tiles = Tiles(rows, frame, width)
    spans, seen = list(tiles), [tiles[span].T.copy() for span in tiles]
    assert max(span.stop - span.start for span in spans) == min(width, 64)
    assert np.concatenate([np.arange(64)[span] for span in spans]).tolist() == list(range(64))
    np.testing.assert_array_equal(np.concatenate(seen), frame.apply(rows) if framed else rows)


@pytest.mark.parametrize("width", [1, 7, 100])
def test_tiles_are_in_c_order_whatever_is_left_for_the_last_one(width):
    """NumPy copies what is in none where it multiplies."""
    rows = np.random.default_rng(0).normal(size=(64, 3))
    tiles = Tiles(rows, None, width)
    assert all(tiles[span].flags.c_contiguous for span in tiles)
    buffer = np.arange(300.0).reshape(3, 100)
    room = narrowed(buffer, width)
    assert room.shape == (3, width)
    assert room.flags.c_contiguous
    assert np.shares_memory(room, buffer)


def test_a_tile_is_never_empty_and_fits_into_memory():
    for n_features in (1, 10, 1000, 10**5):
        for n_components in (1, 100, 10**4):
            n_statistics = 1 + n_features * (n_features + 3) // 2
            width = tile_width(n_statistics, n_components, n_features)
            bytes_used = 8 * width * (n_statistics + n_components + 2 * n_features)
            assert width >= 1
            assert bytes_used <= 2**24 or width == 1


@every_row_of_any_width
def test_rows_of_another_width_are_refused(row):
    with pytest.raises(ValueError, match=r"mismatch|broadcast"):
        Mixture(row.family).e_step(block_of(row, 10, 2, 0), params_of(row, 2, 3, 0))


class Counting(Gaussian):
    """Counts in how many blocks a kernel was made."""

    def kernel(self, candidates, offsets, frame):
        MADE.append(len(candidates))
        return super().kernel(candidates, offsets, frame)


MADE = []


@pytest.mark.parametrize("held_out", [False, True])
def test_what_depends_on_params_alone_is_made_once_a_pass(held_out):
    """And not for each block: roots, natural parameters, log-determinants."""
    model = Mixture(Counting())
    params = [params_of(TABLE[0], k, 2, k) for k in (2, 3)]
    candidates = Candidates(params)
    judged = HeldOut(model) if held_out else model
    MADE.clear()
    parts = [judged.e_steps(block_of(TABLE[0], 50, 2, seed), candidates) for seed in range(4)]
    assert MADE == [2]
    for seed, part in enumerate(parts):
        alone = judged.e_steps(block_of(TABLE[0], 50, 2, seed), params)
        for one, other in zip(part, alone, strict=True):
            assert_same_bits(one, other)
    # Nothing of it travels, and another model makes its own.
    assert len(pickle.loads(pickle.dumps(candidates))) == 2
    Mixture(Counting()).e_steps(block_of(TABLE[0], 50, 2, 0), candidates)
    assert len(MADE) > 2


@pytest.mark.parametrize("row", TABLE[:2], ids=repr)
def test_few_rows_are_told_the_same_as_among_many(row):
    """Of many features: few rows are solved for, for many an inverse is made."""
    block, params = block_of(row, 300, 50, 0), params_of(row, 3, 50, 1)
    kernel = TiledKernel(Mixture(row.family).kernel([params]).guard.centred)
    many = posterior(kernel, block)
    for few in (1, 30, 50):
        some = posterior(kernel, block[:few])
        np.testing.assert_allclose(some["log_prob"], many["log_prob"][:few], rtol=1e-11)
        np.testing.assert_allclose(
            some["responsibilities"], many["responsibilities"][:, :few], rtol=1e-8, atol=1e-300
        )
