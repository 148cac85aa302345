"""The arguments of the command line."""

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from daskem.cli.families import options
from daskem.data.cluster.memory import CACHES
from daskem.data.inputs.blocks import MISSING
from daskem.fitting.algorithms.choice import ALGORITHMS
from daskem.fitting.starts.seeds import SEEDERS
from daskem.running.kernels import KERNELS
from daskem.selection.criteria import CRITERIA


def parser(commands: Sequence[Callable[..., Any]]) -> argparse.ArgumentParser:
    """A parser whose sub-commands are functions: of their name, described by their docstring."""
    made = argparse.ArgumentParser(
        prog="daskem", description="Soft clustering of data larger than memory."
    )
    made.add_argument("--version", action="version", version=f"daskem {version('daskem')}")
    subs = made.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        parents, add_own = _OWN[command.__name__]
        about = command.__doc__
        sub = subs.add_parser(
            command.__name__, parents=[make() for make in parents], help=about, description=about
        )
        sub.set_defaults(command=command)
        add_own(sub.add_argument)
    return made


def _store() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("store", metavar="STORE", help="path or URL of a zarr store")
    add = parent.add_argument
    add("--array", metavar="NAME", help="an array of the store that holds whole rows")
    return parent


def _data() -> argparse.ArgumentParser:
    """What says how the store is read, and who reads it."""
    parent = argparse.ArgumentParser(add_help=False)
    _add_rows(parent)
    _add_fit(parent)
    return parent


def _add_rows(parser: argparse.ArgumentParser) -> None:
    """What the rows are."""
    add = parser.add_argument
    features = "variables of the store that are the features; all of them"
    add("--features", type=_names, metavar="A,B,...", help=features)
    weight = "how many times each row counts: a variable, or an expression such as cos(lat)"
    add("--sample-weight", metavar="W", help=weight)
    _add_labels(add)
    dims = "dimensions that number the rows; others become features"
    add("--sample-dims", type=_names, metavar="X,Y,...", help=dims)
    dim = "dimension of the features: 'feature', or else the last"
    add("--feature-dim", metavar="DIM", help=dim)
    omit = "rows that have a NaN: an error, left out, or part of the likelihood with what they "
    omit += "have; predict does the same (%(default)s)"
    chunks = "whether a store may lack chunks, which then are its fill value (default: raise)"
    add("--missing-chunks", choices=("raise", "fill"), default="raise", help=chunks)
    add("--missing", choices=tuple(MISSING), default="raise", help=omit)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    """How they are fitted."""
    add = parser.add_argument
    most = "most passes over the data (%(default)s)"
    add("--max-passes", type=int, default=200, metavar="N", help=most)
    late = "most seconds of passes, looked at between them"
    add("--max-seconds", type=float, metavar="S", help=late)
    climb = "how to climb (%(default)s)"
    add("--algorithm", choices=("auto", *ALGORITHMS), default="auto", help=climb)
    seeds = "how starts are seeded (%(default)s)"
    add("--init-params", choices=tuple(SEEDERS), default="k-means++", help=seeds)
    keep = "keep chunks in memory after the first pass (%(default)s: if they fit)"
    add("--cache", choices=CACHES, default="auto", help=keep)
    sums = "how E steps are computed (%(default)s: compiled where numba is and the fit is large)"
    add("--kernel", choices=KERNELS, default="auto", help=sums)
    alike = "end where the workers of the cluster compute different last bits"
    add("--strict", action="store_true", help=alike)
    kept = "folder for checkpoints after every pass, from which daskem resume goes on"
    add("--checkpoint", metavar="DIR", help=kept)
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default="auto",
        help="a line that says how far it has come, on stderr (default: in a terminal)",
    )
    add("--random-state", type=int, metavar="S", help="seed of the sample and the starts")


def _add_labels(add: Callable[..., Any]) -> None:
    known = "a variable of the store with the components of rows where somebody knows them: 0, 1, "
    add("--labels", metavar="NAME", help=known + "...; -1 or NaN where nobody does")


def _where() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    where = "dask cluster to use; else the threads of this machine"
    parent.add_argument("--scheduler", metavar="ADDRESS", help=where)
    return parent


def _family() -> argparse.ArgumentParser:
    return options(several=False)


def _families() -> argparse.ArgumentParser:
    return options(several=True)


def _fit(add: Callable[..., Any]) -> None:
    add("-k", dest="n_components", type=int, required=True, metavar="K", help="components")
    starts = "starts, which share every pass (%(default)s)"
    add("--n-init", type=int, default=1, metavar="N", help=starts)
    tol = "nats per row that may be left to gain (default: a hundredth of what the data tell)"
    add("--tol", type=float, metavar="T", help=tol)
    add("--plan", action="store_true", help="only say what a fit is going to cost")
    add("--out", metavar="MODEL", help="where to save the model")


def _select(add: Callable[..., Any]) -> None:
    sizes = "numbers of components to choose among, from A to B (1-10)"
    add("-k", dest="n_components", type=_counts, default=range(1, 11), metavar="A-B", help=sizes)
    add("--criterion", choices=CRITERIA, default="bic")
    add("--n-init", type=int, default=5, metavar="N", help="restarts, on a sample (%(default)s)")
    tol = "nats per row that may be left to gain (default: what the data can tell)"
    add("--tol", type=float, metavar="T", help=tol)
    add("--plot", metavar="FILE", help="draw the criterion: criterion.png")
    add("--out", metavar="MODEL", help="where to save the best model")


def _resume(add: Callable[..., Any]) -> None:
    _add_labels(add)
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default="auto",
        help="a line that says how far it has come, on stderr (default: in a terminal)",
    )
    add("checkpoint", metavar="DIR", help="the --checkpoint of a fit or a selection")
    add("--out", metavar="MODEL", help="where to save the model, or the best one")


def _predict(add: Callable[..., Any]) -> None:
    add("--model", required=True, metavar="MODEL", help="saved by daskem fit")
    add("--out", required=True, metavar="LABELS", help="zarr store to write")
    _add_labels(add)
    add("--proba", action="store_true", help="write the probability of every component")


def _info(add: Callable[..., Any]) -> None:
    add("model", metavar="MODEL", help="saved by daskem fit")


def _demo(add: Callable[..., Any]) -> None:
    add("--rows", type=int, metavar="N", help="fewer, for a quick look; default: more than memory")
    add("--out", default="daskem-demo", metavar="DIR", help="where to put everything")


_OWN: dict[str, tuple[list[Callable[[], argparse.ArgumentParser]], Callable[..., None]]] = {
    "fit": ([_store, _data, _where, _family], _fit),
    "select": ([_store, _data, _where, _families], _select),
    "resume": ([_store, _where], _resume),
    "predict": ([_store], _predict),
    "info": ([], _info),
    "demo": ([], _demo),
}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _counts(text: str) -> range:
    """``8``, or ``1-20`` for 1, 2, ..., 20."""
    first, _, last = text.partition("-")
    try:
        return range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 8 or 1-20") from None
