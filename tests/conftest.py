"""What takes long is marked slow: the developer leaves it out, the continuous integration not."""

import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import uuid

import known_secret
import pytest
from hypothesis import HealthCheck, settings
from leaks import own_names as mark_names
from patience import is_over

from montezarr.execute import _cluster
from montezarr.execute.ray import Ray

DRAWN = importlib.import_module("montezarr.reduction.sources._drawn")

# A deadline for an example, or a limit on the time that its data take, is a test of the machine.
settings.register_profile(
    "any machine", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

SLOW = re.compile(
    r"\[ray|_ray_"  # it takes some seconds to start, each time
    r"|test_(failures|stream|statistics|backends)\.py::.*\b(dask|joblib|multiprocessing)\b"
    r"|test_cluster_docs\.py|test_bench\.py|\[cluster\]"  # a cluster, and tables of all backends
    r"|test_a_million_million_paths|test_a_killed_stream|test_interrupted_it_drains"
    r"|test_a_second_signal_leaves_at_once|test_workers_end_when_their_parent"
    r"|test_a_trial_that_hangs_or_kills|test_one_digest_on_every_backend.*\[processes-1\]"
    r"|test_a_stream_is_stopped_from_another_thread.*\[processes\]"
    r"|test_a_path_that_kills_every_worker.*\[processes-segfault\]"
    r"|test_killed_by_the_system_it_goes_on\[create|test_interrupted_it_ends_with_130.*\[SIGTERM"
    r"|test_a_job_that_is_stopped_says.*\[SIGINT|test_intervals_of_quantiles_of_prices_cover"
)
"""Tests that take long, of which the like is in the others."""


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW.search(item.nodeid):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item):
    """Leave out what would begin after the time that the continuous integration gives."""
    if is_over(os.environ.get("MONTEZARR_TESTS_UNTIL", "inf")):
        pytest.skip("no time is left for it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Fail a test where what it printed or logged shows the secret of its store or cluster."""
    outcome = yield
    report = outcome.get_result()
    shown = "".join(text for _, text in report.sections)
    if known_secret.SECRET in shown:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a secret is in what it printed or logged"


@pytest.fixture(scope="session", autouse=True)
def own_names(tmp_path_factory):
    """Have a temporary directory and names of our own, which no other session shares.

    A short one, since sockets in it have names of at most 107 bytes. That of `tmp_path` stays where
    it is, so that one can look into it afterwards.
    """
    tmp_path_factory.getbasetemp()
    folder = tempfile.mkdtemp(prefix="mz-")
    names = ("TMPDIR", "JOBLIB_TEMP_FOLDER")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, folder))
    tempfile.tempdir = None  # which has kept where it was
    mark_names(uuid.uuid4().hex[:8])
    yield folder
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    tempfile.tempdir = None
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def ray_may_listen(request, monkeypatch):
    """Let tests of the backend Ray start it, as if each of them had said so."""
    if re.search(r"\[ray|_ray_", request.node.nodeid):
        monkeypatch.setattr(Ray, "check_allowed", lambda self: None)


@pytest.fixture(scope="session", autouse=True)
def own_port():
    """Have dashboards on any port: the usual one may be taken by another session meanwhile."""
    before, _cluster.DASHBOARD_PORT = _cluster.DASHBOARD_PORT, 0
    yield
    _cluster.DASHBOARD_PORT = before


@pytest.fixture(scope="session", autouse=True)
def many_tasks():
    """Cut runs that last some milliseconds into tasks, as longer ones are: tests are short."""
    before = DRAWN.REDUCTION_TASK_MIN_SECONDS
    DRAWN.REDUCTION_TASK_MIN_SECONDS = 0.0
    yield
    DRAWN.REDUCTION_TASK_MIN_SECONDS = before


@pytest.fixture(autouse=True)
def ctrl_c():
    """Have the handler of Python: dask-jobqueue sets another when it is imported."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close figures of pyplot after each test: it warns when many are open at once."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
