"""The command line: parse, call, print."""

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask.array as da
import xarray as xr

from daskem.blocks import address, is_labelled, open_labelled, open_zarr
from daskem.coordinator import iterate, prepare, running
from daskem.criteria import CRITERIA
from daskem.errors import ClusterError, DaskemError, ParameterError
from daskem.families import Gaussian
from daskem.families.covariances import STRUCTURES
from daskem.fitting import Pass
from daskem.models import Mixture
from daskem.result import Result, load
from daskem.selection import select as choose


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 when it cannot be done as it was asked for."""
    options = vars(_parser().parse_args(argv))
    command = options.pop("command")
    try:
        return int(command(**options) or 0)
    except DaskemError as error:
        print(f"daskem: {error}", file=sys.stderr)
        return 2


def fit(
    store: str,
    array: str | None,
    out: str,
    covariance_type: str,
    reg_covar: float,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Fit a Gaussian mixture to the rows of a zarr store."""
    if os.path.exists(address(out)):
        load(out)  # only a model may be replaced, which is better known before the fit
    model, data = Mixture(Gaussian(covariance_type, reg_covar)), open_rows(store, array)
    if scheduler is None:
        result = follow(iterate(model, data, **options))
    else:
        with connected(scheduler), running(prepare(model, data, **options)) as run:
            result = follow(run)
        print(f"the loop ran {result.coordinator}")
    print(result.table())
    result.save(out)
    print(f"model: {out}")


def select(
    store: str,
    array: str | None,
    out: str | None,
    plot: str | None,
    n_components: range,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Choose the number of components, and the type of covariance, by a criterion."""
    if out is not None and os.path.exists(out):
        load(out)
    data = open_rows(store, array)
    with contextlib.nullcontext() if scheduler is None else connected(scheduler):
        selection = choose(data, n_components, **options)
    print(selection)
    print(f"{selection.n_reads} reads of the data")
    if plot is not None:
        selection.plot().savefig(plot, dpi=150)
        print(f"plot: {plot}")
    if out is not None:
        selection.best.save(out)
        print(f"model: {out}")


def _counts(text: str) -> range:
    """``8``, or ``1-20`` for 1, 2, ..., 20."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def predict(store: str, array: str | None, model: str, out: str, proba: bool) -> None:
    """Write the most probable component of every row, or the probability of each, to zarr."""
    result, data = load(model), open_rows(store, array)
    write(result.predict_proba(data) if proba else result.predict(data), out)
    print(f"{'responsibilities' if proba else 'labels'}: {out}")


def info(model: str) -> None:
    """Print how a model was fitted, and its clusters."""
    result = load(model)
    settings = ", ".join(f"{k}={v}" for k, v in vars(result.model.family).items())
    print(f"{type(result.model.family).__name__} mixture: {settings}")
    print(
        f"{result.n_components} components of {result.n_features} features, from "
        f"{result.n_rows:,.0f} rows"
    )
    print(
        f"{result.status.value}\n{len(result.history)} passes, log-likelihood "
        f"{result.log_likelihood:.9g} per row"
    )
    print(result.table())


def demo(rows: int | None, out: str) -> int:
    """Make data larger than memory from a known mixture, fit it, and compare; in one minute."""
    from daskem.demo import run

    return 0 if run(Path(out), rows, follow) else 1


def follow(results: Iterable[Result]) -> Result:
    """Print a line for each pass, then how the fit ended; returns the last of `results`."""
    print("pass  log-likelihood/row  left to gain  seconds     MB/s", flush=True)
    events: dict[str, int] = {}
    told = 0
    for result in results:
        # A fit elsewhere may have made several passes since.
        longest = max((run.history for run in result.runs), key=len)
        for number, of_all in enumerate(longest[told:], told + 1):
            # The best run may have ended in an earlier pass than the last one.
            best = result.history[:number][-1]
            print(f"{number:>4}  {_line(best, of_all)}", flush=True)
            for event in best.events:
                events.setdefault(event, number)
        told = len(longest)
    print(result.status.value)
    for note in result.notes:
        print(f"note: {note}")
    for event, number in events.items():
        print(f"from pass {number}: {event}")
    return result


def _line(best: Pass, of_all: Pass) -> str:
    left = f"{best.remaining:.2g}" if math.isfinite(best.remaining) else "-"
    rate = of_all.n_bytes / of_all.seconds / 1e6
    return f"{best.log_likelihood:>18.9g}  {left:>12}  {of_all.seconds:>7.2f}  {rate:>7.1f}"


def connected(address: str) -> Any:
    """A client of the scheduler at `address`."""
    from distributed import Client

    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"nobody answers at {address}: is a dask scheduler running there? ({error})"
        ) from error


