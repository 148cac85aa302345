"""How far a read of the data has come, for whoever watches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from dask.callbacks import Callback
from dask.typing import Key

T = TypeVar("T")


class Sign(NamedTuple):
    """What is being done, and how far it has come.

    Attributes
    ----------
    what : str
        The name of a sum, or of what a fit does in between.
    done, of : int
        Parts of it; a sum has partitions.
    tasks : str
        What a scheduler calls the tasks of the parts, which it then knows more of.
    """

    what: str
    done: int
    of: int
    tasks: str = ""


Watch = Callable[[Sign], None]


def unwatched(sign: Sign) -> None:
    """Nobody watches."""


def counted(what: str, parts: Sequence[T], watch: Watch) -> Iterator[T]:
    """`parts`, one by one, with a sign before each of them."""
    for done, part in enumerate(parts):
        watch(Sign(what, done, len(parts)))
        yield part


@contextmanager
def counting(what: str, tasks: str, of: int, watch: Watch) -> Iterator[None]:
    """Signs of a sum that Dask computes: of every one of its `tasks`, where that is done here."""
    done = 0

    def ended(key: Key, *_: object) -> None:
        nonlocal done
        if isinstance(key, tuple) and key[0] == tasks:
            done += 1
            watch(Sign(what, done, of, tasks))

    watch(Sign(what, 0, of, tasks))
    if watch is unwatched:
        yield
        return
    with Callback(posttask=ended):
        yield
