"""Large parameters lie beside the recipe; what is too large even so is refused before a draw."""

import gc
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from stores import as_directory, as_pipe
from zarr.storage import MemoryStore

import montezarr as mz
from montezarr.core import parameters
from montezarr.core.parameters import _digest, _forms, _known, _reference
from montezarr.run import _tasks_alive
from montezarr.run._card import Recipe
from montezarr.run._recipe import fingerprint
from montezarr.run._texts import process_text, recipe_process_rows
from montezarr.store import _extend, _recipe_size
from montezarr.store._info import info
from montezarr.store.export import export
from montezarr.store.format import _commit_log, _manifest, _parameters
from montezarr.store.virtual import _file, _save

STATES = 70


def chain(states=STATES, seed=0, **options):
    matrix = np.random.default_rng(seed).random((states, states))
    return mz.MarkovChain(transition=matrix / matrix.sum(axis=1, keepdims=True), **options)


def paths_of(process=None, n_paths=2000, **options):
    process = chain() if process is None else process
    return mz.simulate(process, n_paths=n_paths, T=3, seed=1, chunks=1024, **options)


def files(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def file_of(store):
    (found,) = (store / "montezarr/parameters").iterdir()
    return found


class ComposedFunction:
    """The same as code: its recipe has a digest of the numbers."""

    def __init__(self, matrix):
        self.sums = np.cumsum(matrix, axis=1)

    def sample_path(self, T, x0, rng):
        path = np.zeros(T + 1, np.int64)
        for k in range(T):
            path[k + 1] = np.searchsorted(self.sums[path[k]], rng.random())
        return path


@pytest.fixture
def small(monkeypatch):
    for module in (_recipe_size, _manifest, _file, _save):
        monkeypatch.setattr(module, "MAX_BYTES", 2**20)


@pytest.fixture
def elsewhere(monkeypatch):
    """As if another process did what follows: nothing that was written is known here."""

    def forget():
        for module, name in (
            (_known, "_alive"), (_known, "_places"), (_digest, "_digests"),
            (_tasks_alive, "_by_name"), (_tasks_alive, "_by_recipe"),
        ):  # fmt: skip
            monkeypatch.setattr(module, name, type(getattr(module, name))())

    return forget


@pytest.fixture
def store(tmp_path, elsewhere):
    mz.write(paths_of(), tmp_path / "a.zarr")
    elsewhere()
    return tmp_path / "a.zarr"


# --- what is written ------------------------------------------------------------------------


def test_a_recipe_refers_to_what_lies_beside_it(store):
    process = chain()
    matrix = np.array(process.transition)
    written = json.loads(json.loads((store / "zarr.json").read_bytes())["attributes"]["montezarr"])
    reference = written["process"]["transition"]
    assert reference == {
        "name": "transition", "dtype": "<f8", "shape": [STATES, STATES],
        "sha256": hashlib.sha256(matrix).hexdigest(),
    }  # fmt: skip
    assert file_of(store).name == reference["sha256"]
    assert file_of(store).read_bytes() == matrix.tobytes()
    sizes = {name: len(data) for name, data in files(store).items() if name.endswith(".json")}
    assert max(sizes.values()) < 12_000
    for name in ("zarr.json", "montezarr/manifest.json"):  # what earlier versions refuse by
        assert b'"format": 3' in (store / name).read_bytes()


def test_the_fingerprint_is_that_of_the_whole_recipe(store):
    ds = paths_of()
    text = ds.attrs["montezarr"]
    canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:32]
    opened = mz.open(store)
    assert ds.mz.recipe.fingerprint == opened.mz.recipe.fingerprint == expected
    assert fingerprint(json.loads(opened.attrs["montezarr"])) == expected
    root = json.loads((store / "zarr.json").read_bytes())
    assert root["attributes"]["montezarr_store"]["fingerprint"] == expected
    assert dict(opened.mz.recipe) == json.loads(text)
    assert opened.attrs["montezarr"] != text


