"""A short, seeded run of the fuzzers of `benchmarks.fuzz`: no crash, no hang, little memory."""

import random

import pytest
from benchmarks import fuzz

RUNS = {"zip": 150, "json": 40, "virtual": 300, "npz": 60, "chunk": 60, "toml": 600, "csv": 300}
"""Each takes some seconds."""


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz.READERS)
def test_readers_take_whatever_a_stranger_wrote(name):
    found = fuzz.fuzz(name, seconds=600, seed=2, runs=RUNS[name])
    assert found["errors"] == []
    assert found["crashes"] == found["hangs"] == 0
    assert found["runs"] == RUNS[name]
    assert found["memory"] < 256  # MiB
    assert found["refused"] + found["read"] == found["runs"]


def test_mutations_come_from_their_seed():
    one, two = (fuzz.mutated(random.Random(3), b"abc" * 50) for _ in range(2))
    assert one == two != b"abc" * 50
