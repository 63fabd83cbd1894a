"""The files around the package agree with one another."""

import re
import tomllib
from pathlib import Path

import montezarr

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
    "prometheus-client": "prometheus_client",
}


def floors(lines):
    out = {}
    for line in lines:
        match = re.fullmatch(r"([a-z_-]+)(?:\[[a-z,]+\])?>=([\d.]+)", line)
        if match:
            out[CONDA_NAMES.get(match[1], match[1])] = match[2]
    return out


def test_environment_yml_has_the_floors_of_pyproject():
    extras = PROJECT["optional-dependencies"]
    wanted = floors(PROJECT["dependencies"])
    for extra in ("plot", "progress", "dashboard", "joblib", "notebook"):
        wanted |= floors(extras[extra])
    wanted["python"] = PROJECT["requires-python"].removeprefix(">=")
    text = (ROOT / "environment.yml").read_text()
    found = floors(line.strip().removeprefix("- ") for line in text.splitlines())
    assert found == wanted


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    assert montezarr.__version__ == PROJECT["version"]
    assert f"version: {PROJECT['version']}\n" in citation


def test_the_package_is_typed_and_its_optional_imports_are_extras():
    assert (ROOT / "src/montezarr/py.typed").exists()
    extras = set(PROJECT["optional-dependencies"])
    used = set()
    for file in (ROOT / "src").rglob("*.py"):
        used |= set(re.findall(r'extra="(\w+)"', file.read_text()))
    assert used
    assert used <= extras


def test_public_names_have_docstrings():
    for name in dir(montezarr):
        thing = getattr(montezarr, name)
        if not name.startswith("_") and callable(thing):
            assert thing.__doc__, name
