"""What every class of samplers must do: a path that depends on its index, not on its company."""

# ruff: noqa: D102 - the names of the tests are their sentences

from __future__ import annotations

import json
from typing import Any, ClassVar

import cloudpickle
import numpy as np
import pytest
import xarray as xr

from montezarr.random.seeding import BLOCK
from montezarr.run._replay import replay
from montezarr.run._run import Run
from montezarr.run._simulate import simulate
from montezarr.samplers import SAMPLERS, Sampler, choose, recorded_interface, sample_range
from montezarr.samplers.policy import part_of
from montezarr.samplers.schema import same_paths

SEED = 20_240_301
N_PATHS = 2_300
"""Paths in most tests: more than two blocks, and no whole ones."""


class SamplerTests:
    """Tests that every class of samplers must pass, of code that it can draw.

    Without more, it tests the `examples` of all classes of montezarr.

    Attributes
    ----------
    samplers : tuple of Sampler types, optional
        The classes to test, in place of the built-in ones.

    Examples
    --------
    In a test module::

        from montezarr.testing import SamplerTests

        class TestMySampler(SamplerTests):
            samplers = (MySampler,)
    """

    samplers: ClassVar[tuple[type[Sampler], ...] | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on each example of each class."""
        chosen = SAMPLERS if self.samplers is None else self.samplers
        if "kind" in metafunc.fixturenames:
            pairs = [(kind, i) for kind in chosen for i in range(len(kind.examples()))]
            ids = [f"{kind.__name__}-{i}" for kind, i in pairs]
            metafunc.parametrize(("kind", "number"), pairs, ids=ids)

    def test_its_code_is_drawn_by_it_and_the_recipe_says_so(
        self, kind: type[Sampler], number: int
    ) -> None:
        process, arguments = _example(kind, number)
        chosen, interface = choose(process, bool(arguments.get("legacy_global_rng")))
        assert chosen is kind
        ds = simulate(process, N_PATHS, seed=SEED, **arguments)
        recipe = json.loads(ds.attrs["montezarr"])
        assert recipe["sampler"] == interface
        assert recorded_interface(recipe) is kind.interfaces[interface]
        again = Run.from_recipe(recipe, process, N_PATHS)
        assert again.fingerprint == Run.behind(ds).fingerprint

    def test_variables_are_what_is_drawn(self, kind: type[Sampler], number: int) -> None:
        ds = _simulated(kind, number)
        computed = ds.compute(scheduler="synchronous")
        for name in ds.data_vars:
            assert computed[name].dims == ds[name].dims
            assert computed[name].dtype == ds[name].dtype
            assert computed[name].shape == ds[name].shape

    def test_paths_do_not_depend_on_chunks_or_threads(
        self, kind: type[Sampler], number: int
    ) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        chunked = _simulated(kind, number, chunks=BLOCK)
        has_one_state = Run.behind(chunked).sampler.interface.uses_global_state
        for scheduler in ("synchronous",) if has_one_state else ("synchronous", "threads"):
            assert right.identical(chunked.compute(scheduler=scheduler))

    def test_a_path_does_not_depend_on_how_many_there_are(
        self, kind: type[Sampler], number: int
    ) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        few = _simulated(kind, number, n_paths=3).compute(scheduler="synchronous")
        xr.testing.assert_equal(few, right.isel(path=slice(3)))
        for path in (0, BLOCK, N_PATHS - 1):
            alone = replay(_simulated(kind, number), path)
            xr.testing.assert_equal(alone, right.isel(path=path))

    def test_any_range_may_be_drawn_where_it_says_so(
        self, kind: type[Sampler], number: int
    ) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        whole = sample_range(sampler, 0, BLOCK + 40)
        unit = sampler.interface.unit
        for low, high in ((0, 1), (7, 30), (BLOCK - 3, BLOCK + 5), (BLOCK, BLOCK + 40)):
            if low % unit == 0:
                assert same_paths(sample_range(sampler, low, high), part_of(whole, low, high)).all()

    def test_it_draws_the_same_in_another_process(self, kind: type[Sampler], number: int) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        sent = cloudpickle.loads(cloudpickle.dumps(sampler))
        assert same_paths(sample_range(sent, 0, 20), sample_range(sampler, 0, 20)).all()

    def test_other_seeds_and_streams_are_other_noise(
        self, kind: type[Sampler], number: int
    ) -> None:
        process, arguments = _example(kind, number)
        first, again, other, stream = (
            simulate(process, 50, **arguments, **noise).compute(scheduler="synchronous")
            for noise in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1, "stream": "b"})
        )
        assert first.identical(again)
        assert not first.equals(other)
        assert not first.equals(stream)

    def test_kept_times_are_those_of_all_times(self, kind: type[Sampler], number: int) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        if "time" not in right.dims:
            return
        kept = _simulated(kind, number, keep=[0, -1]).compute(scheduler="synchronous")
        xr.testing.assert_equal(kept, right.isel(time=[0, -1]))

    def test_a_failure_names_its_path_and_its_stream(
        self, kind: type[Sampler], number: int
    ) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        failure = sampler.failure(BLOCK + 1, None, "no good")
        assert failure.path == BLOCK + 1
        assert "np.random.SeedSequence" in failure.context["seed key"]
        assert str(np.array(SEED)) in failure.context["seed key"]


def _example(kind: type[Sampler], number: int) -> tuple[Any, dict[str, Any]]:
    process, arguments = kind.examples()[number]
    return process, dict(arguments)


def _simulated(kind: type[Sampler], number: int, n_paths: int = N_PATHS, **more: Any) -> xr.Dataset:
    process, arguments = _example(kind, number)
    return simulate(process, n_paths, seed=SEED, **(arguments | more))
