"""Weights that are written as an expression of coordinates and variables, such as cos(lat)."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from daskem.errors import ParameterError

_OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"sqrt": np.sqrt, "exp": np.exp, "abs": np.abs}
# Of angles in degrees, unless their units are radians.
_OF_ANGLES: Mapping[str, Callable[..., Any]] = {"cos": np.cos, "sin": np.sin}


def weights(text: str | None, data: object) -> Any:
    """A name as it is; else what an expression says of the coordinates and variables of `data`.

    Raises
    ------
    ParameterError
        If it is no expression of those.
    """
    if text is None or text.isidentifier():
        return text
    if not isinstance(data, xr.Dataset | xr.DataArray):
        raise ParameterError(f"--sample-weight {text}: the data have no coordinates")
    try:
        return _value(ast.parse(text, mode="eval").body, data)
    except (SyntaxError, TypeError) as error:
        raise ParameterError(f"--sample-weight {text}: {error}") from error


def _value(node: ast.AST, data: xr.Dataset | xr.DataArray) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            known = list(data.variables if isinstance(data, xr.Dataset) else data.coords)
            if name not in known:
                raise ParameterError(f"--sample-weight: no {name!r}; there are {known}")
            return data[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, data), _value(right, data))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, data))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _OF_ANGLES:
            return _OF_ANGLES[name](_in_radians(_value(argument, data)))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument, data))
    raise ParameterError(
        f"--sample-weight: {ast.unparse(node)!r} is none of + - * / **, "
        f"{', '.join([*_OF_ANGLES, *_FUNCTIONS])}, numbers, and names of coordinates"
    )


def _in_radians(angle: float | xr.DataArray) -> Any:
    units = str(angle.attrs.get("units", "")) if isinstance(angle, xr.DataArray) else ""
    return angle if units.startswith("radian") else np.deg2rad(angle)
