"""Machine code from the cache on disk: that of the loop, and of the sources as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import montezarr as mz

pytestmark = pytest.mark.slow  # they compile
FIRST = """
import sys
import numpy as np
from montezarr.random.draws import kernel

def filled(kind, dtype="float64"):
    out = np.empty((2, 5), dtype)
    kernel.fill(kind, (1, 2), 0, 0, 0, out)
    return out

"""

CHECK = """
from montezarr.random.draws import reference

for kind in ("uniform", "normal", "exponential"):
    for dtype in ("float64", "float32"):
        wanted = np.empty((2, 5), dtype)
        reference.fill(kind, (1, 2), 0, 0, 0, wanted)
        assert filled(kind, dtype).tobytes() == wanted.tobytes(), (kind, dtype)
"""


def run(code, cache, package=None):
    """Run code in a process of its own that keeps machine code in `cache`."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    if package is not None:
        env["PYTHONPATH"] = str(package)
    done = subprocess.run(
        [sys.executable, "-c", FIRST + code], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("at", [0, 1])
def test_loops_that_several_processes_compiled_first_are_not_mistaken_for_each_other(tmp_path, at):
    """Each is the first of its process, so that Numba counts them alike."""
    for kind in ("uniform", "normal", "exponential"):
        run(f"filled({kind!r}, {['float64', 'float32'][at]!r})", tmp_path)
    run(CHECK, tmp_path)


def test_code_for_other_arguments_is_not_run(tmp_path):
    """What two processes leave that save code for different arguments at the same time."""
    run("filled('normal', 'float64')\nfilled('normal', 'float32')", tmp_path)
    same = """
loop, = (f for f in kernel._FILL["normal"][:1])
from montezarr.random.draws.phases import u64
for columns in (5, 6):
    out = np.empty((2, columns))
    loop(u64(1), u64(2), u64(0), 0, u64(0), out if columns == 5 else np.asfortranarray(out))
    assert columns == 6 or out.tobytes() == filled("normal").tobytes()
print(sum(loop.stats.cache_hits.values()))
"""
    assert int(run(same, tmp_path)) == 1
    first, second = sorted(tmp_path.rglob("*fill64_kind_1*.nbc"))
    code = second.read_bytes()
    shutil.copy(first, second)
    assert int(run(same, tmp_path)) == 1  # the other is compiled again
    assert len(second.read_bytes()) == len(code)
    assert int(run(same, tmp_path)) == 2


def test_code_of_other_sources_is_not_run(tmp_path):
    """A loop contains code of other modules: when one of these changes, it is compiled again."""
    package = tmp_path / "package"
    shutil.copytree(
        Path(mz.__file__).parent, package / "montezarr", ignore=shutil.ignore_patterns("*.nb?")
    )
    show = "print(filled('uniform').max() < 1.0)"
    assert run(show, tmp_path / "cache", package) == "True\n"
    phases = package / "montezarr/random/draws/phases.py"
    source = phases.read_text()
    changed = source.replace("row[j] = f64(u[j]) * 2.0**-64", "row[j] = f64(u[j]) * 2.0**-60")
    assert changed != source
    phases.write_text(changed)
    assert run(show, tmp_path / "cache", package) == "False\n"
