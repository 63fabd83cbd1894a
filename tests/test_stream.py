"""Streams: where they stop and with which bits, what they promise there, and taking them up again.

Workers are real processes, and what is killed is killed.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import backend_samplers as samplers
import numpy as np
import pytest
import xarray as xr
from leaks import check_nothing_left, snapshot
from patience import PATIENCE, until

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.random.seeding import BLOCK
from montezarr.reduction.streaming._snapshot import half_width
from montezarr.statistics._built_in import built_in_statistics

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
HERE = os.path.dirname(__file__)
NO_STATE = r"resume_from: expected a file that Snapshot\.save wrote"


def payoff_of(ds):
    return (ds.x.isel(time=-1) - 100).clip(min=0).rename("payoff")


def payoff(n_paths=None, seed=42, **options):
    """Return a call's payoff; its standard error is 14.7 / sqrt(n), and its mean 10.5."""
    ds = mz.simulate(GBM, n_paths=n_paths, T=2, dt=0.5, x0=100.0, seed=seed, **options)
    return payoff_of(ds)


def values(n, seed=1):
    """Return values in memory, exponential with mean 1."""
    return xr.DataArray(np.random.default_rng(seed).exponential(size=n), dims="path", name="x")


def marks_of(stream):
    return [snap.paths for snap in stream]


def last_of(stream):
    *_, last = stream
    return last


def assert_same(stream, wanted):
    """Assert that a stream's snapshots are some others, paths, reasons and bits."""
    found = list(stream)
    assert [s.paths for s in found] == [s.paths for s in wanted]
    assert [s.stopped for s in found] == [s.stopped for s in wanted]
    for a, b in zip(found, wanted, strict=True):
        xr.testing.assert_identical(a.dataset, b.dataset)


def estimates(snap):
    """Return the results of a snapshot without its confidence sequences."""
    names = [name for name in snap.dataset if not name.endswith(("_cs_low", "_cs_high"))]
    return snap.dataset[names].drop_attrs()


# The same everywhere.

RULE = mz.StandardError(rel=0.015, of=("payoff_mean", "payoff_std"))
STATISTICS = ["mean", "std", "q05", "q95", mz.Histogram(), mz.Extrema(k=3)]


def rough():
    """Return an object that is computed chunk by chunk, in chunks that are no blocks."""
    return payoff(30_000).chunk(path=777)


@pytest.fixture(scope="module")
def one_by_one():
    """Return the snapshots of one worker in this process, of all kinds of objects."""
    with mz.backend("synchronous"):
        return {
            "endless": list(mz.stream(payoff(), STATISTICS, RULE)),
            "chunks": list(mz.stream(rough(), STATISTICS, RULE)),
        }


BACKENDS = [(name, n) for name in ("threads", "processes", "dask") for n in (1, 2)]


@pytest.mark.parametrize(("name", "workers"), BACKENDS)
def test_a_stream_stops_at_the_same_paths_with_the_same_bits_everywhere(name, workers, one_by_one):
    with mz.backend(name, workers):
        assert_same(mz.stream(payoff(), STATISTICS, RULE), one_by_one["endless"])
        assert_same(mz.stream(rough(), STATISTICS, RULE), one_by_one["chunks"])


def test_chunks_change_neither_the_stop_nor_the_estimates(one_by_one):
    for a, b in zip(one_by_one["endless"], one_by_one["chunks"], strict=True):
        assert (a.paths, a.stopped) == (b.paths, b.stopped)
        xr.testing.assert_identical(a.dataset.drop_attrs(), b.dataset.drop_attrs())


@pytest.mark.parametrize("kind", ["endless", "chunks"])
def test_every_snapshot_is_what_reduce_makes_of_its_paths(kind, one_by_one):
    for snap in one_by_one[kind][::4] + one_by_one[kind][-1:]:
        for obj in (payoff(snap.paths), payoff(30_000).isel(path=slice(0, snap.paths))):
            xr.testing.assert_identical(estimates(snap), mz.reduce(obj, STATISTICS).drop_attrs())


@pytest.mark.parametrize("chunks", [None, 2048])
def test_a_stream_without_end_is_that_of_a_number_of_paths(chunks):
    n = 11 * BLOCK
    endless = list(mz.stream(payoff(), STATISTICS, mz.PathCount(n)))
    fixed = list(mz.stream(payoff(n, chunks=chunks), STATISTICS))
    assert [s.paths for s in endless] == [s.paths for s in fixed]
    assert (endless[-1].stopped, fixed[-1].stopped) == ("11,264 paths", "all paths")
    for a, b in zip(endless, fixed, strict=True):
        xr.testing.assert_identical(a.dataset.drop_attrs(), b.dataset.drop_attrs())
        assert a.dataset.attrs["n_paths"] == b.dataset.attrs["n_paths"] == a.paths


def test_the_last_paths_may_be_no_whole_block():
    for obj in (payoff(2500), payoff(2500).chunk(path=777), payoff(2500).compute()):
        found = list(mz.stream(obj, STATISTICS))
        assert [s.paths for s in found] == [1024, 2048, 2500]
        assert found[-1].stopped == "all paths"
        xr.testing.assert_identical(
            estimates(found[-1]), mz.reduce(payoff(2500), STATISTICS).drop_attrs()
        )
    assert [s.paths for s in mz.stream(payoff(5), "mean")] == [5]


def test_snapshots_stay_as_they_are_when_the_stream_goes_on(tmp_path, one_by_one):
    stream = mz.stream(rough(), STATISTICS, RULE)
    early = next(stream)
    late = last_of(stream)
    early.save(tmp_path / "early")
    late.save(tmp_path / "late")
    assert_same(mz.stream(rough(), STATISTICS, RULE, resume_from=tmp_path / "early"),
                one_by_one["chunks"])  # fmt: skip
    xr.testing.assert_identical(early.dataset, one_by_one["chunks"][0].dataset)


# Where snapshots come.


