"""What works without the optional packages, and what those that are absent say: prints JSON.

Run as a program, where none of them is installed or `ABSENT` is hidden; see test_without_extras.py.
"""

import contextlib
import io
import json
import re
import sys
import tempfile
import warnings
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path

ABSENT = [
    "matplotlib", "bokeh", "tqdm", "ipywidgets", "IPython", "jupyter", "jupyterlab", "notebook",
    "prometheus_client", "joblib", "ray", "pyarrow", "h5netcdf", "h5py", "s3fs", "obstore",
    "pytest", "hypothesis", "scipy",
]  # fmt: skip
"""Packages of the extras, as they are imported."""

NAMES = [
    ("plot", "ds.mz.plot.fan()"),
    ("plot", "ds.x.mz.plot.fan()"),
    ("plot", "mz.plot.save_fan(ds, here / 'fan.png')"),
    ("plot", "mz.plot.paths(ds)"),
    ("plot", "mz.plot.histogram(ds.x[:, -1])"),
    ("plot", "mz.plot.density(ds)"),
    ("plot", "mz.plot.compare(ds, ds)"),
    ("plot", "mz.plot.convergence(mz.stream(ds.x[:, -1], 'mean'))"),
    ("plot", "cli('run', with_plot)"),
    ("joblib", "engine.simulate(10, 5, parallel=True, backend='joblib')"),
    ("joblib", "mz.backend('joblib').__enter__()"),
    ("ray", "engine.simulate(10, 5, parallel=True, backend='ray')"),
    ("ray", "mz.backend('ray').__enter__()"),
    ("export", "export(store, here / 'a.parquet')"),
    ("export", "export(store, here / 'a.nc')"),
    ("s3", "mz.open('s3://bucket/a.zarr')"),
    ("s3", "mz.write(ds, 's3://bucket/a.zarr')"),
    ("s3", "mz.open('s3://bucket/a.zarr', storage_options={'anon': True})"),
    ("scipy", "distribution_from_dict(SCIPYS)"),
    ("testing", "__import__('montezarr.testing')"),
]
"""What needs an extra, and the extra; a new one is a line here.

A function that is not there (yet), such as ``mz.plot.histogram``, is left out.
"""

WORKS = {
    "compute": "float(ds.x.mean().compute())",
    "reduce": "float(mz.reduce(ds.x.isel(time=-1), ['mean', 'q05', 'std']).x_mean)",
    "stream": "[s.paths for s in mz.stream(ds.x, 'mean', progress=True)][-1]",
    "write": "mz.write(ds, store).sizes['path']",
    "open and verify": "(mz.open(store).equals(ds.compute()), mz.verify(store).ok)",
    "replay and batches": "(mz.replay(ds, 7).x.equals(ds.x[7].compute()),"
    " len(list(ds.mz.batches(1000))))",
    "engine": "len(engine.simulate(3000, 5, parallel=True, backend='threads', show_progress=True))",
    "engine's table": "len(engine.simulate(10, 5, seed=1).to_dataframe())",
    "own sampler": "len(mz.MonteCarloEngine(walk).simulate(100, 5, parallel=True, seed=1))",
    "reprs": "all([ds._repr_html_(), ds.mz.recipe._repr_html_(), mz.plan(ds)._repr_html_(),"
    " str(ds.mz)])",
    "dask": "on_dask()",
    "live": "[s.paths for s in mz.live(mz.stream(ds.x[:, -1], 'mean'))][-1]",
    "report": "report()",
    "command plan": "cli('plan', without_plot)",
    "command run": "cli('run', without_plot)",
}
"""What needs none; a function that is not there is left out here too."""

SCIPYS = {
    "name": "scipy", "distribution": "gamma", "arguments": {"a": 2.0}, "version": "1.15",
    "check": "0",
}  # fmt: skip

JOB = """
[process]
name = "GeometricBrownianMotion"
mu = 0.05
sigma = 0.2
[run]
n_paths = 2000
T = 5
x0 = 100.0
seed = 1
[output]
store = "{store}.zarr"
"""


def setting(here):
    """Return the names that the expressions use."""
    import montezarr as mz
    from montezarr.cli import main
    from montezarr.random.distributions._built_in import distribution_from_dict
    from montezarr.store.export import export

    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, 4096, 5, x0=100.0, seed=1, chunks=1024)
    without_plot, with_plot = here / "a.toml", here / "b.toml"
    without_plot.write_text(JOB.format(store="job"))
    with_plot.write_text(JOB.format(store="plotted") + 'plot = "fan.png"\n')

    def cli(*arguments):
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main([str(argument) for argument in arguments])
        except SystemExit:  # what went wrong stands on standard error, in one line
            raise mz.MissingDependencyError(err.getvalue()) from None
        return out.getvalue()

    def on_dask():
        from distributed import Client

        with (
            Client(
                processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0"
            ) as c,
            mz.backend(c),
        ):
            return float(mz.reduce(ds.x, "mean").x_mean[-1]), float(ds.x[:, -1].mean().compute())

    def report():
        with mz.report(here / "run.html") as written:
            written.add(mz.plan(ds))
            written.add(mz.reduce(ds.x, "mean"))
        return [word in (here / "run.html").read_text() for word in ("plan", "x_mean", "threads")]

    def walk(rng, T):
        return rng.normal(size=T + 1).cumsum()

    engine = mz.MonteCarloEngine(gbm)
    return {
        "mz": mz, "ds": ds, "engine": engine, "here": here, "store": here / "s.zarr",
        "export": export, "walk": walk, "cli": cli, "on_dask": on_dask, "report": report,
        "with_plot": with_plot, "without_plot": without_plot,
        "distribution_from_dict": distribution_from_dict, "SCIPYS": SCIPYS,
    }  # fmt: skip


def is_there(mz, expression):
    """Return whether the function of montezarr that an expression calls exists."""
    called = re.search(r"(?<![\w.])mz\.([\w.]+)\(", expression)
    try:
        return called is None or callable(attrgetter(called[1])(mz))
    except AttributeError:
        return False


def found():
    """Return what happened, as JSON."""
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        names = setting(Path(folder))
        works, missing = {}, []
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            for title, expression in WORKS.items():
                if not is_there(names["mz"], expression):
                    continue
                try:
                    works[title] = eval(expression, names)
                except Exception as error:
                    works[title] = f"failed: {type(error).__name__}: {error}"
        for extra, expression in NAMES:
            if not is_there(names["mz"], expression):
                continue
            try:
                eval(expression, names)
                said = "nothing"
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            missing.append((extra, expression, said))
        left = sorted(path.name for path in Path(folder).iterdir())
    there = [name for name in ABSENT if find_spec(name) is not None]
    loaded = [name for name in ABSENT if name in sys.modules]
    return {
        "works": works, "missing": missing, "stderr": err.getvalue(), "there": there,
        "loaded": loaded, "left": left,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(found()))
