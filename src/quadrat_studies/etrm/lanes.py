"""Sixteen numbers at once, for loops that numba compiles.

*Lanes* are sixteen float32 side by side, one register of AVX-512; a *tile* is eight rows of lanes that stay in
registers. Both are types of numba's with the few operations that ``kernels.py`` is written in. LLVM makes the best of
them on any processor: with shorter registers an operation takes several instructions. All arrays are flat and float32,
and an index is that of a first element.

numba keeps what it compiled from ``kernels.py`` until that file changes, so after a change here ``kernels.MADE_WITH``
has to be renewed; a test watches it.
"""

# What the compiled functions take has no names among Python's types.
# ruff: noqa: ANN001, ANN201, ANN202, PLR0917

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

WIDTH = 16
"""Numbers in lanes."""
ROWS = 8
"""Lanes in a tile."""

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_LANES, _INTS = ir.VectorType(_FLOAT, WIDTH), ir.VectorType(_INT, WIDTH)
_TILE = ir.ArrayType(_LANES, ROWS)
FAST = ("reassoc", "contract", "arcp", "nsz")
"""Sums may be taken in any order and products fused into them; a NaN stays a NaN."""
_HALF = np.linspace(-0.5, 0.5, 2001)
_POWERS = np.polynomial.Polynomial.fit(_HALF, 2**_HALF, 6, domain=[-1, 1], window=[-1, 1]).coef
_operation: Any = intrinsic
"""Makes an operation of a function that says what LLVM is to do. Its first argument is numba's, not the caller's."""


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__("lanes")


class _Tile(types.Type):
    def __init__(self) -> None:
        super().__init__("tile")


lanes, tile = _Lanes(), _Tile()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _LANES)


@register_model(_Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _TILE)


def _all(kind: ir.Type, value: Any) -> ir.Constant:
    return ir.Constant(ir.VectorType(kind, WIDTH), [ir.Constant(kind, value)] * WIDTH)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, step: Any = None, row: int = 0) -> Any:
    """Address of element ``at + row * step``; negative indices are not wrapped."""
    data = context.make_array(kind)(context, builder, array).data
    offset = at if row == 0 else builder.add(at, builder.mul(step, ir.Constant(at.type, row)))
    return builder.gep(data, [offset], inbounds=True)


def _load(builder: Any, place: Any) -> Any:
    return builder.load(builder.bitcast(place, ir.PointerType(_LANES)), align=4)


def _store(builder: Any, place: Any, value: Any) -> None:
    builder.store(value, builder.bitcast(place, ir.PointerType(_LANES)), align=4)


def _spread(builder: Any, number: Any) -> Any:
    empty = ir.Constant(_LANES, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, empty, _all(_INT, 0))


def _factor(context: Any, builder: Any, kind: Any, given: Any, row: int) -> Any:
    """Element ``at + row * step`` of ``given``, an array, at and step, in all lanes."""
    return _spread(builder, builder.load(_place(context, builder, kind, *given, row=row)))


def _sum(builder: Any, total: Any, factor: Any, value: Any) -> Any:
    return builder.fadd(total, builder.fmul(factor, value, flags=FAST), flags=FAST)


def _call(builder: Any, name: str, result: ir.Type, given: list[Any], **options: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in given])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given, **options)


# Lanes -------------------------------------------------------------------------------------------------------------


@_operation
def load(typing, array, at):
    """Sixteen elements from ``at``."""

    def generate(context, builder, signature, given):
        return _load(builder, _place(context, builder, signature.args[0], *given))

    return lanes(array, types.intp), generate


