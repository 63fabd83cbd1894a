"""The table of risk of a job: value at risk and shortfall are those of the statistic."""

import os
import sys

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.cli import job
from montezarr.statistics.risk import estimate_risk

LOSSES = np.random.default_rng(5).standard_t(4, 30_000)

JOB = """
[process]
name = "GeometricBrownianMotion"
mu = 0.05
sigma = 0.2
[run]
n_paths = 3000
T = 4
x0 = 100.0
seed = 42
chunks = 1024
[risk]
levels = [0.99, 0.95, 0.4, 0.99]
[output]
store = "paths.zarr"
plot = "fan.png"
title = "A fan"
"""


def test_risk_is_that_of_the_statistic_level_by_level():
    levels = [0.99, 0.95, 0.975, 0.95]
    found = mz.reduce(xr.DataArray(LOSSES, dims="path", name="l"), mz.ExpectedShortfall(0.975))
    table = estimate_risk(LOSSES, levels)
    assert [risk.level for risk in table] == levels
    assert table[1] == table[3]
    for name in ("value_at_risk", "expected_shortfall"):
        for key in (name, f"{name}_se"):
            assert getattr(table[2], key) == found[f"l_{key}"].item()


@pytest.mark.parametrize("level", [0.3, 0.5, 0.9, 0.999])
def test_risk_is_the_order_statistic_and_the_mean_beyond_it(level):
    [risk] = estimate_risk(LOSSES, [level])
    ordered, n = np.sort(LOSSES), LOSSES.size
    rank = int(np.ceil(n * level))
    assert risk.value_at_risk == ordered[rank - 1]
    assert risk.expected_shortfall == pytest.approx(ordered[rank:].mean(), rel=1e-9)
    assert 0 < risk.value_at_risk_se < risk.expected_shortfall_se * 5


def test_a_level_with_few_losses_beyond_is_refused():
    assert estimate_risk(LOSSES[:1000], [0.99])
    with pytest.raises(mz.ArgumentValueError, match=r"at least 10 losses beyond, got 0\.9901"):
        estimate_risk(LOSSES[:1000], [0.9901])
    with pytest.raises(mz.ArgumentValueError, match="level"):
        mz.ExpectedShortfall(0.3)  # who gives this there means another number


def test_a_jobs_table_and_picture_are_those_of_its_store(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "job.toml").write_text(JOB)
    report = job.execute(job.prepare(job.load(tmp_path / "job.toml")))
    stored = mz.open(tmp_path / "paths.zarr")
    x = stored.x.values
    assert report.risk == estimate_risk(1 - x[:, -1] / x[:, 0], [0.99, 0.95, 0.4, 0.99])
    assert len(report.closed_form) == 4
    mz.plot.save_fan(stored.x, tmp_path / "again.png", title="A fan", xlabel="time")
    assert (tmp_path / "fan.png").read_bytes() == (tmp_path / "again.png").read_bytes()


OPENED: list[str] = []
LISTENING: list[bool] = []  # a hook cannot be taken off again


def _note_opened(event, args):
    if LISTENING and event == "open" and isinstance(args[0], str) and "/x/c/" in args[0]:
        is_read = isinstance(args[1], str) and args[1].startswith("r")
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        if is_read or (args[1] is None and not flags & (os.O_WRONLY | os.O_RDWR)):
            OPENED.append(args[0])


def test_risk_and_picture_of_a_job_come_from_one_pass(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "job.toml").write_text(
        """
[process]
name = "GeometricBrownianMotion"
mu = 0.05
sigma = 0.2
[run]
n_paths = 2000
T = 4
x0 = 100.0
seed = 42
chunks = 1024
[risk]
levels = [0.95]
[output]
store = "paths.zarr"
plot = "fan.png"
"""
    )
    with_risk = job.prepare(job.load(tmp_path / "job.toml"))
    text = (tmp_path / "job.toml").read_text().replace("[risk]\nlevels = [0.95]\n", "")
    (tmp_path / "job.toml").write_text(text)
    picture_alone = job.prepare(job.load(tmp_path / "job.toml"))
    mz.write(with_risk.ds, tmp_path / "paths.zarr")
    sys.addaudithook(_note_opened)
    counts = []
    for prepared in (picture_alone, with_risk):
        OPENED.clear()
        LISTENING.append(True)
        job.execute(prepared)
        LISTENING.clear()
        counts.append(len(OPENED))
    assert counts[0] == counts[1] > 0
