"""What a forked child gets of the locks that threads of its parent hold."""

import ast
import os
import threading
from pathlib import Path

import pytest

import montezarr as mz
from montezarr.core.fork import ForkLock, after_fork

SOURCE = Path(mz.__file__).parent

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked")


def test_every_lock_of_a_module_is_new_in_a_forked_child():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            value = getattr(node, "value", None)
            if value is not None and ast.unparse(value) in (
                "threading.Lock()",
                "threading.RLock()",
            ):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
        if any(n.attr == "register_at_fork" for n in calls) and path.name not in REGISTER:
            found.append(str(path.relative_to(SOURCE)))
    assert not found, "take montezarr.core.fork"


REGISTER = {"fork.py", "_lock.py"}
"""The helper, and the locks of stores, which a child lets go of."""


def answer_of_child(function):
    """Return what a forked child answers, a byte; nothing where it does not end."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(function())
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def taken(lock):
    """Return 7 if a thread gets the lock at once."""
    found = []

    def take():
        with lock:
            found.append(7)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(20)
    return found[0] if found else 1


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_has_the_lock_free_that_another_thread_of_its_parent_holds():
    lock, holds, may_end = ForkLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            holds.set()
            may_end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        holds.wait()
        assert answer_of_child(lambda: taken(lock)) == 7
    finally:
        may_end.set()
        thread.join()
    assert taken(lock) == 7


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_that_is_forked_inside_the_block_leaves_it():
    lock = ForkLock()
    with lock:
        child = os.fork()
        if child == 0:
            try:
                lock.__exit__(None, None, None)
                os._exit(taken(lock))
            finally:
                os._exit(255)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert taken(lock) == 7


def test_the_holder_may_take_it_again_and_an_error_lets_it_go():
    lock = ForkLock()
    with pytest.raises(KeyError), lock, lock:
        raise KeyError
    assert taken(lock) == 7


def test_where_nothing_is_forked_nothing_is_registered(monkeypatch):
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    after_fork(print)
