"""Digests of users' code name montezarr's classes for good: what an earlier version wrote stays."""

import ast
import contextlib
import importlib
import inspect
import json
import shutil
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path

import earlier_digests as earlier
import numpy as np
import pytest
import users_models

import montezarr as mz
from montezarr.core.added_fields import added, counted_fields
from montezarr.core.public_ids import EARLIER, public_id
from montezarr.processes._built_in import built_in_processes
from montezarr.run.digests import digest_of

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


# --- classes that move, and get fields -----------------------------------------------------------


def elsewhere(name, monkeypatch, field="later: float = added(2.5)"):
    """Make a public class anew in another module, with one more field."""
    old = getattr(mz, name)
    lines = Path(inspect.getfile(old)).read_text().splitlines()
    tree = ast.parse("\n".join(lines))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    # After the last field: that is where one would be added, and where order matters.
    ends = [n.end_lineno for n in body if isinstance(n, (ast.AnnAssign, ast.Expr))]
    lines.insert(max(ends), f"    {field}")
    module = types.ModuleType(f"montezarr.elsewhere.{name.lower()}")
    module.added = added
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile("\n".join(lines), f"/nowhere/{name}.py", "exec"), module.__dict__)
    new = getattr(module, name)
    assert new is not old
    assert new.__module__ == module.__name__
    assert "later" in {field.name for field in new.__dataclass_fields__.values()}
    monkeypatch.setattr(mz, name, new)
    if name in built_in_processes():
        monkeypatch.setitem(built_in_processes(), name, new)
    return new


def users_models_anew(monkeypatch):
    """Import the users' models once more, as they are imported where montezarr is another one."""
    monkeypatch.delitem(sys.modules, "users_models")
    return importlib.import_module("users_models")


def users_digests(module):
    found = earlier.digests(module)
    return {name: found[name] for name in found if name.split()[0] in ("value", "run", "class")}


MOVING = [
    "BrownianMotion", "Diffusion", "Estimate", "GeometricBrownianMotion", "MarkovChain", "Milstein",
    "OrnsteinUhlenbeck", "Quantile", "Storage", "TimeGrid",
]  # fmt: skip


def test_digests_stay_where_classes_move_and_get_fields(monkeypatch):
    before = users_digests(users_models)
    for name in MOVING:
        elsewhere(name, monkeypatch)
    module = users_models_anew(monkeypatch)
    assert users_digests(module) == before
    # Of the classes of this run, not of those of before.
    assert module.GBM.later == 2.5
    assert module.Jumping.__mro__[1].__module__ == "montezarr.elsewhere.geometricbrownianmotion"


def test_a_field_that_was_added_counts_where_it_is_not_at_its_default(monkeypatch):
    for name in MOVING:
        elsewhere(name, monkeypatch)
    module = users_models_anew(monkeypatch)
    values = [module.GBM, module.CIR, module.GRID, mz.Milstein(), module.Jumping(mu=0.0, sigma=1.0)]
    for value in values:
        digests = {digest_of(replace(value, later=later)) for later in (2.5, 2, 3.0, np.array(2.5))}
        assert len(digests) == 4
    assert module.GBM.to_dict() == {"name": "GeometricBrownianMotion", "mu": 0.05, "sigma": 0.2}
    assert replace(module.GBM, later=3.0).to_dict()["later"] == 3.0
    assert mz.GeometricBrownianMotion.from_dict(module.GBM.to_dict()) == module.GBM


def test_a_users_dataclass_with_all_that_dataclasses_have_keeps_its_digest(monkeypatch):
    text = """
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar
import montezarr as mz

@dataclass(frozen=True, order=True)
class Own(mz.TimeGrid):
    label: str = "days"
    _: KW_ONLY
    parts: list = field(default_factory=list, compare=False)
    start: InitVar[float] = 0.0
    kind: ClassVar[str] = "calendar"

    def __post_init__(self, start):
        object.__setattr__(self, "parts", [start])

    def __repr__(self):
        return "Own()"
"""

    def digest():
        scope = {"__name__": "typed_at_a_prompt"}
        exec(text, scope)
        return digest_of([scope["Own"], scope["Own"](2, 0.5, start=3.0)])

    before = digest()
    elsewhere("TimeGrid", monkeypatch)
    assert digest() == before


