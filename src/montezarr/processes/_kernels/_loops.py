"""Loops of NumPy called from compiled code, for the bits of its `exp`, `log` and so on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from montezarr.core.compat.numpy_loops import loop_of

ir: Any = vars(cgutils)["ir"]  # of llvmlite, which is a dependency of Numba, not of ours


def addresses_of(*functions: Any) -> Any:
    """Return the addresses (functions, 2) of loops and of their data; None if one is unknown."""
    found = [loop_of(function) for function in functions]
    return None if None in found else np.array(found, np.int64)


def _call_loop(
    context: Any, address: Any, data: Any, array: Any, source: Any, target: Any, n: Any
) -> Any:
    """Compute ``array[target:][:n] = function(array[source:][:n])`` by the loop at an address.

    Places in one array, not slices: a slice counts references, which takes longer than its use.
    """
    word = types.int64
    signature = types.void(word, word, array, word, word, word)

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        places = cgutils.alloca_once(builder, ir.ArrayType(pointer, 2))
        sizes = cgutils.alloca_once(builder, ir.ArrayType(word, 3))
        array = target.make_array(signature.args[2])(target, builder, arguments[2])
        for i in (0, 1):
            start = builder.gep(array.data, [arguments[3 + i]])
            at = cgutils.gep_inbounds(builder, places, 0, i)
            builder.store(builder.bitcast(start, pointer), at)
            builder.store(ir.Constant(word, 8), cgutils.gep_inbounds(builder, sizes, 0, 1 + i))
        builder.store(arguments[5], cgutils.gep_inbounds(builder, sizes, 0, 0))
        kinds = [pointer.as_pointer(), word.as_pointer(), word.as_pointer(), pointer]
        loop = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(loop, [
            cgutils.gep_inbounds(builder, places, 0, 0),
            cgutils.gep_inbounds(builder, sizes, 0, 0),
            cgutils.gep_inbounds(builder, sizes, 0, 1),
            builder.inttoptr(arguments[1], pointer),
        ])  # fmt: skip
        return target.get_dummy_value()

    return signature, generate


call_loop: Any = intrinsic(_call_loop)
