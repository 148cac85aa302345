"""Whether this tree and another revision compute the same bits: for changes that must not.

    python tests/benchmarks/same_bits.py REVISION

Some fits, selections and predictions are made by both, each in a process of its own with this very
script, and all that they return is hashed: params and history of every pass, what is said of rows.
A line for each tells whether it is equal; the exit status is 1 if anything differs. What is of the
clock (seconds) or for reading (words) is left out. With --digests in place of REVISION the hashes
of whatever daskem is imported are printed as JSON.

The script must run in both trees, so that it knows nothing but the door of the package: `fit`,
`iterate`, `submit`, `select`, `load`, `merge`, `diagnose`, the families, `Mixture`,
`GaussianMixture`, and of what these return the attributes and methods that users know.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import common
import dask.array as da
import numpy as np
import xarray as xr
from scipy.special import gammaln

import daskem

TREE = Path(__file__).resolve().parents[2]
FULL, COUNTS = common.MODEL, daskem.Mixture(daskem.Poisson())
# To start far from the optimum, for a climb of many passes; starts that are found need few.
MEANS = np.array([[281.0, 290.0, 300.0], [279.0, 270.0, 400.0], [283.0, 285.0, 150.0]])

# What a case returns, by what it tells: arrays, numbers, and lists and dicts of them.
Parts = Mapping[str, Any]
Cases = Mapping[str, Callable[[], Parts]]


class ZeroInflatedPoisson:
    """A user's own model: p(0) = q + (1 - q) exp(-rate), p(n) = (1 - q) Poisson(n | rate)."""

    def e_step(self, block, params):
        counts = block.rows[:, 0].astype(float)
        times = np.ones(len(counts)) if block.weights is None else block.weights
        q, rate = params["inflation"], params["rate"]
        some = (1 - q) * np.exp(counts * np.log(rate) - rate - gammaln(counts + 1))
        none = q * (counts == 0)
        return {
            "log_likelihood": times @ np.log(none + some),
            "rows": times.sum(),
            "zeros": times @ (none / (none + some)),
            "total": times @ counts,
        }

    def m_step(self, statistics, params):
        rows, zeros = statistics["rows"], statistics["zeros"]
        return {"inflation": zeros / rows, "rate": statistics["total"] / (rows - zeros)}


# Data.


def clusters(n: int = 4000, d: int = 3, k: int = 3, seed: int = 0) -> np.ndarray:
    """Rows of clusters that overlap somewhat, with features of unlike units."""
    rng = np.random.default_rng(seed)
    roots = np.eye(d) + 0.4 * rng.standard_normal((k, d, d))
    of, noise = rng.integers(k, size=n), rng.standard_normal((n, d))
    rows = 2.5 * rng.standard_normal((k, d))[of] + np.einsum("nij,nj->ni", roots[of], noise)
    return 280.0 + rows * 10.0 ** np.arange(d)


def narrow(n: int = 3000, seed: int = 1) -> np.ndarray:
    """Two tight clusters near one another, within a wide one and far from the origin."""
    rng = np.random.default_rng(seed)
    centres, spreads = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 4.0]]), np.array([1e-5, 1e-5, 3.0])
    of = rng.integers(3, size=n)
    return 1000.0 + centres[of] + spreads[of, None] * rng.standard_normal((n, 2))


def counted(n: int = 4000, seed: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(4.0, 1.5, (3, 4))[rng.integers(3, size=n)])


def answered(n: int = 4000, seed: int = 3) -> np.ndarray:
    """Yes or no to six questions."""
    rng = np.random.default_rng(seed)
    return (rng.random((n, 6)) < rng.beta(0.6, 0.6, (3, 6))[rng.integers(3, size=n)]).astype(int)


def idle(n: int = 4000, seed: int = 4) -> np.ndarray:
    """Counts of one feature with more zeros than are Poisson's."""
    rng = np.random.default_rng(seed)
    return ((rng.random(n) >= 0.3) * rng.poisson(2.5, n))[:, None]


def importance(n: int = 4000, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 0.5, n)


