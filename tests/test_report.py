"""`mz.report`: one file, which says what was planned and what happened."""

import html
import os
import re
import shutil

import pytest
from distributed import Client, LocalCluster

import montezarr as mz

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


def paths(n=200_000, **options):
    return mz.simulate(GBM, n_paths=n, T=20, x0=100.0, dt=0.05, seed=1, **options)


def cells(text, label):
    """Return the plan and what happened, of a line of a table."""
    row = re.search(rf"<tr[^>]*><td[^>]*>{label}</td>(.*?)</tr>", text)
    return [html.unescape(cell) for cell in re.findall(r">([^<]*)</td>", row[1])]


def bytes_of(text):
    number, unit = text.split()
    return float(number.replace(",", "")) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit)


def test_a_reduction_stays_within_its_plan(tmp_path):
    ds = paths(1_000_000, chunks=65_536)
    with mz.report(tmp_path / "run.html", title="Twenty steps") as report, mz.backend("threads"):
        found = mz.reduce(ds.x.isel(time=-1), "mean")
        report.add(found, "The mean")
    text = (tmp_path / "run.html").read_text()
    assert "<title>Twenty steps</title>" in text
    assert "reduce GeometricBrownianMotion, done" in text
    assert cells(text, "paths") == ["1,000,000", "1,000,000"]
    planned, happened = cells(text, "memory")
    assert 0 <= bytes_of(happened) <= bytes_of(planned) + 2**26  # other tests ran before
    assert f"{found.x_mean.item():,.6g}" in text
    assert "xarray.Dataset" in text
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_a_store_is_as_large_as_planned(tmp_path):
    with mz.report(tmp_path / "run.html"), mz.backend("threads"):
        mz.write(paths(8192, chunks=4096), tmp_path / "p.zarr")
    planned, happened = cells((tmp_path / "run.html").read_text(), "store")
    assert planned == happened


def test_of_what_is_in_memory_no_process_is_known(tmp_path):
    ds = paths(2048).compute()
    with mz.report(tmp_path / "run.html"):
        mz.reduce(ds.x, "mean")
    assert "<h2>reduce, done</h2>" in (tmp_path / "run.html").read_text()


def test_pictures_text_and_reprs_are_shown_in_their_order(tmp_path):
    ds = paths(2048)
    with mz.report(tmp_path / "run.html") as report:
        report.add("first <b>text</b>")
        report.add(mz.plot.fan(ds), "then a fan")
        report.add(mz.plan(ds), "then a plan")
        report.add({"a": 1}, "then a dictionary")
    text = (tmp_path / "run.html").read_text()
    first = "first &lt;b&gt;", "then a fan", "data:image/png;base64"
    for part in (*first, "then a plan", 'class="montezarr"', "then a dictionary", "{&#x27;a&#x27;"):
        _, found, text = text.partition(part)
        assert found == part


def test_an_error_is_reported_and_goes_on(tmp_path):
    def fails():
        with mz.report(tmp_path / "run.html") as report:
            report.add("so far")
            raise ZeroDivisionError("<script>")

    with pytest.raises(ZeroDivisionError):
        fails()
    text = (tmp_path / "run.html").read_text()
    assert "It ended with ZeroDivisionError: &lt;script&gt;" in text
    assert "so far" in text
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


class Broken:
    def _repr_html_(self):
        raise RuntimeError("<no> picture")


def test_what_cannot_be_shown_says_why(tmp_path):
    with mz.report(tmp_path / "run.html") as report:
        report.add(Broken())
        report.add(mz.GeometricBrownianMotion, "a class")
        report.add("half of a pair: \udcff")
    text = (tmp_path / "run.html").read_text()
    assert "Broken could not be shown: RuntimeError: &lt;no&gt; picture" in text
    assert "class &#x27;montezarr" in text
    assert "half of a pair: \\udcff" in text


def test_a_report_never_hides_the_error_of_its_block(tmp_path, caplog):
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    def fails(folder):
        with mz.report(folder / "run.html"):
            shutil.rmtree(folder, ignore_errors=True)
            raise Mute

    folder = tmp_path / "gone"
    folder.mkdir()
    with pytest.raises(Mute):
        fails(folder)
    assert "no report at" in caplog.text


def test_a_report_is_of_one_block(tmp_path):
    with mz.report(tmp_path / "run.html") as report:
        pass
    assert repr(report).endswith("0 runs>")
    with pytest.raises(RuntimeError, match="one block"):
        report.__enter__()
    with pytest.raises(mz.ArgumentTypeError, match="caption"):
        report.add("text", 3)


def test_bad_arguments_are_refused_at_the_call(tmp_path):
    with pytest.raises(mz.ArgumentTypeError, match="path"):
        mz.report(3)
    with pytest.raises(mz.ArgumentTypeError, match="title"):
        mz.report(tmp_path / "r.html", title=None)
    with pytest.raises(mz.ArgumentTypeError, match="path"):
        mz.report(os.fsencode(tmp_path / "r.html"))
    for path in (tmp_path, tmp_path / "no" / "r.html", f"{tmp_path}/a\0b"):
        with pytest.raises(mz.ArgumentValueError, match="folder that is there"):
            mz.report(path)


@pytest.mark.slow
@pytest.mark.parametrize("is_active", [True, False])
def test_the_report_of_dask_is_inside(tmp_path, is_active):
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    ds = paths(chunks=16_384)
    with (
        LocalCluster(n_workers=2, **options) as cluster,
        Client(cluster, set_as_default=is_active) as client,
        mz.report(tmp_path / "run.html"),
        mz.backend("dask", client=client),
    ):
        mz.reduce(ds.x, "mean")
    text = (tmp_path / "run.html").read_text()
    (page,) = re.findall(r'<iframe sandbox="allow-scripts" srcdoc="([^"]*)">', text)
    page = html.unescape(page)
    assert "Duration:" in page
    assert "reduce-GeometricBrownianMotion" in page


def test_a_report_of_the_threads_of_joblib_speaks_of_no_workers_elsewhere(tmp_path):
    pytest.importorskip("joblib")
    ds = mz.simulate(mz.BrownianMotion(), 4096, T=3, seed=1, chunks=1024)
    with mz.report(tmp_path / "run.html"), mz.backend("joblib-threading", n_jobs=2):
        mz.reduce(ds, "mean")
    text = (tmp_path / "run.html").read_text()
    assert "joblib-threading" in text
    assert "workers elsewhere" not in text
