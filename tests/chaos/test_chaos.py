"""A short run of the blows, and that the harness sees what it is to see."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NEVER = "tests of what only a POSIX system has"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason=NEVER)


def run(*arguments):
    """Run the harness in a process of its own, which has no threads and may fork."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.chaos", *arguments],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_half_a_minute_of_random_blows_breaks_nothing():
    code, said = run("0.5", "--seed", "1")
    assert code == 0, said
    assert "signals" in said


def test_the_harness_tells_of_what_is_lost_and_wrong(tmp_path):
    from chaos.blows import Trial

    class Right:
        def files(self, name, statistics):
            return {"a": "1"}

    trial = Trial(ROOT, random.Random(0), Right())
    trial.note({"hung": True, "error": None, "kinds": [], "message": ""})
    trial.note({"hung": False, "error": "OSError", "kinds": ["OSError"], "message": "bare"})
    trial.note({"hung": False, "error": "StoreError", "kinds": ["MontezarrError"], "message": ""})
    trial.compare(tmp_path, {"a.zarr/zarr.json": "0"})
    assert (len(trial.hung), len(trial.unnamed), len(trial.wrong)) == (1, 1, 1)
    assert "a.zarr/zarr.json" in trial.wrong[0]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["--recipes", "--reductions"])
def test_a_few_random_cases_show_no_difference(what):
    code, said = run(what, "12", "--seed", "7")
    assert code == 0, said
    assert f"12 random {what.strip('-')}: 0 differences" in said


def test_a_route_that_leads_elsewhere_is_seen(tmp_path, monkeypatch):
    from chaos import recipes

    def astray(case):
        case.check(case.right.map(lambda x: x + 1, keep_attrs=True))

    monkeypatch.setattr(recipes, "ROUTES", (astray,) * recipes.ROUTES_EACH)
    monkeypatch.setattr(recipes, "MOST", 50)
    (found,) = recipes.one(3, 0, tmp_path)
    assert "recipe 3 of seed 0, astray" in found


def test_a_reduction_that_is_another_one_is_seen(monkeypatch):
    from chaos import reductions

    true = reductions.STATISTICS.copy()
    monkeypatch.setattr(
        reductions, "STATISTICS", {name: lambda v, f=f: f(v) + 1 for name, f in true.items()}
    )
    assert any(reductions.one(number, 0, None) for number in (0, 4))
