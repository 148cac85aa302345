"""The compiled kernel says what the NumPy kernel says, to 1e-12, and the same bits everywhere."""

import os
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from kernels import (
    SIZES,
    assert_close,
    assert_computes_alike,
    assert_says_alike,
    every_compilable,
    joined,
    kernels_of,
    needs_numba,
)
from table import TABLE, every_kind, every_row

import daskem
from daskem import Gaussian, HiddenMarkov, Mixture, Poisson, StudentT
from daskem.core.frames import identity, scaling, whitening
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.errors import KernelError, ParameterError
from daskem.models.asking import kernel_of
from daskem.models.kernels.arguments import Natural, Rows, Task
from daskem.models.kernels.chain import Chains
from daskem.models.kernels.compiled_chain import CompiledChains
from daskem.running.kernels import check_kernel, with_kernel


def both(row, counts, d, frame=None):
    """The kernels of some candidates, NumPy's and the compiled one."""
    return kernels_of(row, counts, d, frame, "compiled")


@needs_numba
@every_compilable
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("d", "n"), SIZES)
def test_it_computes_what_numpy_computes(row, weighted, d, n):
    assert_computes_alike(both, row, weighted, d, n)


@needs_numba
@every_compilable
@pytest.mark.parametrize(("d", "n"), [(1, 500), (3, 20_000), (50, 700)])
def test_it_says_of_rows_what_numpy_says(row, d, n):
    assert_says_alike(both, row, d, n)


@pytest.fixture
def large(monkeypatch):
    """All models are large."""
    monkeypatch.setattr("daskem.models.kernels.arguments._MOST_MOMENTS", 0)


@needs_numba
@every_compilable
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("d", "n"), [(1, 500), (2, 0), (5, 3001), (12, 100), (16, 60)])
def test_large_models_are_what_they_are_with_numpy(large, row, weighted, d, n):
    assert_computes_alike(both, row, weighted, d, n)
    assert_says_alike(both, row, d, max(n, 1))
    # Two more than a vector has.
    plain, fast = both(row, (10,), d)
    block = Block(row.rows(max(n, 2), d)[:n])
    assert_close(fast.e_step(block)[0], plain.e_step(block)[0], n)


@needs_numba
@pytest.mark.parametrize("n_rows", [2, 4, 6, 8, 22])
def test_a_product_by_hand_is_the_product(n_rows):
    """Of any part of its terms, of any number of vectors, over or beside what was there before."""
    import numba

    from daskem.models.kernels.machine.products import multiply

    @numba.njit
    def apply(a, first, n, b, width, out, more):
        multiply(a, first, n, b, width, out, more)

    rng = np.random.default_rng(n_rows)
    a, b = (rng.integers(-9, 9, shape).astype(float) for shape in ((n_rows, 40), (40, 72)))
    for first, n, width in ((0, 40, 72), (7, 30, 64), (39, 1, 40), (3, 0, 8)):
        out = rng.integers(-9, 9, (n_rows + 1, 72)).astype(float)
        for more in (True, False):
            expected = out.copy()
            expected[:-1, :width] *= more
            expected[:-1, :width] += a[:, first : first + n] @ b[:n, :width]
            apply(a, first, n, b, width, out, more)
            np.testing.assert_array_equal(out, expected)


@needs_numba
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_rows_are_seen_in_the_frame(kind, d):
    (row,) = (r for r in TABLE[:4] if r.family == Gaussian(kind, 0.0))
    rng = np.random.default_rng(d)
    frame = scaling(rng.normal(size=d), rng.uniform(1, 9, d))
    if kind == "full":
        roots = rng.normal(size=(d, d))
        frame = whitening(rng.normal(size=d), roots @ roots.T + np.eye(d))
    plain, fast = both(row, (3, 2), d, frame)
    block = Block(row.rows(2000, d))
    for one, other in zip(fast.e_step(block), plain.e_step(block), strict=True):
        assert_close(one, other, 2000)


@needs_numba
def test_rows_of_any_type_and_order_are_the_same_rows():
    _, fast = both(TABLE[0], (3,), 3)
    rows = np.round(TABLE[0].rows(3000, 3))
    expected = fast.e_step(Block(rows))[0]
    frozen = rows.copy()
    frozen.flags.writeable = False
    for same in (
        rows.astype(np.float32),
        rows.astype(np.int16),
        rows.astype(">f8"),
        np.asfortranarray(rows),
        np.repeat(rows, 2, axis=1)[:, ::2],
        frozen,
    ):
        for name, value in fast.e_step(Block(same))[0].items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@needs_numba
