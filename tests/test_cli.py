"""The command line, once each way in a process of its own, as its users call it."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import run_here
from patience import PATIENCE

import montezarr as mz
from montezarr import cli

ROOT = Path(__file__).parents[1]

SMALL = """
[data]
file = "prices.csv"

[process]
name = "GeometricBrownianMotion"
fit = true

[run]
n_paths = 20_000
T = 252
dt = "1/252"
x0 = "last"
seed = 42
dtype = "float32"
keep = 21

[output]
store = "paths.zarr"
plot = "fan.png"

[risk]
levels = [0.95, 0.99]
"""


@pytest.fixture
def job(tmp_path):
    """A function that writes job.toml with lines replaced, beside the prices, and returns it."""
    prices = ROOT / "examples/data/sp500_daily_close.csv"
    (tmp_path / "prices.csv").write_bytes(prices.read_bytes())

    def make(*changes):
        text = SMALL
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "job.toml"
        file.write_text(text)
        return file

    return make


def montezarr(*arguments, text=True, **options):
    command = [sys.executable, "-m", "montezarr.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=text, check=False, **options)


@pytest.fixture
def here(capsys):
    """A function that runs the command in this process, which has imported all that it takes."""

    return partial(run_here, capsys)


def test_a_job_writes_paths_prints_the_risk_and_draws(job, here):
    file = job()
    first = montezarr("run", file)
    assert first.returncode == 0, first.stderr
    assert "Fitted GeometricBrownianMotion, 5030 transitions" in first.stdout
    assert "20,000 paths written" in first.stdout
    assert "value at risk 95 %" in first.stdout
    assert "paths/s" in first.stderr
    assert (file.parent / "fan.png").read_bytes().startswith(b"\x89PNG")
    stored = mz.open(file.parent / "paths.zarr")
    assert stored.x.shape == (20_000, 13)
    assert stored.x.dtype == np.float32
    second = here("run", file)
    assert "The store is complete and was reused" in second.stdout


def test_json_holds_estimates_within_three_standard_errors_of_the_closed_form(job, here):
    done = here("run", job(), "--json")
    report = json.loads(done.stdout)
    assert report["paths"] == 20_000
    assert report["fit"]["n"] == 5030
    for found, exact in zip(report["risk"], report["closed_form"], strict=True):
        for name in ("value_at_risk", "expected_shortfall"):
            assert abs(found[name] - exact[name]) < 3 * found[f"{name}_se"]


def test_plan_does_nothing(job, here):
    file = job()
    done = here("plan", file)
    assert done.returncode == 0
    assert "20,000 paths of 252 steps, 13 times kept" in done.stdout
    assert sorted(p.name for p in file.parent.iterdir()) == ["job.toml", "prices.csv"]
    assert json.loads(here("plan", file, "--json").stdout)["times"] == 13


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("n_paths = 20_000", "n_pathz = 20_000"), 10, ["[run] n_pathz", "unknown key", "n_paths"]),
        (("n_paths = 20_000", 'n_paths = "many"'), 10, ["[run] n_paths", "an integer", "'many'"]),
        (("n_paths = 20_000", "n_paths = true"), 10, ["[run] n_paths", "an integer", "True"]),
        (("n_paths = 20_000", "n_paths = 0"), 10, ["[run] n_paths", ">= 1", "got 0"]),
        (("n_paths = 20_000\n", ""), 9, ["[run] n_paths", "missing"]),
        (("T = 252", "T = -1"), 11, ["[run] T", "got -1"]),
        (('dt = "1/252"', 'dt = "1/0"'), 12, ["[run] dt", "fraction"]),
        (('dt = "1/252"', "dt = -1.0"), 12, ["[run] dt", "> 0"]),
        (('x0 = "last"', 'x0 = "first"'), 13, ["[run] x0", "'first'"]),
        (("seed = 42", "seed = -42"), 14, ["[run] seed", "-42"]),
        (('dtype = "float32"', 'dtype = "float16"'), 15, ["[run] dtype", "float64"]),
        (("keep = 21", "keep = 0"), 16, ["[run] keep", "got 0"]),
        (("[risk]", "[risks]"), 22, ["[risks]", "unknown section", "risk"]),
        (("[0.95, 0.99]", "[1.5]"), 23, ["[risk] levels", "1.5"]),
        (("[0.95, 0.99]", "[0.99999]"), 23, ["[risk] levels", "losses"]),
        (("[0.95, 0.99]", "0.95"), 23, ["[risk] levels", "a list"]),
        (('"prices.csv"', '"lost.csv"'), 3, ["[data] file", "lost.csv", "No such file"]),
        (('file = "prices.csv"', 'column = "open"\nfile = "prices.csv"'), 3, ["column", "'open'"]),
        (('"GeometricBrownianMotion"', '"os.system"'), 6, ["[process] name", "os.system"]),
        (('"GeometricBrownianMotion"', '"Heston"'), 7, ["[process] fit", "Heston has no fit"]),
        (("fit = true", "fit = 1.5"), 7, ["[process] fit", "true or false"]),
        (("fit = true", "mu = 0.1"), 5, ["[process]", "sigma"]),
        (("fit = true", "mu = 0.1\nsigma = -1"), 8, ["[process] sigma", "-1"]),
        (("fit = true", "mu = 0.1\nsigma = 1\nnu = 2"), 5, ["[process]", "nu"]),
        (("fit = true", "fit = "), 7, ["not TOML"]),
        (("seed = 42\n", ""), 9, ["[run] seed", "missing"]),
        (('dt = "1/252"', 'dt = "1e999999999"'), 12, ["[run] dt", "fraction"]),
        (("keep = 21", "keep = 100"), 16, ["[run] keep", "[risk]"]),
        (("keep = 21", "keep = [50, 252]"), 16, ["[run] keep", "[risk]"]),
        (('x0 = "last"', "x0 = -1.0"), 13, ["[run] x0", "> 0"]),
        (('plot = "fan.png"', 'plot = "fan.xyz"'), 20, ["[output] plot", ".png"]),
        (('file = "prices.csv"', 'file = "prices.csv"\nper_year = 0'), 4, ["per_year", "> 0"]),
        (('file = "prices.csv"', 'file = "prices.csv"\nper_year = 1e300'), 4, ["at most 1e+12"]),
        (('name = "GeometricBrownianMotion"', "name = [1]"), 6, ["[process] name", "a string"]),
        (("seed = 42", "seed = 42\nseed = 43"), 15, ["not TOML"]),
    ],
)
def test_a_wrong_job_is_one_line_with_file_line_and_key(job, capsys, change, line, words):
    file = job(change)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(file)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"job.toml:{line}:" in error
    for word in words:
        assert word in error
    assert sorted(p.name for p in file.parent.iterdir()) == ["job.toml", "prices.csv"]


def test_a_missing_job_is_one_line(tmp_path, here):
    done = here("run", tmp_path / "none.toml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "none.toml" in done.stderr
    assert "No such file" in done.stderr


def test_fit_needs_data(job, here):
    done = here("run", job(('file = "prices.csv"', "per_year = 252")))
    assert "[data] file: missing" in done.stderr


def test_a_number_that_is_none_is_named_with_its_line(job, here):
    file = job()
    lines = (file.parent / "prices.csv").read_text().splitlines()
    lines[100] = lines[100].split(",")[0] + ",n/a"
    (file.parent / "prices.csv").write_text("\n".join(lines))
    assert "prices.csv:101: 'n/a' is no number" in here("run", file).stderr


def test_a_store_of_something_else_is_refused_and_left_alone(job, here):
    file = job()
    assert here("run", file).returncode == 0
    done = here("run", job(("seed = 42", "seed = 43")))
    assert done.returncode == 2
    assert "seed.entropy: '42' there, '43' here" in done.stderr


def test_bits_are_the_words_of_the_draws():
    done = montezarr("bits", "--seed", 5, "--order", "path", "--bytes", 64, text=False)
    words = np.frombuffer(done.stdout, "<u4").reshape(4, 4)
    draws = mz.Draws.of(5)
    expected = [draws.words(0, slot)[:, 0] for slot in range(4)]
    assert (words == expected).all()


def test_bits_end_quietly_when_the_reader_has_seen_enough():
    command = f"{sys.executable} -m montezarr.cli bits --order step | head -c 1000 | wc -c"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1000"
    assert done.stderr == ""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupted_it_ends_with_130_and_goes_on_later(job, name, status):
    file = job(("n_paths = 20_000", "n_paths = 20_000_000"), ("keep = 21", "keep = 126"))
    code = (
        "import os, signal, sys\n"
        "from montezarr import cli\n"
        "from montezarr.execute import progress\n"
        "show, sent = progress.Progress.__call__, []\n"
        "def stop(self, done, total, failed=0):\n"
        "    show(self, done, total, failed)\n"
        "    if done > 300_000 and not sent:\n"
        f"        os.kill(os.getpid(), sent.append(1) or signal.{name})\n"
        "progress.Progress.__call__ = stop\n"
        "cli.main(['run', sys.argv[1]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert "finishing what runs" in done.stderr
    assert "To go on: montezarr run" in done.stderr
    chunks = len(os.listdir(file.parent / "paths.zarr/x/c"))
    assert 0 < chunks < 300
    assert not list(file.parent.rglob("*.partial"))


def test_interrupted_twice_it_leaves_at_once(tmp_path):
    """It leaves what would last for an hour, whose first lines tell that it has begun."""
    code = (
        "import os, signal, sys, threading, time\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import montezarr as mz\n"
        "from montezarr import cli\n"
        "@cli.cli.command()\n"
        "def hang():\n"
        "    with mz.backend('processes', 1) as place:\n"
        "        from montezarr.execute import windowed\n"
        "        from patience import last\n"
        "        list(windowed(place, last, [sys.argv[1]], lambda k: (0, 1)))\n"
        "def press():\n"
        "    while not os.path.exists(sys.argv[1]):\n"
        "        time.sleep(0.05)\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(0.5)\n"
        "threading.Thread(target=press, daemon=True).start()\n"
        "cli.main(['hang'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "begun", Path(__file__).parent],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr.strip() == "montezarr: finishing what runs; once more, to leave at once"


def test_version_and_help(here):
    assert mz.__version__ in montezarr("--version").stdout
    assert "Monte Carlo" in here("--help").stdout
    assert here("unknown").returncode == 2
