"""Ctrl-C while a cluster starts, works or ends: nothing stays of it, and nothing is printed."""

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest
from patience import until

from montezarr.core.interrupts import import_whole, uninterrupted, wait_uninterrupted
from montezarr.core.spawn import interrupts_blocked

HEARD = []
"""What Ctrl-C has interrupted, so far."""


def hear(number, frame):
    HEARD.append(number)
    raise KeyboardInterrupt


def press():
    """Interrupt the main thread, and wait until it is."""
    count = len(HEARD)
    os.kill(os.getpid(), signal.SIGINT)
    until(lambda: len(HEARD) > count)


@pytest.fixture(autouse=True)
def _heard(ctrl_c):
    HEARD.clear()
    before = signal.signal(signal.SIGINT, hear)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_interrupted_ends_and_is_undone(times):
    done = []

    def work():
        for _ in range(times):
            press()
        done.append("worked")

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(work, lambda: done.append("undone"))
    assert done == ["worked", "undone"]


def test_the_third_time_nothing_is_waited_for():
    gate, over = threading.Event(), threading.Event()

    def work():
        for _ in range(3):
            press()
        gate.wait(300)
        over.set()

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(work)
    assert not over.is_set()
    gate.set()
    until(over.is_set)


def test_results_and_errors_come_back():
    assert uninterrupted(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        uninterrupted(lambda: 1 / 0, undo=lambda: pytest.fail("there is nothing to undo"))
    found = []
    thread = threading.Thread(target=lambda: found.append(uninterrupted(lambda: 6)))
    thread.start()
    thread.join()
    assert found == [6]


def test_what_is_started_meanwhile_is_not_interrupted():
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with interrupts_blocked():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (inside.stdout, outside.stdout) == ("True\n", "False\n")


FIRST = """
import subprocess, sys
from montezarr.core.spawn import processes_uninterrupted
code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
from multiprocessing import get_context
def start():
    with processes_uninterrupted():
        child = get_context("spawn").Process(target=exec, args=(code,))
        child.start()
    child.join()
if __name__ == "__main__":
    start()
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals are not blocked")
def test_the_first_process_of_all_is_not_interrupted_either(tmp_path):
    script = tmp_path / "first.py"  # multiprocessing imports the script again
    script.write_text(FIRST)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_an_import_is_whole_though_ctrl_c_comes(tmp_path, monkeypatch):
    package = tmp_path / "imported_whole"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from imported_whole import part\n"
        "import os, signal\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "VALUE = sum(range(10))\n"
    )
    (package / "part.py").write_text("VALUE = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(KeyboardInterrupt):
            import_whole("imported_whole")
        assert import_whole("imported_whole").part.VALUE == 5
        assert import_whole("imported_whole").VALUE == 45
        assert len(HEARD) == 1
    finally:
        sys.modules.pop("imported_whole", None)
        sys.modules.pop("imported_whole.part", None)


def test_modules_that_import_each_other_are_imported(tmp_path, monkeypatch):
    (tmp_path / "first_of_two.py").write_text(
        "VALUE = 1\n"
        "from montezarr.core.interrupts import import_whole\n"
        "SUM = import_whole('second_of_two').VALUE + 1\n"
    )
    (tmp_path / "second_of_two.py").write_text("import first_of_two\nVALUE = first_of_two.VALUE\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert import_whole("first_of_two").SUM == 2
    finally:
        sys.modules.pop("first_of_two", None)
        sys.modules.pop("second_of_two", None)


def test_a_start_of_a_thread_is_not_cut(monkeypatch):
    start = threading.Thread.start

    def cut(self):
        os.kill(os.getpid(), signal.SIGINT)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", cut)
    done = []
    with pytest.raises(KeyboardInterrupt):
        uninterrupted(lambda: done.append("worked"), lambda: done.append("undone"))
    assert done == ["worked", "undone"]


def test_an_interruption_is_one_wherever_waiting_is_cut(monkeypatch):
    def cut(self, state):
        raise KeyboardInterrupt

    never = Future()
    monkeypatch.setattr(threading.Condition, "_acquire_restore", cut)
    with pytest.raises(KeyboardInterrupt):
        wait_uninterrupted([never], 0.01)


RUNS = """
import os, signal, sys, threading, time
import montezarr as mz
signal.signal(signal.SIGINT, signal.default_int_handler)

def slow(rng, T):
    time.sleep(0.01)
    return rng.standard_normal(T + 1)

ds = mz.simulate(slow, n_paths=10**5, T=2, seed=1, chunks=64)
counts = []
for waits in ([0.3], [0.3], [1.0], [2.0], [3.0], [6.0, 0.2]):
    ended = threading.Event()
    def press(waits=waits, ended=ended):
        for seconds in waits:
            time.sleep(seconds)
            os.killpg(0, signal.SIGINT)  # as a terminal and a notebook do
        while not ended.wait(30):  # Python loses one that comes in a callback of a weak reference
            os.killpg(0, signal.SIGINT)
    pressing = threading.Thread(target=press)
    try:
        pressing.start()
        with mz.backend("dask", 1):
            mz.reduce(ds, "mean")
    except KeyboardInterrupt:
        pass
    try:
        ended.set()
        pressing.join()
    except KeyboardInterrupt:
        pressing.join()
    counts.append(len(os.listdir("/proc/self/fd")))
print(counts)
"""


LOST = re.compile(
    r"Exception ignored in: <function Weak.*\n(Traceback.*\n( .*\n)+)KeyboardInterrupt.*\n"
)
"""What Python prints of a Ctrl-C in a callback of a weak reference, where it cannot be raised."""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be counted")
def test_interrupted_runs_on_clusters_leave_no_descriptors_and_print_nothing():
    done = subprocess.run(
        [sys.executable, "-c", RUNS], capture_output=True, text=True, start_new_session=True,
        check=False,
    )  # fmt: skip
    counts = eval(done.stdout)  # a list of numbers that we printed
    assert max(counts[1:]) <= counts[0] + 8, (counts, done.stderr)
    printed = LOST.sub("", done.stderr)
    assert "Traceback" not in printed, printed
