"""The suite that ships for samplers: those of montezarr pass it, and what breaks a law does not."""

from dataclasses import dataclass

import numpy as np
import pytest

from montezarr.samplers import SAMPLERS
from montezarr.samplers.path import PathSampler
from montezarr.testing import SamplerTests


class TestSamplers(SamplerTests):
    pass


def test_every_class_and_every_interface_has_an_example():
    from montezarr.samplers import choose_sampler

    for kind in SAMPLERS:
        legacy = "Legacy" in kind.__name__
        found = {choose_sampler(process, legacy)[1] for process, _ in kind.examples()}
        own = set(vars(kind).get("interfaces", {}))
        assert own <= found, kind
    names = [name for kind in SAMPLERS for name in vars(kind).get("interfaces", {})]
    assert len(names) == len(set(names)), "two classes have an interface of one name"


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


def test_every_class_has_an_example_with_an_initial_state():
    for kind in SAMPLERS:
        assert any("x0" in arguments for _, arguments in kind.examples()), (
            f"{kind.__name__}.examples(): one of them needs x0"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike(PathSampler):
    """It starts all paths of a range where the first of them starts."""

    def draw(self, start, stop, x0):
        return PathSampler.draw(self, start, stop, None if x0 is None else 0 * x0 + x0[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm(PathSampler):
    """It takes an infinite value for a large one."""

    def draw(self, start, stop, x0):
        drawn = PathSampler.draw(self, start, stop, x0)
        return {name: np.nan_to_num(array) for name, array in drawn.items()}


@pytest.mark.parametrize(
    ("kind", "law", "arguments"),
    [
        (Alike, "test_a_path_starts_where_its_initial_state_says", (Alike, 0)),
        (Calm, "test_a_path_that_is_not_finite_is_told_kept_or_masked", (Calm,)),
    ],
)
def test_a_sampler_that_breaks_a_law_does_not_pass(kind, law, arguments, monkeypatch):
    monkeypatch.setattr("montezarr.samplers.binding.SAMPLERS", (kind,))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(SamplerTests(), law)(*arguments)