@every_kind
@pytest.mark.parametrize("scale", [1e-3, 1e-7])
def test_narrow_components_are_taken_with_care(kind, scale):
    """Some tiles, or all of them, are too far from narrow components for the product form."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 3.0], [3.0, 0.0]])
    labels = np.repeat([0, 1], 600)
    far, near = np.repeat([50.0, 1.0], 600)[:, None], centres[labels]
    rows = np.where(far > 1, 30.0, 1.0) * near + scale * rng.normal(size=(1200, 2))
    params = {"weights": np.full(2, 0.5), **Gaussian(kind).at(centres)}
    params["covariances"] = params["covariances"] * scale**2
    model, block = Mixture(Gaussian(kind), identity(2)), Block(rows)
    plain, fast = model.kernel([params]), model.with_kernel("compiled").kernel([params])
    (expected,) = plain.e_step(block)
    (found,) = fast.e_step(block)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-8, 1e-8 * np.abs(value).max())
    said = zip(joined(fast.posterior(block)), joined(plain.posterior(block)), strict=True)
    for one, other in said:
        np.testing.assert_allclose(one, other, 1e-8, 1e-8 * np.abs(other).max())


@needs_numba
@every_row
def test_it_says_of_sequences_what_numpy_says(row):
    """Of many, of one, and of none."""
    rng = np.random.default_rng(0)
    params, rows = row.some(3, 2, 700)
    own = {"initial": rng.dirichlet(np.ones(3)), "transitions": rng.dirichlet(np.ones(3), 3)}
    params = Params({**own, **{n: v for n, v in params.items() if n != "weights"}})
    plain = HiddenMarkov(row.family)
    fast = plain.with_kernel("compiled")
    for edges in (np.array([0, 3, 4, 150, 200, 201, 350, 360, 500, 690, 700]), [0, 700], [0]):
        weights = np.repeat(rng.uniform(0, 2, len(edges) - 1), np.diff(edges))
        block = Block(rows[: edges[-1]], weights, edges=np.array(edges))
        assert_close(fast.e_step(block, params), plain.e_step(block, params), len(block))
        found, expected = (joined(model.posterior(block, params)) for model in (fast, plain))
        for one, other in zip(found, expected, strict=True):
            scale = max(np.abs(other).max(initial=0), 2)
            np.testing.assert_allclose(one, other, 1e-12, 1e-12 * scale)
        one, other = fast.decode(block, params), plain.decode(block, params)
        np.testing.assert_array_equal(one.states, other.states)
        np.testing.assert_allclose(one.log_prob, other.log_prob, 1e-12)


@needs_numba
@pytest.mark.parametrize("k", [1, 2, 8])
@pytest.mark.parametrize(("scale", "ruled_out"), [(1.0, True), (1e3, False)])
def test_chains_are_what_they_are_with_numpy(k, scale, ruled_out):
    """Of sequences of many lengths, on paths that are ruled out, or by steps that nearly are."""
    rng = np.random.default_rng(k)
    edges = np.concatenate([[0], np.cumsum(rng.integers(1, 60, 35))])
    log_density = scale * rng.normal(size=(k, edges[-1]))
    initial, transitions = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    if ruled_out:
        initial, transitions = np.eye(k)[0], np.triu(transitions) + 1e-3 * np.eye(k)
        transitions /= transitions.sum(axis=1, keepdims=True)
    plain, fast = Chains(log_density, edges), CompiledChains(log_density, edges)
    counts = rng.uniform(0, 2, 35)
    one, other = (chains.smooth(initial, transitions, counts) for chains in (fast, plain))
    np.testing.assert_allclose(one.log_prob, other.log_prob, 1e-12, 1e-14)
    np.testing.assert_allclose(one.states, other.states, 1e-11, 1e-12)
    np.testing.assert_allclose(one.transitions, other.transitions, 1e-11, 1e-12 * counts.sum())
    for a, b in zip(
        fast.decode(initial, transitions), plain.decode(initial, transitions), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@needs_numba
def test_threads_make_the_same_bits():
    _, fast = both(TABLE[0], (4, 2), 4)
    blocks = [Block(TABLE[0].rows(5000, 4, seed=seed)) for seed in range(6)]
    alone = [fast.e_step(block) for block in blocks]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(pool.map(fast.e_step, blocks), alone, strict=True):
            for a, b in zip(one, other, strict=True):
                for name in a:
                    np.testing.assert_array_equal(a[name], b[name])


@needs_numba
@pytest.mark.parametrize("d", [3, 50])
def test_a_sweep_needs_memory_for_its_tiles_only(d):
    _, fast = both(TABLE[0], (50,), d)
    block = Block(TABLE[0].rows(60_000, d))
    fast.e_step(block)
    tracemalloc.start()
    fast.e_step(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    moments = 8 * 50 * (1 + d + d * (d + 1) // 2)
    # Eight of each moment, where they are made by hand.
    assert peak < 10 * moments + 8 * 264 * (50 + moments / 400) + 2**20


@needs_numba
@every_compilable
def test_rows_of_another_width_are_refused(row):
    _, fast = both(row, (2,), 3)
    with pytest.raises(ValueError, match="mismatch"):
        fast.e_step(Block(row.rows(10, 2)))


@needs_numba
def test_a_sequence_is_the_same_beside_others():
    """To the last bit: eight are computed at a time, and the shorter ones end before."""
    rng = np.random.default_rng(0)
    edges, k = np.concatenate([[0], np.cumsum(rng.integers(1, 40, 21))]), 3
    log_density = rng.normal(size=(k, edges[-1]))
    params = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    together = CompiledChains(log_density, edges).smooth(*params, np.ones(21))
    for first, last in pairwise(edges):
        chain = CompiledChains(log_density[:, first:last], np.array([0, last - first]))
        alone = chain.smooth(*params, np.ones(1))
        np.testing.assert_array_equal(together.states[:, first:last], alone.states)
        np.testing.assert_array_equal(together.log_prob[first:last], alone.log_prob)


@needs_numba
@pytest.mark.parametrize("shape", [(1, 8), (3, 72), (500, 264)])
def test_what_a_sweep_computes_in_begins_at_a_register(shape):
    """Of 64 bytes: else each read of eight numbers takes two lines of a cache."""
    from daskem.models.kernels.machine.vectors import zeros

    made = zeros(*[shape] * 4)
    assert all(room.shape == shape and not room.any() for room in made)
    made[1][:] = 1.0
    assert not np.any([made[0], made[2]])
    assert all(room.flags.c_contiguous and room.ctypes.data % 64 == 0 for room in made)


def digest():
    """Of what a sweep of the product form computes, of numbers that no other code has made."""
    from daskem.models.kernels.machine.product import sweep

    found = sha256()
    for d, terms, n_statistics, k in ((3, 3, 10, 4), (4, 2, 9, 4), (30, 3, 496, 34)):
        whole = np.arange(1000.0 * d) * 0.7548776662466927 % 1
        natural = (np.arange(1.0 * k * n_statistics) * 0.5698402909980532 % 1).reshape(k, -1)
        form = Natural(-natural, np.array([0, 1, k]), terms, 1e9, True)
        rows = Rows.of(whole.reshape(-1, d), whole[:1000], None, form.width)
        found.update(b"".join(part.tobytes() for part in sweep(rows, form, Task.of())))
    return found.hexdigest()


def told(code, env=()):
    """The last word that another process prints, with this in its environment."""
    path = {"PYTHONPATH": os.pathsep.join(["tests", *sys.path])}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **path, **dict(env)},
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.split()[-1]


@needs_numba
def test_any_processor_makes_the_same_bits():
    """With AVX2 alone, in a process that may use no more: of small models and a large one."""
    avx2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+avx,+sse4.2"}
    assert told("import test_compiled; print(test_compiled.digest())", avx2) == digest()


@needs_numba
def test_a_process_that_can_write_nowhere_compiles_for_itself():
    """The locator of zip files has no place for a function of a folder."""
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator"}
    assert told("import test_compiled; print(test_compiled.digest())", nowhere) == digest()


@needs_numba
@pytest.mark.parametrize(("name", "low", "high"), [("exp", -300.0, 0.0), ("log", 1.0, 1e6)])
def test_functions_are_exact_to_the_last_bit_but_one(name, low, high):
    import numba

    from daskem.models.kernels.machine import exponentials
    from daskem.models.kernels.machine.vectors import load, store

    f = getattr(exponentials, name)

    @numba.njit
    def apply(x, out):
        for j in range(0, x.shape[1], 8):
            store(out, 0, j, f(load(x, 0, j)))

    x = np.random.default_rng(0).uniform(low, high, (1, 2**16))
    x[0, :3], out = (low, high, (low + high) / 2), np.empty_like(x)
    apply(x, out)
    truth = getattr(np, name)(x.astype(np.longdouble))
    error = np.abs((out - truth) / np.where(truth == 0, 1, truth))
    assert error.max() <= 4e-16


def test_which_kernel_a_fit_uses_depends_on_its_size(monkeypatch):
    having = {"numpy", "compiled"}
    monkeypatch.setattr("daskem.running.kernels.present", having.__contains__)
    model, starts = Mixture(Gaussian()), [(8, None)]

    def chosen(kernel, n_rows, starts=starts, model=model):
        return kernel_of(with_kernel(model, kernel, n_rows, 4, starts))

    assert chosen("auto", 150) == "numpy"
    assert chosen("auto", 1e6) == "compiled"
    assert chosen("auto", np.nan) == "compiled"
    assert chosen("numpy", 1e6) == "numpy"
    assert chosen("compiled", 150) == "compiled"
    assert chosen("auto", 1e6, [(None, {"means": np.zeros((8, 4))})]) == "compiled"
    assert [chosen("auto", 1e5, starts * n) for n in (1, 4)] == ["numpy", "compiled"]
    assert chosen("auto", 1e9, model=Mixture(StudentT())) == "numpy"
    assert chosen("auto", 1e9, model=HiddenMarkov(StudentT())) == "compiled"
    having.add("cupy")
    assert chosen("auto", 1e9) == "compiled"
    assert chosen("cupy", 150) == "cupy"
    assert chosen("auto", 150, model=model.with_kernel("cupy")) == "cupy"
    having.remove("compiled")
    assert chosen("auto", 1e9) == "numpy"


@pytest.mark.parametrize(
    ("model", "kernel"), [(Mixture(StudentT()), "compiled"), (HiddenMarkov(Gaussian()), "cupy")]
)
def test_models_without_a_kernel_say_so(model, kernel):
    with pytest.raises(ParameterError, match=f"no {kernel} kernel"):
        daskem.fit(model, np.zeros((10, 2)), 1, kernel=kernel, lengths=[10])


def test_a_kernel_of_another_name_is_refused():
    with pytest.raises(ParameterError, match="kernel='fast' is not one of"):
        daskem.GaussianMixture(kernel="fast").fit(np.zeros((10, 2)))


def test_a_worker_without_numba_is_named(monkeypatch):
    # One has died when it was asked.
    known = {"tcp://one": True, "tcp://two": False, "tcp://three": OSError("gone")}
    monkeypatch.setattr("daskem.running.kernels.of_each_worker", lambda client, f, kernel: known)
    model = Mixture(Gaussian()).with_kernel("compiled")
    with pytest.raises(KernelError, match=r"on 1 of 3 workers \(tcp://two\).*daskem\[fast\]"):
        check_kernel([model], object())
    check_kernel([model.with_kernel("numpy")], object())


def test_without_numba_it_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(KernelError, match="needs numba, and there is none here"):
        daskem.fit(Mixture(Poisson()), np.ones((10, 2)), 1, kernel="compiled")
    # As in a worker that has joined since.
    with pytest.raises(KernelError, match="none in this process"):
        both(TABLE[0], (2,), 2)[1].e_step(Block(np.ones((10, 2))))


@needs_numba
def test_a_fit_keeps_its_kernel(tmp_path, monkeypatch):
    rows = TABLE[0].rows(2000, 2, 3)
    options = {"random_state": 0, "tol": 1e-4}
    result = daskem.fit(Mixture(Gaussian()), rows, 3, kernel="compiled", **options)
    other = daskem.fit(Mixture(Gaussian()), rows, 3, kernel="numpy", **options)
    assert (result.kernel, other.kernel) == ("compiled", "numpy")
    assert result.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)
    result.save(tmp_path / "model.zarr")
    loaded = daskem.load(tmp_path / "model.zarr")
    assert loaded.kernel == "compiled"
    np.testing.assert_array_equal(loaded.score_samples(rows), result.score_samples(rows))
    monkeypatch.setattr("daskem.results.remaking.present", lambda kernel: False)
    without = daskem.load(tmp_path / "model.zarr")
    assert without.kernel == "numpy"
    np.testing.assert_allclose(without.score_samples(rows), result.score_samples(rows), 1e-12)


@needs_numba
def test_a_fit_goes_on_with_its_kernel(tmp_path):
    rows = TABLE[0].rows(2000, 2, 3)
    options = {"random_state": 0, "kernel": "compiled", "algorithm": "em"}
    whole = daskem.fit(Mixture(Gaussian()), rows, 3, tol=1e-5, **options)
    going = daskem.iterate(
        Mixture(Gaussian()), rows, 3, tol=1e-5, checkpoint=tmp_path / "c", **options
    )
    next(going)
    going.close()
    after = daskem.resume(tmp_path / "c", rows)
    assert after.kernel == "compiled"
    assert after.log_likelihood == whole.log_likelihood


@needs_numba
def test_a_selection_goes_on_with_the_kernels_of_its_models(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 2))
    options = {"n_init": 1, "random_state": 0, "checkpoint": tmp_path / "c"}
    chosen = daskem.select(rows, [1, 2], kernel="compiled", **options)
    after = daskem.resume(tmp_path / "c", rows)
    assert (chosen.best.kernel, after.best.kernel) == ("compiled", "compiled")


def test_nothing_imports_numba_or_cupy_before_it_is_needed():
    # In a fit xarray looks for CuPy itself, where it is.
    code = """
import sys, daskem, numpy
before = {'numba', 'cupy'} & set(sys.modules)
daskem.GaussianMixture(random_state=0).fit(numpy.eye(40, 2))
print(before | {'numba'} & set(sys.modules))
"""
    assert told(code) == "set()"
