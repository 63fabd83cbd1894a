"""`montezarr bench`: the comparison table is measured, and machines can read it."""

import json

from click.testing import CliRunner

from montezarr.cli import cli
from montezarr.engine.bench import run
from montezarr.engine.bench.samplers import HEAVY, RARE, PythonLoop, Uneven


def test_the_table_has_what_the_request_compares(monkeypatch):
    monkeypatch.setattr(run, "VECTOR_PATHS", 20_000)
    monkeypatch.setattr(run, "PYTHON_PATHS", 300)
    monkeypatch.setattr(run, "UNEVEN_PATHS", 300)
    arguments = ["bench", "--n-jobs", "2", "--backend", "threads", "--backend", "processes"]
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert "measuring processes" in done.stderr
    assert [row["backend"] for row in found["rows"]] == ["threads", "processes"]
    threads, processes = found["rows"]
    assert threads["memory"] is None
    assert 10 < processes["memory"] < 500
    # What is slower than what is the table's to say, not this test's: other programs run too.
    assert min(row[name] for row in found["rows"] for name in ("start_up", "overhead")) > 0
    for row in found["rows"]:
        assert min(row["vectorised"], row["python_loop"], row["uneven"]) > 0
    assert found["path_ms"] > 0
    assert found["advice"][0].startswith("Vectorised processes: ")
    text = CliRunner().invoke(cli, arguments).stdout
    for word in ("start-up", "per task", "memory", "vectorised", "Python loop", "uneven", "MiB"):
        assert word in text


def test_a_backend_that_is_not_installed_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(run, "VECTOR_PATHS", 5000)
    monkeypatch.setattr(run, "PYTHON_PATHS", 50)
    monkeypatch.setattr(run, "UNEVEN_PATHS", 50)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    found = run.measure_backends(1, ["ray", "synchronous"])
    assert 'pip install "montezarr[ray]"' in found.skipped["ray"]
    assert 'pip install "montezarr[ray]"' in str(found)


def test_the_uneven_sampler_is_what_it_says():
    import numpy as np

    heavy = sum(np.random.default_rng(seed).random() < RARE for seed in range(20_000))
    assert abs(heavy - 200) < 4 * np.sqrt(200)
    assert HEAVY == 100
    rng = np.random.default_rng(1)
    assert PythonLoop(3).sample_path(10, None, rng).shape == (11,)
    assert Uneven(3).sample_path(10, None, rng).shape == (11,)