def test_marks_are_fixed_in_advance():
    blocks = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48]
    obj = values(50 * BLOCK)
    assert marks_of(mz.stream(obj, "mean")) == [BLOCK * b for b in [*blocks, 50]]
    assert marks_of(mz.stream(obj, "mean", mz.PathCount(31 * BLOCK))) == [
        BLOCK * b for b in [*blocks[:15], 31]
    ]
    for every, step in ((1, 1), (1024, 1), (1025, 2), (10_000, 10)):
        found = marks_of(mz.stream(obj, "mean", mz.PathCount(20_000), every=every))
        assert found == [*range(step * BLOCK, 20_000, step * BLOCK), 20_480]


def test_rules_are_asked_at_the_marks_and_nowhere_else():
    asked = []

    class Asked(mz.stream.__globals__["Until"]):
        def reason(self, reached):
            asked.append(reached.paths)
            return "enough" if reached.paths > 10 * BLOCK else None

    found = list(mz.stream(payoff(), "mean", Asked(), every=4 * BLOCK))
    assert asked == [s.paths for s in found] == [4 * BLOCK, 8 * BLOCK, 12 * BLOCK]
    assert [s.stopped for s in found] == [None, None, "enough"]


# Rules.


def test_paths_are_rounded_up_to_blocks():
    for n, stop in ((1, 1024), (1024, 1024), (1025, 2048), (9000, 9216)):
        last = last_of(mz.stream(payoff(), "mean", mz.PathCount(n)))
        assert (last.paths, last.stopped) == (stop, f"{n:,} paths")
    # All the paths there are come first.
    assert last_of(mz.stream(payoff(1500), "mean", mz.PathCount(10_000))).stopped == "all paths"


def test_seconds_stop_at_the_next_mark():
    ds = mz.simulate(samplers.Loop(), n_paths=None, T=5, x0=1.0, seed=1)
    with mz.backend("synchronous"):
        *before, last = mz.stream(ds, "mean", mz.Seconds(0.3), every=BLOCK)
        assert last.stopped == "0.3 s"
        assert all(snap.seconds < 0.3 for snap in before)
        assert last.seconds >= 0.3
        assert last_of(mz.stream(ds, "mean", mz.Seconds(1e-9))).paths == BLOCK


def test_standard_errors_stop_as_soon_as_they_are_small_enough():
    def stop(rule):
        return list(mz.stream(payoff(), ["mean", "q95"], rule))

    found = stop(mz.StandardError(abs=0.15, of="payoff_mean"))
    errors = [s["payoff_mean_se"].item() for s in found]
    assert errors[-1] <= 0.15 < min(errors[:-1])
    assert found[-1].stopped == "standard errors within 0.15"
    found = stop(mz.StandardError(rel=0.01, of=["payoff_mean"]))
    ratios = [(s["payoff_mean_se"] / s["payoff_mean"]).item() for s in found]
    assert ratios[-1] <= 0.01 < min(ratios[:-1])
    # The looser of two tolerances counts.
    both = stop(mz.StandardError(abs=1e-9, rel=0.01, of="payoff_mean"))
    assert both[-1].paths == found[-1].paths
    assert both[-1].stopped == "standard errors within 1e-09 or 0.01 of the estimate"
    # All that have a standard error, where none is named.
    last = stop(mz.StandardError(rel=0.02))[-1]
    for name in ("payoff_mean", "payoff_quantile"):
        assert (last[f"{name}_se"] <= 0.02 * last[name]).all()


def test_few_paths_are_not_believed():
    assert last_of(mz.stream(payoff(), "mean", mz.StandardError(abs=1e9))).paths == 4 * BLOCK
    for n, stop in ((0, BLOCK), (1, BLOCK), (9 * BLOCK, 10 * BLOCK)):
        rule = mz.StandardError(abs=1e9, at_least=n)
        assert last_of(mz.stream(payoff(), "mean", rule)).paths == stop


def test_a_standard_error_of_zero_is_not_believed():
    never = mz.Exceedance(level=1e9)
    rule = mz.StandardError(abs=0.1) | mz.PathCount(20_000)
    assert last_of(mz.stream(payoff(), never, rule)).stopped == "20,000 paths"
    # Whatever stands beside it.
    for beside in (
        mz.Exceedance(level=(10.0, 1e9)),
        mz.Exceedance(level=(10.0, -1.0)),
        ["mean", never],
    ):
        assert last_of(mz.stream(payoff(), beside, rule)).stopped == "20,000 paths"
    whole = mz.simulate(mz.BrownianMotion(), n_paths=None, T=3, seed=1)
    assert last_of(mz.stream(whole, "mean", mz.StandardError(abs=0.5))).paths == 4096


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e150, 1e300])
def test_tolerances_out_of_all_proportion_are_no_error(factor):
    obj = values(5000) * factor
    for rule in (mz.StandardError(abs=1e-300), mz.StandardError(rel=1e-300)):
        for snap in mz.stream(obj, ["mean", "variance"], rule):
            assert snap.paths_needed is None or 0 <= snap.paths_needed <= 5000
        assert snap.stopped == "all paths"


def test_rules_combine():
    error, few, many = mz.StandardError(rel=0.02), mz.PathCount(2000), mz.PathCount(20_000)
    alone = last_of(mz.stream(payoff(), "mean", error)).paths
    assert 2048 < alone < 20_000

    def stop(rule):
        last = last_of(mz.stream(payoff(), "mean", rule))
        return last.paths, last.stopped

    assert stop(error | few) == (2048, "2,000 paths")
    assert stop(error & few)[0] == alone
    assert stop(error & few)[1] == "standard errors within 0.02 of the estimate and 2,000 paths"
    assert stop(error & many)[0] == 20_480
    assert stop((error & many) | few) == (2048, "2,000 paths")
    assert stop((error | few) & many)[0] == 20_480
    # Python's precedence: & binds before |.
    assert stop(few | error & many) == stop(few | (error & many))


