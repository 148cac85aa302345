"""Eight numbers at a time: the one type in which the machine code computes.

LLVM makes of it what the processor has, one register of AVX-512 or two of AVX2; the lanes, and so
the order of every sum, are the same. No flag lets it reorder anything: a product and a sum are one
rounding where `fma` says so, and nowhere else.
"""

import math
import operator
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from llvmlite import ir
from llvmlite.ir import IRBuilder as Builder
from numba.core import cgutils, config, types
from numba.core.base import BaseContext as Context
from numba.core.codegen import get_host_cpu_features
from numba.core.datamodel import DataModelManager
from numba.core.typing.context import BaseContext as Typing
from numba.core.typing.templates import ConcreteTemplate, Signature, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8
# Whether one register holds all lanes, as with AVX-512: there are 32 of them, and 16 of others.
WIDE = "+avx512f" in (config.CPU_FEATURES or get_host_cpu_features())
DOUBLES, _INTEGERS = ir.VectorType(ir.DoubleType(), LANES), ir.VectorType(ir.IntType(64), LANES)
# What numba asks of machine code: values of LLVM for values, and of an `intrinsic` its type first.
Values = Sequence[ir.Value]
Intrinsic = tuple[Signature, Callable[[Context, Builder, Signature, Values], ir.Value]]
# Bits of a float64 below its exponent.
_MANTISSA = 52


class _Vector(types.Type):
    """float64 numbers, (LANES,)."""


vector = _Vector("daskem.vector")


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: DataModelManager, kind: types.Type) -> None:
        super().__init__(manager, kind, DOUBLES)


def place(
    context: Context, builder: Builder, kind: types.Type, a: ir.Value, i: ir.Value, j: ir.Value
) -> ir.Value:
    """The pointer to the numbers from row i and column j of an array of this type on."""
    # Of the value itself: a variable of its own for each would be most of what LLVM has to read.
    model = context.data_model_manager[kind]
    data, strides = (model.get(builder, a, name) for name in ("data", "strides"))
    first = builder.mul(i, builder.extract_value(strides, 0))
    bytes_ = builder.gep(builder.bitcast(data, ir.IntType(8).as_pointer()), [first])
    numbers = builder.gep(builder.bitcast(bytes_, ir.DoubleType().as_pointer()), [j])
    return builder.bitcast(numbers, DOUBLES.as_pointer())


def broadcast(builder: Builder, x: ir.Value) -> ir.Value:
    """The same number in all lanes."""
    one = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), x, _int32(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(DOUBLES, ir.Undefined), mask)


def fused(builder: Builder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """``a b + c``, rounded once."""
    kind = ir.FunctionType(DOUBLES, [DOUBLES] * 3)
    name = f"llvm.fma.v{LANES}f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def zeros(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays of zeros in C order, each of which begins where a register of AVX-512 reads fastest.

    They lie side by side: for a block of few rows, each allocation would take as long as a tile.
    """
    sizes = [math.prod(shape) for shape in shapes]
    spaces = [-(-size // LANES) * LANES for size in sizes]
    room = np.zeros(sum(spaces) + LANES)
    first = -room.__array_interface__["data"][0] // room.itemsize % LANES
    places = zip(accumulate(spaces, initial=first), sizes, shapes, strict=False)
    return [room[place : place + size].reshape(shape) for place, size, shape in places]


@intrinsic
def load(typing: Typing, a: types.Type, i: types.Type, j: types.Type) -> Intrinsic:
    """``a[i, j:j + LANES]`` of an array (..., column), in C order."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        made = builder.load(place(context, builder, kinds.args[0], *args))
        made.align = 8
        return made

    return vector(a, types.intp, types.intp), code


@intrinsic
def store(typing: Typing, a: types.Type, i: types.Type, j: types.Type, v: types.Type) -> Intrinsic:
    """``a[i, j:j + LANES] = v``."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        builder.store(args[3], place(context, builder, kinds.args[0], *args[:3])).align = 8
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp, vector), code


@intrinsic
def splat(typing: Typing, x: types.Type) -> Intrinsic:
    """The same number in all lanes."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        return broadcast(builder, *args)

    return vector(types.float64), code


@intrinsic
def lane(typing: Typing, v: types.Type, number: types.Type) -> Intrinsic:
    """The number in one lane."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        return builder.extract_element(args[0], args[1])

    return types.float64(vector, types.intp), code


@intrinsic
def fma(typing: Typing, a: types.Type, b: types.Type, c: types.Type) -> Intrinsic:
    """``a b + c``, rounded once."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        return fused(builder, *args)

    return vector(vector, vector, vector), code


@intrinsic
def times_power(typing: Typing, v: types.Type, n: types.Type) -> Intrinsic:
    """``v 2^n``, of normal numbers; n are the low bits of the mantissas of its lanes."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        bits, n = (builder.bitcast(arg, _INTEGERS) for arg in args)
        shifted = builder.shl(n, _integers(_MANTISSA))
        return builder.bitcast(builder.add(bits, shifted), DOUBLES)

    return vector(vector, vector), code


@intrinsic
def exponent(typing: Typing, v: types.Type) -> Intrinsic:
    """n of ``v = m 2^n`` with m from sqrt(1/2) to sqrt(2), for v >= 1."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        n = builder.lshr(_above_root(builder, args[0]), _integers(_MANTISSA))
        # The number 2^52 + n has the bits of 2^52 with those of n at their end.
        large = _integers(_bits(2.0**_MANTISSA))
        made = builder.bitcast(builder.or_(n, large), DOUBLES)
        return builder.fsub(made, ir.Constant(DOUBLES, [2.0**_MANTISSA] * LANES))

    return vector(vector), code


@intrinsic
def mantissa(typing: Typing, v: types.Type) -> Intrinsic:
    """m of ``v = m 2^n`` with m from sqrt(1/2) to sqrt(2), for v >= 1."""

    def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        n = builder.and_(_above_root(builder, args[0]), _integers(-(1 << _MANTISSA)))
        bits = builder.sub(builder.bitcast(args[0], _INTEGERS), n)
        return builder.bitcast(bits, DOUBLES)

    return vector(vector), code


def _above_root(builder: Builder, v: ir.Value) -> ir.Value:
    """The bits of v less those of sqrt(1/2): its exponent is n."""
    return builder.sub(builder.bitcast(v, _INTEGERS), _integers(_bits(math.sqrt(0.5))))


def _bits(x: float) -> int:
    return int(np.float64(x).view(np.int64))


def _integers(value: int) -> ir.Constant:
    return ir.Constant(_INTEGERS, [value] * LANES)


def _int32(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), value)


def _operator(
    operation: Callable[..., object], code: Callable[[Builder, ir.Value, ir.Value], ir.Value]
) -> None:
    """Let two vectors be what an operation is applied to."""

    @infer_global(operation)
    class _Signature(ConcreteTemplate):
        cases = [signature(vector, vector, vector)]  # noqa: RUF012

    @lower_builtin(operation, vector, vector)
    def _lower(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
        return code(builder, *args)


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
# Of a number and NaN, in this order, the second; NaN and a number make NaN.
_operator(min, lambda builder, a, b: builder.select(builder.fcmp_unordered("<", a, b), a, b))
_operator(max, lambda builder, a, b: builder.select(builder.fcmp_unordered(">", a, b), a, b))