@pytest.mark.parametrize("value", [
    [[1.0, float("nan")], [-0.0, 1e-320]], [1, 2**62], [[[1.5]], [[2.5]]], ((1.0, 2.0), (3.0, 4.0)),
])  # fmt: skip
def test_both_forms_are_one_recipe(monkeypatch, value):
    monkeypatch.setattr(_forms, "LARGE", 0)
    recipe = {"seed": {"entropy": "1"}, "process": {"name": "X", "b": value, "a": value, "z": 1.0}}
    short, _arrays = parameters.shortened(recipe)
    assert {r.name for r in parameters.references(short)} == {"a", "b"}
    assert parameters.shortened(short)[0] == short
    assert json.dumps(parameters.with_parameters(short)) == json.dumps(recipe)
    plain = json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()
    assert fingerprint(short) == fingerprint(recipe) == hashlib.sha256(plain).hexdigest()[:32]


@pytest.mark.parametrize("value", [
    [1, 2.0], [True, False], [[1.0], [1.0, 2.0]], [1.0, [2.0]], [2**63], ["a"], [], [[]], [None], 1,
])  # fmt: skip
def test_what_is_no_array_of_one_type_stays_in_the_recipe(monkeypatch, value):
    monkeypatch.setattr(_forms, "LARGE", 0)
    recipe = {"process": {"name": "X", "a": value}}
    assert parameters.shortened(recipe) == (recipe, {})