def open_rows(store: str, name: str | None) -> Any:
    """A store, or its array `name`, lazily; with labels where xarray has written them."""
    if name is None:
        return store
    array = open_zarr(store, name)
    return open_labelled(store)[name] if is_labelled(array) else array


def write(answers: da.Array | xr.DataArray, out: str | os.PathLike[str]) -> None:
    """Compute `answers` chunk by chunk into a zarr store at `out`, which appears when complete."""
    out = address(out).rstrip("/")
    if os.path.lexists(out):
        raise ParameterError(f"{out!r} exists already; choose another path, or remove it first")
    # A store with a chunk missing reads as zeros: nobody should find one under the final name.
    remote = "://" in out
    target = out if remote else f"{out}.partial"
    if isinstance(answers, xr.DataArray):
        # The encodings are those of the input: its compressors, and chunks of another shape.
        bare = answers.drop_encoding()
        bare.to_zarr(target, mode="w-" if remote else "w", zarr_format=2, consolidated=True)
    else:
        answers.to_zarr(target, overwrite=not remote)
    if not remote:
        os.rename(target, out)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daskem", description="Soft clustering of data larger than memory."
    )
    parser.add_argument("--version", action="version", version=f"daskem {version('daskem')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    rows = argparse.ArgumentParser(add_help=False)
    rows.add_argument("store", metavar="STORE", help="path or URL of a zarr store")
    rows.add_argument("--array", metavar="NAME", help="an array of the store that holds whole rows")

    def verb(command: Callable[..., Any], *parents: argparse.ArgumentParser) -> Callable[..., Any]:
        about = command.__doc__
        sub = commands.add_parser(command.__name__, parents=parents, help=about, description=about)
        sub.set_defaults(command=command)
        return sub.add_argument

    add = verb(fit, rows)
    add("-k", dest="n_components", type=int, required=True, metavar="K", help="components")
    add("--covariance-type", choices=STRUCTURES, default="full")
    add(
        "--n-init",
        type=int,
        default=1,
        metavar="N",
        help="starts, which share every pass (%(default)s)",
    )
    add(
        "--max-passes",
        type=int,
        default=200,
        metavar="N",
        help="most passes over the data (%(default)s)",
    )
    add(
        "--tol",
        type=float,
        metavar="T",
        help="nats per row that may be left to gain (default: a hundredth of what the data tell)",
    )
    add(
        "--reg-covar",
        type=float,
        default=1e-6,
        metavar="R",
        help="weak prior on covariances, free of units (%(default)s)",
    )
    add(
        "--feature-dim",
        metavar="DIM",
        help="dimension of the features: 'feature', or else the last",
    )
    add(
        "--features",
        type=_names,
        metavar="A,B,...",
        help="variables of the store that are the features; all of them",
    )
    add(
        "--sample-dims",
        type=_names,
        metavar="X,Y,...",
        help="dimensions that number the rows; others become features",
    )
    add(
        "--missing",
        choices=("raise", "omit"),
        default="raise",
        help="what to do with rows that have a NaN; predict does the same (%(default)s)",
    )
    add("--random-state", type=int, metavar="S", help="seed of the sample and the starts")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="dask cluster to use; else the threads of this machine",
    )
    add("--out", required=True, metavar="MODEL", help="where to save the model")

    add = verb(select, rows)
    add("-k", dest="n_components", type=_counts, default=range(1, 11), metavar="K-K", help="1-10")
    add("--covariance-type", choices=STRUCTURES, nargs="+", default=["full"])
    add("--criterion", choices=CRITERIA, default="bic")
    add("--n-init", type=int, default=5, metavar="N", help="restarts, on a sample (%(default)s)")
    add("--max-passes", type=int, default=200, metavar="N", help="most passes (%(default)s)")
    add("--feature-dim", metavar="DIM", help="dimension of the features")
    add("--random-state", type=int, metavar="S", help="seed of the sample and the starts")
    add("--scheduler", metavar="ADDRESS", help="dask cluster to use")
    add("--plot", metavar="FILE", help="draw the criterion: criterion.png")
    add("--out", metavar="MODEL", help="where to save the best model")

    add = verb(predict, rows)
    add("--model", required=True, metavar="MODEL", help="saved by daskem fit")
    add("--out", required=True, metavar="LABELS", help="zarr store to write")
    add("--proba", action="store_true", help="write the probability of every component")

    verb(info)("model", metavar="MODEL", help="saved by daskem fit")

    add = verb(demo)
    add("--rows", type=int, metavar="N", help="fewer, for a quick look; default: more than memory")
    add("--out", default="daskem-demo", metavar="DIR", help="where to put everything")
    return parser


if __name__ == "__main__":
    sys.exit(main())
