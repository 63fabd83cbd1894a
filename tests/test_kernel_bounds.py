"""No compiled loop reads or writes beside its arrays: tests of them once more, each index checked.

Compiled code does not look at its indices; one that is wrong writes into the memory of others, and
shows long after, elsewhere, or never.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

FILES = ("test_quantile_bins.py",)


@pytest.mark.slow
def test_no_index_is_out_of_bounds(tmp_path):
    names = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(TESTS / name for name in FILES)],
        env={**os.environ, **names}, cwd=TESTS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
