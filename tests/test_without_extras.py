"""Without the optional packages everything else works, and each that is absent names its line."""

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import without_extras

import montezarr as mz

ROOT = Path(__file__).parents[1]
PROGRAM = Path(without_extras.__file__)

HIDE = f"""
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {without_extras.ABSENT}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [Without if f is PathFinder else f for f in sys.meta_path]
"""
"""A ``sitecustomize``, which worker processes read too: a package that is hidden is not there."""


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(*paths):
    out = {name: value for name, value in os.environ.items() if name != "MONTEZARR_WORKER"}
    return out | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONWARNINGS": ""}


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    """What `without_extras` finds where the packages are hidden from a process and its workers."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(HIDE)
    source = Path(mz.__file__).parents[1]
    return json.loads(
        run([sys.executable, str(PROGRAM)], env=environment(folder, source), timeout=600)
    )


@pytest.mark.parametrize("title", without_extras.WORKS)
def test_what_needs_no_extra_works_without(hidden, title):
    found = hidden["works"].get(title)  # None: a function that is not there
    assert not str(found).startswith("failed"), found
    assert len(hidden["works"]) > 10


def test_the_numbers_are_those_that_come_with_the_extras(hidden):
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    ds = mz.simulate(gbm, 4096, 5, x0=100.0, seed=1, chunks=1024)
    last = float(mz.reduce(ds.x.isel(time=-1), "mean").x_mean)
    assert hidden["works"]["reduce"] == last
    assert hidden["works"]["dask"][0] == last
    assert [hidden["works"]["write"], *hidden["works"]["open and verify"]] == [4096, True, True]
    assert hidden["works"]["replay and batches"] == [True, 5]


def test_the_packages_were_hidden_indeed(hidden):
    assert hidden["there"] == hidden["loaded"] == []


def check_lines(found):
    assert {extra for extra, *_ in found["missing"]} == {extra for extra, _ in without_extras.NAMES}
    wrong = [
        (expression, said)
        for extra, expression, said in found["missing"]
        if not said.startswith("MissingDependencyError")
        or f'pip install "montezarr[{extra}]"' not in said
    ]
    assert not wrong


def test_each_missing_package_names_the_line_that_installs_it(hidden):
    check_lines(hidden)
    assert 'Dask dashboard: needs pip install "montezarr[dashboard]"' in hidden["stderr"]


def test_a_job_that_could_not_draw_its_picture_does_not_start(hidden):
    assert "job.zarr" in hidden["left"]
    assert "plotted.zarr" not in hidden["left"]


def test_progress_is_told_in_plain_lines(hidden):
    assert re.search(r"simulate: 3,000 of 3,000 paths \(100%\), [\d,]+ paths/s", hidden["stderr"])


def test_importing_montezarr_imports_no_optional_package():
    code = (
        "import sys\n"
        "import boost_histogram, click, cloudpickle, dask.array, distributed, google_crc32c\n"
        "import numba, numpy, pandas, psutil, xarray, zarr\n"
        "before = set(sys.modules)\n"  # pandas imports pyarrow by itself
        "import montezarr\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})\n"
    )
    source = Path(mz.__file__).parents[1]
    imported = run([sys.executable, "-c", code], env=environment(source)).split()
    assert "montezarr" in imported
    assert not set(imported) & set(without_extras.ABSENT)


@pytest.mark.slow  # it makes an environment and fills it from the package index
def test_a_plain_installation_does_the_first_example_and_names_what_is_missing(tmp_path):
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    plain = environment()
    del plain["PYTHONPATH"]
    run([python, "-m", "pip", "install", "-q", str(ROOT)], env=plain, timeout=1200)
    found = json.loads(run([python, str(PROGRAM)], env=plain, cwd=tmp_path, timeout=600))
    assert found["there"] == []
    assert not [said for said in found["works"].values() if str(said).startswith("failed")]
    check_lines(found)
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    code = (
        "import montezarr as mz\n"
        "try:\n"
        f"    exec({example!r}, {{}})\n"
        "except mz.MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    said = run([python, "-c", code], env=plain, cwd=tmp_path, timeout=600)
    if "plot" in example:
        assert said.splitlines()[-1].endswith('pip install "montezarr[plot]"')
