"""The page on the dashboard of Dask: what it says is true, and a run never depends on it."""

import json
import logging
import urllib.request
from contextlib import contextmanager

import dask
import pytest
from distributed import Client, LocalCluster

import montezarr as mz
from montezarr.core.tunables.keeping import DASHBOARD_MOMENTS_KEPT, DASHBOARD_RUNS_KEPT
from montezarr.execute.dask import dashboard_link
from montezarr.monitor.dashboard import _colours, add_page
from montezarr.monitor.dashboard._board import Board
from montezarr.monitor.dashboard._html import card, estimates_table

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def news(key="1-1", done=0, state="running", **more):
    return {
        "key": key, "stage": "reduce", "process": "Heston", "backend": "dask", "state": state,
        "error": "", "began": float(key.partition("-")[2]), "seconds": done / 1000, "done": done,
        "new": done, "total": 10_000, "failed": 0, "bytes_written": 0, "paths_per_second": 1000.0,
        "seconds_left": 5.0, "workers": {}, "estimates": [], "client": "c", **more,
    }  # fmt: skip


def test_a_board_counts_what_is_new_once():
    board = Board()
    for done in (0, 1000, 1000, 4000):
        board.put(news(done=done))
    board.put(news("1-2", 500))
    assert board.totals["reduce", "Heston"] == {
        "runs": 2,
        "new": 4500,
        "failed": 0,
        "bytes_written": 0,
    }
    assert [run["key"] for run in board.newest()] == ["1-2", "1-1"]
    speeds = [moment[2] for moment in board.moments["1-1"]]
    assert speeds == [0.0, 1000.0, 0.0, 1000.0]


def test_a_board_forgets_old_runs_but_not_their_counts():
    board = Board()
    for i in range(DASHBOARD_RUNS_KEPT + 5):
        board.put(news(f"1-{i}", 100, state="done"))
    assert len(board.runs) == len(board.moments) == DASHBOARD_RUNS_KEPT
    assert "1-4" not in board.runs
    assert board.totals["reduce", "Heston"]["new"] == 100 * (DASHBOARD_RUNS_KEPT + 5)
    for i in range(3 * DASHBOARD_MOMENTS_KEPT):
        board.put(news("2-9", i))
    assert len(board.moments["2-9"]) <= DASHBOARD_MOMENTS_KEPT


def test_runs_of_a_client_that_is_gone_are_lost():
    board = Board()
    board.put(news())
    board.put(news("1-2", state="done"))
    board.leave("c")
    assert {run["state"] for run in board.newest()} == {"lost", "done"}


def test_what_a_run_says_is_escaped():
    estimate = {"name": "<i>", "value": 1.0, "se": 0.1, "low": 0.8, "high": 1.2}
    hostile = {"process": "<script>alert(1)</script>", "error": "<b>", "estimates": [estimate]}
    run = news(state="failed", **hostile)
    text = card(run) + estimates_table(run)
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;" in text
    assert "[0.8, 1.2]" in text


def get(link):
    with urllib.request.urlopen(link) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def cluster():
    with started() as client:
        yield client


@contextmanager
def started():
    """A cluster in threads of this process, so that its scheduler can be tampered with."""
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=2, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.slow
def test_page_json_and_metrics_tell_of_a_run(cluster, tmp_path):
    base = dashboard_link(cluster).removesuffix("status")
    assert base.startswith("http://127.0.0.1:")  # where it listens
    with dask.config.set({"distributed.dashboard.link": "https://hub.example.org/{port}/status"}):
        assert dashboard_link(cluster).startswith("https://hub.example.org/")
    ds = mz.simulate(GBM, n_paths=200_000, T=20, x0=100.0, dt=0.05, seed=1, chunks=16_384)
    with mz.backend("dask", client=cluster):
        found = mz.reduce(ds.x.isel(time=-1), "mean")
        mz.write(ds, tmp_path / "p.zarr")
    runs = {run["stage"]: run for run in json.loads(get(base + "montezarr.json"))["runs"]}
    run = runs["reduce"]
    facts = [run[name] for name in ("state", "process", "done", "total", "backend")]
    assert facts == ["done", "GeometricBrownianMotion", 200_000, 200_000, "dask"]
    assert sum(worker["paths"] for worker in run["workers"].values()) == 200_000
    assert all(name.startswith("worker ") for name in run["workers"])
    assert run["estimates"][0]["value"] == found.x_mean.item()
    files = [f for f in (tmp_path / "p.zarr" / "x" / "c").rglob("*") if f.is_file()]
    assert runs["write"]["bytes_written"] == sum(f.stat().st_size for f in files)
    metrics = get(base + "metrics")
    labels = '{process="GeometricBrownianMotion",stage="reduce"}'
    assert f"montezarr_paths_total{labels} 200000.0" in metrics
    assert f"montezarr_running{labels} 0.0" in metrics
    assert "bokeh" in get(base + "montezarr")
    assert ">Montezarr</a>" in get(base + "status")


@pytest.mark.slow
def test_stages_have_their_colours_in_the_task_stream(cluster):
    from distributed.diagnostics import task_stream

    add_page(cluster)
    colour = task_stream.colors["compute"]
    for stage, wanted in _colours.STAGES.items():
        assert colour({"status": "OK", "key": f"{stage}-Heston-1f2e3d4c-7"}) == wanted
    other = {"status": "OK", "key": "sum-1234"}
    assert colour(other) == task_stream.color_of_message(other)
    assert colour({"status": "error", "key": "reduce-Heston-1"}) == "black"


@pytest.mark.slow
def test_a_dask_that_has_changed_costs_the_page_and_not_the_run(monkeypatch, caplog):
    """Nothing of what the page uses of Dask is there any more."""
    from distributed.diagnostics import task_stream
    from distributed.http.routing import RoutingApplication

    ds = mz.simulate(GBM, n_paths=20_000, T=4, x0=100.0, dt=0.25, seed=1)
    wanted = mz.reduce(ds.x, "mean")
    with started() as client:
        import distributed.dashboard.core

        monkeypatch.delattr(distributed.dashboard.core, "BokehApplication")
        monkeypatch.setattr(task_stream, "colors", None)
        monkeypatch.setattr(RoutingApplication, "add_handlers", None)
        with caplog.at_level(logging.WARNING, "montezarr"), mz.backend("dask", client=client):
            found = mz.reduce(ds.x, "mean")
        monkeypatch.undo()
    assert found.identical(wanted)
    for what in ("json", "page", "colours"):
        assert f"no {what} on the dashboard of Dask" in caplog.text


@pytest.mark.slow
def test_a_client_that_takes_no_plugins_costs_the_page_and_not_the_run(monkeypatch, caplog):
    monkeypatch.setattr(Client, "register_plugin", None)
    monkeypatch.setattr(Client, "log_event", None)
    ds = mz.simulate(GBM, n_paths=20_000, T=4, x0=100.0, dt=0.25, seed=1)
    caplog.set_level(logging.WARNING, "montezarr")
    with started() as client, mz.backend("dask", client=client):
        found = mz.reduce(ds.x, "mean")
    assert found.identical(mz.reduce(ds.x, "mean"))
    assert "no page on the dashboard of Dask" in caplog.text
    assert "Sender is left alone for this run" in caplog.text
