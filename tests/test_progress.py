"""`Progress`: a bar in a terminal, lines in a log, nothing when not asked."""

import io
import os
import pty
import subprocess
import sys
import termios

from montezarr.execute.progress import Progress


def test_a_log_gets_plain_lines_with_rate_time_left_and_failures(monkeypatch):
    clock = iter([0.0, 0.0, 0.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr("montezarr.execute.progress.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Progress("simulate", stream=stream) as progress:
        progress(1000, 4000)  # there before: it counts for nothing
        progress(2500, 4000, 3)
        progress(4000, 4000, 3)
    assert stream.getvalue().splitlines() == [
        "simulate: 2,500 of 4,000 paths (62%), 150 paths/s, 10 s left, 3 failed",
        "simulate: 4,000 of 4,000 paths (100%), 150 paths/s, 0 s left, 3 failed",
    ]


def test_nothing_is_shown_when_not_enabled():
    stream = io.StringIO()
    with Progress("simulate", enabled=False, stream=stream) as progress:
        progress(0, 10)
        progress(10, 10)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_on_every_backend(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import montezarr as mz, backend_samplers as s, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "for name in ('synchronous', 'threads', 'processes'):\n"
        "    mz.MonteCarloEngine(s.Failing(7)).simulate(3000, 20, 1.0, parallel=True, seed=1,\n"
        "        backend=name, n_jobs=2, show_progress=True, on_error='mask', batch_size=100)\n"
    )
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", code, os.path.dirname(__file__)], stderr=slave, close_fds=True
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert process.wait() == 0
    text = shown.decode()
    assert text.count("100%") >= 3
    assert "3.00k/3.00k" in text
    assert "path/s" in text
    assert text.count("failed=1") >= 3
