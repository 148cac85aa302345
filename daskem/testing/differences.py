"""Nested statistics and params, compared: what differs, where, and by how much."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

# Beyond this, relative to the terms of a sum, a difference is not rounding. A mistake is off by
# more like one part in the number of rows.
ROUNDING = 1e-9


def leaves(value: object, name: str = "") -> dict[str, np.ndarray]:
    """Arrays of nested dicts and sequences by their path."""
    if not isinstance(value, dict | list | tuple):
        return {name: np.asarray(value)}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    nested = (leaves(item, f"{name}.{key}" if name else str(key)) for key, item in items)
    return {path: leaf for leaves in nested for path, leaf in leaves.items()}


def scaled(value: Any, factor: float) -> Any:
    if isinstance(value, dict):
        return {key: scaled(item, factor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(scaled(item, factor) for item in value)
    return value * factor


def sizes(parts: Sequence[object]) -> dict[str, float]:
    """Sum over `parts` of the largest magnitude in each array, which rounding is relative to."""
    totals: dict[str, float] = {}
    for part in parts:
        for name, leaf in leaves(part).items():
            totals[name] = totals.get(name, 0.0) + float(np.abs(leaf).max(initial=0.0))
    return totals


def not_numbers(value: Mapping[str, object], what: str) -> Iterator[str]:
    for name, leaf in leaves(value).items():
        if leaf.dtype.kind not in "fiub":
            yield f"{what} {name!r} is of type {leaf.dtype}, not an array of numbers"
        elif not np.isfinite(leaf).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(leaf))[0])
            yield f"{what} {name!r}{list(where) or ''} is {leaf[where]}"


def differs_in_form(
    got: dict[str, np.ndarray], wanted: dict[str, np.ndarray], when: str
) -> Iterator[str]:
    if set(got) != set(wanted):
        yield f"the statistics are {sorted(got)} {when}, but else {sorted(wanted)}"
    for name in set(got) & set(wanted):
        if got[name].shape != wanted[name].shape:
            yield (
                f"statistic {name!r} has shape {got[name].shape} {when}, but else "
                f"{wanted[name].shape}. Is a dimension squeezed, or one entry kept for each row?"
            )


def differences(
    got: dict[str, np.ndarray], wanted: dict[str, np.ndarray], sizes: dict[str, float]
) -> Iterator[str]:
    """The worst entry of every array that differs by more than rounding."""
    for name in wanted:
        if name not in got or got[name].shape != wanted[name].shape or not wanted[name].size:
            continue
        off = np.abs(np.subtract(got[name], wanted[name], dtype=np.float64))
        if not (off <= ROUNDING * sizes[name]).all():
            where = np.unravel_index(np.argmax(off), off.shape)
            place = list(map(int, where)) or ""
            yield f"{name!r}{place} is {got[name][where]:.10g}, not {wanted[name][where]:.10g}"


def changed(now: object, before: object) -> list[str]:
    """Names of the arrays that are not the same to the last bit."""
    new, old = leaves(now), leaves(before)
    return [name for name in {**old, **new} if not same_bits(new.get(name), old.get(name))]


def same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