def test_a_small_parameter_stays_in_the_recipe(tmp_path):
    ds = paths_of(chain(40))
    mz.write(ds, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr/montezarr/parameters").exists()
    root = json.loads((tmp_path / "a.zarr/zarr.json").read_bytes())["attributes"]
    assert root["montezarr"] == ds.attrs["montezarr"]
    assert root["montezarr_store"]["format"] == 2


# --- what is read again ---------------------------------------------------------------------


def test_a_store_is_all_that_is_needed(store, tmp_path):
    whole = mz.write(paths_of(n_paths=5000), tmp_path / "b.zarr")
    values, sampled = whole.x.values, chain()
    opened = mz.open(store)
    np.testing.assert_array_equal(mz.replay(opened, 1234).x, values[1234])
    np.testing.assert_array_equal(mz.replay(opened, 4000).x, values[4000])
    assert mz.verify(store, 3).ok
    np.testing.assert_array_equal(mz.extend(store, 5000).x, values)
    assert files(store).keys() == files(tmp_path / "b.zarr").keys()
    assert files(store) == files(tmp_path / "b.zarr")
    assert info(store).process["transition"]["shape"] == [STATES, STATES]
    assert f"{STATES} × {STATES} numbers" in str(info(store))
    assert mz.MarkovChain.from_dict(mz.open(store).mz.recipe["process"]) == sampled


@pytest.mark.slow
def test_another_process_reads_it(store):
    code = (
        f"import montezarr as mz; p = {str(store)!r}; ds = mz.open(p)\n"
        "print((ds.x.values[7] == mz.replay(ds, 7).x.values).all(), mz.verify(p, 3).ok)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == ["True", "True"]


def test_parts_become_the_whole(tmp_path, elsewhere):
    ds = paths_of(n_paths=4000)
    for name, part in {"a": range(2048), "b": range(2048, 4000)}.items():
        mz.write(ds, tmp_path / name, paths=part)
    mz.write(ds, tmp_path / "whole")
    elsewhere()
    file_of(tmp_path / "a").write_bytes(b"")  # b has it, too
    mz.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert files(tmp_path / "all") == files(tmp_path / "whole")


def test_a_store_of_an_earlier_version_goes_on_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(_forms, "LARGE", 2**40)
    for name, n_paths in {"a": 2000, "b": 5000}.items():
        mz.write(paths_of(n_paths=n_paths), tmp_path / name)
    monkeypatch.undo()
    before = files(tmp_path / "a")
    mz.write(paths_of(), tmp_path / "a")  # the same recipe: nothing to do
    assert files(tmp_path / "a") == before
    for key in ("montezarr/journal", "montezarr/manifest.json"):
        (tmp_path / "a" / key).unlink()
    assert mz.repair(tmp_path / "a").ok
    assert files(tmp_path / "a") == before
    assert mz.verify(tmp_path / "a", 3).ok
    mz.extend(tmp_path / "a", 5000)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_snapshot_has_the_digest_alone(tmp_path, monkeypatch):
    def snapshot(name):
        stream = mz.stream(paths_of(), mz.Proportion(), every=1024)
        next(iter(stream)).save(tmp_path / name)
        return tmp_path / name

    assert snapshot("new").stat().st_size < 20_000
    monkeypatch.setattr(_forms, "LARGE", 2**40)
    old = snapshot("old")
    monkeypatch.undo()
    for file in (old, tmp_path / "new"):
        assert list(mz.stream(paths_of(), mz.Proportion(), resume_from=file))[-1].paths == 2000
        with pytest.raises(mz.ArgumentValueError, match="resume_from"):
            mz.stream(paths_of(chain(seed=2)), mz.Proportion(), resume_from=file)


def test_a_virtual_store_has_the_bytes_of_a_real_one(store):
    virtual = mz.VirtualStore(paths_of())
    for made in (virtual, pickle.loads(pickle.dumps(virtual))):
        key = f"montezarr/parameters/{file_of(store).name}"
        for name in (key, "zarr.json"):
            assert made.get_sync(name).to_bytes() == (store / name).read_bytes()
        opened = xr.open_zarr(made)
        np.testing.assert_array_equal(mz.replay(opened, 1500).x, opened.x[1500])
        assert made.to_dataset().attrs == paths_of().attrs


def test_what_leaves_the_store_has_the_numbers(store, tmp_path):
    export(store, tmp_path / "a.nc")
    shutil.rmtree(store)
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        np.testing.assert_array_equal(mz.replay(ds, 7).x, ds.x[7])


def test_without_the_store_the_process_is_enough(store):
    bare = xr.open_zarr(store)  # by another program, which notes nothing
    with pytest.raises(mz.ReplayError, match=r"'transition' of 70 × 70 .*montezarr\.open, or"):
        mz.replay(bare, 7)
    np.testing.assert_array_equal(mz.replay(bare, 7, process=chain()).x, bare.x[7])
    with pytest.raises(mz.MontezarrError):
        mz.replay(bare, 7, process=chain(seed=3))
    np.testing.assert_array_equal(mz.replay(mz.open(store), 7).x, mz.replay(bare, 7).x)


# --- what is damaged ------------------------------------------------------------------------


def flipped(file):
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)


def as_hole(file):
    os.truncate(file, 2**42)


DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-8]),
    "flipped": flipped,
    "pipe": as_pipe,
    "directory": as_directory,
    "hole": as_hole,
    "gone": os.unlink,
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_parameter_is_found_and_named(store, kind):
    before, opened = files(store), mz.open(store)
    DAMAGES[kind](file_of(store)) if kind != "gone" else file_of(store).unlink()
    if kind != "flipped":
        with pytest.warns(
            mz.MontezarrWarning, match=r"the parameter 'transition'.*repair\(path, p"
        ):
            np.testing.assert_array_equal(mz.open(store).x, opened.x)
    with pytest.raises(mz.StoreError, match=r"the parameter 'transition'.*repair\(path, proc"):
        mz.replay(opened, 3)
    assert opened.x.values.shape == (2000, 4)
    with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
        mz.extend(store, 5000)
    assert not mz.verify(store).ok
    with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
        mz.repair(store)
    if kind == "directory":
        next((store / "montezarr/parameters").iterdir()).rmdir()
    assert mz.repair(store, process=chain()).ok
    assert files(store) == before