BAD = {
    "rule of another kind": lambda: mz.stream(payoff(), "mean", 1000),
    "class of a rule": lambda: mz.stream(payoff(), "mean", mz.PathCount),
    "no tolerance": lambda: mz.StandardError(),
    "tolerance of zero": lambda: mz.StandardError(abs=0.0),
    "tolerance that is none": lambda: mz.StandardError(rel=float("nan")),
    "tolerance that is True": lambda: mz.StandardError(abs=True),
    "names that are none": lambda: mz.StandardError(abs=1.0, of=3),
    "names that are numbers": lambda: mz.StandardError(abs=1.0, of=[3]),
    "paths before, negative": lambda: mz.StandardError(abs=1.0, at_least=-1),
    "no paths": lambda: mz.PathCount(0),
    "half a path": lambda: mz.PathCount(0.5),
    "no seconds": lambda: mz.Seconds(0),
    "or something else": lambda: mz.PathCount(1) | 1000,
    "and something else": lambda: mz.PathCount(1) & None,
    "no rule without end": lambda: mz.stream(payoff(), "mean"),
    "unknown name": lambda: mz.stream(payoff(), "mean", mz.StandardError(abs=1.0, of="mean")),
    "unknown among others": lambda: mz.stream(
        payoff(), "mean", mz.PathCount(9) | (mz.Seconds(9) & mz.StandardError(rel=1, of=["x"]))
    ),
    "name without an error": lambda: mz.stream(
        payoff(), ["mean", "max"], mz.StandardError(abs=1.0, of="payoff_max")
    ),
    "nothing with an error": lambda: mz.stream(payoff(), "max", mz.StandardError(abs=1.0)),
    "exact quantiles": lambda: mz.stream(payoff(9), mz.Quantile(0.5, exact=True)),
    "every zero": lambda: mz.stream(payoff(9), "mean", every=0),
    "every half": lambda: mz.stream(payoff(9), "mean", every=0.5),
    "progress": lambda: mz.stream(payoff(9), "mean", progress=1),
    "resume from a number": lambda: mz.stream(payoff(9), "mean", resume_from=7),
    "all but the rule": lambda: mz.stream(payoff(), "nothing", mz.PathCount(9)),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused_at_the_call(what):
    with pytest.raises((ArgumentTypeError, ArgumentValueError)):
        BAD[what]()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ArgumentValueError, match="payoff_mean, payoff_std"):
        mz.stream(payoff(), ["mean", "std", "max"], mz.StandardError(abs=1.0, of="payoff"))


def test_an_expression_over_all_paths_has_no_stream_without_end():
    x = payoff()
    with pytest.raises(mz.MontezarrError):
        mz.stream(x - x.mean("path"), "mean", mz.PathCount(9))


# What snapshots say.


def test_predictions_are_sensible():
    found = list(mz.stream(payoff(), "mean", mz.StandardError(rel=0.01)))
    total = found[-1].paths
    for snap in found[3:-1]:
        predicted = snap.paths + snap.paths_needed
        # Marks lie up to a quarter apart, and early errors are rough.
        assert 0.6 * total < predicted <= 1.2 * total
        assert snap.seconds_left == pytest.approx(snap.paths_needed / snap.paths_per_second)
        assert snap.paths_per_second == pytest.approx(snap.paths / snap.seconds)
        assert snap.stopped is None
    assert found[-1].paths_needed is found[-1].seconds_left is None
    assert all(a.seconds < b.seconds for a, b in itertools.pairwise(found))

    first = next(mz.stream(payoff(), "mean", mz.PathCount(10_000)))
    assert first.paths_needed == 10_240 - 1024
    assert next(mz.stream(payoff(3000), "mean")).paths_needed == 3000 - 1024
    both = next(mz.stream(payoff(30_000), "mean", mz.PathCount(5000) & mz.PathCount(7000)))
    assert both.paths_needed == 7168 - 1024
    either = next(mz.stream(payoff(30_000), "mean", mz.PathCount(5000) | mz.PathCount(7000)))
    assert either.paths_needed == 5120 - 1024
    timed = next(mz.stream(payoff(), "mean", mz.Seconds(1000)))
    assert timed.seconds_left == pytest.approx(1000 - timed.seconds, rel=0.01)


def test_a_resumed_stream_predicts_by_its_own_speed(tmp_path):
    ds = mz.simulate(samplers.Loop(), n_paths=None, T=5, x0=1.0, seed=1)
    with mz.backend("synchronous"):
        last_of(mz.stream(ds, "mean", mz.PathCount(20 * BLOCK))).save(tmp_path / "s")
        stream = mz.stream(ds, "mean", mz.Seconds(100), every=BLOCK, resume_from=tmp_path / "s")
    again, first = next(stream), next(stream)
    assert again.paths == 20 * BLOCK
    assert (again.paths_needed, again.seconds_left) == (None, None)
    assert first.paths == 21 * BLOCK
    assert first.paths_per_second == pytest.approx(BLOCK / first.seconds)
    assert first.seconds_left == pytest.approx(100 - first.seconds, rel=0.01)
    stream.close()


def test_a_snapshot_shows_what_it_knows():
    found = list(mz.stream(payoff(), ["mean", "max"], mz.StandardError(rel=0.02)))
    first, last = str(found[0]), str(found[-1])
    assert "1,024 paths in" in first
    assert "to go" in first
    assert "payoff_mean = " in first
    assert "always in [" in first
    assert "stopped: standard errors within 0.02 of the estimate" in last
    assert "payoff_max =" not in last
    assert repr(found[0]) == first


def test_progress_tells_the_predicted_number_of_paths(capsys, monkeypatch):
    monkeypatch.setattr("montezarr.execute.progress.PROGRESS_LINE_SECONDS", 0.0)
    rule = mz.StandardError(rel=0.02)
    found = list(mz.stream(payoff(), "mean", rule, progress=True))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" of ")[0] for line in lines[1:]] == [
        f"stream: {snap.paths:,}" for snap in found
    ]
    assert f"of {found[0].paths + found[0].paths_needed:,} paths" in lines[1]
    assert "(100%)" in lines[-1]
    list(mz.stream(payoff(), mz.Exceedance(1e9), mz.Seconds(1e-9) & mz.PathCount(9), progress=True))
    assert "stream: 1,024 of 1,024 paths (100%)" in capsys.readouterr().err
    never = mz.StandardError(abs=1.0) | (mz.StandardError(abs=1.0) & mz.PathCount(1))
    stream = mz.stream(payoff(), mz.Exceedance(1e9), never, progress=True)
    for _ in zip(stream, range(3), strict=False):
        pass
    stream.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("stream: ")
    assert " of " not in lines[-1]  # nobody knows


