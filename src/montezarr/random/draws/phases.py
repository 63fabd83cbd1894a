"""Compiled arithmetic of the draws, as short loops over tiles of paths.

The numbers are those of `reference`, bit for bit. Each loop is one phase (words, radius, angle): it
reads and writes arrays in the first-level cache. In one loop, the phases would form a chain of 250
cycles, of which a processor overlaps too few; as loops of 40 to 60 instructions it overlaps many.

``error_model="numpy"`` drops Numba's test for division by zero, a branch that would keep LLVM from
vectorising. Numba does not use fused multiply-add without ``fastmath``, so each operation rounds as
in NumPy. Operations of `reference` are left out only where they are exact: products with powers of
two go into constants, and integers are read out of the bits of a float instead of converted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from montezarr.core.compat.llvmlite import add_attribute, interleave_loops
from montezarr.core.compat.numba import keep_apart
from montezarr.random.draws import reference as ref


def inline(function: Callable[..., Any]) -> Any:
    """Compile as a part of the loops that call it."""
    return njit(inline="always", error_model="numpy")(function)


LOOPS = ("random/d*/*.py", "processes/_kernels/*.py", "statistics/_kernel*.py")
"""Where the modules are whose compiled loops contain parts of one another."""


@cache
def _sources() -> str:
    """Return a digest of all modules with compiled loops."""
    package = Path(__file__).parents[2]
    files = sorted(file for names in LOOPS for file in package.glob(names))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def compile_loops(function: Callable[..., Any]) -> Any:
    """Compile without the GIL, and cache the machine code on disk if a directory is writable.

    Functions that differ in the values of their closures get names of their own. Numba names
    machine code by the function and a count of the process that compiles it, and the linker takes
    the first code of a name: of two loops of one name from the cache, one would run for both.
    """
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        value = cell.cell_contents
        shown = re.sub(r"\W", "_", str(getattr(value, "__qualname__", value)))
        function.__qualname__ += f"_{name}_{shown}"
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # no writable cache directory, such as in a read-only container
        return njit(**options)(function)
    keep_apart(compiled, _sources())
    return compiled


def _widest(context: Any) -> Any:
    """Ask LLVM for 512-bit vectors if the processor has them; its default, 256, is 25 % slower."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # A hint to the vectoriser, which ignores unsupported widths.
        add_attribute(builder.function, '"prefer-vector-width"="512"')
        return target.get_dummy_value()

    return types.void(), generate


