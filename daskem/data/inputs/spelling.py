"""Names of features and their coordinates as JSON can hold them, with their types, and back."""

import datetime
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from daskem.data.inputs.sources.protocol import kind
from daskem.errors import DataTypeError

# What JSON keeps as it is.
_PLAIN = (str, bool, int, float, type(None))


def spelled(name: Hashable) -> Any:
    """One name as JSON can hold it: itself, or its type and what it is made of.

    Raises
    ------
    DataTypeError
        If nobody could make it again from a file.
    """
    if type(name) in _PLAIN:
        return name
    if isinstance(name, np.generic):
        whole = name.astype(np.int64) if name.dtype.kind in "mM" else name
        return {"numpy": [name.dtype.str, whole.item()]}
    for word, (holds, parts, _) in _KINDS.items():
        if holds(name):
            return {word: parts(name)}
    raise DataTypeError(
        f"a name is {name!r:.80}, of type {type(name).__module__}.{type(name).__qualname__}, which "
        "no model file could hold: rename it, for instance to str(name)"
    )


def unspelled(spelling: Any) -> Any:
    """The name that was spelled."""
    if not isinstance(spelling, Mapping):
        # The one that pandas has, so that lists of names are equal.
        return np.nan if spelling != spelling else spelling
    ((word, parts),) = spelling.items()
    if word == "numpy":
        dtype, value = np.dtype(parts[0]), parts[1]
        return dtype.type(value, dtype.str[4:-1]) if dtype.kind in "mM" else dtype.type(value)
    return _KINDS[word][2](parts)


def spelled_all(names: Sequence[Any] | np.ndarray) -> dict[str, Any]:
    """Names, (feature,), as JSON can hold them."""
    array = np.asarray(names) if isinstance(names, np.ndarray) else objects(names)
    if array.dtype.kind in "biufmM":
        plain = array.astype(np.int64) if array.dtype.kind in "mM" else array
        return {"dtype": array.dtype.str, "values": plain.tolist()}
    return {"dtype": "O", "values": [spelled(name) for name in array.tolist()]}


def unspelled_all(spelling: Mapping[str, Any]) -> np.ndarray:
    """The names, (feature,), that were spelled."""
    if spelling["dtype"] == "O":
        return objects([unspelled(name) for name in spelling["values"]])
    return np.array(spelling["values"], dtype=spelling["dtype"])


def objects(names: Sequence[Any]) -> np.ndarray:
    """Python objects as an array of one dimension, tuples too."""
    array = np.empty(len(names), dtype=object)
    for i, name in enumerate(names):
        array[i] = name
    return array


def spelled_dims(dims: Sequence[Hashable] | None) -> Any:
    return None if dims is None else [spelled(dim) for dim in dims]


def unspelled_dims(spellings: Sequence[Any] | None) -> tuple[Hashable, ...] | None:
    return None if spellings is None else tuple(unspelled(dim) for dim in spellings)


def _timestamp(parts: Sequence[Any]) -> Any:
    import pandas as pd

    value, unit, zone = parts
    moment = pd.Timestamp(value, unit=unit).as_unit(unit)
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)


def _of_timestamp(name: Any) -> list[Any]:
    return [int(name.asm8.astype(np.int64)), name.unit, None if name.tz is None else str(name.tz)]


def _timedelta(parts: Sequence[Any]) -> Any:
    import pandas as pd

    return pd.Timedelta(parts[0], unit=parts[1]).as_unit(parts[1])


def _period(parts: Sequence[Any]) -> Any:
    import pandas as pd

    return pd.Period(ordinal=parts[0], freq=parts[1])


def _interval(parts: Sequence[Any]) -> Any:
    import pandas as pd

    return pd.Interval(unspelled(parts[0]), unspelled(parts[1]), parts[2])


def _of_cftime(name: Any) -> list[Any]:
    parts = [name.year, name.month, name.day, name.hour, name.minute, name.second]
    return [type(name).__name__, name.calendar, [*parts, name.microsecond], name.has_year_zero]


def _iso(made: Any) -> tuple[Any, Any, Any]:
    """How names of this very type are told as ISO 8601 has them."""
    return lambda n: type(n) is made, lambda n: n.isoformat(), made.fromisoformat


def _cftime(pieces: Sequence[Any]) -> Any:
    import cftime

    made, calendar, parts, has_year_zero = pieces
    options = {"calendar": calendar} if made == "datetime" else {}
    return getattr(cftime, made)(*parts, has_year_zero=has_year_zero, **options)


def _missing(name: str) -> Any:
    import pandas as pd

    return getattr(pd, name)


def _is_missing(name: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and (name is pandas.NA or name is pandas.NaT)


# What it is called in a file: whether a name is one, what it is made of, and how it is made again.
# A class comes before those that it extends.
_KINDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "missing": (_is_missing, lambda n: "NA" if "NA" in repr(n) else "NaT", _missing),
    "tuple": (
        lambda n: type(n) is tuple,
        lambda n: [spelled(part) for part in n],
        lambda parts: tuple(unspelled(part) for part in parts),
    ),
    "timestamp": (kind("pandas", "Timestamp"), _of_timestamp, _timestamp),
    "pandas timedelta": (
        kind("pandas", "Timedelta"),
        lambda n: [int(n.asm8.astype(np.int64)), n.unit],
        _timedelta,
    ),
    "period": (kind("pandas", "Period"), lambda n: [n.ordinal, n.freqstr], _period),
    "interval": (
        kind("pandas", "Interval"),
        lambda n: [spelled(n.left), spelled(n.right), n.closed],
        _interval,
    ),
    "cftime": (kind("cftime", "datetime"), _of_cftime, _cftime),
    "datetime": _iso(datetime.datetime),
    "date": _iso(datetime.date),
    "time": _iso(datetime.time),
    "timedelta": (
        lambda n: type(n) is datetime.timedelta,
        lambda n: [n.days, n.seconds, n.microseconds],
        lambda parts: datetime.timedelta(*parts),
    ),
    "bytes": (lambda n: type(n) is bytes, lambda n: n.hex(), bytes.fromhex),
    "complex": (
        lambda n: type(n) is complex,
        lambda n: [n.real, n.imag],
        lambda parts: complex(*parts),
    ),
}