def test_a_confidence_sequence_lies_around_every_estimate_with_an_error():
    ds = payoff(5000).to_dataset()
    ds.payoff.attrs["units"] = "EUR"
    last = last_of(mz.stream(ds, ["mean", mz.Quantile((0.5, 0.9)), "max"]))
    width = half_width(5000)
    assert 1.96 < 3 < width
    for name in ("payoff_mean", "payoff_quantile"):
        low, high = last[f"{name}_cs_low"], last[f"{name}_cs_high"]
        if name == "payoff_mean":
            np.testing.assert_allclose(high - last[name], width * last[f"{name}_se"])
            np.testing.assert_allclose(last[name] - low, width * last[f"{name}_se"])
        assert ((low < last[name]) & (last[name] < high)).all()
        assert low.attrs["units"] == "EUR"
    assert "payoff_max_cs_low" not in last.dataset


# What they promise: the truth, whenever one stops.


@pytest.mark.slow
def test_the_true_value_is_in_the_confidence_sequence_at_the_stop_and_all_the_way():
    """For contrast, the usual interval, which fails whoever stops at an estimate that they like.

    A rule that looks at errors alone is no such stop (Chow and Robbins 1965): there it holds.
    """
    runs, rule = 500, mz.StandardError(rel=0.008, at_least=1)
    at_stop = all_the_way = usual_at_stop = usual_all_the_way = 0
    lengths = []
    with mz.backend("synchronous"):
        for seed in range(runs):
            in_sequence, in_interval = [], []
            for snap in mz.stream(values(40 * BLOCK, seed), "mean", rule):
                ds = snap.dataset
                low, high = ds.x_mean_cs_low.item(), ds.x_mean_cs_high.item()
                in_sequence.append(low <= 1.0 <= high)
                in_interval.append(abs(ds.x_mean.item() - 1.0) <= 1.96 * ds.x_mean_se.item())
            assert snap.stopped.startswith("standard errors")
            lengths.append(len(in_interval))
            at_stop += in_sequence[-1]
            all_the_way += all(in_sequence)
            usual_at_stop += in_interval[-1]
            usual_all_the_way += all(in_interval)
    print(
        f"in the confidence sequence: {at_stop / runs:.1%} at the stop,"
        f" {all_the_way / runs:.1%} all the way; in the usual interval:"
        f" {usual_at_stop / runs:.1%} at the stop, {usual_all_the_way / runs:.1%} at all of"
        f" {np.mean(lengths):.0f} snapshots"
    )
    assert at_stop >= all_the_way >= 0.95 * runs
    assert 0.92 * runs < usual_at_stop < at_stop
    assert usual_all_the_way < 0.85 * runs  # it misses some time in far more than 5 %


# Groups, and what is observed.


def grouped(n_paths, **options):
    ds = mz.simulate(GBM, n_paths=n_paths, T=2, x0=100.0, seed=3, **options)
    last = ds.isel(time=-1)
    return last.assign(above=(last.x > 110).astype(int))


@pytest.mark.parametrize("how", ["block by block", "chunk by chunk", "in memory"])
def test_groups_are_those_of_reduce(how):
    ds = grouped(9000)
    ds = {"chunk by chunk": ds.chunk(path=777), "in memory": ds.compute()}.get(how, ds)
    found = list(mz.stream(ds, ["mean", "median"], by="above"))
    for snap in (found[0], found[-1]):
        wanted = mz.reduce(ds.isel(path=slice(0, snap.paths)), ["mean", "median"], by="above")
        xr.testing.assert_identical(estimates(snap), wanted.drop_attrs())
    assert found[-1]["x_mean"].dims == ("above",)


def test_rules_know_the_results_of_groups_before_there_is_one():
    rule = mz.StandardError(rel=0.002, of="x_mean")
    last = last_of(mz.stream(grouped(None), "mean", rule, by="above"))
    assert last.stopped is not None
    assert (last["x_mean_se"] <= 0.002 * last["x_mean"]).all()
    with pytest.raises(ArgumentValueError, match="x_mean"):
        mz.stream(grouped(None), "mean", mz.StandardError(abs=1.0, of="above_mean"), by="above")


@pytest.mark.filterwarnings("ignore:g. .* belong to no group")
def test_a_rule_waits_until_there_is_a_group():
    x = values(20 * BLOCK)
    group = xr.DataArray(np.where(np.arange(x.size) < 6 * BLOCK, -1, 1), dims="path", name="g")
    group.attrs["masked_value"] = group.encoding["masked_value"] = -1
    for of in (None, "x_mean"):
        found = list(mz.stream(x, "mean", mz.StandardError(abs=1e9, of=of), by=group))
        assert found[0]["g"].size == 0  # masked numbers are no group
        assert found[-1].paths == 7 * BLOCK


def last_minus_first(ds):
    return (ds.x.isel(time=-1) - ds.x.isel(time=0)).rename("gain")


@pytest.mark.parametrize("how", ["block by block", "chunk by chunk", "in memory"])
def test_what_is_observed_is_that_of_reduce(how):
    ds = mz.simulate(GBM, n_paths=9000, T=2, x0=100.0, seed=3)
    ds = {"chunk by chunk": ds.chunk(path=777), "in memory": ds.compute()}.get(how, ds)
    rule = mz.StandardError(abs=0.8, of="gain_mean")
    last = last_of(mz.stream(ds, ["mean", "median"], rule, transform=last_minus_first))
    assert last.stopped.startswith("standard errors")
    part = ds.isel(path=slice(0, last.paths))
    wanted = mz.reduce(part, ["mean", "median"], transform=last_minus_first)
    xr.testing.assert_identical(estimates(last), wanted.drop_attrs())


# What goes wrong.


@pytest.mark.parametrize(
    ("name", "workers"), [("synchronous", 1), ("threads", 2), ("processes", 2)]
)
def test_a_failing_path_ends_the_stream_after_the_snapshots_before_it(name, workers):
    process = samplers.Failing(5000, 5001, 30_000)
    ds = mz.simulate(process, n_paths=None, T=2, x0=1.0, seed=7)
    seen = []
    with mz.backend(name, workers), pytest.raises(mz.SamplerError) as caught:
        seen.extend(snap.paths for snap in mz.stream(ds, "mean", mz.PathCount(10**6)))
    assert caught.value.path == 5000
    assert seen == [1024, 2048, 3072, 4096]


