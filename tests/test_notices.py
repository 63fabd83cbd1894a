"""What is told on standard error costs nothing where nobody can read it."""

import io
import subprocess
import sys
import threading
import warnings

import pytest
from patience import PATIENCE

import montezarr as mz
from montezarr.core import notices
from montezarr.execute.progress import Progress

HOW = {
    "full": "full = open('/dev/full', 'w'); os.dup2(full.fileno(), 2)",
    "closed": "sys.stderr.close()",
    "no descriptor": "os.close(2)",
    "none": "sys.stderr = None",
}
RUNS = """
import os, sys, tempfile
import montezarr as mz, montezarr.execute.progress
montezarr.execute.progress.PROGRESS_LINE_SECONDS = 0

def fragile(rng):
    x = rng.standard_normal(20)
    return x if x.max() < 3.5 else 1 / 0

ds = mz.simulate(mz.BrownianMotion(), 5000, 5, seed=1, chunks=1024)
BLOW
mean = mz.reduce(ds.x, "mean", show_progress=True)
stored = mz.write(ds, tempfile.mkdtemp() + "/a.zarr", show_progress=True)
result = mz.MonteCarloEngine(fragile).simulate(1000, seed=1, on_error="mask", show_progress=True)
with mz.backend("processes", 1):
    again = mz.reduce(ds.x, "mean", show_progress=True)
print(stored.sizes["path"], len(result), bool((again.x_mean == mean.x_mean).all()))
"""


@pytest.mark.parametrize(
    "how", ["full", *(pytest.param(how, marks=pytest.mark.slow) for how in HOW if how != "full")]
)
def test_no_result_is_lost_to_a_standard_error_that_takes_nothing(how):
    code = RUNS.replace("BLOW", HOW[how])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "5000 1000 True\n", done.stderr


class Full(io.StringIO):
    """A terminal that nothing can be written to."""

    error = OSError(28, "No space left on device")

    def isatty(self):
        return True

    def write(self, text):
        raise self.error


@pytest.mark.parametrize("error", [Full.error, ValueError("closed"), UnicodeEncodeError])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_that_cannot_be_shown_is_given_up(error, is_terminal, monkeypatch):
    if error is UnicodeEncodeError:
        error = UnicodeEncodeError("ascii", "█", 0, 1, "ordinal not in range(128)")
    stream = Full()
    stream.error = error
    stream.isatty = lambda: is_terminal
    with Progress("reduce", stream=stream) as progress:
        progress(0, 10)
        progress(10, 10)
        progress(10, 10)
    swallowed = is_terminal and type(error) is ValueError  # by tqdm itself
    assert progress.enabled == swallowed


@pytest.mark.parametrize("error", [Full.error, ValueError("closed"), ValueError("no sign")])
def test_a_bar_that_cannot_be_shown_keeps_nobody_waiting(error):
    """A bar that is collected in another thread asks for the lock of all bars there."""
    tqdm = pytest.importorskip("tqdm.auto").tqdm
    stream = Full()
    stream.error = error
    with Progress("reduce", stream=stream) as progress:
        progress(0, 10)
        progress(10, 10)

    def close():
        with tqdm.get_lock():
            pass

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_an_error_of_a_display_is_not_taken_for_one_of_the_store(tmp_path):
    def full(*_):
        raise OSError(28, "No space left on the disk of the log")

    ds = mz.simulate(mz.BrownianMotion(), 5000, 5, seed=1, chunks=1024)
    with pytest.raises(OSError, match="the disk of the log") as caught:
        mz.write(ds, tmp_path / "a.zarr", on_progress=full)
    assert not isinstance(caught.value, mz.StoreError)
    assert mz.write(ds, tmp_path / "a.zarr").sizes["path"] == 5000


def test_a_warning_that_is_made_an_error_is_raised():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(mz.MontezarrWarning, match="read me"):
            notices.warn("read me", mz.MontezarrWarning)


def test_warnings_name_the_line_of_who_calls():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        notices.warn("read me", mz.MontezarrWarning, 1)
    assert caught[0].filename == __file__


def test_a_log_without_a_handler_costs_nothing(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    notices.log_warning("nobody reads %s", "this")
    notices.print_notice("nor this")
