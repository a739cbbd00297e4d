"""Machine instructions that compiled loops need and Python has no word for: whole words of a text, 64 bytes at once.

Words are read little-endian and need not be aligned. A text is bytes, uint8, and goes on for 64 bytes after ``place``.
Import inside functions, as ``kernels``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import extending, types

NEWLINE, RETURN = 10, 13


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, which writes the machine's instructions, as one that compiled code may call."""
    return cast(Callable[..., Any], extending.intrinsic(function))


def _loaded(context: Any, builder: Any, signature: Any, args: Any, kind: ir.Type) -> Any:
    """LLVM value of type ``kind`` at byte ``args[1]`` of the array ``args[0]``, which need not be aligned."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    pointer = builder.inttoptr(builder.add(builder.ptrtoint(data, ir.IntType(64)), args[1]), kind.as_pointer())
    return builder.load(pointer, align=1)


@intrinsic
def word32(_context: Any, text: Any, place: Any) -> Any:
    """Four bytes of ``text`` from ``place`` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _loaded(context, builder, signature, args, ir.IntType(32))

    return types.uint32(text, types.int64), generate


@intrinsic
def word64(_context: Any, text: Any, place: Any) -> Any:
    """Eight bytes of ``text`` from ``place`` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _loaded(context, builder, signature, args, ir.IntType(64))

    return types.uint64(text, types.int64), generate


@intrinsic
def controls(_context: Any, text: Any, place: Any) -> Any:
    """Which of 64 bytes from ``place`` on are below 14 (tabs and line ends among them), as bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)
        values = _loaded(context, builder, signature, args, vector)
        below = builder.icmp_unsigned("<", values, ir.Constant(vector, [RETURN + 1] * 64))
        return builder.bitcast(below, ir.IntType(64))

    return types.uint64(text, types.int64), generate


@intrinsic
def newlines(_context: Any, text: Any, place: Any) -> Any:
    """How many of 64 bytes from ``place`` on are newlines."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)
        values = _loaded(context, builder, signature, args, vector)
        equal = builder.icmp_unsigned("==", values, ir.Constant(vector, [NEWLINE] * 64))
        return builder.ctpop(builder.bitcast(equal, ir.IntType(64)))

    return types.int64(text, types.int64), generate


@intrinsic
def newline_bits(_context: Any, text: Any, place: Any) -> Any:
    """Which of 64 bytes from ``place`` on are newlines, as bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), 64)
        values = _loaded(context, builder, signature, args, vector)
        equal = builder.icmp_unsigned("==", values, ir.Constant(vector, [NEWLINE] * 64))
        return builder.bitcast(equal, ir.IntType(64))

    return types.uint64(text, types.int64), generate


@intrinsic
def lowest(_context: Any, word: Any) -> Any:
    """Place of the lowest bit that is set in ``word``."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