def test_a_lost_parameter_denies_no_path_to_other_programs(store, tmp_path, elsewhere):
    file_of(store).unlink()
    with pytest.warns(mz.MontezarrWarning) as warned:
        export(store, tmp_path / "a.nc")
    assert "exported with a reference" in str(warned[-1].message)
    assert warned[-1].filename == __file__
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        np.testing.assert_array_equal(mz.replay(ds, 7, process=chain()).x, ds.x[7])
        elsewhere()
        with pytest.raises(mz.ReplayError, match="pass process="):
            mz.replay(ds, 7)


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_recipe_whose_numbers_cannot_be_had_is_shown(store, elsewhere, is_lost):
    known = mz.open(store)
    if is_lost:
        file_of(store).unlink()
    else:
        elsewhere()
    for ds in (known, xr.open_zarr(store)):  # the second notes nothing
        assert "2,000 paths of MarkovChain" in ds.mz._repr_html_()
        for text in (repr(ds.mz.recipe), ds.mz.recipe._repr_html_()):
            assert f"{STATES} × {STATES} numbers" in text
            assert "not known without the large parameters" in text
        assert parameters.is_reference(ds.mz.recipe["process"]["transition"])
        with pytest.raises(mz.MontezarrError):
            ds.mz.recipe.fingerprint
        with pytest.raises(mz.MontezarrError):
            mz.plan(ds)


@pytest.mark.parametrize("statistics", [None, mz.Proportion()])
def test_repair_without_the_parameter_mends_all_else(tmp_path, elsewhere, statistics):
    store = tmp_path / "a.zarr"
    mz.write(paths_of(), store, statistics=statistics)
    elsewhere()
    before = files(store)
    file_of(store).unlink()
    (store / "x/zarr.json").write_text("{}")
    (store / "x/c/9").mkdir()
    shutil.copy(store / "x/c/0/0", store / "x/c/9/0")
    with open(store / "montezarr/journal", "ab") as journal:
        journal.write(b"torn")
    with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
        mz.repair(store)
    (problem,) = mz.verify(store).problems
    assert (problem.kind, problem.key.rpartition("/")[0]) == ("missing", "montezarr/parameters")
    assert mz.repair(store, process=chain()).ok
    assert files(store) == before


def test_repair_without_the_parameter_draws_nothing_and_mends_the_rest(store):
    before = files(store)
    file_of(store).unlink()
    (store / "x/zarr.json").write_text("{}")
    (store / "x/c/1/0").write_bytes(b"0")
    with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
        mz.repair(store)
    kinds = {problem.kind for problem in mz.verify(store).problems}
    assert kinds == {"missing", "size"}
    assert (store / "x/zarr.json").read_bytes() == before["x/zarr.json"]
    assert mz.repair(store, process=chain()).ok
    assert files(store) == before


def test_a_fingerprint_of_another_recipe_is_found(store):
    known = mz.open(store).mz.recipe.fingerprint
    for key in ("zarr.json", "montezarr/manifest.json"):
        (store / key).write_text((store / key).read_text().replace(known, "0" * 32))
    records, _end, _bad = _commit_log.read_records((store / "montezarr/journal").read_bytes())
    records[0]["manifest"]["fingerprint"] = "0" * 32
    (store / "montezarr/journal").write_bytes(_commit_log.lines_of(records))
    assert mz.verify(store, 0).ok
    (problem,) = mz.verify(store, 1).problems
    assert (problem.kind, problem.key) == ("metadata", "montezarr/manifest.json")
    assert known in problem.text


def test_a_lost_parameter_is_written_again_by_the_same_call(store):
    before = files(store)
    file_of(store).unlink()
    mz.write(paths_of(), store)
    assert files(store) == before


def test_a_store_without_its_parameter_grows_with_the_process(store, tmp_path, elsewhere):
    whole = mz.write(paths_of(n_paths=5000), tmp_path / "b.zarr").x.values
    elsewhere()  # the other store has the parameter, too
    file_of(store).unlink()
    np.testing.assert_array_equal(mz.extend(store, 5000, process=chain()).x, whole)
    assert files(store) == files(tmp_path / "b.zarr")


def test_what_cannot_grow_stays_complete(store, monkeypatch):
    before = files(store)
    assert before.pop(f"montezarr/parameters/{file_of(store).name}")
    file_of(store).unlink()
    monkeypatch.setattr(_extend, "parameters_at_hand", lambda *_: None, raising=False)
    for options in ({"process": chain()}, {}):
        with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
            mz.extend(store, 5000, **options)
        assert files(store) == before
    assert info(store).is_complete


