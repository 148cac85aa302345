"""Workers that die: partitions alone on the cluster, so that nobody is blamed for a neighbour."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from dask.utils import format_bytes
from distributed import KilledWorker

from daskem.core.statistics import TreeSum
from daskem.data.blocks.partitions import Result
from daskem.data.blocks.recipes import Chunk, Recipe
from daskem.errors import PoisonChunkError

_REMEDY = (
    "Most likely they do not fit in a worker's memory, or what reads or computes them ends the "
    "process: write the data in smaller chunks (what is rechunked is read as it is stored), give "
    "workers more memory, or look at the log of that worker"
)


def one_by_one(
    recipes: Sequence[Recipe],
    alone: Callable[[Recipe], Result],
    name: str,
    origin: str,
    sizes: np.ndarray,
) -> Result:
    """The tree sum of `alone` over partitions, one at a time, with the bits of that of all at once.

    Parameters
    ----------
    recipes : sequence of Recipe
    alone : callable
        The sum over a partition, with nothing beside it on the cluster.
    name : str
        Of the tasks of that sum.
    origin : str
        What the data are called.
    sizes : ndarray, (chunk,)
        Bytes of every chunk, NaN where unknown.

    Raises
    ------
    PoisonChunkError
        If one worker after the other dies of a partition that is alone; says which of its chunks.
    """
    tree: TreeSum[Result] = TreeSum()
    for recipe in recipes:
        try:
            tree.push(alone(recipe))
        except KilledWorker as error:
            if not _is_of(error, name):
                raise
            chunks, last = _culprits(recipe, alone, name, error)
            raise PoisonChunkError(_message(chunks, last, origin, sizes)) from error
    return tree.total()


def _culprits(
    recipe: Recipe, alone: Callable[[Recipe], object], name: str, error: KilledWorker
) -> tuple[Sequence[Chunk], KilledWorker]:
    """The first chunk that kills workers by itself, else all of the partition."""
    for chunk in recipe.chunks if len(recipe.chunks) > 1 else ():
        try:
            alone(replace(recipe, chunks=[chunk]))
        except KilledWorker as of_chunk:
            if _is_of(of_chunk, name):
                return [chunk], of_chunk
    return recipe.chunks, error


def _is_of(error: KilledWorker, name: str) -> bool:
    """Whether workers died of a sum over a partition, and not of what it needs besides."""
    return isinstance(error.task, tuple) and str(error.task[0]).startswith(f"{name}-")


def _message(chunks: Sequence[Chunk], error: KilledWorker, origin: str, sizes: np.ndarray) -> str:
    which = chunks[0].place
    if len(chunks) > 1:
        which = f"{which} to {chunks[-1].place} one of them or two together,"
    n_bytes = float(sizes[[chunk.number for chunk in chunks]].max())
    size = "of unknown size" if np.isnan(n_bytes) else f"of {format_bytes(int(n_bytes))}"
    limit = error.last_worker.memory_limit
    memory = f"{format_bytes(limit)} of memory" if limit else "no limit of memory"
    return (
        f"{which} of {origin}, {size}, kills workers: {error.allowed_failures + 1} in a row "
        f"died when it was all that they had to do, the last one, with {memory}, at "
        f"{error.last_worker.address}. {_REMEDY}"
    )
