"""What takes long is marked slow: the developer leaves it out, the continuous integration not."""

import re

import pytest

RAY = re.compile(r"\[ray|_ray_")
"""Tests on Ray: it takes some seconds to start, each time."""


def pytest_collection_modifyitems(items):
    for item in items:
        if RAY.search(item.name):
            item.add_marker(pytest.mark.slow)