def chunked(rows: np.ndarray, size: int = 200) -> da.Array:
    """More than 16 chunks, so that the sums over them are a tree of more than one level."""
    return da.from_array(rows, chunks=(size, -1))


def field(folder: Path, seed: int = 6) -> xr.Dataset:
    """A lazy Dataset (time, lat, lon) of two variables, NaN on land, from a zarr store."""
    path = folder / "field.zarr"
    if not path.exists():
        shape, dims = (8, 20, 25), ("time", "lat", "lon")
        rows = clusters(int(np.prod(shape)), 2, seed=seed)
        rows[np.random.default_rng(seed).random(len(rows)) < 0.2] = np.nan
        values = dict(zip(("temperature", "salinity"), rows.T.reshape(2, *shape), strict=True))
        made = xr.Dataset(
            {name: (dims, value) for name, value in values.items()},
            {"lat": np.linspace(-60.0, 60.0, shape[1])},
        )
        made.chunk(time=2, lat=10, lon=25).to_zarr(path)
    return xr.open_zarr(path)


# What is compared.


def history(result: Any) -> list[list[float]]:
    """Of every run every pass."""
    return [
        [x for p in run.history for x in (p.log_likelihood, p.objective, p.remaining)]
        for run in result.runs
    ]


def climb(result: Any) -> Parts:
    return {"params": result.params, "history": history(result)}


def predictions(result: Any, data: Any) -> list[Any]:
    return [result.predict(data), result.predict_proba(data), result.score_samples(data)]


def told(result: Any, data: Any, weights: Any = None) -> Parts:
    """How a fit went, and what it says of rows."""
    return {
        **climb(result),
        "predictions": predictions(result, data),
        "scores": [result.score(data, weights), result.bic(data, weights)],
    }


def fitted(model: Any, data: Any, n_components: Any = 3, **options: Any) -> Parts:
    result = daskem.fit(model, data, n_components, random_state=0, **options)
    return told(result, data, options.get("sample_weight"))


def estimated(data: Any, n_components: int = 3, **settings: Any) -> Parts:
    """The same through `GaussianMixture`, with the attributes that it has in common with
    scikit-learn's."""
    gm = daskem.GaussianMixture(n_components, random_state=0, **settings).fit(data)
    names = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
    attributes = {name: getattr(gm, name) for name in names}
    return {**told(gm.result_, data), "attributes": attributes}


def labelled(folder: Path, **options: Any) -> Parts:
    """A Dataset with missing rows, weighted by the area of its cells."""
    data = field(folder)
    weights = np.cos(np.deg2rad(data.lat))
    return fitted(FULL, data, sample_weight=weights, missing="omit", **options)


def own(data: Any, **options: Any) -> Parts:
    """A user's own model makes no predictions."""
    start = {"inflation": 0.5, "rate": 1.0}
    return climb(daskem.fit(ZeroInflatedPoisson(), data, start=start, **options))


def watched(data: Any) -> Parts:
    """Params after every pass."""
    seen = [r.params for r in daskem.iterate(FULL, data, 3, random_state=0, algorithm="em")]
    return {"params of passes": seen}


def submitted(data: Any) -> Parts:
    return told(daskem.submit(FULL, data, 3, random_state=0).result(), data)


def selected(data: Any, counts: Sequence[int] = (1, 2, 3, 4), **options: Any) -> Parts:
    found = daskem.select(data, counts, n_init=2, random_state=0, **options)
    table = {
        str(name): column.to_numpy()
        for name, column in found.table.data_vars.items()
        if column.dtype.kind in "iuf"
    }
    return {
        "table": table,
        "params": found.best.params,
        "predictions": predictions(found.best, data),
    }


def merged(data: Any) -> Parts:
    """Clusters of free shape from a fit with more components than there are."""
    merging = daskem.merge(daskem.fit(FULL, data, 5, random_state=0), data)
    return {f"cut to {k}": predictions(merging.cut(k), data) for k in (4, 3, 2)}


