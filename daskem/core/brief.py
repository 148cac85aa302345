"""Objects that print what they are on one line, however much they hold."""

from collections.abc import Mapping, Sized
from dataclasses import fields

import numpy as np

# Characters of a value that is written out.
_MOST = 60


class Brief:
    """A dataclass that prints its fields, arrays by their shape and what is long by its length."""

    def __repr__(self) -> str:
        arguments = ", ".join(f"{f.name}={brief(getattr(self, f.name))}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({arguments})"


def brief(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray) and value.size > 3:
        return f"<{value.dtype} {value.shape}>"
    if isinstance(value, Brief):
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping | list | tuple | set | frozenset) and _is_long(value):
        return f"<{len(value):,} in a {type(value).__name__}>"
    text = repr(value) if not callable(value) or isinstance(value, type) else "..."
    return text if len(text) <= _MOST and "\n" not in text else f"<{type(value).__name__}>"


def _is_long(value: Sized) -> bool:
    return len(value) > 3 or len(repr(value)) > _MOST
