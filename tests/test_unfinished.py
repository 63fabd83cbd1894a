"""What a process that was killed left unfinished goes when its place is used again."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import montezarr as mz
from montezarr.core.atomic_files import written_beside
from montezarr.core.owner import owned_name, remove_orphans


def killed(code, folder):
    """Run Python code that kills itself, in a folder that is its temporary one too."""
    done = subprocess.run(
        [sys.executable, "-c", f"import os, signal\nimport montezarr as mz\n{code}"],
        cwd=folder, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_only_what_has_no_owner_any_more_is_removed(tmp_path):
    mine = tmp_path / owned_name("a-")
    mine.mkdir()
    killed(
        "from montezarr.core.owner import owned_name\n"
        "os.mkdir(owned_name('a-')), os.mkdir(owned_name('b-'))\n"
        "open(owned_name('a-') + '.partial', 'w').close()\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        tmp_path,
    )
    (tmp_path / "a-of-somebody-else").mkdir()
    assert len(list(tmp_path.iterdir())) == 5
    remove_orphans(tmp_path, "a-")
    left = sorted(path.name[:2] for path in tmp_path.iterdir())
    assert left == ["a-", "a-", "b-"]
    assert mine.is_dir()


@pytest.mark.parametrize("field", [0, 2])
def test_what_another_machine_or_container_left_stays(tmp_path, field):
    fields = owned_name().split("-")
    fields[3] = "999999999"  # no process has that id
    other = list(fields)
    other[field] = "0" * 8
    (tmp_path / "-".join(fields)).touch()
    (tmp_path / "-".join(other)).touch()
    remove_orphans(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["-".join(other)]


def test_what_was_left_before_the_machine_was_booted_goes(tmp_path):
    fields = owned_name().split("-")
    fields[1] = "0" * 8
    (tmp_path / "-".join(fields)).touch()
    remove_orphans(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_half_written_goes_with_the_next_one(tmp_path):
    killed(
        "from pathlib import Path\nfrom montezarr.core.atomic_files import written_beside\n"
        "with written_beside(Path('page.html')) as temporary:\n"
        "    temporary.write_text('half a p')\n    os.kill(os.getpid(), signal.SIGKILL)",
        tmp_path,
    )
    assert len(list(tmp_path.iterdir())) == 1
    with written_beside(tmp_path / "page.html") as temporary:
        temporary.write_text("a page")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "a page"


def test_shared_samplers_of_a_driver_that_was_killed_go(tmp_path, monkeypatch):
    killed(
        "ds = mz.simulate(mz.RandomWalk(), n_paths=4000, T=2, seed=1, chunks=1024)\n"
        "def stop(done, total, failed):\n    done and os.kill(os.getpid(), signal.SIGKILL)\n"
        "with mz.backend('processes', 1):\n    mz.write(ds, 'a.zarr', on_progress=stop)",
        tmp_path,
    )
    assert len(list(tmp_path.glob("montezarr-*"))) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ds = mz.simulate(mz.RandomWalk(), n_paths=4000, T=2, seed=1, chunks=1024)
    with mz.backend("processes", 1):
        mz.reduce(ds.x, "mean")
    assert list(tmp_path.glob("montezarr-*")) == []


def test_a_snapshot_an_export_and_a_report_leave_one_file_each(tmp_path):
    ds = mz.simulate(mz.RandomWalk(), n_paths=3000, T=2, seed=1, chunks=1024)
    for kind in ("state", "out.nc", "run.html", "virtual"):
        (tmp_path / kind).mkdir()
    with mz.report(tmp_path / "run.html/run.html"):
        *_, last = mz.stream(ds.x, "mean")
    last.save(tmp_path / "state/state")
    mz.VirtualStore(ds).save(tmp_path / "virtual/virtual")
    found = {path.name: [p.name for p in path.iterdir()] for path in tmp_path.iterdir()}
    assert found["state"] == ["state"]
    assert found["run.html"] == ["run.html"]
    assert found["virtual"] == ["virtual"]
    assert np.isfinite(last.dataset.x_mean).all()


def test_the_names_of_files_are_short_enough_for_the_system(tmp_path):
    file = Path(tmp_path, "x" * 250)
    with written_beside(file) as temporary:
        temporary.touch()
    assert file.exists()
