"""Kernels: one sweep over the rows of a block, whatever was computed with them before."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from table import KINDS, every_kind, every_plain_family

from daskem import Gaussian, Mixture
from daskem.core.frames import scaling
from daskem.data.blocks import Block
from daskem.models.kernels import guard
from daskem.models.kernels.centred import CentredForm
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.tiles import Tiles, tile_width


def params_of(family, k, d, seed):
    """Components that overlap, some of different width, at locations that every family allows."""
    rng = np.random.default_rng(seed)
    params = {"weights": rng.dirichlet(np.full(k, 5.0)), **family.at(rng.uniform(0.1, 0.9, (k, d)))}
    if "covariances" in params:
        params["covariances"] = params["covariances"] * 0.5
    return params


def block_of(n, d, seed, weighted=False):
    """Zeros and ones, which every family can have made."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 2, (n, d)).astype(float)
    return Block(rows, rng.uniform(0, 2, n) if weighted else None)


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


@every_plain_family
@pytest.mark.parametrize("weighted", [False, True])
def test_a_kernel_that_was_used_gives_what_a_fresh_one_gives(family, weighted):
    model, candidates = Mixture(family), [params_of(family, k, 3, k) for k in (4, 1, 2)]
    together, alone = model.kernel(candidates), model.kernel(candidates[:1])
    for seed, n in enumerate((20_000, 100, 0, 17_000)):
        block = block_of(n, 3, seed, weighted)
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


@every_plain_family
def test_sweeps_of_one_kernel_do_not_disturb_one_another(family):
    kernel = Mixture(family).kernel([params_of(family, 3, 2, 0)])
    block, other = block_of(40_000, 2, 1), block_of(30_000, 2, 2)
    expected = posterior(kernel, block)
    seen = []
    for span, log_prob, r in kernel.posterior(block):
        kernel.e_step(other)
        np.testing.assert_array_equal(log_prob, expected["log_prob"][span])
        np.testing.assert_array_equal(r, expected["responsibilities"][:, span])
        seen.append(span)
    assert len(seen) > 1


@every_plain_family
def test_threads_may_share_a_kernel(family):
    kernel = Mixture(family).kernel([params_of(family, 3, 4, 0)])
    blocks = [block_of(20_000, 4, seed) for seed in range(6)]
    alone = [kernel.e_step(block)[0] for block in blocks]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(pool.map(kernel.e_step, blocks), alone, strict=True):
            assert_same_bits(one[0], other)


@every_plain_family
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [0, 1, 500, 20_000])
def test_hard_labels_are_responsibilities_of_0_and_1(family, weighted, n):
    """With components so far apart that Bayes' rule leaves no doubt."""
    centres = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    params = {"weights": np.array([0.4, 0.6]), **family.at(centres)}
    if "covariances" in params:
        params["covariances"] = params["covariances"] * 1e-4
    rng = np.random.default_rng(n)
    labels = rng.integers(2, size=n)
    block = Block(centres[labels], rng.uniform(0, 2, n) if weighted else None)
    kernel = Mixture(family).kernel([params])
    found, (expected,) = kernel.hard(block, labels), kernel.e_step(block)
    assert found.keys() == expected.keys() - {"log_likelihood"}
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], 1e-14, 1e-12, err_msg=name)


@every_plain_family
def test_hard_labels_do_not_depend_on_where_the_components_were(family):
    block, labels = block_of(3000, 3, 0), np.random.default_rng(0).integers(4, size=3000)
    model, found = Mixture(family), []
    for seed in (1, 2):
        params = params_of(family, 4, 3, seed)
        found.append(model.m_step(model.kernel([params]).hard(block, labels), params))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, 1e-9, 1e-12, err_msg=name)


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


@every_kind
def test_the_guard_looks_at_the_narrowest_of_all_candidates(kind):
    family = Gaussian(kind)
    wide = {"weights": np.ones(1), **family.at(np.zeros((1, 2)))}
    narrow = {**wide, "covariances": wide["covariances"] * 1e-8}
    kernel = Mixture(family).kernel([wide, narrow, wide])
    assert kernel.guard.sharpness == pytest.approx(1e8, rel=1e-12)


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
    (logits, product), (expected, centred) = found
    np.testing.assert_allclose(logits, expected, 1e-9, 1e-7)
    for name in ("counts", "first", "second"):
        np.testing.assert_allclose(product[name], centred[name], 1e-8, 1e-9 * 50)


@pytest.mark.parametrize(("d", "k", "kinds"), [(40, 2, {"full"}), (40, 20, set())])
def test_the_careful_form_is_the_usual_one_where_the_products_would_be_long_and_low(d, k, kinds):
    block, found = block_of(300, d, 0, weighted=True), set()
    for kind in KINDS:
        kernel = Mixture(Gaussian(kind)).kernel([params_of(Gaussian(kind), k, d, 0)])
        (usual,) = kernel.e_step(block)
        (product,) = replace(kernel, guard=None).e_step(block)
        for name, value in product.items():
            np.testing.assert_allclose(usual[name], value, 1e-9, 1e-9 * 300, err_msg=name)
        if type(kernel.form(np.zeros((d, 1)))) is CentredForm:
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


def test_a_tile_is_never_empty_and_fits_into_memory():
    for n_features in (1, 10, 1000, 10**5):
        for n_components in (1, 100, 10**4):
            n_statistics = 1 + n_features * (n_features + 3) // 2
            width = tile_width(n_statistics, n_components, n_features)
            bytes_used = 8 * width * (n_statistics + n_components + 2 * n_features)
            assert width >= 1
            assert bytes_used <= 2**24 or width == 1


def test_rows_of_another_width_are_refused():
    params = params_of(Gaussian(), 2, 3, 0)
    with pytest.raises(ValueError, match=r"mismatch|broadcast"):
        Mixture(Gaussian()).e_step(block_of(10, 2, 0), params)
