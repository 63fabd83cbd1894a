"""What long runs tell of themselves, and that telling costs them nothing."""

import logging
import os
import time

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.core.timed_task import Timed, worker_name
from montezarr.execute import run_monitor as watch_of_runs
from montezarr.execute.run_monitor import INTERVAL, Listener, estimates_of, listen, where_in
from montezarr.reduction.passes._passes import fold_all
from montezarr.reduction.passes._prepare import prepare_reduction
from montezarr.run.execution import FailureLog
from montezarr.statistics import _bins

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


class Notes(Listener):
    """Keeps what it hears, as JSON."""

    def __init__(self):
        self.heard = []

    def started(self, monitor, backend):
        self.heard.append(("started", monitor.to_dict()))

    def changed(self, monitor):
        self.heard.append(("changed", monitor.to_dict()))

    def rested(self, monitor):
        self.heard.append(("rested", monitor.to_dict()))

    def ended(self, monitor):
        self.heard.append(("ended", monitor.to_dict()))

    @property
    def last(self):
        return self.heard[-1][1]


@pytest.fixture
def notes(monkeypatch):
    monkeypatch.setattr(watch_of_runs, "LISTENERS_TOLD_SECONDS", -1.0)  # hears all there is
    monkeypatch.setattr(watch_of_runs, "LISTENERS_TIME_SHARE", 1e9)
    found = Notes()
    end = listen(found)
    yield found
    end()


def paths(n=20_000, **options):
    return mz.simulate(GBM, n_paths=n, T=4, x0=100.0, dt=0.25, seed=1, **options)


@pytest.mark.parametrize("backend", ["threads", "processes", "synchronous"])
def test_a_reduction_tells_paths_workers_and_estimates(backend, notes):
    ds = paths(chunks=4096)
    with mz.backend(backend, n_jobs=2):
        found = mz.reduce(ds.x.isel(time=-1), ["mean", "variance"])
    assert notes.heard[0][0] == "started"
    assert notes.heard[-1][0] == "ended"
    last = notes.last
    facts = ("stage", "process", "backend", "state", "done", "total", "failed")
    assert [last[name] for name in facts] == [
        "reduce", "GeometricBrownianMotion", backend, "done", 20_000, 20_000, 0,
    ]  # fmt: skip
    assert sum(worker["paths"] for worker in last["workers"].values()) == 20_000
    assert all(worker["paths_per_second"] > 0 for worker in last["workers"].values())
    assert backend != "processes" or all(name.startswith("process ") for name in last["workers"])
    assert notes.heard[0][1]["done"] == 0
    done = [news["done"] for _, news in notes.heard]
    assert done == sorted(done)
    estimates = {entry["name"]: entry for entry in last["estimates"]}
    mean, se = found.x_mean.item(), found.x_mean_se.item()
    assert estimates["x_mean"]["value"] == mean
    assert estimates["x_mean"]["high"] == pytest.approx(mean + INTERVAL * se, rel=1e-12)
    assert set(estimates) == {"x_mean", "x_variance"}


def test_writing_tells_the_bytes_of_the_chunk_files(tmp_path, notes):
    mz.write(paths(5000, chunks=1024), tmp_path / "paths.zarr")
    last = notes.last
    assert last["stage"] == "write"
    assert last["done"] == last["new"] == 5000
    files = [f for f in (tmp_path / "paths.zarr" / "x" / "c").rglob("*") if f.is_file()]
    assert last["bytes_written"] == sum(os.path.getsize(f) for f in files) > 0
    mz.extend(tmp_path / "paths.zarr", 8000)
    assert (notes.last["stage"], notes.last["done"], notes.last["new"]) == (
        "extend",
        8000,
        3880 - 880,
    )


def test_the_engine_and_batches_tell_too(notes):
    mz.MonteCarloEngine(GBM).simulate(3000, 4, x0=100.0, dt=0.25, seed=1, parallel=True,
                                      backend="threads", show_progress=False)  # fmt: skip
    assert (notes.last["stage"], notes.last["done"]) == ("simulate", 3000)
    for _ in mz.batches(paths(3000), 1000):
        pass
    assert (notes.last["stage"], notes.last["done"], notes.last["state"]) == (
        "batches",
        3000,
        "done",
    )


def test_a_stream_tells_its_estimate_and_what_it_expects(notes):
    ds = mz.simulate(GBM, n_paths=None, T=4, x0=100.0, dt=0.25, seed=1)
    last = None
    for snapshot in mz.stream(ds.x.isel(time=-1), "mean", until=mz.StandardError(abs=0.1)):
        last = snapshot
    assert (notes.last["stage"], notes.last["state"]) == ("stream", "done")
    assert notes.last["done"] == last.paths
    assert notes.last["estimates"][0]["value"] == last["x_mean"].item()


def test_a_run_that_fails_says_so_in_one_line(notes):
    class Fails:
        def sample_path(self, T, x0, rng):
            raise ValueError("no <b>luck</b>")

    with pytest.raises(mz.SamplerError):
        mz.reduce(mz.simulate(Fails(), n_paths=100, T=2, seed=1).x, "mean")
    assert notes.heard == []  # found before any task: the first path is tried at the call

    class FailsLater:
        def sample_path(self, T, x0, rng):
            if rng.random() < 0.01:
                raise ValueError("no luck")
            return np.zeros(T + 1)

    ds = mz.simulate(FailsLater(), n_paths=5000, T=2, seed=1)
    with pytest.raises(mz.SamplerError), mz.backend("threads"):
        mz.reduce(ds.x, "mean")
    assert notes.last["state"] == "failed"
    assert "no luck" in notes.last["error"]
    assert "\n" not in notes.last["error"]


