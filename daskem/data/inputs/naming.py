"""What names of features must be, and what is said of those that are not those of a model."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from daskem.data.inputs.sources.tables import comparable
from daskem.data.inputs.spelling import spelled_all, spelled_dims
from daskem.errors import DataError

# Names that a message writes out.
_SHOWN = 9


def check_names(names: np.ndarray | None, variables: Sequence[Hashable] | None) -> None:
    """Raise DataError unless names tell the features apart, and a model file could hold them."""
    if names is None:
        return
    present = [comparable(name) for name in names]
    twice = [name for name, n in Counter(present).items() if n > 1]
    if twice:
        # A NaN is found by what it is: it is equal to nothing.
        where = [i for i, name in enumerate(present) if name is twice[0] or name == twice[0]]
        raise DataError(
            f"{len(where)} features are called {twice[0]!r}, those at {where[:_SHOWN]}; names must "
            "tell features apart, or predictions could not find them: rename them, or drop some"
        )
    spelled_all(names)
    spelled_dims(variables)


def differs(present: Sequence[Hashable], wanted: Sequence[Hashable], verb: str) -> str:
    """That the features are not those that somebody wants, and where they differ."""
    twice = [name for name, n in Counter(present).items() if n > 1]
    if twice and set(wanted) <= set(present):
        return f"several features are called {twice[0]!r}, and nobody knows which is meant: rename"
    lists = [", ".join(map(str, names)) for names in (present, wanted)]
    if lists[0] != lists[1] and max(len(present), len(wanted)) <= _SHOWN:
        return f"the features are {lists[0]}, but {verb} {lists[1]}"
    missing = [name for name in wanted if name not in set(present)]
    message = f"there are {len(present):,} features, but {verb} {len(wanted):,}"
    if len(present) == len(wanted):
        message = f"the features are not those that {verb}"
    if not missing:
        return f"{message}; some of them are asked for twice"
    near = next((name for name in present if str(name) == str(missing[0])), None)
    if near is not None:
        return (
            f"{message}: {_full(near)} is not {_full(missing[0])}; give the data the names of the "
            "model, as in assign_coords, or its type, as in astype"
        )
    first = ", ".join(map(repr, missing[:_SHOWN]))
    return f"{message}; {len(missing):,} are not there, the first of them: {first}"


def _full(name: Hashable) -> str:
    """A name so that it is not mistaken for another one."""
    value = repr(name.item() if isinstance(name, np.generic) else name)
    return f"{value} ({name.dtype if isinstance(name, np.generic) else type(name).__name__})"