def test_parts_without_their_parameter_become_the_whole_with_the_process(tmp_path, elsewhere):
    ds = paths_of(n_paths=4000)
    for name, part in {"a": range(2048), "b": range(2048, 4000)}.items():
        mz.write(ds, tmp_path / name, paths=part)
    mz.write(ds, tmp_path / "whole")
    del ds
    elsewhere()
    for name in "ab":
        file_of(tmp_path / name).unlink()
    stores = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(mz.StoreError, match="the parameter 'transition'"):
        mz.merge(stores, tmp_path / "all")
    mz.merge(stores, tmp_path / "all", process=chain())
    assert files(tmp_path / "all") == files(tmp_path / "whole")


def test_root_alone_tells_of_a_parameter(store):
    before = files(store)
    for key in ("montezarr/journal", "montezarr/manifest.json"):
        (store / key).unlink()
    flipped(file_of(store))
    assert mz.repair(store, process=chain()).ok
    assert files(store) == before


LIES = {
    "shape": ([STATES, STATES], [2**20, 2**20]),
    "one dimension": ([STATES, STATES], [2**40]),
    "other shape": ([STATES, STATES], [STATES * STATES + 1]),
    "dimensions": ([STATES, STATES], [1] * 40),
    "negative": ([STATES, STATES], [-STATES, -STATES]),
    "dtype": ("<f8", "|O"),
    "name": ("transition", "../../x"),
    "digest": (None, "../../x"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_reference_says_is_not_believed(store, lie):
    name, there = "sha256" if lie == "digest" else lie, file_of(store).name
    name = {"dtype": "dtype", "name": "name", "sha256": "sha256"}.get(name, "shape")

    def changed(text):
        recipe = json.loads(text)
        recipe["process"]["transition"][name] = LIES[lie][1]
        assert there in text
        return json.dumps(recipe)

    root = json.loads((store / "zarr.json").read_bytes())
    root["attributes"]["montezarr"] = changed(root["attributes"]["montezarr"])
    (store / "zarr.json").write_text(json.dumps(root))
    manifest = json.loads((store / "montezarr/manifest.json").read_bytes())
    manifest["recipe"] = changed(manifest["recipe"])
    (store / "montezarr/manifest.json").write_text(json.dumps(manifest))
    (store / "montezarr/journal").unlink()
    if lie == "other shape":  # of which the size of the file tells
        with pytest.warns(mz.MontezarrWarning, match="the parameter 'transition'"):
            mz.open(store)
    actions = [lambda path: mz.extend(path, 5000), mz.repair]
    for action in actions if lie == "other shape" else [mz.open, *actions]:
        with pytest.raises(mz.StoreError):
            action(store)
    with_lie = xr.Dataset(attrs={"montezarr": root["attributes"]["montezarr"]})
    with pytest.raises(mz.MontezarrError):
        mz.replay(with_lie, 0)


def test_more_than_the_memory_is_not_read(store, monkeypatch):
    opened = mz.open(store)
    monkeypatch.setattr(_reference, "memory_limit", lambda: 2**17)
    with pytest.raises(mz.StoreError, match="parameters that fit into memory, got 'transition'"):
        mz.replay(opened, 3)


@pytest.fixture
def unread(monkeypatch):
    monkeypatch.setattr(
        _parameters, "read_parameter", lambda *_: pytest.fail("a parameter was read")
    )


def test_each_reference_to_one_file_counts(store, monkeypatch, unread):
    recipe = json.loads(mz.open(store).attrs["montezarr"])
    reference = recipe["process"]["transition"]
    monkeypatch.setattr(_reference, "memory_limit", lambda: 10 * 8 * STATES**2)
    recipe["process"]["states"] = {**reference, "name": "states"}
    manifest = SimpleNamespace(recipe_dict=recipe, references=parameters.references(recipe))
    for function in (parameters.with_parameters, fingerprint):
        with pytest.raises(mz.StoreError, match="fit into memory, got 'transition' and 1 more"):
            function(recipe)
    with pytest.raises(mz.ArgumentValueError, match=r"process\.(transition|states) alone"):
        _recipe_size.check_recipe_fits(manifest, 1000)


def test_nothing_is_read_that_is_no_parameter_of_the_process(store, unread):
    ds = mz.open(store)
    recipe = json.loads(ds.attrs["montezarr"])
    for name in map("p{}".format, range(16)):
        recipe["process"][name] = {**recipe["process"]["transition"], "name": name}
    ds.attrs["montezarr"] = json.dumps(recipe)
    with pytest.raises(mz.ArgumentValueError, match="MarkovChain: unknown parameter 'p0'"):
        mz.replay(ds, 0)


@pytest.mark.parametrize("value", [
    {"shape": ["a"]}, {"shape": [2, None]}, {"shape": []},
    {"name": "mu", "dtype": "<f8", "shape": ["a"], "sha256": "0" * 64},
])  # fmt: skip
def test_what_has_a_shape_and_is_no_reference_is_shown(value):
    recipe = Recipe({"process": {"name": "BrownianMotion", "mu": value}})
    texts = [str(list(recipe_process_rows(recipe))), process_text(recipe["process"])]
    if len(value) == 1:
        ds = mz.simulate(mz.BrownianMotion(), 10, T=2, seed=1)
        recipe = json.loads(ds.attrs["montezarr"])
        recipe["process"]["mu"] = value
        ds.attrs["montezarr"] = json.dumps(recipe)
        texts += [repr(ds.mz.recipe), ds.mz.recipe._repr_html_()]
    assert all("shape" in text for text in texts)


def test_a_reference_is_shown_by_its_shape():
    value = {"name": "mu", "dtype": "<f8", "shape": [2000, 3], "sha256": "0" * 64}
    recipe = {"process": {"name": "BrownianMotion", "mu": value}}
    for text in (str(recipe_process_rows(recipe)), process_text(recipe["process"])):
        assert "2,000 × 3 numbers" in text


# --- what is known in this process ----------------------------------------------------------


def test_a_store_in_memory_goes_with_its_last_user(elsewhere):
    memory = MemoryStore()
    mz.write(paths_of(), memory)
    elsewhere()
    ds = mz.open(memory)
    np.testing.assert_array_equal(mz.replay(ds, 7).x, ds.x[7])
    text, gone = ds.attrs["montezarr"], weakref.ref(memory)
    del ds, memory
    gc.collect()
    assert gone() is None
    with pytest.raises(mz.ReplayError, match=r"Open the store with montezarr\.open, or pass"):
        parameters.with_parameters(json.loads(text))


def test_parameters_are_read_only_and_the_own_ones_come_first():
    recipe = {"process": {"name": "X", "a": np.arange(20_000.0).tolist()}}
    short, arrays = parameters.shortened(recipe)
    (reference,), (own,) = parameters.references(short), arrays.values()
    assert not own.flags.writeable
    assert parameters.know({reference.sha256: own.copy()})[reference.sha256] is own
    assert not parameters.array_of(reference).flags.writeable
    mine = own.copy()
    assert np.shares_memory(parameters.array_of(reference, {reference.sha256: mine}), mine)
    assert not np.shares_memory(parameters.array_of(reference), mine)


def test_threads_agree_on_the_array_of_a_digest(monkeypatch):
    class Guarded(weakref.WeakValueDictionary):
        def setdefault(self, key, default=None):
            with ThreadPoolExecutor(1) as pool:  # the lock is free for the thread that has it
                assert not pool.submit(_known._lock._lock.acquire, False).result()
            return super().setdefault(key, default)

    monkeypatch.setattr(_known, "_alive", Guarded())
    recipe = {"process": {"name": "X", "a": np.arange(20_000.0).tolist()}}
    _short, arrays = parameters.shortened(recipe)
    parameters.know(arrays)
    assert dict(_known._alive) == arrays


@pytest.mark.parametrize("shape", [(10,), (2, 7), (3, 1, 4), (9,), (1,)])
def test_the_digest_of_an_array_is_that_of_its_json(monkeypatch, shape):
    monkeypatch.setattr(_digest, "NUMBERS_AS_TEXT_AT_ONCE", 3)
    values = np.arange(1.0, np.prod(shape) + 1).reshape(shape) / 7
    hasher = hashlib.sha256()
    _digest._hash_array(hasher, values)
    assert (
        hasher.hexdigest() == hashlib.sha256(_forms.canonical(values.tolist()).encode()).hexdigest()
    )


def test_the_digest_of_a_long_array_takes_little_memory():
    values = np.random.default_rng(0).random(2**18)
    tracemalloc.start()
    try:
        _digest._hash_array(hashlib.sha256(), values)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * values.nbytes  # of which ten times as much was taken at once


def test_what_a_killed_writer_left_of_another_recipe_goes(tmp_path):
    own = tmp_path / "a.zarr/montezarr"
    (own / "parameters").mkdir(parents=True)
    (own / "parameters" / ("0" * 64)).write_bytes(b"0" * 8)
    mz.write(paths_of(chain(10)), tmp_path / "a.zarr")
    mz.write(paths_of(chain(10)), tmp_path / "b.zarr")
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    (own / "parameters").mkdir()
    (own / "parameters" / ("0" * 64)).write_bytes(b"0" * 8)
    assert [problem.kind for problem in mz.verify(tmp_path / "a.zarr").problems] == ["stray"]


# --- what is refused ------------------------------------------------------------------------


def too_many_labels():
    return mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["a" * 2**20, "b" * 2**20])


def test_what_no_reader_takes_is_not_drawn(small, tmp_path, monkeypatch):
    ds = paths_of(too_many_labels())
    monkeypatch.setattr(
        "montezarr.samplers.counter.CounterSampler.draw",
        lambda *_: pytest.fail("something was drawn"),
    )
    for path in (tmp_path / "a.zarr", f"memory://{tmp_path.name}/a.zarr"):
        with pytest.raises(
            mz.ArgumentValueError, match=r"^ds: .*1\.0 MiB.*variables alone.*code of yours"
        ):
            mz.write(ds, path)
    assert not (tmp_path / "a.zarr").exists()
    with pytest.raises(mz.ArgumentValueError, match=r"^recipe: .*process\.transition"):
        mz.VirtualStore(paths_of(chain(300))).save(tmp_path / "v.json")
    assert not (tmp_path / "v.json").exists()


def test_too_large_parameters_are_refused_at_the_call(tmp_path, monkeypatch):
    ds = paths_of()
    monkeypatch.setattr(_recipe_size, "LARGE_PARAMETERS_MAX_BYTES", 2**15)
    with pytest.raises(mz.ArgumentValueError, match=r"^ds: .*32\.0 KiB of .*process\.transition"):
        mz.write(ds, tmp_path / "a.zarr")
    monkeypatch.undo()
    monkeypatch.setattr(_reference, "memory_limit", lambda: 2**17)
    with pytest.raises(mz.ArgumentValueError, match=r"^ds: .*process\.transition"):
        mz.write(ds, tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_what_fits_is_read_again(small, tmp_path):
    ds = paths_of(chain(50))
    stored = mz.write(ds, tmp_path / "a.zarr")
    assert stored.identical(mz.open(tmp_path / "a.zarr"))
    mz.VirtualStore(ds).save(tmp_path / "v.json")
    np.testing.assert_array_equal(mz.open(tmp_path / "v.json").x, ds.x)


def test_a_class_of_ones_own_has_the_digest_of_its_numbers_alone(small, tmp_path):
    matrix = np.random.default_rng(0).random((300, 300))
    ds = mz.simulate(ComposedFunction(matrix / matrix.sum(axis=1, keepdims=True)), 50, T=3, seed=1)
    assert len(ds.attrs["montezarr"]) < 1000
    assert mz.write(ds, tmp_path / "a.zarr").sizes["path"] == 50


def test_object_stores_have_them_too(elsewhere):
    options = {"path": "memory://large-recipes/a.zarr"}
    mz.write(paths_of(), **options)
    elsewhere()
    ds = mz.open(**options)
    np.testing.assert_array_equal(mz.replay(ds, 7).x, ds.x[7])
    assert mz.extend(n_paths=3000, **options).sizes["path"] == 3000
    assert mz.verify(level=3, **options).ok