def test_a_listener_that_fails_costs_the_run_nothing(caplog):
    class Broken(Listener):
        def changed(self, monitor):
            raise RuntimeError("no page")

    end = listen(Broken())
    try:
        with caplog.at_level(logging.WARNING, "montezarr"):
            found = mz.reduce(paths().x, "mean")
    finally:
        end()
    assert "Broken is left alone for this run: RuntimeError: no page" in caplog.text
    assert found.identical(mz.reduce(paths().x, "mean"))


def test_telling_takes_at_most_a_hundredth_of_the_time():
    class Slow(Listener):
        pauses = []

        def changed(self, monitor):
            time.sleep(0.02)

        def ended(self, monitor):
            self.pauses.append(monitor._pause)

    end = listen(Slow())
    try:
        mz.reduce(paths().x, "mean")
    finally:
        end()
    assert Slow.pauses[0] >= 2.0


def test_estimates_leave_out_what_is_large_and_what_is_no_number():
    ds = mz.reduce(paths(2000).x, ["mean", "q50"])  # five times each
    found = estimates_of(ds)
    assert [entry["name"] for entry in found][:2] == ["x_mean[time=0]", "x_mean[time=0.25]"]
    assert len(found) == 10
    wide = mz.reduce(mz.simulate(GBM, n_paths=1024, T=100, x0=1.0, dt=0.01, seed=1).x, "mean")
    assert estimates_of(wide) == []


def test_a_place_is_named_by_its_coordinate():
    times = np.array(["2026-01-31", "2026-02-28"], "datetime64[ns]")
    array = xr.DataArray(np.zeros((2, 3)), {"time": times}, ("time", "level"))
    assert where_in(array, (1, 2)).startswith("[time=2026-02-28")
    assert where_in(array, (1, 2)).endswith(", level=2]")
    assert where_in(array[0, 0], ()) == ""


def test_a_timed_task_keeps_its_name_and_its_result():
    class Named:
        __name__ = "reduce-Heston"

        def __call__(self, item):
            return item + 1

    timed = Timed(Named())
    result, (worker, seconds) = timed(1)
    assert (timed.__name__, result, worker) == ("reduce-Heston", 2, "MainThread")
    assert seconds >= 0
    assert worker_name(os.getpid() + 1) == f"process {os.getpid()}"


def test_without_a_client_nobody_hears_and_nothing_is_estimated(monkeypatch):
    """What the dashboard listens for costs a run on other backends nothing."""
    monkeypatch.setattr(watch_of_runs, "LISTENERS_TOLD_SECONDS", -1.0)
    asked = []
    monkeypatch.setattr(watch_of_runs, "estimates_of", lambda ds: asked.append(ds) or [])
    mz.reduce(paths(chunks=1024).x, "mean")
    assert asked == []


def test_the_process_is_named_whatever_is_made_of_it(notes):
    ds = paths(chunks=1024)
    payoff = (ds.x.isel(time=-1) - 100).clip(min=0).rename("payoff")
    mz.reduce(payoff, "mean")
    assert notes.last["process"] == "GeometricBrownianMotion"


def test_all_passes_count_for_the_speed_and_the_last_one_for_what_is_left(notes, monkeypatch):
    n = 20_000
    monkeypatch.setattr(_bins, "MOST_VALUES", 2**12)  # else all are kept, and one pass is enough
    mz.reduce(paths(n, chunks=4096).x.isel(time=-1), mz.Quantile([0.5], exact=True))
    begins = [news for what, news in notes.heard if what == "started"]
    assert len(begins) > 1  # an exact quantile takes more than one pass
    assert notes.last["done"] == n
    assert notes.last["new"] == n * len(begins)
    assert sum(worker["paths"] for worker in notes.last["workers"].values()) == notes.last["new"]


def test_who_raises_once_hears_no_more_of_that_run():
    class Broken(Listener):
        heard = 0

        def changed(self, monitor):
            Broken.heard += 1
            raise RuntimeError

    end = listen(Broken())
    try:
        mz.reduce(paths(chunks=4096).x.isel(time=-1), mz.Quantile([0.5], exact=True))
    finally:
        end()
    assert Broken.heard == 1


def test_an_interrupted_pass_rests_before_its_error_is_gone(notes):
    def interrupt(done, total, failed):
        if done:
            raise KeyboardInterrupt

    heard = [None]
    try:
        with watch_of_runs.RunMonitor("test", interrupt) as monitor:
            feed, layout = prepare_reduction(paths(chunks=1024).x, "mean", "path", None, None)
            with feed.backend.running():
                fold_all(feed, layout.accumulator, FailureLog(), monitor)
    except KeyboardInterrupt:
        heard = [what for what, _ in notes.heard]
    assert heard[-2:] == ["rested", "ended"]
    assert notes.last["state"] == "stopped"


def test_an_error_that_has_no_text_is_told():
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    assert watch_of_runs.said(Mute()) == "<Mute>"
