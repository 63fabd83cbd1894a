"""What takes long is marked slow: the developer leaves it out, the continuous integration not."""

import re
import signal

import pytest

SLOW = re.compile(
    r"\[ray|_ray_"  # it takes some seconds to start, each time
    r"|test_(failures|stream|statistics|backends)\.py::.*\b(dask|joblib|multiprocessing)\b"
    r"|test_cluster_docs\.py|test_bench\.py|\[cluster\]"  # a cluster, and tables of all backends
    r"|test_a_million_million_paths|test_a_killed_stream|test_interrupted_it_drains"
    r"|test_a_second_signal_leaves_at_once|test_workers_end_when_their_parent"
)
"""Tests that take long, of which the like is in the others."""


def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW.search(item.nodeid):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def ctrl_c():
    """Have the handler of Python: dask-jobqueue sets another when it is imported."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
