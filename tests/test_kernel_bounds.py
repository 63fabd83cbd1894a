"""No compiled loop reads or writes beside its arrays: tests of them once more, each index checked.

Compiled code does not look at its indices; one that is wrong writes into the memory of others, and
shows long after, elsewhere, or never.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import montezarr

TESTS = Path(__file__).parent

TESTED = {
    "test_quantile_bins.py": "bins, pages and ranks of quantiles and shortfalls",
    "test_tails.py": "largest values, counts between them",
    "test_statistics_per_cell.py": "moments, extremes, histograms, proportions, counts",
    "test_statistics_along_time.py": "passages, drawdowns, lags",
    "test_statistics.py::TestEveryBuiltInStatistic": "all of them, in ranges and parts",
    "test_draws.py": "rows, words and recursions of draws",
    "test_distributions.py": "quantiles of tables",
    "test_shared_draws.py": "recursions with coefficients of each path",
    "test_scenario_recursions.py::test_several_recursions_are_those_of_the_reference": (
        "recursions of several scenarios"
    ),
    "test_compiled_processes.py": "steps of processes",
    "test_events_on_grid.py": "events up to times",
    "test_path_streams.py": "streams of paths",
    "test_stopping.py::test_scattered_draws_are_the_draws_of_these_paths": "draws of single paths",
    "test_networks.py::test_python_and_compiled_code_give_the_same_bits": "events of networks",
    "test_compiled_loops.py::test_a_function_is_called_in_a_loop_and_its_paths_stay_bit_for_bit": (
        "rows of functions of a Generator"
    ),
}
"""What is run, and which of the compiled loops it has."""

LOOPS = (
    "montezarr.processes._kernels._draws",
    "montezarr.processes._kernels._uniforms",
    "montezarr.processes._kernels.diffusion",
    "montezarr.processes._kernels.events",
    "montezarr.processes._kernels.heston",
    "montezarr.processes._kernels.markov_chain",
    "montezarr.processes._kernels.poisson",
    "montezarr.processes._kernels.random_walk",
    "montezarr.random.distributions._kernel",
    "montezarr.random.draws.kernel",
    "montezarr.random.draws.phases",
    "montezarr.random.draws.scattered_kernel",
    "montezarr.random.path_states",
    "montezarr.run._grid_kernel",
    "montezarr.samplers._put",
    "montezarr.samplers._spread",
    "montezarr.statistics._kernel",
    "montezarr.statistics._kernel_bins",
    "montezarr.statistics._kernel_unions",
)
"""Every module with a compiled loop."""


def test_every_module_with_a_compiled_loop_is_known():
    source = Path(montezarr.__file__).parent
    found = {
        ".".join(("montezarr", *file.relative_to(source).with_suffix("").parts))
        for file in source.rglob("*.py")
        if re.search(r"^ *@njit\b|\bcompile_loops\b", file.read_text(), re.MULTILINE)
    }
    assert found == set(LOOPS)


@pytest.mark.slow
def test_no_index_is_out_of_bounds(checked):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(str(TESTS / tested) for tested in TESTED)],
        env=checked, cwd=TESTS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.slow
def test_an_index_out_of_bounds_would_be_found(checked):
    """A loop that is compiled as ours are reads beside its array: that is an error there."""
    code = (
        "import numpy as np\n"
        "from montezarr.random.draws.phases import compile_loops\n"
        "def read(x, i):\n    return x[i]\n"
        "print(compile_loops(read)(np.zeros(2), 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=checked, capture_output=True, text=True, check=False
    )
    assert "IndexError: index is out of bounds" in done.stderr


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Return the environment in which Numba checks indices; what it compiles is kept apart."""
    folder = tmp_path_factory.mktemp("compiled")
    return {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(folder)}
