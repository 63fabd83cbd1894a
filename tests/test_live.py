"""A stream that one watches in a terminal: what it yields, what it shows, how it is stopped."""

import contextlib
import io
import itertools
import os
import pty
import re
import signal
import sys
import threading

import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError
from montezarr.monitor.display import _terminal
from montezarr.monitor.display._picture import picture_of, size_of
from montezarr.monitor.display._progress import StreamProgress
from montezarr.monitor.display._terminal import Terminal
from montezarr.random.seeding import BLOCK

STATISTICS = [mz.Mean(), mz.StandardDeviation(), mz.Histogram()]
RULE = mz.StandardError(abs=0.1, of="payoff_mean")


def payoff(n_paths=None):
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, n_paths=n_paths, T=2, dt=0.5, x0=100.0, seed=42)
    return (ds.x.isel(time=-1) - 100).clip(min=0).rename("payoff")


@pytest.fixture
def each_line(monkeypatch):
    """Have a line for each snapshot, and not only every few seconds."""
    monkeypatch.setattr(_terminal, "PROGRESS_LINE_SECONDS", 0.0)


def test_the_snapshots_are_those_of_the_stream():
    wanted = list(mz.stream(payoff(), STATISTICS, RULE))
    found = list(mz.live(mz.stream(payoff(), STATISTICS, RULE), every=1e-3))
    assert [s.paths for s in found] == [s.paths for s in wanted]
    for a, b in zip(found, wanted, strict=True):
        xr.testing.assert_identical(a.dataset, b.dataset)
    assert found[-1].stopped == "standard errors within 0.1"


def test_a_log_has_lines_that_say_how_far_it_is(capsys, each_line):
    *_, last = mz.live(mz.stream(payoff(), STATISTICS, RULE | mz.Seconds(3600)), every=1e-9)
    first, *_, end = capsys.readouterr().err.splitlines()
    assert re.match(r"0 paths in [\d.]+ .?s; until standard errors within 0.1 or 3600 s", first)
    mean, error = last["payoff_mean"].item(), last["payoff_mean_se"].item()
    assert end.startswith(f"payoff_mean = {mean:.6g} ± {error:.2g}, within [")
    assert f"; {last.paths:,} paths in " in end
    assert end.endswith(" paths/s; stopped: standard errors within 0.1")


def test_scenarios_have_lines_of_colours_in_the_picture(capsys):
    pytest.importorskip("matplotlib")
    sigma = xr.DataArray([0.1, 0.2, 0.3], dims="sigma")
    process = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(process, 20_000, 4, 100.0, dt=0.25, seed=1, vary={"sigma": sigma})
    stream = mz.stream(ds.x, "mean")
    assert StreamProgress(stream._run, None).estimate() == ""
    for values, hue in ((ds.x.isel(time=-1), "sigma"), (ds.x, None)):
        stream = mz.stream(values.rename("price"), "mean")
        progress = StreamProgress(stream._run, None)
        for snapshot in stream:
            progress.add(snapshot)
        assert progress.hue == hue
        assert size_of(progress) == ((0.0, 0.0) if hue is None else pytest.approx((7.6, 3.7)))
    progress = StreamProgress(stream._run, None)
    for snapshot in mz.stream(ds.x.isel(time=-1), "mean"):
        progress.add(snapshot)
    assert progress.estimate().startswith("x_mean = 105.")
    assert progress.estimate().count("[sigma=") == 3
    assert picture_of(progress)[:4] == b"\x89PNG"


def test_a_log_has_few_lines(capsys):
    list(mz.live(mz.stream(payoff(20_000), "mean")))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("stopped: all paths")


def test_what_is_predicted_runs_down(capsys, each_line):
    for snapshot in mz.live(mz.stream(payoff(), "mean", mz.PathCount(10**6)), every=1e-9):
        if snapshot.paths == 4 * BLOCK:
            break
    lines = capsys.readouterr().err.splitlines()
    assert "until 1,000,000 paths" in lines[-1]
    assert " left, until" in lines[-1]


def read_all(terminal, parts):
    """Read what is written to a terminal, which holds a few kilobytes, until it is closed."""
    with contextlib.suppress(OSError), os.fdopen(terminal, "rb", 0) as file:
        while part := file.read(4096):
            parts.append(part)


def test_a_terminal_has_one_line_that_is_written_again():
    stream = mz.stream(payoff(), ["mean", "max"], RULE)
    ours, theirs = pty.openpty()
    parts = []
    reader = threading.Thread(target=read_all, args=(ours, parts))
    reader.start()
    with os.fdopen(theirs, "w") as out:
        progress = StreamProgress(stream._run, None)
        with Terminal(progress, 1e-9, out) as view:
            for snapshot in stream:
                progress.add(snapshot)
                view.update(is_last=snapshot.stopped is not None)
    reader.join()
    text = b"".join(parts).decode()
    assert text.count("\n") == 1
    lines = text.rstrip("\r\n").split("\r")[1:]
    assert len(lines) > 5
    assert max(map(len, lines)) < 80  # the width of a terminal that does not tell it
    assert lines[-1].startswith("payoff_mean = ")
    # What is left of a longer line is written over.
    assert all(len(b) >= len(a.rstrip()) for a, b in itertools.pairwise(lines))


