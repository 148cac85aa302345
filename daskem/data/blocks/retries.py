"""Reading what may fail for a moment: networks, disks and servers that are busy."""

import time
from collections.abc import Callable
from typing import TypeVar

from daskem.core.addresses import hidden
from daskem.errors import DaskemError, DataReadError

# Seconds before each further attempt: 15 in all, as long as a server takes to fail over, and less
# than it takes for Dask to give a worker up.
_PAUSES = (0.2, 0.8, 3.0, 11.0)
# What is as it is, however often one asks.
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)

Value = TypeVar("Value")


def patiently(read: Callable[[], Value], place: Callable[[], str]) -> Value:
    """What `read` returns, after a few attempts if there are errors that may pass.

    Those are OSError, with TimeoutError and ConnectionError, unless something is not there.

    Raises
    ------
    DataReadError
        If the last attempt fails too, or at once of any other error; `place` says where.
    """
    try:
        for pause in _PAUSES:
            try:
                return read()
            except OSError as error:
                if not _passes(error):
                    raise
            time.sleep(pause)
        return read()
    except DaskemError:
        raise
    except Exception as error:
        often = f", {len(_PAUSES) + 1} times in a row" if _passes(error) else ""
        message = hidden(f"{error!r:.500}")
        raise DataReadError(f"{place()} cannot be read{often}: {message}") from (
            error if message == f"{error!r:.500}" else None
        )


def _passes(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, _LASTING)
