"""Numbers that are choices: in one package, used, explained, and with names of their own."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import montezarr

SOURCE = Path(montezarr.__file__).parent
ROOM = SOURCE / "core" / "tunables"


def constants(file):
    """Return the module-level constants with a number in their value, each with its docstring."""
    body, found = ast.parse(file.read_text()).body, {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        numbers = [
            n.value for n in ast.walk(node.value)
            if isinstance(n, ast.Constant) and type(n.value) in (int, float)
        ]  # fmt: skip
        text = after.value if isinstance(after, ast.Expr) else None
        text = text.value if isinstance(text, ast.Constant) else None
        if numbers:
            found |= {name: text for name in names if re.fullmatch("[A-Z][A-Z0-9_]*", name)}
    return found


def tunables():
    return {name: text for file in ROOM.glob("*.py") for name, text in constants(file).items()}


def test_the_package_of_tunables_imports_nothing():
    for file in ROOM.glob("*.py"):
        kinds = {type(node) for node in ast.walk(ast.parse(file.read_text()))}
        assert not kinds & {ast.Import, ast.ImportFrom}, file.name
    assert len(tunables()) > 100


def test_every_tunable_is_explained():
    missing = [name for name, text in tunables().items() if not isinstance(text, str)]
    assert not missing


def test_every_tunable_is_used_outside_its_package():
    used = set()
    for file in SOURCE.rglob("*.py"):
        if ROOM not in file.parents:
            nodes = ast.walk(ast.parse(file.read_text()))
            used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    inside = {"MIB"}  # the unit in which the others are written
    assert tunables().keys() - used - inside == set()


def test_no_two_modules_have_a_numeric_constant_of_one_name():
    where = defaultdict(list)
    for file in sorted(SOURCE.rglob("*.py")):
        for name in constants(file):
            where[name].append(str(file.relative_to(SOURCE)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_every_time_and_size_says_its_unit():
    # A number of a second or of a mebibyte must not be read as one of something else.
    for name, text in tunables().items():
        if text.startswith("Seconds"):
            assert "SECONDS" in name, name
        if text.startswith("Bytes") and name != "MIB":
            assert "BYTES" in name, name
