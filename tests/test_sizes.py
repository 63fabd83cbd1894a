"""How long a file and a function of the package may be, and what it says but once."""

import ast
from pathlib import Path
from statistics import median

import montezarr

SOURCE = Path(montezarr.__file__).parent
FILES = {path.relative_to(SOURCE): path for path in sorted(SOURCE.rglob("*.py"))}

LONGEST_FILE, LONGEST_MEDIAN, LONGEST_BODY = 500, 140, 60


def body_lines(function):
    """Return the lines of a function without its docstring and what stands above the body."""
    body = function.body
    if ast.get_docstring(function, clean=False) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_file_is_long():
    lengths = {path: len(file.read_text().splitlines()) for path, file in FILES.items()}
    assert not {path: n for path, n in lengths.items() if n > LONGEST_FILE}
    assert median(lengths.values()) <= LONGEST_MEDIAN


def test_no_body_of_a_function_is_long():
    found = {}
    for path, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = body_lines(node)
                if lines > LONGEST_BODY:
                    found[f"{path}:{node.lineno} {node.name}"] = lines
    assert not found, "split it: each part does one thing"


def test_the_names_of_the_dimensions_stand_in_one_place():
    found = {}
    for path, file in FILES.items():
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and {"PATH", "TIME"} & set(_names(node.targets[0])):
                found[str(path)] = ast.unparse(node)
    assert list(found.values()) == ["PATH, TIME = ('path', 'time')"], found


def _names(target):
    return [ast.unparse(part) for part in getattr(target, "elts", [target])]