@_operation
def store(typing, array, at, value):
    """Write sixteen elements."""

    def generate(context, builder, signature, given):
        _store(builder, _place(context, builder, signature.args[0], *given[:2]), given[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@_operation
def spread(typing, number):
    """One number in all lanes."""

    def generate(context, builder, signature, given):
        return _spread(builder, given[0])

    return lanes(types.float32), generate


def _two(operation: str) -> Any:
    @_operation
    def apply(typing, left, right):
        def generate(context, builder, signature, given):
            return getattr(builder, operation)(*given, flags=FAST)

        return lanes(lanes, lanes), generate

    return apply


add, times, over = _two("fadd"), _two("fmul"), _two("fdiv")


@_operation
def larger(typing, left, right):
    """The larger of the two in each lane."""

    def generate(context, builder, signature, given):
        return builder.select(builder.fcmp_ordered(">", *given), *given)

    return lanes(lanes, lanes), generate


@_operation
def total(typing, value):
    """The sum of the lanes, a number."""

    def generate(context, builder, signature, given):
        start = ir.Constant(_FLOAT, 0.0)
        return _call(builder, "llvm.vector.reduce.fadd.v16f32", _FLOAT, [start, *given], fastmath=FAST)

    return types.float32(lanes), generate


@_operation
def largest(typing, value):
    """The largest of the lanes, a number."""

    def generate(context, builder, signature, given):
        return _call(builder, "llvm.vector.reduce.fmax.v16f32", _FLOAT, given, fastmath=("nnan",))

    return types.float32(lanes), generate


@_operation
def exp2(typing, value):
    """Two to the power of each lane, to 2e-7; at least ``2**-126`` and at most ``2**127``.

    The power is split into an integer, which becomes the exponent's bits, and a rest of at most a half, for which a
    polynomial of degree 6 is good to the last bit but one.
    """

    def generate(context, builder, signature, given):
        least, most = _all(_FLOAT, -126.0), _all(_FLOAT, 127.0)
        x = builder.select(builder.fcmp_ordered("<", given[0], least), least, given[0])
        x = builder.select(builder.fcmp_ordered(">", x, most), most, x)
        whole = _call(builder, "llvm.floor.v16f32", _LANES, [builder.fadd(x, _all(_FLOAT, 0.5))])
        rest = builder.fsub(x, whole)
        power = _all(_FLOAT, float(np.float32(_POWERS[-1])))
        for coefficient in _POWERS[-2::-1]:
            constant = _all(_FLOAT, float(np.float32(coefficient)))
            power = builder.fadd(builder.fmul(power, rest, flags=FAST), constant, flags=FAST)
        bits = builder.shl(builder.add(builder.fptosi(whole, _INTS), _all(_INT, 127)), _all(_INT, 23))
        return builder.fmul(power, builder.bitcast(bits, _LANES))

    return lanes(lanes), generate


# Tiles -------------------------------------------------------------------------------------------------------------


@_operation
def rows_of(typing, value):
    """A tile with the same lanes in each row."""

    def generate(context, builder, signature, given):
        result = ir.Constant(_TILE, ir.Undefined)
        for row in range(ROWS):
            result = builder.insert_value(result, given[0], row)
        return result

    return tile(lanes), generate


@_operation
def load_rows(typing, array, at, step):
    """A tile whose row ``r`` begins at ``at + r step``."""

    def generate(context, builder, signature, given):
        result = ir.Constant(_TILE, ir.Undefined)
        for row in range(ROWS):
            place = _place(context, builder, signature.args[0], *given, row=row)
            result = builder.insert_value(result, _load(builder, place), row)
        return result

    return tile(array, types.intp, types.intp), generate


@_operation
def store_rows(typing, array, at, step, value):
    """Write a tile, row ``r`` at ``at + r step``."""

    def generate(context, builder, signature, given):
        for row in range(ROWS):
            place = _place(context, builder, signature.args[0], *given[:3], row=row)
            _store(builder, place, builder.extract_value(given[3], row))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, tile), generate


@_operation
def outer(typing, rows, array, at, step, value):
    """``rows`` plus an outer product: row ``r`` grows by ``array[at + r step]`` times ``value``."""

    def generate(context, builder, signature, given):
        result = given[0]
        for row in range(ROWS):
            number = _factor(context, builder, signature.args[1], given[1:4], row)
            grown = _sum(builder, builder.extract_value(result, row), number, given[4])
            result = builder.insert_value(result, grown, row)
        return result

    return tile(tile, array, types.intp, types.intp, lanes), generate


@_operation
def inner(typing, value, array, at, step, rows):
    """``value`` plus the rows of a tile, row ``r`` taken ``array[at + r step]`` times."""

    def generate(context, builder, signature, given):
        result = given[0]
        for row in range(ROWS):
            number = _factor(context, builder, signature.args[1], given[1:4], row)
            result = _sum(builder, result, number, builder.extract_value(given[4], row))
        return result

    return lanes(lanes, array, types.intp, types.intp, tile), generate
