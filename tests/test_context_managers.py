"""Context managers share one base, and what ends a block is told to it."""

import ast
from pathlib import Path

import pytest

import montezarr
from montezarr.core.context import ContextManager

SOURCE = Path(montezarr.__file__).parent


class Ends(ContextManager):
    def __init__(self):
        self.ended = []

    def _end_block(self, error):
        self.ended.append(error)


def test_a_block_ends_with_its_error_and_hides_none():
    ends = Ends()
    with ends as entered:
        assert entered is ends
    with pytest.raises(KeyboardInterrupt) as caught, ends:
        raise KeyboardInterrupt
    assert ends.ended == [None, caught.value]


def test_the_long_signature_of_exit_is_written_in_one_place():
    long = {
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.name == "__exit__"
        and len(node.args.args) == 4
    }
    # The handler of interrupts raises another error in the place of the one that ends its block.
    others = {name for name in long if "store" in name}
    assert long - others == {"core/context.py"}
    assert len(others) <= 1