def test_a_field_without_that_mark_counts_always(monkeypatch):
    before = digest_of(users_models.GBM), digest_of(users_models.Jumping)
    elsewhere("GeometricBrownianMotion", monkeypatch, "later: float = 2.5")
    module = users_models_anew(monkeypatch)
    assert digest_of(module.GBM) != before[0]
    assert digest_of(module.Jumping) != before[1]


def test_a_field_that_a_user_states_anew_is_the_users(monkeypatch):
    elsewhere("GeometricBrownianMotion", monkeypatch)

    @dataclass(frozen=True, kw_only=True)
    class Own(mz.GeometricBrownianMotion):
        later: float = 2.5

    own = Own(mu=0.0, sigma=1.0)
    assert own.to_dict() == {"name": "Own", "mu": 0.0, "sigma": 1.0, "later": 2.5}


@pytest.mark.parametrize(
    ("default", "other"), [(0.0, -0.0), (1, 1.0), (1, True), (None, 0), ("a", "b"), (1.5, np.nan)]
)
def test_only_the_default_itself_is_left_out(default, other):
    @dataclass(frozen=True)
    class Later:
        value: object = added(default)

    assert not counted_fields(Later())
    assert [field.name for field in counted_fields(Later(value=other))] == ["value"]


def test_a_class_that_says_it_is_of_another_module_has_its_digest(monkeypatch):
    kinds = earlier.classes().values()
    before = [digest_of(kind) for kind in kinds]
    for kind in kinds:
        monkeypatch.setattr(kind, "__module__", "montezarr.elsewhere")
    assert [digest_of(kind) for kind in kinds] == before


def test_every_public_class_has_an_id_and_says_which_fields_always_count():
    frozen = json.loads((earlier.PLACE / "classes.json").read_text())
    now = earlier.class_entries()
    new = now.keys() - frozen.keys()
    assert not new, (
        f"{sorted(new)}: not in tests/data/digests/classes.json. In tests, run"
        " python -c 'import earlier_digests; earlier_digests.write_classes()'"
    )
    lost = frozen.keys() - now.keys()
    assert not lost, (
        f"{sorted(lost)}: no public class any more. A renamed one keeps its id: give its entry in"
        " montezarr/core/public_ids.py the new name, as in classes.json"
    )
    for name, entry in frozen.items():
        assert now[name]["id"] == entry["id"], name
        assert now[name].get("fields") == entry.get("fields"), (
            f"{name}: a new field is `added(default)` of core.added_fields, so that digests of"
            " users' models stay; none goes, and none is renamed"
        )
        assert entry.get("added", {}).items() <= now[name].get("added", {}).items(), (
            f"{name}: the default of an added field never changes, as stores leave it out"
        )


def test_ids_of_before_are_of_public_classes_and_no_two_are_one():
    ids = [public_id(kind) for kind in earlier.classes().values()]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(getattr(mz, name), type) for name in EARLIER)
    assert len(set(EARLIER.values())) == len(EARLIER)


def test_a_class_that_is_new_has_an_id_without_its_module(monkeypatch):
    class Newer(mz.Process):
        """A class of a later version."""

    Newer.__module__, Newer.__qualname__ = "montezarr.processes.newer", "Newer"
    assert public_id(Newer) == "montezarr.processes.newer.Newer"
    monkeypatch.setattr(mz, "Newer", Newer, raising=False)
    assert public_id(Newer) == "montezarr.Newer"


def test_what_bears_the_name_of_a_public_class_is_not_that_class():
    @dataclass(frozen=True)
    class TimeGrid:
        T: int = 3

    TimeGrid.__qualname__ = "TimeGrid"
    assert public_id(TimeGrid) == f"{__name__}.TimeGrid"
    assert is_dataclass(TimeGrid)
    assert digest_of(TimeGrid(3)) != digest_of(mz.TimeGrid(3))


class Walk:
    def sample_path(self, T, x0, rng):
        return np.cumsum(rng.standard_normal(T + 1))


def test_a_digest_does_not_depend_on_what_other_threads_parse():
    source, over = "def f(x):\n    return [x, {x: (x, x)}]\n" * 200, threading.Event()

    def parse():
        while not over.is_set():
            with contextlib.suppress(SystemError):  # Python 3.11: python/cpython#106905
                ast.parse(source)

    others = [threading.Thread(target=parse) for _ in range(3)]
    for other in others:
        other.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _: digest_of(Walk), range(40)))
    finally:
        over.set()
        for other in others:
            other.join()
    assert found == {digest_of(Walk)}
