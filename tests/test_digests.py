"""Digests of users' code name montezarr's classes for good: what an earlier version wrote stays."""

import json
import shutil

import earlier_digests as earlier
import pytest

import montezarr as mz

NEEDS_FIXTURES = pytest.mark.skipif(
    not earlier.place().is_dir(), reason="no fixtures of a Python that writes code like this one"
)


@NEEDS_FIXTURES
def test_digests_and_fingerprints_are_those_of_an_earlier_version():
    before = json.loads((earlier.place() / "digests.json").read_text())
    now = earlier.digests()
    assert {name: now.get(name) for name in before} == before


def test_descriptions_are_those_of_an_earlier_version_to_the_byte():
    before = json.loads((earlier.PLACE / "descriptions.json").read_text())
    now = earlier.descriptions()
    assert {name: now.get(name) for name in before} == before


@NEEDS_FIXTURES
@pytest.mark.parametrize("name", earlier.STORES)
def test_stores_of_an_earlier_version_open_verify_extend_and_are_repaired(name, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(earlier.place() / name, store)
    assert mz.open(store).sizes["path"] == earlier.FEW
    assert not mz.verify(store, level=1).problems
    grown = mz.extend(store, earlier.MANY, ds=earlier.run(name))
    assert grown.equals(earlier.run(name, earlier.MANY).compute())
    chunk = store / "x/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    found = mz.repair(store, ds=earlier.run(name, earlier.MANY))
    assert found.repaired
    assert mz.open(store).equals(grown)