def diagnosed(data: Any) -> Parts:
    result = daskem.fit(FULL, data, 3, n_init=3, random_state=0)
    found = daskem.diagnose(result, data)
    runs = ("behind", "log_likelihood", "objective", "remaining")
    rows = ("size", "entropy", "certainty", "agreement")
    return {
        "runs": {name: found[name].to_numpy() for name in runs},
        "rows": {name: found[name].to_numpy() for name in rows},
    }


def reloaded(folder: Path, model: Any, data: Any) -> Parts:
    path = folder / f"{type(model.family).__name__}.zarr"
    daskem.fit(model, data, 3, random_state=0).save(path)
    return told(daskem.load(path), data)


# Cases.


def in_memory() -> Cases:
    rows, weights = clusters(), importance()
    tight = daskem.Mixture(daskem.Gaussian("full", reg_covar=0.0))
    found = {
        f"{kind} covariances": partial(estimated, rows, covariance_type=kind, means_init=MEANS)
        for kind in ("full", "tied", "diag", "spherical")
    }
    found |= {
        f"algorithm {name}": partial(fitted, FULL, rows, start={"means": MEANS}, algorithm=name)
        for name in ("em", "squarem", "anderson", "candidates")
    }
    return found | {
        "weights": partial(fitted, FULL, rows, sample_weight=weights),
        "three starts": partial(fitted, FULL, rows, n_init=3),
        "several sizes": partial(fitted, FULL, rows, [2, 3]),
        "start random_from_data": partial(fitted, FULL, rows, init_params="random_from_data"),
        "start k-means||": partial(fitted, FULL, rows, init_params="k-means||"),
        "no prior, plain em": partial(
            estimated, rows, reg_covar=0.0, algorithm="em", means_init=MEANS
        ),
        "nothing given": partial(estimated, rows),
        "many tiles": partial(
            estimated, clusters(100_000, 2), means_init=MEANS[:, :2], algorithm="squarem"
        ),
        "single precision": partial(fitted, FULL, rows.astype(np.float32)),
        "narrow clusters": partial(fitted, FULL, narrow()),
        "narrow clusters, no prior": partial(fitted, tight, narrow()),
        "narrow and tied": partial(
            fitted, daskem.Mixture(daskem.Gaussian("tied", 0.0)), narrow(), 4
        ),
        "narrow and diag": partial(fitted, daskem.Mixture(daskem.Gaussian("diag", 0.0)), narrow()),
        "poisson": partial(fitted, COUNTS, counted()),
        "poisson, weights": partial(fitted, COUNTS, counted(), sample_weight=weights),
        "bernoulli": partial(fitted, daskem.Mixture(daskem.Bernoulli()), answered()),
        "own model": partial(own, idle()),
        "own model, weights": partial(own, idle(), sample_weight=weights),
        "pass by pass": partial(watched, rows),
        "merged": partial(merged, rows),
        "diagnosed": partial(diagnosed, rows),
        "selection by bic": partial(selected, rows, covariance_type=("full", "diag")),
        "selection by bic, poisson": partial(selected, counted(), models={"poisson": COUNTS}),
    }


def on_threads(folder: Path) -> Cases:
    rows, weights = chunked(clusters()), da.from_array(importance(), chunks=200)
    return {
        "full covariances": partial(estimated, rows),
        "weights": partial(fitted, FULL, rows, sample_weight=weights),
        "more rows than a sample": partial(
            fitted, FULL, chunked(clusters(80_000, 2), 6000), init_params="k-means||"
        ),
        "narrow clusters": partial(
            fitted, daskem.Mixture(daskem.Gaussian("full", 0.0)), chunked(narrow(), 150)
        ),
        "bernoulli": partial(fitted, daskem.Mixture(daskem.Bernoulli()), chunked(answered())),
        "own model": partial(own, chunked(idle())),
        "dataset": partial(labelled, folder),
        "selection by icl": partial(selected, rows, (2, 3, 4), criterion="icl"),
        "selection by heldout": partial(selected, rows, (2, 3, 4), criterion="heldout"),
        "merged": partial(merged, rows),
        "saved and loaded": partial(reloaded, folder, FULL, rows),
        "saved and loaded, poisson": partial(reloaded, folder, COUNTS, chunked(counted())),
    }


