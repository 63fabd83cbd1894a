"""The compiled loops of draws are vectors of the full width, several of them side by side."""

import json
import os
import platform
import subprocess
import sys

import pytest

from montezarr.random.draws import has_kernel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_kernel(), reason="needs Numba"),
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly"),
]

READ = r"""
import json, re
import numpy as np, numba
from montezarr.random.draws import kernel, phases

for dtype in ("float64", "float32"):
    for exponential in (True, False):
        loop = kernel._RECURSION[exponential][dtype == "float32"].py_func
        out, x0, word = np.empty((6, 100), dtype), np.ones(100, dtype), np.uint64(1)
        numba.njit(error_model="numpy")(loop)(
            word, word, word, word, np.ones((3, 5)), np.empty(0, dtype), x0, np.arange(6), out, 0
        )

def innermost(lines):
    "Yield the lines of each loop without a loop in it."
    places = {m[1]: i for i, line in enumerate(lines) if (m := re.match(r"(\.?\w+):", line))}
    ends = [(places[m[1]], i) for i, line in enumerate(lines)
            if (m := re.match(r"\s+j\w+\s+(\.\w+)", line)) and places.get(m[1], i) < i]
    for first, last in ends:
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in ends):
            yield lines[first + 1 : last + 1]

found = {}
for module in (phases, kernel):
    for name, function in vars(module).items():
        names = function.py_func.__code__.co_names if hasattr(function, "py_func") else ()
        if "alone" not in names or not function.signatures:
            continue
        lines = [x for x in "\n".join(function.inspect_asm().values()).splitlines()
                 if x.strip() and not x.strip().startswith((";", "#"))]
        loops = [b for b in innermost(lines) if any(re.search("[xyz]mm", x) for x in b)]
        width = 512 if any("zmm" in x for b in loops for x in b) else 256
        wide = "zmm" if width == 512 else "ymm"
        best = max(loops, key=lambda b: sum(wide in x for x in b))
        found[name] = {
            "width": width if any(wide in x for x in best) else 128,
            "instructions": len(best),
            "roots": sum("sqrtp" in x for x in best),
            "spills": sum(bool(re.search(r"[xyz]mm\d+, -?\d*\(%r[sb]p\)", x)) for x in best),
        }
print(json.dumps(found))
"""

MOST = {
    "words64": (66, 2), "radius64": (44, 2), "_advance_two": (62, 4), "_scale_small_exp64": (35, 4),
    "radius32": (38, 4), "normal32": (42, 4), "_scale_small_exp32": (27, 4),
}  # fmt: skip
"""Instructions for one vector of 512 bits, at most, and vectors that a loop has side by side."""


def loops_on(processor, cache):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    if processor is not None:
        env |= {
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CPU_FEATURES": "+avx2,+avx,+bmi,+bmi2,+fma,+lzcnt",
        }
    done = subprocess.run(
        [sys.executable, "-c", READ], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loops = json.loads(done.stdout)
    del loops["_round32"]  # reads full vectors from memory, of which it makes halves
    return loops


def has(feature):
    from llvmlite import binding

    return bool(binding.get_host_cpu_features().get(feature))


def assert_interleaved(loops):
    for name in ("radius64", "radius32"):  # one square root for each vector
        assert loops[name]["roots"] == MOST[name][1], name


def test_loops_have_vectors_of_512_bits(tmp_path):
    if not (has("avx512f") and has("avx512dq")):
        pytest.skip("this processor has no such vectors")
    loops = loops_on(None, tmp_path)
    assert set(MOST) <= set(loops)
    assert {name: loop["width"] for name, loop in loops.items() if loop["width"] != 512} == {}
    assert {name: loop["spills"] for name, loop in loops.items() if loop["spills"]} == {}
    for name, (most, vectors) in MOST.items():
        assert loops[name]["instructions"] <= most * vectors, name
    assert_interleaved(loops)


def test_loops_have_vectors_of_256_bits_on_older_processors(tmp_path):
    if not has("avx2"):
        pytest.skip("this processor has no such vectors")
    loops = loops_on("x86-64-v3", tmp_path)
    assert {name: loop["width"] for name, loop in loops.items() if loop["width"] != 256} == {}
    assert_interleaved(loops)