def test_the_result_to_show_is_the_first_number_or_the_one_that_is_named(capsys):
    for name, shown in ((None, "payoff_mean"), ("payoff_std", "payoff_std")):
        list(mz.live(mz.stream(payoff(5000), ["max", "mean", "std"]), name=name))
        assert capsys.readouterr().err.startswith(f"{shown} = ")
    # Nothing is one number with a standard error.
    list(mz.live(mz.stream(payoff(5000), "max")))
    assert capsys.readouterr().err.startswith("5,000 paths in ")


def test_rules_read_as_they_are_meant():
    paths, seconds = mz.PathCount(2000), mz.Seconds(9)
    assert str(paths | seconds) == "2,000 paths or 9 s"
    assert str((paths | seconds) & paths) == "(2,000 paths or 9 s) and 2,000 paths"
    assert str(mz.StandardError(abs=0.5, rel=0.01)) == (
        "standard errors within 0.5 or 0.01 of the estimate"
    )


BAD = {
    "no stream": lambda: mz.live(payoff(9)),
    "snapshots": lambda: mz.live(list(mz.stream(payoff(9), "mean"))),
    "no name": lambda: mz.live(mz.stream(payoff(9), "mean"), name=3),
    "unknown name": lambda: mz.live(mz.stream(payoff(9), "mean"), name="payoff"),
    "no time": lambda: mz.live(mz.stream(payoff(9), "mean"), every=0),
    "no number": lambda: mz.live(mz.stream(payoff(9), "mean"), every="often"),
    "no error": lambda: next(mz.live(mz.stream(payoff(9), ["mean", "max"]), name="payoff_max")),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_is_refused(what):
    with pytest.raises((ArgumentTypeError, ArgumentValueError)):
        BAD[what]()


# Pictures.


def test_the_picture_has_the_parts_that_the_stream_has():
    before = pyplots()
    parts = {
        ("mean",): 1, ("mean", mz.Histogram()): 2, ("max", mz.Histogram()): 1, ("max",): 0,
    }  # fmt: skip
    for statistics, count in parts.items():
        stream = mz.stream(payoff(5000), list(statistics))
        progress = StreamProgress(stream._run, None)
        for snapshot in stream:
            progress.add(snapshot)
        width, height = size_of(progress)
        assert width == count * 5.2
        if count:
            png = picture_of(progress)
            assert png[:8] == b"\x89PNG\r\n\x1a\n"
            pixels = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
            assert pixels == (int(width * 144), int(height * 144))
    assert pyplots() == before


def pyplots():
    """Return the figures that pyplot knows, which a notebook shows at the end of a cell."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    return [] if pyplot is None else pyplot.get_fignums()


@pytest.mark.parametrize("out", ["closed", None])
def test_a_view_that_fails_does_not_end_the_stream(monkeypatch, caplog, out):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError("nobody reads")

    monkeypatch.setattr(sys, "stderr", Closed() if out else None)
    monkeypatch.setattr(_terminal, "PROGRESS_LINE_SECONDS", 0.0)
    *_, last = mz.live(mz.stream(payoff(5000), "mean"), every=1e-9)
    monkeypatch.undo()
    assert last.stopped == "all paths"
    assert caplog.text.count("the view of the stream is given up") == (1 if out else 0)


# Ctrl-C.


def test_ctrl_c_ends_the_stream_with_its_result():
    for snapshot in mz.live(mz.stream(payoff(), "mean", mz.PathCount(10**10))):
        if snapshot.paths == 4 * BLOCK:
            signal.raise_signal(signal.SIGINT)
    assert snapshot.stopped == "by the user"
    assert snapshot.paths >= 4 * BLOCK
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_a_second_time_is_an_error():
    seen = []

    def insist():
        for snapshot in mz.live(mz.stream(payoff(), "mean", mz.PathCount(10**10))):
            seen.append(snapshot)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        insist()
    assert 1 < len(seen) < 20
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_somebody_else_stays():
    calls = []

    def handler(number, frame):
        calls.append(number)

    signal.signal(signal.SIGINT, handler)
    for snapshot in mz.live(mz.stream(payoff(5000), "mean")):
        signal.raise_signal(signal.SIGINT)
    assert snapshot.stopped == "all paths"
    assert set(calls) == {signal.SIGINT}
    assert signal.getsignal(signal.SIGINT) is handler


def test_who_leaves_the_loop_has_their_ctrl_c_again():
    stream = mz.stream(payoff(), "mean", mz.PathCount(10**6))
    for snapshot in mz.live(stream):
        if snapshot.paths == 2 * BLOCK:
            break
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert stream._run.tick is None
    # The stream goes on where it is.
    assert next(stream).paths == 3 * BLOCK
    stream.close()


def test_it_may_be_watched_in_another_thread():
    found = []

    def monitor():
        found.extend(mz.live(mz.stream(payoff(5000), "mean")))

    thread = threading.Thread(target=monitor)
    thread.start()
    thread.join()
    assert found[-1].stopped == "all paths"
