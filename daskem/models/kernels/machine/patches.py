"""Patches of a product, some numbers or vectors of it: their sums stay in registers.

Each sum is over the terms in their order, whatever the patch.
"""

from collections.abc import Callable
from functools import partial
from itertools import product

from llvmlite import ir
from llvmlite.ir import IRBuilder as Builder
from numba.core import cgutils, types
from numba.core.base import BaseContext as Context
from numba.core.typing.context import BaseContext as Typing
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from daskem.models.kernels.machine.vectors import (
    DOUBLES,
    LANES,
    Intrinsic,
    Values,
    broadcast,
    fused,
    place,
)

_ZERO = ir.Constant(DOUBLES, [0.0] * LANES)


def multiplied(height: int, width: int) -> Callable[..., object]:
    """A function (a, i, first, n, b, j, out, more): `height` rows of ``a[:, first : first + n] @
    b[:n]`` from i on, and `width` vectors of its columns from j on, are written to `out`, or added.
    """

    @intrinsic
    def function(
        typing: Typing,
        a: types.Type,
        i: types.Type,
        first: types.Type,
        n: types.Type,
        b: types.Type,
        j: types.Type,
        out: types.Type,
        more: types.Type,
    ) -> Intrinsic:
        def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
            a, b, out = (partial(_at, context, builder, kinds.args[p], args[p]) for p in (0, 4, 6))
            _, i, first, n, _, j, _, more = args
            sums = _zeros(builder, height * width)
            with cgutils.for_range(builder, n) as loop:
                term = builder.add(first, loop.index)
                rows = [_number(builder, a(i, term, h, 0)) for h in range(height)]
                columns = [_load(builder, b(loop.index, j, 0, w)) for w in range(width)]
                _add_outer(builder, rows, columns, sums)
            for p, total in enumerate(sums):
                numbers = out(i, j, *divmod(p, width))
                before = builder.select(more, _load(builder, numbers), _ZERO)
                builder.store(builder.fadd(before, builder.load(total)), numbers).align = 8
            return context.get_dummy_value()

        whole = types.intp
        return types.void(a, whole, whole, whole, b, whole, out, types.boolean), code

    return function


def contracted(height: int, width: int) -> Callable[..., object]:
    """A function (a, i, b, j, n, out): `height` rows of ``a[:, :n] @ b[:, :n].T`` from i on and
    `width` of its columns from j on, eight sums for each number, are added to `out`.
    """

    @intrinsic
    def function(
        typing: Typing,
        a: types.Type,
        i: types.Type,
        b: types.Type,
        j: types.Type,
        n: types.Type,
        out: types.Type,
    ) -> Intrinsic:
        def code(context: Context, builder: Builder, kinds: Signature, args: Values) -> ir.Value:
            a, b, out = (partial(_at, context, builder, kinds.args[p], args[p]) for p in (0, 2, 5))
            _, i, _, j, n, _ = args
            sums = _zeros(builder, height * width)
            first, step = (ir.Constant(n.type, number) for number in (0, LANES))
            with cgutils.for_range_slice(builder, first, n, step, n.type) as (term, _):
                rows = [_load(builder, a(i, term, h, 0)) for h in range(height)]
                columns = [_load(builder, b(j, term, w, 0)) for w in range(width)]
                _add_outer(builder, rows, columns, sums)
            for p, total in enumerate(sums):
                numbers = out(i, builder.mul(j, step), *divmod(p, width))
                made = builder.fadd(_load(builder, numbers), builder.load(total))
                builder.store(made, numbers).align = 8
            return context.get_dummy_value()

        return types.void(a, types.intp, b, types.intp, types.intp, out), code

    return function


def _zeros(builder: Builder, n: int) -> Values:
    """The places of so many sums."""
    sums = [cgutils.alloca_once(builder, DOUBLES) for _ in range(n)]
    for total in sums:
        builder.store(_ZERO, total)
    return sums


def _add_outer(builder: Builder, rows: Values, columns: Values, sums: Values) -> None:
    """Add the product of each vector of `rows` and each of `columns`."""
    for total, (row, column) in zip(sums, product(rows, columns), strict=True):
        builder.store(fused(builder, row, column, builder.load(total)), total)


def _at(
    context: Context,
    builder: Builder,
    kind: types.Type,
    array: ir.Value,
    i: ir.Value,
    j: ir.Value,
    rows: int,
    vectors: int,
) -> ir.Value:
    """The place of so many rows and vectors after row i and column j of an array."""
    i, j = (
        builder.add(x, ir.Constant(ir.IntType(64), n)) for x, n in ((i, rows), (j, vectors * LANES))
    )
    return place(context, builder, kind, array, i, j)


def _number(builder: Builder, numbers: ir.Value) -> ir.Value:
    """The first number of a place, in all lanes."""
    first = builder.bitcast(numbers, ir.DoubleType().as_pointer())
    return broadcast(builder, builder.load(first))


def _load(builder: Builder, numbers: ir.Value) -> ir.Value:
    vector = builder.load(numbers)
    vector.align = 8
    return vector
