"""What takes long is marked slow: the developer leaves it out, the continuous integration not."""

import re
import signal

import pytest

SLOW = re.compile(
    r"\[ray|_ray_"  # it takes some seconds to start, each time
    r"|test_(failures|stream|statistics)\.py::.*\bdask\b"  # so does a cluster; some stay
    r"|test_backends\.py::.*\[(joblib-multiprocessing|multiprocessing|dask-2)"
    r"|test_a_million_million_paths|test_bench\.py"
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
