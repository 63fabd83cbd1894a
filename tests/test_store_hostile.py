"""A store is data: opening one imports nothing, unpickles nothing, and stays inside of it."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import zarr
from stores import files, gbm_paths

import montezarr as mz
from montezarr.store.format import _commit_log
from montezarr.store.locations._location import LocalLocation

TRAP = """
import pathlib
pathlib.Path(__file__).with_suffix(".sprung").write_text("imported")
class GeometricBrownianMotion:
    def __init__(self, *args, **kwargs): raise SystemExit("made")
"""


@pytest.fixture
def store(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr", statistics="mean")
    return tmp_path / "a.zarr"


def rewrite(store, change):
    """Change the manifest as an attacker would: with all checksums and documents to match."""
    journal = store / "montezarr/journal"
    records, _, _ = _commit_log.read_records(journal.read_bytes())
    manifest = records[0]["manifest"]
    change(manifest)
    journal.write_bytes(_commit_log.lines_of(records))
    (store / "montezarr/manifest.json").write_text(json.dumps(manifest))
    root = json.loads((store / "zarr.json").read_text())
    root["attributes"]["montezarr"] = manifest["recipe"]
    (store / "zarr.json").write_text(json.dumps(root))


def hostile_process(manifest):
    recipe = json.loads(manifest["recipe"])
    recipe["process"] = {"name": "trap.GeometricBrownianMotion", "module": "trap"}
    recipe["code"] = "0" * 32
    manifest["recipe"] = json.dumps(recipe)


def hostile_statistics(manifest):
    manifest["statistics"]["of"] = [{"name": "trap:Statistic", "module": "trap"}]


ACTIONS = {
    "open": lambda path: mz.open(path).x[:5].compute(),
    "statistics": lambda path: mz.open(path, "statistics"),
    "verify 1": lambda path: mz.verify(path, 1),
    "verify 2": lambda path: mz.verify(path, 2),
    "extend": lambda path: mz.extend(path, 9000),
    "repair": lambda path: mz.repair(path),
    "write": lambda path: mz.write(gbm_paths(), path, statistics="mean"),
    "merge": lambda path: mz.merge([path], f"{path}.merged"),
}


@pytest.mark.parametrize("change", [hostile_process, hostile_statistics])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_module_that_a_store_names_is_never_imported(store, change, action, monkeypatch):
    (store.parent / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(store.parent))
    rewrite(store, change)
    with suppress(mz.MontezarrError):
        ACTIONS[action](store)
    assert "trap" not in sys.modules
    assert not (store.parent / "trap.sprung").exists()


class Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (self.file,)


@pytest.mark.parametrize("action", ACTIONS)
def test_pickles_in_place_of_any_file_are_never_loaded(store, action):
    bomb = pickle.dumps(Bomb(str(store.parent / "sprung")))
    names = [name for name in files(store) if "/c/" not in name or "/c/0" in name]
    for i, name in enumerate(names):
        copy = store.parent / f"copy-{i}.zarr"
        shutil.copytree(store, copy)
        (copy / name).write_bytes(bomb)
        with suppress(mz.MontezarrError, ValueError):
            ACTIONS[action](copy)
    assert not (store.parent / "sprung").exists()


def test_a_root_that_says_of_itself_that_it_is_no_group_is_refused_by_our_own_error(store):
    root = store / "zarr.json"
    root.write_text(
        root.read_text().replace('"node_type": "group",\n  "zarr', '"node_type": "grp",\n  "zarr')
    )
    with pytest.raises(mz.StoreError, match="GroupNotFoundError"):
        mz.open(store)


def test_an_object_codec_is_refused(store):
    for change in (
        lambda node: node.update(data_type="object"),
        lambda node: node.update(data_type="string"),
        lambda node: node.update(data_type={"name": "numpy.datetime64"}),
        lambda node: node["codecs"].append({"name": "numcodecs.pickle"}),
        lambda node: node["codecs"].insert(0, {"name": "vlen-utf8"}),
        lambda node: node.update(storage_transformers=[{"name": "trap"}]),
        lambda node: node.update(chunk_key_encoding={"name": "trap"}),
        lambda node: node.update(shape=[2**70, 21]),
        lambda node: node.update(shape=[-1, 21]),
        lambda node: node.update(zarr_format=2),
    ):
        text = (store / "zarr.json").read_text()
        own = (store / "x/zarr.json").read_text()
        root, node = json.loads(text), json.loads(own)
        change(node)
        root["consolidated_metadata"]["metadata"]["x"] = node
        (store / "zarr.json").write_text(json.dumps(root))
        (store / "x/zarr.json").write_text(json.dumps(node))
        with pytest.raises(mz.StoreError):
            mz.open(store)
        (store / "zarr.json").write_text(text)
        (store / "x/zarr.json").write_text(own)
    mz.open(store)


def test_names_that_lead_out_of_the_store_are_refused(store):
    outside = store.parent / "outside"
    outside.mkdir()
    (outside / "thesis.tex").write_text("years of work")
    before = files(outside)
    for name in ("../outside", "/etc", "a/../../outside", "..", ".", "x\x00", "montezarr", ""):
        text = (store / "zarr.json").read_text()
        root = json.loads(text)
        nodes = root["consolidated_metadata"]["metadata"]
        nodes[name] = nodes["x"]
        (store / "zarr.json").write_text(json.dumps(root))
        with pytest.raises(mz.StoreError):
            mz.open(store)
        (store / "zarr.json").write_text(text)
    for key in ("../outside/x", "/etc/passwd", "a//b", "x/./y", "x\\..\\y", "a\x00b"):
        with pytest.raises(ValueError, match="inside of the store"):
            LocalLocation(store).get(key)
        with pytest.raises(ValueError, match="inside of the store"):
            LocalLocation(store).put(key, [b"evil"])
    assert files(outside) == before


def test_a_manifest_or_journal_that_leads_out_of_the_store_writes_nothing_there(store):
    (store.parent / "outside").mkdir()
    journal = store / "montezarr/journal"
    good = journal.read_bytes()
    for name in ("../outside", "..", "/tmp/outside", "a/b"):

        def renamed(manifest, name=name):
            manifest["arrays"][0]["name"] = name

        rewrite(store, renamed)
        for action in ACTIONS.values():
            with suppress(mz.MontezarrError, ValueError):
                action(store)
        assert not list((store.parent / "outside").iterdir())
        journal.write_bytes(good)
    records, _, _ = _commit_log.read_records(good)
    for record in records:
        if "chunk" in record:
            record["files"] = {"../outside/x": [10, "0" * 16]}
    journal.write_bytes(_commit_log.lines_of(records))
    for action in ("verify 1", "repair", "merge"):
        with suppress(mz.MontezarrError, ValueError):
            ACTIONS[action](store)
    assert not list((store.parent / "outside").iterdir())


def test_a_link_in_the_place_of_a_chunk_is_not_followed_when_it_is_read(store, tmp_path):
    ds = mz.open(store)
    shutil.move(store / "x/c/1/0", tmp_path / "elsewhere")
    (store / "x/c/1/0").symlink_to(tmp_path / "elsewhere")
    for found in (ds, mz.open(store)):
        with pytest.raises(mz.StoreError, match="no links in a store"):
            found.x.load()


@pytest.mark.parametrize("where", ["x", "x/c", "montezarr"])
def test_links_in_a_store_are_not_followed_to_write(store, where, tmp_path):
    target = tmp_path / "elsewhere"
    (store / where).rename(target)
    (store / where).symlink_to(target)
    before = files(target)
    with pytest.raises(mz.StoreError):
        mz.extend(store, 9000)
    with pytest.raises(mz.StoreError):
        mz.open(store)
    assert files(target) == before


def test_absurd_numbers_take_no_memory_and_no_time(store):
    for change in (
        lambda m: m.update(chunk=2**61),
        lambda m: m.update(chunk=1000),
        lambda m: m.update(first_path=-1),
        lambda m: m["arrays"][0].update(shape=[2**61]),
        lambda m: m["arrays"][0].update(dims=["path", "path"]),
        lambda m: m["arrays"][0].update(dtype="object"),
        lambda m: m["constants"][0].update(dtype="|O"),
        lambda m: m["constants"][0].update(shape=[2**61]),
        lambda m: m.update(format=99),
        lambda m: m.update(arrays=None),
    ):
        journal, manifest, root = (
            (store / name).read_bytes()
            for name in ("montezarr/journal", "montezarr/manifest.json", "zarr.json")
        )
        rewrite(store, change)
        found = None
        with suppress(mz.StoreError):
            found = mz.verify(store, 1)
        assert found is None or not found.ok
        for name, data in [
            ("montezarr/journal", journal),
            ("montezarr/manifest.json", manifest),
            ("zarr.json", root),
        ]:
            (store / name).write_bytes(data)


def test_a_deeply_nested_document_is_an_error_not_a_crash(store):
    (store / "zarr.json").write_text("[" * 100_000)
    with pytest.raises(mz.StoreError):
        mz.open(store)


def test_the_root_of_another_group_is_never_taken_for_ours(tmp_path):
    zarr.create_group(tmp_path / "a", attributes={"montezarr": "{}"})
    zarr.create_array(tmp_path / "a" / "x", shape=(3,), dtype="f8")[:] = np.arange(3)
    before = files(tmp_path)
    with pytest.raises(mz.StoreExistsError):
        mz.write(gbm_paths(), tmp_path / "a")
    with pytest.raises(mz.StoreNotFoundError):
        mz.repair(tmp_path / "a")
    assert files(tmp_path) == before


def test_opening_imports_no_sampler_code_in_a_fresh_process(store):
    code = (
        "import sys, montezarr as mz\n"
        "before = set(sys.modules)\n"
        "mz.open(sys.argv[1]).x[:3].compute(); mz.verify(sys.argv[1])\n"
        "new = [sys.modules[m] for m in set(sys.modules) - before]\n"
        "print(*sorted({str(getattr(m, '__file__', None)) for m in new}), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True
    )
    homes = (str(Path(mz.__file__).parent), sysconfig.get_path("stdlib"), "None", "<")
    places = [line for line in done.stdout.splitlines() if "site-packages" not in line]
    assert not [place for place in places if place and not place.startswith(homes)]
