"""A product by hand, a patch of it at a time, whose sums stay in registers.

Each sum is over the terms in their order, whatever the patch: the same bits on any processor.
"""

from collections.abc import Callable
from functools import partial

from llvmlite import ir
from llvmlite.ir import IRBuilder as Builder
from numba.core import cgutils, types
from numba.core.base import BaseContext as Context
from numba.core.typing.context import BaseContext as Typing
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from daskem.models.kernels.machine.compiling import part
from daskem.models.kernels.machine.vectors import (
    DOUBLES,
    LANES,
    WIDE,
    Intrinsic,
    Values,
    broadcast,
    fused,
    place,
)

# Rows of a patch, and vectors of columns: the sums of a high one fill three quarters of the
# registers, two for each vector where these are not wide. The others take the rows that are left.
_HIGH, _MIDDLE, _LOW = ((8, 3), (4, 3), (2, 3)) if WIDE else ((6, 1), (4, 1), (2, 2))
_ZERO = ir.Constant(DOUBLES, [0.0] * LANES)


def _patch(height: int, width: int) -> Callable[..., object]:
    """What multiplies as `multiply` does, for the rows from i and the columns from j on."""

    @intrinsic
    def of_a_patch(
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
            sums = [cgutils.alloca_once(builder, DOUBLES) for _ in range(height * width)]
            for total in sums:
                builder.store(_ZERO, total)
            with cgutils.for_range(builder, n) as loop:
                rows = [a(i, builder.add(first, loop.index), h, 0) for h in range(height)]
                columns = [_load(builder, b(loop.index, j, 0, w)) for w in range(width)]
                _add_outer(builder, rows, columns, sums)
            for p, total in enumerate(sums):
                numbers = out(i, j, *divmod(p, width))
                before = builder.select(more, _load(builder, numbers), _ZERO)
                builder.store(builder.fadd(before, builder.load(total)), numbers).align = 8
            return context.get_dummy_value()

        whole = types.intp
        return types.void(a, whole, whole, whole, b, whole, out, types.boolean), code

    return of_a_patch


def _add_outer(builder: Builder, rows: Values, columns: Values, sums: Values) -> None:
    """Add the first number of each place in `rows`, times each vector in `columns`."""
    totals = iter(sums)
    for numbers in rows:
        first = builder.load(builder.bitcast(numbers, ir.DoubleType().as_pointer()))
        for column, total in zip(columns, totals, strict=False):
            made = fused(builder, broadcast(builder, first), column, builder.load(total))
            builder.store(made, total)


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


def _load(builder: Builder, numbers: ir.Value) -> ir.Value:
    vector = builder.load(numbers)
    vector.align = 8
    return vector


_high, _middle, _low = _patch(*_HIGH), _patch(*_MIDDLE), _patch(*_LOW)
_high_slim, _middle_slim, _low_slim = (_patch(h, 1) for h, _ in (_HIGH, _MIDDLE, _LOW))
_STEP, _LOW_STEP = _HIGH[1] * LANES, _LOW[1] * LANES


@part
def multiply(a, first, n, b, width, out, more):
    """Write ``a[:, first : first + n] @ b[:n, :width]`` into `out`, or add it to what is in there.

    Of a an even number of rows, and a width of whole vectors.
    """
    high, wide = len(a) - len(a) % _HIGH[0], width - width % _STEP
    middle, low_wide = len(a) - (len(a) - high) % 4, width - width % _LOW_STEP
    for i in range(0, high, _HIGH[0]):
        for j in range(0, wide, _STEP):
            _high(a, i, first, n, b, j, out, more)
        for j in range(wide, width, LANES):
            _high_slim(a, i, first, n, b, j, out, more)
    for i in range(high, middle, 4):
        for j in range(0, wide, _STEP):
            _middle(a, i, first, n, b, j, out, more)
        for j in range(wide, width, LANES):
            _middle_slim(a, i, first, n, b, j, out, more)
    for i in range(middle, len(a), 2):
        for j in range(0, low_wide, _LOW_STEP):
            _low(a, i, first, n, b, j, out, more)
        for j in range(low_wide, width, LANES):
            _low_slim(a, i, first, n, b, j, out, more)
