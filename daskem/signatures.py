"""Functions that pass their arguments on, but are signed and documented in their own name."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def sign(function: Callable[..., Any], source: Callable[..., Any], returns: Any) -> None:
    """Give `function` the signature of `source`, and its parameters the documentation there."""
    signature = inspect.signature(source).replace(return_annotation=returns)
    function.__signature__ = signature  # type: ignore[attr-defined]
    summary, *sections = _paragraphs(function)
    described = [text for text in _paragraphs(source) if text.startswith("Parameters\n")]
    function.__doc__ = "\n\n".join([summary, *described, *sections])


def check_call(
    function: Callable[..., Any], args: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """Raise the TypeError that `function` itself would, with the name that was meant."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        misspelt = [name for name in options if name not in signature.parameters]
        near = difflib.get_close_matches(misspelt[0], signature.parameters, 1) if misspelt else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{function.__name__}() {error}{hint}") from None


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    return (inspect.getdoc(function) or "").split("\n\n")
