"""The suite that ships for backends: the built-in ones pass it, and what breaks a law does not."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import montezarr as mz
from montezarr.execute import BACKENDS
from montezarr.testing import BackendTests
from montezarr.testing.backends import _installed


class TestThreads(BackendTests):
    backends = (BACKENDS["synchronous"], BACKENDS["threads"])


@pytest.mark.slow
class TestProcesses(BackendTests):
    backends = (BACKENDS["processes"], BACKENDS["joblib"])
    workers = (2,)


def test_without_more_the_suite_takes_all_backends_that_are_installed():
    pytest.importorskip("joblib")
    assert {BACKENDS["threads"], BACKENDS["processes"], BACKENDS["joblib"]} <= {*_installed()}


class Endless(mz.Backend):
    """It goes on after its block."""

    name = "endless"
    in_processes = False

    def make_executor(self):
        return ThreadPoolExecutor(self.workers)

    def stop(self):
        pass


@pytest.mark.parametrize("law", ["is_in_force_in_its_block_and_over_at_the_end", "an_exception"])
def test_a_backend_that_does_not_end_is_found(law):
    suite = BackendTests()
    (name,) = [name for name in dir(suite) if law in name]
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        getattr(suite, name)(Endless)
