"""The tests themselves: red for what we leave or do, and for nothing that others do meanwhile."""

import ast
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import patience
import pytest
from leaks import SHARED, check_nothing_left, children, files, snapshot
from patience import FOR_EVER, calls_of, until

HERE = Path(__file__).parent
needs_shared_memory = pytest.mark.skipif(not SHARED.is_dir(), reason="names are files on Linux")

NEIGHBOUR = """
import multiprocessing, os, sys, tempfile
if os.fork():
    os._exit(0)
os.setsid()
lock = multiprocessing.get_context("spawn").Lock()
files = [tempfile.mkdtemp(prefix=name) for name in ("montezarr-", "joblib", "loky", "ray", "dask")]
print("there", flush=True)
sys.stdin.read()
"""
"""A second program on the machine, with semaphores and temporary files as ours have them."""


def test_what_other_programs_have_is_not_ours(tmp_path):
    before = snapshot()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        sys.executable,
        "-c",
        NEIGHBOUR,
    ]
    # Not a child of ours: its parent has ended.
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "there\n"
        assert len(list(tmp_path.iterdir())) == 5
        other.wait()
        check_nothing_left(before, seconds=0)


def test_a_temporary_directory_is_of_this_session_alone(own_names):
    folder = Path(tempfile.gettempdir())
    assert folder == Path(own_names)
    assert folder != Path("/tmp")
    code = "import tempfile; print(tempfile.gettempdir())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == own_names


def found_as_left(make, end):
    before = snapshot()
    thing = make()
    try:
        with pytest.raises(AssertionError, match="not after 0 s"):
            check_nothing_left(before, seconds=0)
    finally:
        end(thing)
    del thing
    check_nothing_left(before)


def test_a_temporary_file_that_stays_is_found():
    found_as_left(lambda: tempfile.mkdtemp(prefix="anything"), os.rmdir)


def test_a_child_that_stays_is_found():
    def end(child):
        child.kill()
        child.wait()

    code = f"import time; time.sleep({FOR_EVER})"
    found_as_left(lambda: subprocess.Popen([sys.executable, "-c", code]), end)


def test_a_socket_that_stays_is_found():
    found_as_left(lambda: socket.create_server(("127.0.0.1", 0)), socket.socket.close)


@needs_shared_memory
def test_a_semaphore_that_stays_is_found():
    found_as_left(lambda: [multiprocessing.get_context("spawn").Lock()], list.clear)


def hold(event, names):
    """Make a semaphore in a worker, say that it is there, and wait."""
    lock = multiprocessing.get_context("spawn").Lock()
    names.put(lock._semlock.name)
    event.wait()


@needs_shared_memory
def test_the_name_of_a_semaphore_of_a_killed_worker_is_ours():
    context = multiprocessing.get_context("spawn")
    event, names = context.Event(), context.SimpleQueue()
    worker = context.Process(target=hold, args=(event, names))
    worker.start()
    name = SHARED / f"sem.{names.get().lstrip('/')}"
    assert str(name) in files()
    worker.kill()
    worker.join()
    assert worker.pid not in children()
    assert str(name) in files()
    name.unlink()  # its tracker would do so at the end of this session
    from multiprocessing import resource_tracker

    resource_tracker.unregister(f"/{name.name.removeprefix('sem.')}", "semaphore")


def test_work_is_counted_and_not_timed():
    def waits(seconds):
        until(lambda: True, seconds=seconds)

    assert calls_of(waits, 1.0) == calls_of(waits, 1000.0) > 3
    assert (
        calls_of(
            sorted,
            range(1000, 0, -1),
        )
        < 5
    )
    assert calls_of(lambda: [abs(k) for k in range(1000)]) > 1000


# What a neighbour could turn red.

CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time", "monotonic_ns"}
WITH_DEADLINES = {
    "patience.py", "browser.py", "store_runs.py", "test_live_notebook.py", "test_browser_lab.py",
}  # fmt: skip
"""Where a clock is read to give up waiting, and for nothing else."""


def test_no_test_compares_a_clock():
    """What is measured depends on what else runs: see `patience` for what to do instead."""
    found = []
    for file in sorted(HERE.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            is_clock = isinstance(node, ast.ImportFrom) and node.module == "time"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                is_clock = node.value.id == "time" and node.attr in CLOCKS
            if is_clock and file.name not in WITH_DEADLINES:
                found.append(f"{file.name}:{node.lineno}")
    assert found == []


def test_no_test_looks_at_all_of_shared_memory_or_names_a_port_or_a_common_directory():
    own = {"test_neighbours.py", "leaks.py", "test_store_grows.py", "test_store_hostile.py"}
    pattern = re.compile(r"/dev/shm|[\"']/tmp\b|port=[1-9]\d{3}\b|:(8787|8786|8888)\b(?!1)")
    allowed = re.compile(r"10\.0\.0\.1|example\.org|127\.0\.0\.1:1\b")
    found = [
        f"{file.name}: {line.strip()}"
        for file in sorted(HERE.glob("*.py"))
        if file.name not in own
        for line in file.read_text().splitlines()
        if pattern.search(line) and not allowed.search(line)
    ]
    assert found == []


def test_examples_of_hypothesis_have_no_deadline():
    from hypothesis import HealthCheck, settings

    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


def test_waiting_ends_where_nothing_comes():
    with pytest.raises(AssertionError, match="not after 0 s: a worker"):
        patience.until(lambda: False, "a worker", seconds=0)