def _alone(context: Any) -> Any:
    """Keep LLVM from merging a loop with its callers, whose registers it would then share."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        add_attribute(builder.function, "noinline")
        add_attribute(builder.function, '"prefer-vector-width"="512"')
        return target.get_dummy_value()

    return types.void(), generate


def _interleaved(context: Any, count: Any) -> Any:
    """Compute `count` vectors side by side in the loop above, for processors that look less ahead.

    An older processor (Zen 1, AVX2) sees little more than one vector's chain of operations at a
    time; LLVM itself interleaves only small loops. Bits do not depend on it.
    """

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        constant = target.get_constant(types.int32, count.literal_value)
        interleave_loops(builder.function, constant)
        return target.get_dummy_value()

    return types.void(count), generate


widest_vectors: Any = intrinsic(_widest)
alone: Any = intrinsic(_alone)
interleaved: Any = intrinsic(prefer_literal=True)(_interleaved)
phase = njit(error_model="numpy")
"""Decorator of a phase. Each writes few arrays: LLVM vectorises only after few comparisons of
addresses, which show that no two overlap."""

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64

# Paths per tile. Not a power of two: rows 4096 bytes apart would share cache sets and store
# buffers ("4K aliasing"), which costs a fifth of the speed.
TILE, TILE32 = 480, 992
MASK, SHIFT = u64(0xFFFFFFFF), u64(32)
M0, M1, W0, W1 = u64(0xD2511F53), u64(0xCD9E8D57), u64(0x9E3779B9), u64(0xBB67AE85)
HIGH_21 = u64(0xFFFFF800)
"""The bits of a lower word that a number of 53 bits uses."""

L1, L2, L3, L4, L5, L6, L7 = ref.LOG64
S1, S2, S3, S4, S5, S6 = ref.SIN64
C1, C2, C3, C4, C5, C6 = ref.COS64
E1, E2, E3, E4, E5 = ref.EXP64
LN2, (LN2H, LN2L) = ref.LN2, ref.LN2_64
ROUND = ref.ROUND64
QUARTERS, QUARTER = ROUND * 2.0**62, 1.5707963267948966 * 2.0**-62
"""Rounds to multiples of 2**62, a quarter of the circle 2**64; the angle of 2**0."""

l1, l2, l3, l4 = (f32(x) for x in ref.LOG32)
s1, s2, s3 = (f32(x) for x in ref.SIN32)
c1, c2, c3 = (f32(x) for x in ref.COS32)
e1, e2, e3, e4, e5, e6 = (f32(x) for x in ref.EXP32)
ln2h, ln2l = (f32(x) for x in ref.LN2_32)
half32, one32, two32 = f32(0.5), f32(1), f32(2)
scale24 = f32(2.0**-24)
quarters32, quarter32 = f32(ref.ROUND32 * 2.0**30), f32(1.5707963267948966) * f32(2.0**-30)


@inline
def philox(x0, x1, x2, x3, k0, k1):
    """Return the words of a counter, with arbitrary bits above bit 32."""
    # The words are masked before each multiplication: the vector multiplier ignores higher bits
    # anyway, so the masks cost nothing.
    for number in range(10):
        p0 = M0 * (x0 & MASK)
        p1 = M1 * (x2 & MASK)
        r0 = (k0 + u64(number) * W0) & MASK
        r1 = (k1 + u64(number) * W1) & MASK
        x0, x1, x2, x3 = (p1 >> SHIFT) ^ x1 ^ r0, p1, (p0 >> SHIFT) ^ x3 ^ r1, p0
    return x0, x1, x2, x3


@inline
def tile_size(path, low, n, most):
    """Return how many of the paths low ... n-1 make a tile: with one upper word of the index."""
    left = i64(u64(2**32) - ((path + u64(low)) & MASK))
    return min(most, n - low, left)


# --- float64 ---------------------------------------------------------------------------------


@inline
def _log64(v, exponent, times):
    """Return -log(v * 2**-exponent) * times, where times is 1 or 2, so that products are exact."""
    bits = i64(f64(v).view(i64) + i64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD))
    # A small integer in the low bits of 2**52 is that number plus 2**52.
    k = u64((u64(bits) >> u64(52)) | u64(0x4330000000000000)).view(f64)
    k = k - (4503599627370496.0 + 1023.0 + exponent)
    mantissa = i64((bits & i64(0x000FFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD))
    f = mantissa.view(f64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (times * L2 + w * (times * L4 + w * (times * L6)))
    even = z * (times * L1 + w * (times * L3 + w * (times * L5 + w * (times * L7))))
    half = (times * 0.5) * f * f
    inner = s * (half + (odd + even)) + k * (times * LN2L)
    return ((half - inner) - times * f) - k * (times * LN2H)


@inline
def neg_log64(u):
    """Return -log(u) for u in [2**-53, 1]."""
    return _log64(u, 0.0, 1.0)


@inline
def _cos_sin64(v):
    """Return cosine and sine of the angle v out of 2**64."""
    t = v + QUARTERS
    r = (v - (t - QUARTERS)) * QUARTER
    z = r * r
    sine = r + r * z * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * S6)))))
    poly = C1 + z * (C2 + z * (C3 + z * (C4 + z * (C5 + z * C6))))
    cosine = 1.0 - 0.5 * z + z * z * poly
    n = f64(t).view(u64)  # the number of quarters, in the low bits
    c = sine if (n & u64(1)) != 0 else cosine
    s = cosine if (n & u64(1)) != 0 else sine
    sign = u64(1 << 63)
    c = u64(f64(c).view(u64) ^ (((n + u64(1)) << u64(62)) & sign)).view(f64)
    s = u64(f64(s).view(u64) ^ ((n << u64(62)) & sign)).view(f64)
    return c, s


@inline
def exp64(x):
    """Return e**x; 0 and inf where it leaves the range of numbers."""
    x = -746.0 if x < -746.0 else x  # in this form, NaN stays NaN
    x = 710.0 if x > 710.0 else x
    k = (x * 1.44269504088896338700e00 + ROUND) - ROUND
    y = _exp_rest(x, k)
    n = i64(i32(k))
    half = i64(n >> i64(1))
    first = i64((half + i64(1023)) << i64(52)).view(f64)
    return y * first * i64((n - half + i64(1023)) << i64(52)).view(f64)


@inline
def small_exp64(x):
    """Return e**x for abs(x) <= 700, for which it and its powers of two are normal numbers."""
    t = x * 1.44269504088896338700e00 + ROUND
    y = _exp_rest(x, t - ROUND)
    # The low bits of t are the power of two; all others leave at the upper end.
    return i64(f64(y).view(i64) + (f64(t).view(i64) << i64(52))).view(f64)


@inline
def _exp_rest(x, k):
    high = x - k * LN2H
    low = k * LN2L
    r = high - low
    t = r * r
    c = r - t * (E1 + t * (E2 + t * (E3 + t * (E4 + t * E5))))
    return 1.0 - ((low - (r * c) / (2.0 - c)) - high)


@phase
def words64(k0, k1, path, n, group, slot, u, v):
    """Fill u and v with two numbers of 53 bits for each path, times 2**11."""
    alone()
    high, low = path >> SHIFT, path & MASK
    for j in range(n):
        w0, w1, w2, w3 = philox(group, low + u64(j), high, slot, k0, k1)
        u[j] = (w1 << SHIFT) | (w0 & HIGH_21)
        v[j] = (w3 << SHIFT) | (w2 & HIGH_21)
    interleaved(2)


@phase
def uniform64(u, row, n):
    """Fill a row with uniform numbers."""
    alone()
    for j in range(n):
        row[j] = f64(u[j]) * 2.0**-64


@phase
def exponential64(u, row, n):
    """Fill a row with exponential numbers."""
    alone()
    for j in range(n):
        row[j] = _log64(f64(u[j]) + 2048.0, 64.0, 1.0)
    interleaved(2)


@phase
def radius64(u, radius, n):
    """Fill a row with the radii of pairs of normal numbers."""
    alone()
    for j in range(n):
        radius[j] = np.sqrt(_log64(f64(u[j]) + 2048.0, 64.0, 2.0))
    interleaved(2)


@inline
def pair64(radius, v):
    """Return two normal numbers."""
    cosine, sine = _cos_sin64(f64(v))
    return radius * cosine, radius * sine


@phase
def normal64(radius, v, row0, row1, n):
    """Fill two rows with normal numbers."""
    alone()
    for j in range(n):
        row0[j], row1[j] = pair64(radius[j], v[j])
    interleaved(4)


# --- float32 ---------------------------------------------------------------------------------


@inline
def _log32(word, times):
    """Return -log((word + 1/2) * 2**-32) * times, where times is 1 or 2."""
    bits = i32(f32(f32(word) + half32).view(i32) + i32(0x3F800000 - 0x3F3504F3))
    k = i32((bits >> i32(23)) | i32(0x4B000000)).view(f32) - f32(8388608.0 + 127.0 + 32.0)
    mantissa = i32(i32(bits & i32(0x007FFFFF)) + i32(0x3F3504F3))
    f = f32(mantissa.view(f32) - one32)
    s = f / (two32 + f)
    z = s * s
    w = z * z
    odd = w * (times * l2 + w * (times * l4))
    even = z * (times * l1 + w * (times * l3))
    half = (times * half32) * f * f
    inner = s * (half + (odd + even)) + k * (times * ln2l)
    return ((half - inner) - times * f) - k * (times * ln2h)


@inline
def _cos_sin32(word):
    """Return cosine and sine of the angle of a word out of 2**32."""
    v = f32(i32(word))
    t = v + quarters32
    r = (v - (t - quarters32)) * quarter32
    z = r * r
    sine = r + r * z * (s1 + z * (s2 + z * s3))
    cosine = one32 - half32 * z + z * z * (c1 + z * (c2 + z * c3))
    n = f32(t).view(u32)
    c = sine if (n & u32(1)) != 0 else cosine
    s = cosine if (n & u32(1)) != 0 else sine
    sign = u32(1 << 31)
    c = u32(f32(c).view(u32) ^ u32(u32(u32(n + u32(1)) << u32(30)) & sign)).view(f32)
    s = u32(f32(s).view(u32) ^ u32(u32(n << u32(30)) & sign)).view(f32)
    return c, s


@phase
def words32(k0, k1, path, n, group, slot, w):
    """Fill four rows with the words of each path."""
    alone()
    high, low = path >> SHIFT, path & MASK
    a, b, c, d = w[0], w[1], w[2], w[3]
    for j in range(n):
        w0, w1, w2, w3 = philox(group, low + u64(j), high, slot, k0, k1)
        a[j] = u32(w0)
        b[j] = u32(w1)
        c[j] = u32(w2)
        d[j] = u32(w3)


@phase
def uniform32(w, row, n):
    """Fill a row with uniform numbers."""
    alone()
    for j in range(n):
        row[j] = f32(i32(w[j] >> u32(8))) * scale24


@phase
def exponential32(w, row, n):
    """Fill a row with exponential numbers."""
    alone()
    for j in range(n):
        row[j] = _log32(w[j], one32)
    interleaved(4)


@phase
def radius32(w, radius, n):
    """Fill a row with the radii of pairs of normal numbers."""
    alone()
    for j in range(n):
        radius[j] = np.sqrt(_log32(w[j], two32))
    interleaved(4)


@phase
def normal32(radius, w, row0, row1, n):
    """Fill two rows with normal numbers."""
    alone()
    for j in range(n):
        cosine, sine = _cos_sin32(w[j])
        row0[j] = radius[j] * cosine
        row1[j] = radius[j] * sine
    interleaved(4)
