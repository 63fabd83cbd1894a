"""Greeks by common noise: the benchmark of them, to a coarser tolerance."""

import importlib
import sys
from pathlib import Path

import pytest

import montezarr as mz

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are in no package that is installed
greeks = importlib.import_module("benchmarks.greeks")
sys.path.remove(str(ROOT))

DIFFERENCES = {difference.name: difference for difference in greeks.differences()}
TOLERANCE, SEED = 0.02, 5


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_run_without_end_stops_near_the_exact_value(name):
    difference = DIFFERENCES[name]
    found = greeks.found(difference, TOLERANCE, SEED)
    assert abs(found.z) <= greeks.FARTHEST
    assert found.error <= TOLERANCE * difference.coarser * abs(found.value)
    assert found.paths >= mz.StandardError(rel=TOLERANCE).at_least
    assert found.ratio >= difference.least
    assert found.reached


def test_exact_values_are_those_of_other_formulas():
    assert greeks.black_scholes() == pytest.approx(9.413403383853016, rel=1e-12)
    assert greeks.heston(1e-3) == pytest.approx(greeks.black_scholes(), abs=1e-3)
    step = 1e-4
    by_difference = (greeks.black_scholes(100 + step) - greeks.black_scholes(100 - step)) / 2 / step
    assert DIFFERENCES["delta"].exact == pytest.approx(by_difference, rel=1e-6)
