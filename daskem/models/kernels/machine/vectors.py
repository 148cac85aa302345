"""Eight numbers at a time: the one type in which the machine code computes.

LLVM makes of it what the processor has, one register of AVX-512 or two of AVX2; the lanes, and so
the order of every sum, are the same. No flag lets it reorder anything: a product and a sum are one
rounding where `fma` says so, and nowhere else.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import make_array

LANES = 8
_DOUBLES, _INTEGERS = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(ir.IntType(64), LANES)
# Bits of a float64 below its exponent.
_MANTISSA = 52


class _Vector(types.Type):
    """float64 numbers, (LANES,)."""


vector = _Vector("daskem.vector")


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _DOUBLES)


def _place(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
    """The pointer to the numbers from row `args[1]` and column `args[2]` of an array on."""
    array = make_array(kinds[0])(context, builder, args[0])
    stride = cgutils.unpack_tuple(builder, array.strides)[0]
    first = builder.mul(args[1], stride)
    bytes_ = builder.gep(builder.bitcast(array.data, ir.IntType(8).as_pointer()), [first])
    place = builder.gep(builder.bitcast(bytes_, ir.DoubleType().as_pointer()), [args[2]])
    return builder.bitcast(place, _DOUBLES.as_pointer())


@intrinsic
def load(typing: Any, a: Any, i: Any, j: Any) -> Any:
    """``a[i, j:j + LANES]`` of an array (..., column), in C order."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        made = builder.load(_place(context, builder, kinds.args, args))
        made.align = 8
        return made

    return vector(a, types.intp, types.intp), code


@intrinsic
def store(typing: Any, a: Any, i: Any, j: Any, v: Any) -> Any:
    """``a[i, j:j + LANES] = v``."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        builder.store(args[3], _place(context, builder, kinds.args, args)).align = 8
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp, vector), code


@intrinsic
def splat(typing: Any, x: Any) -> Any:
    """The same number in all lanes."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        one = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), args[0], _int32(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_DOUBLES, ir.Undefined), mask)

    return vector(types.float64), code


@intrinsic
def lane(typing: Any, v: Any, number: Any) -> Any:
    """The number in one lane."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        return builder.extract_element(args[0], args[1])

    return types.float64(vector, types.intp), code


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, rounded once."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        kind = ir.FunctionType(_DOUBLES, [_DOUBLES] * 3)
        name = f"llvm.fma.v{LANES}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return vector(vector, vector, vector), code


@intrinsic
def times_power(typing: Any, v: Any, n: Any) -> Any:
    """``v 2^n``, of normal numbers; n are the low bits of the mantissas of its lanes."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        bits, n = (builder.bitcast(arg, _INTEGERS) for arg in args)
        shifted = builder.shl(n, _integers(_MANTISSA))
        return builder.bitcast(builder.add(bits, shifted), _DOUBLES)

    return vector(vector, vector), code


@intrinsic
def exponent(typing: Any, v: Any) -> Any:
    """n of ``v = m 2^n`` with m from sqrt(1/2) to sqrt(2), for v >= 1."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        n = builder.lshr(_above_root(builder, args[0]), _integers(_MANTISSA))
        # The number 2^52 + n has the bits of 2^52 with those of n at their end.
        large = _integers(_bits(2.0**_MANTISSA))
        made = builder.bitcast(builder.or_(n, large), _DOUBLES)
        return builder.fsub(made, ir.Constant(_DOUBLES, [2.0**_MANTISSA] * LANES))

    return vector(vector), code


@intrinsic
def mantissa(typing: Any, v: Any) -> Any:
    """m of ``v = m 2^n`` with m from sqrt(1/2) to sqrt(2), for v >= 1."""

    def code(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        n = builder.and_(_above_root(builder, args[0]), _integers(-(1 << _MANTISSA)))
        bits = builder.sub(builder.bitcast(args[0], _INTEGERS), n)
        return builder.bitcast(bits, _DOUBLES)

    return vector(vector), code


def _above_root(builder: Any, v: Any) -> Any:
    """The bits of v less those of sqrt(1/2): its exponent is n."""
    return builder.sub(builder.bitcast(v, _INTEGERS), _integers(_bits(math.sqrt(0.5))))


def _bits(x: float) -> int:
    return int(np.float64(x).view(np.int64))


def _integers(value: int) -> Any:
    return ir.Constant(_INTEGERS, [value] * LANES)


def _int32(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def _operator(operation: Any, code: Callable[[Any, Any, Any], Any]) -> None:
    """Let two vectors be what an operation is applied to."""

    @infer_global(operation)
    class _Signature(ConcreteTemplate):
        cases = [signature(vector, vector, vector)]  # noqa: RUF012

    @lower_builtin(operation, vector, vector)
    def _lower(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
        return code(builder, *args)


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
# Of a number and NaN, in this order, the second; NaN and a number make NaN.
_operator(min, lambda builder, a, b: builder.select(builder.fcmp_unordered("<", a, b), a, b))
_operator(max, lambda builder, a, b: builder.select(builder.fcmp_unordered(">", a, b), a, b))