class SlowAtFirst(samplers.Loop):
    """Takes its time for the first paths, and fails beyond a path."""

    def __init__(self, fails_from):
        self.fails_from = fails_from

    def sample_path(self, T, x0, rng):
        index = samplers.index_of(rng)
        if index >= self.fails_from:
            raise ValueError(f"cannot do {index}")
        if index == 1030:
            time.sleep(0.3)
        return super().sample_path(T, x0, rng)


@pytest.mark.parametrize(("name", "workers"), [("synchronous", 1), ("threads", 2)])
def test_a_path_that_fails_beyond_the_stop_is_nobodys_business(name, workers):
    ds = mz.simulate(SlowAtFirst(2 * BLOCK), n_paths=None, T=2, x0=1.0, seed=7)
    with mz.backend(name, workers):
        # The other worker runs ahead, and fails before the stop is known.
        last = last_of(mz.stream(ds, "mean", mz.PathCount(2 * BLOCK)))
    assert (last.paths, last.stopped) == (2 * BLOCK, "2,000 paths".replace("2,000", "2,048"))


def test_masked_paths_and_lost_values_are_told_at_the_end_where_the_stream_is_read():
    process = samplers.Failing(17, 4000, 9000)
    ds = mz.simulate(process, n_paths=None, T=2, x0=1.0, seed=7, on_error="mask")
    with mz.backend("threads", 2), pytest.warns(mz.MontezarrWarning) as caught:
        last = last_of(mz.stream(ds, "mean", mz.PathCount(5000)))
    masked = next(w for w in caught if isinstance(w.message, mz.MaskedPathsWarning))
    assert masked.message.paths == (17, 4000)
    assert any("not finite" in str(w.message) for w in caught)
    assert {w.filename for w in caught} == {__file__}
    assert (last["x_nonfinite"] == 2).all()


@pytest.mark.parametrize("name", ["threads", "processes", "dask"])
def test_a_stream_that_is_left_early_leaves_nothing_running(name):
    before = snapshot()
    ds = mz.simulate(samplers.Loop(), n_paths=None, T=5, x0=1.0, seed=1)
    with mz.backend(name, 2):
        for snap in mz.stream(ds, "mean", mz.PathCount(10**9)):
            if snap.paths >= 4 * BLOCK:
                break
        # The workers are free for what comes next: the other paths would take days.
        other = mz.simulate(samplers.Loop(), n_paths=3000, T=5, x0=1.0, seed=2)
        assert mz.reduce(other, "count").x_count[0] == 3000
    assert snap.stopped is None
    check_nothing_left(before)


