"""The product of two small factors, a few rows at a time, compiled by numba for loops that use it while it is near.

A block of ROWS x LANES of its numbers is held in a processor's registers while it grows over the rank: numba has no way
to say that, so this one loop is given to LLVM as what it is. Imported by `kernels.py` alone.

Shapes: R rank; columns are padded to a whole number of LANES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from harness.verify.lanes import LANES, ROWS

FLOAT, INT, INDEX = ir.FloatType(), ir.IntType(64), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)
FUSED = ("contract",)
"""A product and a sum may be one operation where the processor has one."""

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(*relaxed: str) -> Callable[[Function], Function]:
    """A decorator: numba, without exceptions, and with some of LLVM's relaxations of arithmetic."""
    compiler: Any = njit(fastmath=set(relaxed), error_model="numpy", boundscheck=False)

    def decorator(function: Function) -> Function:
        loop: Function = compiler(function)
        return loop

    return decorator


@compiled()
def pack(right: np.ndarray, panels: np.ndarray) -> None:
    """Lay the columns of `right` (R, columns) side by side as blocks take them: (panels, R, LANES), zeros behind."""
    rank, columns = right.shape
    for panel in range(len(panels)):
        first = panel * LANES
        for k in range(rank):
            row, lanes = right[k], panels[panel, k]
            for lane in range(LANES):
                lanes[lane] = row[first + lane] if first + lane < columns else np.float32(0)


@compiled()
def multiply(left: np.ndarray, start: int, panels: np.ndarray, group: np.ndarray, out: np.ndarray) -> None:
    """Rows `start` to `start + ROWS` of `left` (rows, R) times `panels`, to `out` (ROWS, padded columns).

    Rows beyond the last are zeros. `group` (R, ROWS) is room to work in.
    """
    rows, rank = left.shape
    for row in range(ROWS):
        for k in range(rank):
            group[k, row] = left[start + row, k] if start + row < rows else np.float32(0)
    for panel in range(len(panels)):
        _add_up(group, panels[panel], out, panel * LANES)


def _block(typing: Any, group: Any, panel: Any, out: Any, first: Any) -> Any:
    """out[:, first : first + LANES] = group.T @ panel, with all of it in registers until the end: given to LLVM."""
    signature = types.void(group, panel, out, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *matrices, first = arguments
        kinds = signature.args[: len(matrices)]
        arrays = [
            context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, matrices, strict=True)
        ]
        group, panel, out = (array.data for array in arrays)
        rank = builder.extract_value(arrays[1].shape, 0)
        width = builder.extract_value(arrays[2].shape, 1)
        before = builder.block
        loop, after = builder.append_basic_block("rank"), builder.append_basic_block("done")
        zeros = ir.Constant(VECTOR, [0.0] * LANES)
        builder.cbranch(builder.icmp_signed(">", rank, INT(0)), loop, after)

        builder.position_at_end(loop)
        k = builder.phi(INT)
        sums = [builder.phi(VECTOR) for _ in range(ROWS)]
        columns = _vector_at(builder, panel, builder.mul(k, INT(LANES)))
        grown = []
        for row, total in enumerate(sums):
            factor = builder.load(builder.gep(group, [builder.add(builder.mul(k, INT(ROWS)), INT(row))]))
            product = builder.fmul(_repeated(builder, factor), columns, flags=FUSED)
            grown.append(builder.fadd(total, product, flags=FUSED))
        next_k = builder.add(k, INT(1))
        builder.cbranch(builder.icmp_signed("<", next_k, rank), loop, after)
        for phi, first_value, next_value in zip([k, *sums], [INT(0), *[zeros] * ROWS], [next_k, *grown], strict=True):
            phi.add_incoming(first_value, before)
            phi.add_incoming(next_value, loop)

        builder.position_at_end(after)
        for row, total in enumerate(grown):
            result = builder.phi(VECTOR)
            result.add_incoming(zeros, before)
            result.add_incoming(total, loop)
            grown[row] = result
        for row, total in enumerate(grown):
            place = builder.add(builder.mul(width, INT(row)), first)
            builder.store(total, _vector_pointer(builder, out, place), align=4)
        return context.get_dummy_value()

    return signature, generate


_add_up: Any = intrinsic(_block)


def _vector_at(builder: Any, numbers: Any, index: Any) -> Any:
    return builder.load(_vector_pointer(builder, numbers, index), align=4, typ=VECTOR)


def _vector_pointer(builder: Any, numbers: Any, index: Any) -> Any:
    return builder.bitcast(builder.gep(numbers, [index]), VECTOR.as_pointer())


def _repeated(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, number, INDEX(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES))
