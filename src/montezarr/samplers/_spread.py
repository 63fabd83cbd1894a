"""Compiled code that writes paths side by side: rows of waiting values, past the caches."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from montezarr.core.tunables.memory import STREAMED_ARRAY_MIN_BYTES
from montezarr.random.draws.phases import compile_loops

ir: Any = vars(cgutils)["ir"]  # of llvmlite, which is a dependency of Numba, not of ours

WIDTH = 32
"""Bytes that are written at once, to an address that is a multiple of them."""


def _move(context: Any, source: Any, target: Any) -> Any:
    """Copy `WIDTH` bytes between two addresses, and keep the target out of the caches.

    A usual store reads the line of memory first; this one does not.
    """

    def generate(target_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.IntType(64), WIDTH // 8).as_pointer()
        source, target = (builder.inttoptr(address, vector) for address in arguments)
        stored = builder.store(builder.load(source, align=1), target, align=WIDTH)
        one = ir.Constant(ir.IntType(32), 1)
        stored.set_metadata("nontemporal", builder.module.add_metadata([one]))
        return target_context.get_dummy_value()

    return types.void(source, target), generate


def _fence(context: Any) -> Any:
    """Let no later store be seen before such a copy."""

    def generate(target_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return target_context.get_dummy_value()

    return types.void(), generate


move: Any = intrinsic(_move)
fence: Any = intrinsic(_fence)


@compile_loops
def spread(rows: Any, chosen: Any, out: Any, low: int, high: int) -> Any:
    """Write the chosen values of the waiting paths into an array with the paths last.

    Return whether all of them are finite.
    """
    is_finite, n = True, high - low
    place = out.ctypes.data + low * out.itemsize
    is_aligned = (place | out.strides[0]) & (WIDTH - 1) == 0
    past_caches = is_aligned and out.nbytes >= STREAMED_ARRAY_MIN_BYTES
    by_vector = n * out.itemsize & -WIDTH if past_caches else 0
    for k in range(len(chosen)):
        source, target = rows[chosen[k]], out[k, low:high]
        wrong = 0
        for j in range(n):
            value = source[j]
            wrong += value - value != 0  # as for NaN and infinities alone
        is_finite = is_finite and wrong == 0
        origin, place = source.ctypes.data, target.ctypes.data
        for byte in range(0, by_vector, WIDTH):
            move(origin + byte, place + byte)
        for j in range(by_vector // out.itemsize, n):
            target[j] = source[j]
    if past_caches:
        fence()
    return is_finite
