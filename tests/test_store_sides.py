"""A store has two sides: one draws or reads and never writes, the other writes and never draws."""

import ast
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from stores import gbm_paths

import montezarr as mz
from montezarr import store
from montezarr.store._info import info

SOURCE = Path(store.__file__).parent

WRITERS = {
    "_extend",
    "_merge",
    "_put_results",
    "_repair",
    "_interrupt_handler",
    "_task",
    "_write",
    "_writer",
    "virtual._save",
}
"""What writes a store; all other modules draw or read, but for those below."""

OPENING = "_where"
"""Where a path becomes a place, for both sides."""

BETWEEN = {"__init__", "_faults", "_interrupt_listener"}
"""What belongs to neither side: the list of names, and what a writer tells others."""

CHANGES = {"put", "put_log", "append", "delete", "take", "lock", "clean"}
"""What a place does for a writer alone."""

DRAWING = {"random", "processes", "schemes", "run._task", "reduction.accumulate.DrawnTask"}
"""What draws, as far as a writer could import it."""


def modules():
    """Return the tree of each module of the package, by its name below it."""
    paths = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
        for path in sorted(SOURCE.rglob("*.py"))
    }
    return {
        name: ast.parse(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if not name.endswith("__init__") and not name.startswith(("locations.", "export."))
    }


TREES = modules()
READERS = TREES.keys() - WRITERS - BETWEEN


def imported(tree):
    """Return the dotted names that a module imports when it is imported, below montezarr."""
    found = set()
    for node in ast.walk(ast.Module([n for n in tree.body if not is_definition(n)], [])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.partition(".")[2] for name in found if name.startswith("montezarr.")}


def is_definition(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def is_in(name, parts):
    """Return whether a dotted name is one of some, or in one of them."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def test_the_writers_are_modules_of_the_package():
    assert WRITERS | {OPENING} <= TREES.keys()
    assert len(READERS) > 2 * len(WRITERS)


@pytest.mark.parametrize("module", sorted(READERS))
def test_a_reader_imports_nothing_that_writes_and_changes_no_place(module):
    names = imported(TREES[module])
    below = {name.removeprefix("store.") for name in names if name.startswith("store.")}
    assert not [name for name in below if is_in(name, WRITERS)]
    assert not [name for name in names if name.startswith("core.atomic_files")]
    # A reader knows a place by what can be read of it, which mypy holds it to.
    assert module == OPENING or "locations.Location" not in below
    called = [
        node.func
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    on_places = [f for f in called if ast.unparse(f.value).rpartition(".")[2] == "location"]
    assert not [ast.unparse(f) for f in on_places if f.attr in CHANGES]
    files = {"write_bytes", "write_text", "unlink", "mkdir", "rename", "rmtree", "to_zarr"}
    assert not [ast.unparse(f) for f in called if f.attr in files]


@pytest.mark.parametrize("module", sorted(WRITERS))
def test_a_writer_imports_nothing_that_draws(module):
    names = imported(TREES[module])
    assert not [name for name in names if is_in(name, DRAWING)]
    # What a task reports and is given, and facts of variables, are no samplers.
    data = {"samplers.FailureReport", "samplers.drawn_range.DrawnRange", "samplers.schema.rooms_of"}
    assert {n for n in names if n.startswith("samplers.")} <= data
    assert "run.cost.initial_states" not in names
    called = {
        node.func.attr
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"sample", "sample_paths", "sample_path", "compute", "at_once", "drawn"}


CHANGED: list[str] = []
WATCHED: list[str] = []  # a hook cannot be taken off again


def _note_change(event, args):
    if not WATCHED or not args or not isinstance(args[0], (str, bytes, os.PathLike)):
        return
    file = os.fsdecode(args[0])
    if not file.startswith(WATCHED[0]):
        return
    if event == "open":
        mode, flags = args[1], args[2] if isinstance(args[2], int) else 0
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else False
        if writes or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            CHANGED.append(f"open {file}")
    elif event.partition(".")[0] in ("os", "shutil") and event not in READING:
        CHANGED.append(f"{event} {file}")


READING = {"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.listxattr", "os.getxattr"}


@pytest.fixture
def changes(tmp_path):
    """What is changed below the directory of the test while it looks."""
    if _note_change not in HOOKS:
        HOOKS.append(_note_change)
        sys.addaudithook(_note_change)
    CHANGED.clear()
    WATCHED.append(str(tmp_path))
    yield CHANGED
    WATCHED.clear()


HOOKS = []


def read_all(path):
    mz.open(path, "statistics").load()
    ds = mz.open(path)
    mz.reduce(ds, "mean")
    return ds.load()


ACTIONS = {
    "open and reduce": read_all,
    "verify": lambda path: mz.verify(path, 3),
    "info": info,
    "is complete": lambda path: store.is_complete(gbm_paths(), path.parent / "plain.zarr"),
    "replay": lambda path: mz.replay(mz.open(path), 3),
    "virtual": lambda path: mz.open(path.parent / "virtual.json").x[:5].load(),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sides")
    mz.write(gbm_paths(), root / "a.zarr", statistics="mean")
    mz.write(gbm_paths(), root / "plain.zarr")
    mz.VirtualStore(gbm_paths()).save(root / "virtual.json")
    return root / "a.zarr"


@pytest.mark.parametrize("action", ACTIONS)
def test_a_reader_opens_no_file_to_write_and_changes_no_directory(action, written, changes):
    WATCHED[:] = [str(written.parent)]
    ACTIONS[action](written)
    assert changes == []


def test_a_reader_of_a_damaged_store_changes_nothing_either(tmp_path, changes):
    mz.write(gbm_paths(), tmp_path / "a.zarr")
    (tmp_path / "a.zarr/x/c/1/0").unlink()
    assert changes  # the hook hears of what a writer does
    changes.clear()
    with pytest.raises(mz.StoreError, match="from 1,024 on"):
        mz.open(tmp_path / "a.zarr").load()
    assert not mz.verify(tmp_path / "a.zarr").ok
    assert changes == []


def test_the_values_of_a_chunk_are_had_without_a_place(tmp_path):
    from montezarr.store._source import source_of
    from montezarr.store.format import Storage

    source = source_of(gbm_paths())
    arrays, state, _ = source.chunk_values(source.manifest(Storage(), 0)).of(1024, 2048, None)
    assert state is None
    np.testing.assert_array_equal(arrays[0].T, gbm_paths().x[1024:2048])
