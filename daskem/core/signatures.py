"""Functions that pass their arguments on, but are documented and refuse in their own name."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any


def sign(function: Any, source: Any) -> None:
    """Give `function` the parameters and errors of `source`, for help() and completion."""
    parameters = inspect.signature(source).parameters.values()
    returns = inspect.signature(function).return_annotation
    function.__signature__ = inspect.Signature(list(parameters), return_annotation=returns)
    shared = (inspect.getdoc(source) or "").partition("\n\n")[2]
    summary, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    function.__doc__ = "\n\n".join([summary, shared, rest])


def check_call(
    function: Any, args: Sequence[Any], options: Mapping[str, Any], name: str = ""
) -> None:
    """Raise the TypeError that `function` would, called `name`, with the option that was meant."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        misspelt = [option for option in options if option not in signature.parameters]
        near = difflib.get_close_matches(misspelt[0], signature.parameters, 1) if misspelt else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{name or function.__name__}() {error}{hint}") from None
