"""Reading ahead: the next block is made while one is used, and a read that hangs is given up."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import NamedTuple, TypeVar

import dask
from dask.utils import format_time, parse_timedelta

from daskem.errors import DataReadError

# A chunk that takes longer is no chunk; a server that fails over takes less.
_SETTING, _LIMIT = "daskem.read-timeout", "10 minutes"
# Seconds between two looks at what is being read.
_SOON, _LATE = 0.01, 60.0

Value = TypeVar("Value")


def read_timeout() -> float:
    """Seconds after which a read is given up, as Dask's configuration of this process says."""
    return float(parse_timedelta(dask.config.get(_SETTING, _LIMIT)))


class Reading:
    """What is being read, and since when: whoever reads says so before each chunk."""

    def __init__(self) -> None:
        self.place: Callable[[], str] = lambda: "the data"
        self.since = monotonic()

    def begins(self, place: Callable[[], str]) -> None:
        self.place, self.since = place, monotonic()


class _Made(NamedTuple):
    """The next value, None for the end, or why there is none."""

    value: object = None
    error: BaseException | None = None


def ahead(values: Iterator[Value], reading: Reading, limit: float) -> Generator[Value]:
    """`values`, each of which is made while the one before it is used.

    Raises
    ------
    DataReadError
        If a read takes more than `limit` seconds. Nobody waits for it any more then, neither who
        uses the values nor the end of the process.
    """
    wanted: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[_Made] = SimpleQueue()

    def make() -> None:
        while wanted.get():
            try:
                made.put(_Made(next(values, None)))
            except BaseException as error:
                made.put(_Made(error=error))

    # The threads of an executor are waited for when the process ends.
    thread = Thread(target=make, name="daskem-reader", daemon=True)
    thread.start()
    patience = limit
    try:
        wanted.put(True)
        while (value := _next(made, reading, limit)) is not None:
            wanted.put(True)
            yield value  # type: ignore[misc]
    except DataReadError:
        patience = 0.0
        raise
    finally:
        wanted.put(False)
        thread.join(patience)


def in_time(make: Callable[[], Value], place: Callable[[], str], limit: float) -> Value:
    """What `make` returns; given up as `ahead` does, where `place` says what it was."""
    reading = Reading()
    reading.begins(place)
    with closing(ahead(((make(),) for _ in range(1)), reading, limit)) as made:
        return next(made)[0]


def _next(made: "SimpleQueue[_Made]", reading: Reading, limit: float) -> object:
    while True:
        try:
            left = reading.since + limit - monotonic()
            value, error = made.get(timeout=min(max(left, _SOON), _LATE))
        except Empty:
            if monotonic() < reading.since + limit:
                continue
            raise DataReadError(
                f"{reading.place()} has not been read in {format_time(limit)}, and is given up. "
                "Whatever reads it hangs: look at the store and the way to it, and fit again or "
                f"resume; if reads may take that long, set {_SETTING} in Dask's configuration"
            ) from None
        if error is not None:
            raise error
        return value
