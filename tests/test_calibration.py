"""The claimed errors of statistics hold as often as they say: a short form of the benchmark.

The whole table is ``python -m benchmarks.calibration``. What is held to the rule here is listed in
`HELD`; each name is a class of `montezarr.statistics`.
"""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.statistics._built_in import built_in_statistics

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are in no package that is installed
calibration = importlib.import_module("benchmarks.calibration")
sys.path.remove(str(ROOT))

HELD = [
    "Mean", "Exceedance", "Proportion", "TimeAverage", "Histogram", "Variance",
    "StandardDeviation", "Covariance", "ExpectedShortfall", "Quantile", "SobolIndices",
    "VarianceShares", "Contrast",
]  # fmt: skip
"""Statistics whose claims must hold, or have a reason in the table of the benchmark."""

IN_SEQUENCES = ["Mean"]
"""The same of confidence sequences, of the laws of `LIGHT`."""

LIGHT = ["normal", "exponential", "ties"]
SIZES = {1: 400, 2: 400, 100: 1000, 4096: 200}
LAWS = {law.name: law for law in calibration.LAWS}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", SIZES)
def test_claimed_errors_hold_by_the_rule(n, law):
    cells = calibration.coverage(LAWS[law], n, SIZES[n], HELD)
    assert cells
    bad = [str(cell) for cell in cells if cell.verdict in ("too low", "too high")]
    assert not bad


@pytest.mark.slow
@pytest.mark.parametrize("law", LIGHT)
def test_confidence_sequences_miss_in_five_of_a_hundred_streams_at_most(law):
    cells = calibration.sequences(LAWS[law], 100, 2**13, IN_SEQUENCES)
    assert cells
    assert not [str(cell) for cell in cells if cell.verdict == "too low"]


def test_every_statistic_is_tried_and_every_claim_is_found():
    law = LAWS["normal"]
    tried = {type(statistic).__name__ for statistic, _ in calibration.instances(law)}
    discrete = {type(s).__name__ for s, _ in calibration.instances(LAWS["ties"])}
    assert tried | discrete == set(built_in_statistics())
    cells = calibration.coverage(law, 100, 3)
    found = {(cell.result, cell.claim) for cell in cells}
    assert {
        ("mean", "± 1.96 se"),
        ("exceedance", "interval"),
        ("quantile 0.5", "interval"),
    } <= found
    assert {cell.repeats for cell in cells} == {3}


@pytest.mark.filterwarnings("ignore::montezarr.HeavyTailWarning")
@pytest.mark.parametrize("law", LAWS)
def test_what_is_taken_for_true_is_what_many_values_show(law):
    """Every true value is checked against the statistic itself, of 400,000 values."""
    law, n = LAWS[law], 400_000
    rng = np.random.default_rng(0)
    true = calibration.truths(law)
    checked = 0
    for statistic, along in calibration.instances(law):
        if type(statistic).__name__ in ("Moments", "Quantile", "ExpectedShortfall"):
            continue  # checked below, of plain values
        shape = (n // 4, 4) if along else (n,)
        x = xr.DataArray(law.draw(rng, shape), dims=("path", "time")[: len(shape)], name="x")
        ds = mz.reduce(calibration.seen_by(statistic, x), statistic)
        for name, wanted in true.items():
            if f"x_{name}" not in ds or f"x_{name}_se" not in ds:
                continue
            result, error = ds[f"x_{name}"], ds[f"x_{name}_se"]
            wanted = np.asarray(wanted(result) if callable(wanted) else wanted, float)
            off = np.abs(result.values - wanted) - 5 * error.values
            slack = 2e-3 + 0.2 * np.abs(wanted) * (law.name in ("t3", "lognormal"))
            assert np.all((off <= slack) | np.isnan(wanted) | np.isnan(error.values)), (name, off)
            checked += 1
    values = law.draw(rng, (n,)) - law.shift
    assert (
        abs(law.quantile(0.95) - law.shift - np.quantile(values, 0.95, method="inverted_cdf")) < 0.1
    )
    tail = np.sort(values)[-n // 20 :].mean()
    assert law.shortfall(0.95) - law.shift == pytest.approx(tail, rel=0.05, abs=0.02)
    assert checked > 5


def cell(held, repeats=1000, n=100, **more):
    return calibration.Cell("mean", "interval", "normal", n, repeats, held, **more)


def test_the_rule_is_what_the_page_says():
    least = 0.93 - 3 * math.sqrt(0.95 * 0.05 / 1000)
    assert cell(math.ceil(1000 * least)).verdict == "pass"
    assert cell(math.floor(1000 * least)).verdict == "too low"
    assert cell(1000).verdict == "too high"
    assert cell(1000, continuous=False).verdict == "pass"
    assert cell(1000, n=2).verdict == "pass"
    assert cell(1000, exact=1000).verdict == "pass"
    assert cell(0, n=1, missing=1000).verdict == "none"
    assert cell(95, n=2, missing=900).verdict == "pass"
    assert cell(900, missing=100).verdict == "too low"
    assert cell(0, reason="it is so").verdict == "it is so"
    assert cell(950, reason="it is so").verdict == "pass"


def test_a_table_says_what_holds_what_does_not_and_why():
    cells = [cell(950), cell(500, n=2), cell(500, n=4096, reason="it is so"), cell(800, n=1)]
    text = calibration.table(cells)
    assert text.splitlines()[-1] == (
        "| mean | interval | normal | **80.0** too low | **50.0** too low | 95.0 | (50.0)"
        " | it is so |"
    )
    assert calibration.summary(cells) == (
        "4 claims: 1 hold, 1 do not for a reason given, 2 do not."
    )


def test_the_page_has_the_place_for_the_tables():
    file = ROOT / "docs" / calibration.PAGE
    page = file.read_text(encoding="utf-8")
    for name, row in {
        "calibration": "| mean | ± 1.96 se | normal |",
        "prices": "| 100,000,000 |",
    }.items():
        begin, end = (page.index(f"<!-- {name}: {mark} -->") for mark in ("begin", "end"))
        assert row in page[begin:end]
    assert (file.parent / "index.md").read_text().split().count("calibration") == 1