def test_a_stream_that_is_closed_or_never_read_leaves_nothing_running():
    before = snapshot()
    ds = mz.simulate(samplers.Loop(), n_paths=None, T=5, x0=1.0, seed=1)
    mz.stream(ds, "mean", mz.PathCount(10**9))
    stream = mz.stream(ds, "mean", mz.PathCount(10**9))
    assert next(stream).paths == BLOCK
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)

    def interrupted():
        for _ in mz.stream(ds, "mean", mz.PathCount(10**9)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    check_nothing_left(before)


INTERRUPTED = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored
import montezarr as mz, backend_samplers as s
ds = mz.simulate(s.Loop(), n_paths=None, T=5, x0=1.0, seed=1)
try:
    with mz.backend(sys.argv[2], 2):
        for snap in mz.stream(ds, "mean", mz.PathCount(10**9)):
            if snap.paths == 4096:
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
except KeyboardInterrupt:
    import psutil
    left = [p for p in psutil.Process().children(recursive=True)
            if "resource_tracker" not in " ".join(p.cmdline())]
    print("interrupted", snap.paths >= 4096, len(left))
"""


def test_a_stream_that_is_interrupted_leaves_nothing_running():
    command = [sys.executable, "-c", INTERRUPTED, HERE, "processes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stdout == "interrupted True 0\n", done.stderr
    assert "Traceback" not in done.stderr


# Stopping by hand.


class Sleepy:
    """Takes a moment for every block, and notes it."""

    def __init__(self, folder):
        self.folder = str(folder)

    def sample_paths(self, n, T, x0, rng):
        time.sleep(0.1)
        Path(self.folder, str(samplers.index_of(rng))).touch()
        return rng.normal(size=(n, T + 1))


@pytest.mark.parametrize("name", ["synchronous", "threads", "processes", "dask"])
def test_a_stream_is_stopped_from_another_thread_between_two_marks(name, tmp_path):
    before = snapshot()

    def stop():
        until(lambda: len(os.listdir(tmp_path)) > 12)  # drawn, of which some are folded
        stream.stop()

    ds = mz.simulate(Sleepy(tmp_path), n_paths=None, T=3, x0=0.0, seed=1)
    # One mark at the first block, when all workers are there, and none for long after it.
    rule = mz.PathCount(1) & mz.PathCount(10**9)
    with mz.backend(name, 2), mz.stream(ds, STATISTICS, rule, every=10**6) as stream:
        assert next(stream).paths == BLOCK
        other = threading.Thread(target=stop)
        other.start()
        (last,) = stream
        other.join()
    assert last.stopped == "by the user"
    assert last.paths_needed is last.seconds_left is None
    assert BLOCK < last.paths < 10**9
    assert last.paths % BLOCK == 0
    with mz.backend("threads", 8):
        whole = mz.simulate(Sleepy(tmp_path), n_paths=last.paths, T=3, x0=0.0, seed=1)
        xr.testing.assert_identical(estimates(last), mz.reduce(whole, STATISTICS).drop_attrs())
    check_nothing_left(before)


@pytest.mark.parametrize("kind", ["endless", "chunks"])
def test_a_stream_that_was_stopped_goes_on_with_the_same_bits(kind, one_by_one, tmp_path):
    make = {"endless": payoff, "chunks": rough}[kind]
    # One task at a time: what runs beside it could reach the rule before anybody asks.
    with mz.backend("synchronous"):
        stream = mz.stream(make(), STATISTICS, RULE)
        for snap in stream:
            if snap.paths == 5 * BLOCK:
                stream.stop()
        assert snap.stopped == "by the user"
        assert 5 * BLOCK <= snap.paths < one_by_one[kind][-1].paths
        snap.save(tmp_path / "s")
        again = mz.stream(make(), STATISTICS, RULE, resume_from=tmp_path / "s")
        stopped = snap.paths
        found = list(again)
    xr.testing.assert_identical(estimates(found[0]), estimates(snap))
    wanted = [s for s in one_by_one[kind] if s.paths > stopped]
    assert [s.paths for s in found[1:]] == [s.paths for s in wanted]
    for a, b in zip(found[1:], wanted, strict=True):
        xr.testing.assert_identical(a.dataset, b.dataset)


def test_a_stream_that_is_stopped_before_its_first_block_has_one_block_or_more():
    for obj in (payoff(), rough(), rough().compute()):
        stream = mz.stream(obj, "mean", mz.PathCount(10**8))
        stream.stop()
        stream.stop()
        with mz.backend("synchronous"):
            *_, last = stream
        assert BLOCK <= last.paths < 30_000
        assert last.stopped == "by the user"
        stream.stop()
        assert list(stream) == []


def test_no_rule_is_asked_when_a_stream_is_stopped_by_hand():
    asked = []

    class Asked(mz.Until):
        def reason(self, reached):
            asked.append(reached.paths)
            return

    with mz.backend("synchronous"):
        stream = mz.stream(payoff(), "mean", Asked(), every=4 * BLOCK)
        first = next(stream)
        stream.stop()
        (last,) = stream
    assert asked == [first.paths] == [4 * BLOCK]
    assert last.paths >= first.paths


# Taking it up again.


def everything():
    """Return one of every statistic there is."""
    return [
        mz.Autocorrelation((1, 2)), mz.Contrast(to={"time": 0.25}), mz.Count(), mz.Covariance(),
        mz.Drawdown(),
        mz.Exceedance((0.5, 100.0)), mz.ExpectedShortfall((0.9, 0.99)), mz.Extrema(k=2),
        mz.FirstPassage(101.0), mz.Histogram(), mz.Mean(), mz.Moments(),
        mz.Proportion(states=(0, 1)), mz.Quantile(), mz.SobolIndices(["a", "b"]),
        mz.StandardDeviation(), mz.TimeAverage(), mz.Variance(), mz.VarianceShares(5),
    ]  # fmt: skip


def heston(n_paths, seed=5, **options):
    process = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
    x0 = {"s": 100.0, "v": 0.04}
    return mz.simulate(process, n_paths=n_paths, T=4, dt=0.25, x0=x0, seed=seed, **options)


def test_everything_is_everything():
    found = {type(s).__name__ for s in everything()}
    assert found == set(built_in_statistics()), "add it to everything()"


OBJECTS = {
    "fixed": lambda: heston(9500),
    "endless": lambda: heston(None),
    "chunk by chunk": lambda: heston(9500).chunk(path=777),
    "in memory": lambda: heston(9500).compute(),
    "another dimension": lambda: heston(9500).rename(path="sample").compute(),
    "expression without end": lambda: np.log(heston(None) + 1e-3),
    "expression in chunks": lambda: np.log(heston(9500, chunks=2048) + 1e-3),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_resumed_stream_has_the_bits_of_one_that_was_never_interrupted(kind, tmp_path):
    rule, dim = mz.PathCount(10 * BLOCK), "sample" if kind == "another dimension" else "path"
    every = 3 * BLOCK  # 3, 6 and 9 blocks are different sums of powers of two
    undisturbed = list(mz.stream(OBJECTS[kind](), everything(), rule, dim, every=every))
    assert len(undisturbed) == 4
    for i, snap in enumerate(undisturbed):
        snap.save(tmp_path / "s")
        # An object made anew, as in another process.
        again = mz.stream(
            OBJECTS[kind](), everything(), rule, dim, every=every, resume_from=tmp_path / "s"
        )
        assert_same(again, undisturbed[i:])


def test_a_resumed_stream_may_go_on_with_another_rule_and_other_marks(tmp_path):
    stream = mz.stream(payoff(), STATISTICS, mz.PathCount(3 * BLOCK))
    last_of(stream).save(tmp_path / "s")
    with mz.backend("threads", 2):
        found = list(mz.stream(payoff(), STATISTICS, mz.PathCount(11 * BLOCK), every=4 * BLOCK,
                               resume_from=tmp_path / "s"))  # fmt: skip
    assert [s.paths for s in found] == [3 * BLOCK, 4 * BLOCK, 8 * BLOCK, 11 * BLOCK]
    wanted = mz.reduce(payoff(11 * BLOCK), STATISTICS).drop_attrs()
    xr.testing.assert_identical(estimates(found[-1]), wanted)
    # A run with an end goes on where one without had stopped, and the other way round.
    fixed = payoff(8 * BLOCK + 5, chunks=2048)
    found = list(mz.stream(fixed, STATISTICS, resume_from=str(tmp_path / "s")))
    wanted = mz.reduce(payoff(8 * BLOCK + 5), STATISTICS).drop_attrs()
    xr.testing.assert_identical(estimates(found[-1]), wanted)


def test_a_resumed_stream_of_groups_has_the_same_bits(tmp_path):
    statistics = ["mean", "std", "q05", mz.Extrema(k=2)]
    for make in (
        lambda: grouped(9000),
        lambda: grouped(9000, chunks=2048),
        lambda: grouped(9000).chunk(path=777),
    ):
        undisturbed = list(mz.stream(make(), statistics, by="above"))
        undisturbed[3].save(tmp_path / "s")
        again = mz.stream(make(), statistics, by="above", resume_from=tmp_path / "s")
        assert_same(again, undisturbed[3:])


class FailingBlocks:
    """Integer states, of which whole blocks fail."""

    def sample_paths(self, n, T, x0, rng):
        if samplers.index_of(rng) in (2, 5):
            raise ValueError("not this block")
        return rng.integers(0, 3, (n, T + 1))


@pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")
def test_a_block_without_any_group_keeps_its_place_in_the_tree(tmp_path):
    ds = mz.simulate(
        FailingBlocks(), n_paths=9 * BLOCK, T=3, seed=1, on_error="mask", chunks=2 * BLOCK
    )
    ds = ds.assign(y=ds.x.isel(time=0) + 0.1, group=ds.x.isel(time=-1)).drop_vars("x")
    undisturbed = list(mz.stream(ds, ["mean", "std"], by="group"))
    for i, snap in enumerate(undisturbed):
        snap.save(tmp_path / "s")
        again = mz.stream(ds, ["mean", "std"], by="group", resume_from=tmp_path / "s")
        assert_same(again, undisturbed[i:])


def test_a_resumed_stream_of_what_is_observed_has_the_same_bits(tmp_path):
    ds = mz.simulate(GBM, n_paths=9000, T=2, x0=100.0, seed=3)
    undisturbed = list(mz.stream(ds, STATISTICS, transform=last_minus_first))
    undisturbed[2].save(tmp_path / "s")
    again = mz.stream(ds, STATISTICS, transform=last_minus_first, resume_from=tmp_path / "s")
    assert_same(again, undisturbed[2:])


SAVING = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_stream as t
import montezarr as mz
obj = t.OBJECTS[sys.argv[2]]()
resume = sys.argv[3] if len(sys.argv) > 4 else None
print("ready", flush=True)
for snap in mz.stream(obj, t.everything(), mz.PathCount(40 * 1024), every=1024, resume_from=resume):
    snap.save(sys.argv[3])
    print(snap.paths, flush=True)
    time.sleep(0.05)
time.sleep(3600)  # until it is killed
"""


@pytest.mark.parametrize("kind", ["expression without end", "chunk by chunk"])
def test_a_killed_stream_goes_on_with_the_bits_of_one_that_was_not_killed(kind, tmp_path):
    file = tmp_path / "state.npz"
    undisturbed = list(
        mz.stream(OBJECTS[kind](), everything(), mz.PathCount(40 * 1024), every=1024)
    )
    reached = 0
    for wait, more in ((0.2, ()), (0.33, ("resume",))):
        command = [sys.executable, "-c", SAVING, HERE, kind, file, *more]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "ready\n"
            first = int(child.stdout.readline())
            assert first == (reached or BLOCK)  # the first thing is where the last one was
            time.sleep(wait)
            child.kill()
            paths = [int(line) for line in child.stdout.read().split()]
        assert child.returncode == -signal.SIGKILL
        # It may have been killed between a save and the line that tells of it.
        with np.load(file) as content:
            reached = json.loads(content["header"].tobytes())["paths"]
        assert max([first, *paths]) <= reached <= max([first, *paths]) + BLOCK
    again = list(
        mz.stream(
            OBJECTS[kind](), everything(), mz.PathCount(40 * 1024), every=1024, resume_from=file
        )
    )
    assert again[0].paths == reached
    assert_same(again, [s for s in undisturbed if s.paths >= reached])


KILLED_WHILE_SAVING = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import montezarr as mz, xarray as xr
x = xr.DataArray(np.random.default_rng(1).normal(size=(2048, 8)), dims=("path", "run"), name="x")
with mz.backend("synchronous"):
    snaps = list(mz.stream(x, ["mean", mz.Quantile(0.5)]))
file = sys.argv[2]
snaps[0].save(file)
began = time.perf_counter()
snaps[1].save(file)
took = time.perf_counter() - began
print("ready", took, os.path.getsize(file), flush=True)
interrupted = k = 0
while interrupted < 6:
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begin, b".")
        while True:
            for snap in snaps:
                snap.save(file)
    os.read(begun, 1)
    os.close(begun), os.close(begin)
    time.sleep(took * (k % 15) / 5)
    k += 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    # What it was at when it was killed is there beside it, until the next one saves.
    interrupted += len(os.listdir(os.path.dirname(file))) > 1
    with np.load(file, allow_pickle=False) as content:
        for name in content.files:
            content[name]
