"""The suite that ships for samplers: those of montezarr pass it, and what breaks a law does not."""

from dataclasses import dataclass

import pytest

from montezarr.samplers import SAMPLERS
from montezarr.samplers.path import PathSampler
from montezarr.testing import SamplerTests


class TestSamplers(SamplerTests):
    pass


def test_every_class_and_every_interface_has_an_example():
    from montezarr.samplers import choose

    for kind in SAMPLERS:
        legacy = "Legacy" in kind.__name__
        found = {choose(process, legacy)[1] for process, _ in kind.examples()}
        own = set(vars(kind).get("interfaces", {}))
        assert own <= found, kind
    assert len({name for kind in SAMPLERS for name in kind.interfaces}) == 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted(PathSampler):
    """It gives a path the stream of its place in the range."""

    def draw(self, start, stop, x0):
        return PathSampler.draw(self, 0, stop - start, x0)


def test_a_sampler_whose_paths_depend_on_the_range_does_not_pass(monkeypatch):
    samplers = ("montezarr.samplers.binding.SAMPLERS", (Shifted,))
    monkeypatch.setattr(*samplers)
    suite = SamplerTests()
    with pytest.raises(AssertionError):
        suite.test_a_path_does_not_depend_on_how_many_there_are(Shifted, 1)
