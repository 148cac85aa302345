"""Calls with an option that is not there are told which one was meant."""

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def helpful(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose TypeError for a misspelt option names the nearest one that exists."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            misspelt = [option for option in options if option not in signature.parameters]
            near = [difflib.get_close_matches(name, signature.parameters, 1) for name in misspelt]
            hint = f"; did you mean {near[0][0]!r}?" if near and near[0] else ""
            raise TypeError(f"{function.__name__}() {error}{hint}") from None
        return function(*args, **options)

    return called