print("whole", flush=True)
"""


def test_a_save_that_is_killed_leaves_the_file_of_before(tmp_path):
    file = tmp_path / "state.npz"
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, HERE, file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stdout.endswith("whole\n"), done.stderr
    assert len(list(tmp_path.iterdir())) <= 2
    assert all(p == file or p.name.startswith(".state.npz.") for p in tmp_path.iterdir())
    rng = np.random.default_rng(1)
    x = xr.DataArray(rng.normal(size=(2048, 8)), dims=("path", "run"), name="x")
    statistics = ["mean", mz.Quantile(0.5)]
    last = last_of(mz.stream(x, statistics, resume_from=file))
    xr.testing.assert_identical(estimates(last), mz.reduce(x, statistics).drop_attrs())


def test_a_save_that_fails_leaves_the_file_of_before_and_nothing_else(tmp_path, monkeypatch):
    found = list(mz.stream(payoff(3000), "mean"))
    file = tmp_path / "state.npz"
    found[0].save(file)
    before = file.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        found[1].save(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        found[1].save(tmp_path / "nowhere" / "state.npz")
    with pytest.raises(ArgumentTypeError):
        found[1].save(3)


def test_a_file_of_something_else_is_refused_with_what_differs(tmp_path):
    file = tmp_path / "s"
    next(mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999))).save(file)
    raw = mz.simulate(GBM, n_paths=None, T=2, dt=0.5, x0=100.0, seed=42)
    other = mz.GeometricBrownianMotion(mu=0.06, sigma=0.2)
    cases = {
        "seed": payoff(seed=43),
        "process": payoff_of(mz.simulate(other, n_paths=None, T=2, dt=0.5, x0=100.0, seed=42)),
        "x0": payoff_of(mz.simulate(GBM, n_paths=None, T=2, dt=0.5, x0=101.0, seed=42)),
        "grid": payoff_of(mz.simulate(GBM, n_paths=None, T=3, dt=0.5, x0=100.0, seed=42)),
        "values": (raw.x.isel(time=-1) - 101).clip(min=0).rename("payoff"),
        "statistics": payoff().rename("other"),
    }
    for what, obj in cases.items():
        with pytest.raises(ArgumentValueError, match=f"resume_from: .* same {what}"):
            mz.stream(obj, ["mean", "q95"], mz.PathCount(9999), resume_from=file)
    for statistics in ("mean", ["mean", "q99"], ["mean", mz.Quantile((0.95,), 0.01)]):
        with pytest.raises(ArgumentValueError, match=r"resume_from: .* same statistics"):
            mz.stream(payoff(), statistics, mz.PathCount(9999), resume_from=file)
    # A number of paths, a rule and marks may differ; but what is there cannot be taken back.
    last_of(mz.stream(payoff(), ["mean", "q95"], mz.PathCount(3000))).save(file)
    with pytest.raises(ArgumentValueError, match="at most 3000 paths"):
        mz.stream(payoff(3000, chunks=1024), ["mean", "q95"], resume_from=file)
    last_of(mz.stream(payoff(3000, chunks=1024), ["mean", "q95"])).save(file)
    with pytest.raises(ArgumentValueError, match="ends with a block"):
        mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999), resume_from=file)

    ds = grouped(3000)
    next(mz.stream(ds, "mean", by="above")).save(file)
    other = ds.rename(above="over")
    with pytest.raises(ArgumentValueError, match=r"resume_from: .* same (by|values)"):
        mz.stream(other, "mean", by="over", resume_from=file)
    next(mz.stream(ds[["x"]], "mean", transform=doubled)).save(file)
    for observe in (None, tripled):
        with pytest.raises(ArgumentValueError, match=r"resume_from: .* same values"):
            mz.stream(ds[["x"]], "mean", transform=observe, resume_from=file)


def doubled(ds):
    return 2 * ds


def tripled(ds):
    return 3 * ds


def test_other_values_in_memory_or_in_chunks_are_refused(tmp_path):
    file = tmp_path / "s"
    next(mz.stream(values(5000), "mean")).save(file)
    assert last_of(mz.stream(values(5000), "mean", resume_from=file)).paths == 5000
    with pytest.raises(ArgumentValueError, match="same values"):
        mz.stream(values(5000, seed=2), "mean", resume_from=file)
    next(mz.stream(rough(), "mean")).save(file)
    with pytest.raises(ArgumentValueError, match=r"resume_from: .* same"):
        mz.stream(rough() + 1, "mean", resume_from=file)


def test_a_stream_of_a_store_goes_on_unless_the_store_is_another(tmp_path):
    def stored(seed):
        shutil.rmtree(tmp_path / "paths.zarr", ignore_errors=True)
        ds = mz.simulate(GBM, n_paths=5000, T=2, x0=100.0, seed=seed, chunks=1024)
        mz.write(ds, tmp_path / "paths.zarr")
        return mz.open(tmp_path / "paths.zarr").x.isel(time=-1)

    undisturbed = list(mz.stream(stored(1), "mean"))
    undisturbed[1].save(tmp_path / "s")
    same = mz.open(tmp_path / "paths.zarr").x.isel(time=-1)
    assert_same(mz.stream(same, "mean", resume_from=tmp_path / "s"), undisturbed[1:])
    with pytest.raises(ArgumentValueError, match="same values"):
        mz.stream(stored(2), "mean", resume_from=tmp_path / "s")


def test_a_file_that_is_no_state_is_refused(tmp_path):
    file = tmp_path / "s"

    def resume():
        return mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999), resume_from=file)

    with pytest.raises(FileNotFoundError):
        resume()
    file.mkdir()
    with pytest.raises((ArgumentValueError, OSError)):
        resume()
    file.rmdir()
    for content in (b"", b"not a state", os.urandom(5000), b"PK\x03\x04" + bytes(100)):
        file.write_bytes(content)
        with pytest.raises(ArgumentValueError, match=NO_STATE):
            resume()
    np.save(file.with_suffix(".npy"), np.arange(5))
    os.replace(file.with_suffix(".npy"), file)
    with pytest.raises(ArgumentValueError, match=NO_STATE):
        resume()
    with file.open("wb") as handle:
        np.savez(handle, header=np.frombuffer(b'{"format": 1}', np.uint8))
    with pytest.raises(ArgumentValueError, match="resume_from"):
        resume()


def test_a_file_cut_anywhere_or_with_a_wrong_byte_is_refused(tmp_path):
    file = tmp_path / "s"
    next(mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999))).save(file)
    whole = file.read_bytes()
    cuts = [*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1]
    for cut in cuts:
        file.write_bytes(whole[:cut])
        with pytest.raises(ArgumentValueError, match=NO_STATE):
            mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999), resume_from=file)
    with zipfile.ZipFile(file := tmp_path / "t", "w"):
        pass
    with pytest.raises(ArgumentValueError, match=NO_STATE):
        mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999), resume_from=file)
    place = whole.index(b"\x93NUMPY", len(whole) // 3) + 200  # in the values of an array
    wrong = bytearray(whole)
    wrong[place] ^= 1
    file.write_bytes(wrong)
    with pytest.raises(ArgumentValueError, match=NO_STATE):
        mz.stream(payoff(), ["mean", "q95"], mz.PathCount(9999), resume_from=file)


class Trap:
    """What a pickle runs when it is opened."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (Path(self.marker),)


def test_a_file_holds_arrays_and_text_and_opening_it_runs_nothing(tmp_path):
    file, marker = tmp_path / "s", tmp_path / "opened"
    next(mz.stream(heston(None), everything(), mz.PathCount(9999))).save(file)
    with np.load(file, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    assert {array.dtype.kind for array in arrays.values()} <= set("fiub")
    header = json.loads(arrays["header"].tobytes())
    assert header["format"] == 1
    assert header["paths"] == BLOCK
    assert b"pickle" not in file.read_bytes()
    with file.open("wb") as handle:
        np.savez(handle, **arrays | {"a0": np.array([Trap(marker)], object)})
    with pytest.raises(ArgumentValueError, match=NO_STATE):
        mz.stream(heston(None), everything(), mz.PathCount(9999), resume_from=file)
    assert not marker.exists()
    np.load(file, allow_pickle=True)["a0"]
    assert marker.exists()  # the trap was a trap