def on_a_cluster(folder: Path) -> Cases:
    rows = chunked(clusters())
    return {
        "full covariances": partial(estimated, rows, means_init=MEANS),
        "three starts, two sizes": partial(fitted, FULL, rows, [2, 3], n_init=3),
        "start k-means||": partial(fitted, FULL, rows, init_params="k-means||"),
        "poisson": partial(fitted, COUNTS, chunked(counted())),
        "own model": partial(own, chunked(idle())),
        "dataset": partial(labelled, folder),
        "submitted": partial(submitted, rows),
        "selection by bic": partial(selected, rows, (2, 3)),
        "diagnosed": partial(diagnosed, rows),
    }


# Digests.


def digest(value: Any) -> str:
    """Of all the bits of a value, with names, types and shapes."""
    sha = hashlib.sha256()
    for piece in pieces(value):
        sha.update(piece)
    return sha.hexdigest()


def pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        for name in sorted(value):
            yield f"{name}:".encode()
            yield from pieces(value[name])
    elif isinstance(value, list | tuple):
        yield f"[{len(value)}]".encode()
        for item in value:
            yield from pieces(item)
    else:
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"{type(value).__name__} has no bits to compare")
        yield f"{array.dtype.str}{array.shape}".encode()
        yield array.tobytes()


def digests_of(place: str, cases: Cases) -> dict[str, str]:
    """Of every part of every case; one that fails is equal to nothing."""
    found = {}
    for name, case in cases.items():
        try:
            parts = {part: digest(value) for part, value in case().items()}
        except Exception as error:
            print(f"{place}: {name}: {error!r}", file=sys.stderr)
            parts = {"failed": ""}
        found |= {f"{place}: {name}: {part}": sha for part, sha in parts.items()}
    return found


def digests() -> dict[str, str]:
    """Of all cases, by the daskem that is imported, which is that of PYTHONPATH if it is set."""
    tree = Path(os.environ.get("PYTHONPATH", "/").split(os.pathsep)[0]).resolve()
    if not whence().is_relative_to(tree):
        raise RuntimeError(f"daskem should come from {tree}, but it is {whence()}")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = digests_of("memory", in_memory()) | digests_of("threads", on_threads(folder))
        with common.cluster(2) as client:
            if set(client.run(whence).values()) != {whence()}:
                raise RuntimeError(f"workers do not import {whence()}")
            return found | digests_of("cluster", on_a_cluster(folder))


def whence() -> Path:
    return Path(daskem.__file__).resolve()


# Comparison.


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The files of a revision, for a while."""
    git = partial(subprocess.run, cwd=TREE, check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git(["git", "worktree", "add", "--quiet", "--detach", str(path), revision])
        try:
            yield path
        finally:
            git(["git", "worktree", "remove", "--force", str(path)])


def digests_by(tree: Path) -> dict[str, str]:
    """Of all cases, by the daskem of a tree, in a process of its own."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, __file__, "--digests"]
    run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    print(f"{tree}: {time.perf_counter() - began:.0f} s", flush=True)
    return json.loads(run.stdout)


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, list[str]]:
    """Of every case the parts that differ."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys([*then, *now]):
        case, _, part = name.rpartition(": ")
        parts = found.setdefault(case, [])
        if part == "failed" or then.get(name) != now.get(name):
            parts.append(part)
    return found


def report(found: Mapping[str, Sequence[str]]) -> None:
    width = max(map(len, found))
    for case, parts in found.items():
        verdict = f"DIFFERENT: {', '.join(parts)}" if parts else "equal"
        print(f"{case:<{width}}  {verdict}")
    print(f"{sum(not parts for parts in found.values())} of {len(found)} are equal")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("revision", nargs="?", help="of git, to compare with")
    what.add_argument("--digests", action="store_true", help="print those of this tree, as JSON")
    options = parser.parse_args()
    if options.digests:
        print(json.dumps(digests(), indent=1))
        return 0
    with worktree(options.revision) as tree:
        then = digests_by(tree)
    found = differences(then, digests_by(TREE))
    report(found)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
