"""The conformance suite of sampler classes: a path depends on its index, not on other paths."""

# ruff: noqa: D102 - the names of the tests are their sentences

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, cast

import cloudpickle
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.errors import ArgumentTypeError, SamplerError
from montezarr.random.seeding import BLOCK
from montezarr.run._replay import replay
from montezarr.run._run import Run
from montezarr.run._simulate import simulate
from montezarr.samplers import (
    SAMPLERS,
    Sampler,
    choose_sampler,
    recorded_interface,
    sample_range,
)
from montezarr.samplers._code import CodeSampler
from montezarr.samplers.drawing import sample_reported
from montezarr.samplers.policy import take_paths
from montezarr.samplers.schema import PathArrays, same_paths

SAMPLER_SUITE_SEED = 20_240_301
SAMPLER_SUITE_PATHS = 2_300
"""Paths in most tests: two blocks and a part of a third."""
N_FRAGILE = 1_400
"""Paths in tests of failures: a block without failures, and a part of another one."""


class SamplerTests:
    """Tests that every sampler class must pass, on code that it can draw.

    By default it tests the `examples`, and the `fragile` code, of all classes of montezarr.

    Attributes
    ----------
    samplers : tuple of Sampler types, optional
        The classes to test instead of the built-in ones.

    Examples
    --------
    In a test module::

        from montezarr.testing import SamplerTests

        class TestMySampler(SamplerTests):
            samplers = (MySampler,)
    """

    samplers: ClassVar[tuple[type[CodeSampler], ...] | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on each example of each class."""
        chosen = SAMPLERS if self.samplers is None else self.samplers
        if "kind" in metafunc.fixturenames:
            pairs = [(kind, i) for kind in chosen for i in range(len(kind.examples()))]
            ids = [f"{kind.__name__}-{i}" for kind, i in pairs]
            metafunc.parametrize(("kind", "number"), pairs, ids=ids)
        if "fragile" in metafunc.fixturenames:
            ids = [kind.__name__ for kind in chosen]
            metafunc.parametrize("fragile", chosen, ids=ids)

    def test_its_code_is_drawn_by_it_and_the_recipe_says_so(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        process, arguments = _example(kind, number)
        chosen, interface = choose_sampler(process, bool(arguments.get("legacy_global_rng")))
        assert chosen is kind
        ds = simulate(process, SAMPLER_SUITE_PATHS, seed=SAMPLER_SUITE_SEED, **arguments)
        recipe = json.loads(ds.attrs["montezarr"])
        assert recipe["sampler"] == interface
        assert recorded_interface(recipe) is kind.interfaces[interface]
        again = Run.from_recipe(recipe, process, SAMPLER_SUITE_PATHS)
        assert again.fingerprint == Run.behind(ds).fingerprint

    def test_variables_are_what_is_drawn(self, kind: type[CodeSampler], number: int) -> None:
        ds = _simulated(kind, number)
        computed = ds.compute(scheduler="synchronous")
        for name in ds.data_vars:
            assert computed[name].dims == ds[name].dims
            assert computed[name].dtype == ds[name].dtype
            assert computed[name].shape == ds[name].shape

    def test_paths_do_not_depend_on_chunks_or_threads(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        chunked = _simulated(kind, number, chunks=BLOCK)
        has_one_state = Run.behind(chunked).sampler.interface.uses_global_state
        for scheduler in ("synchronous",) if has_one_state else ("synchronous", "threads"):
            assert right.identical(chunked.compute(scheduler=scheduler))

    def test_a_path_does_not_depend_on_how_many_there_are(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        few = _simulated(kind, number, n_paths=3).compute(scheduler="synchronous")
        xr.testing.assert_equal(few, right.isel(path=slice(3)))
        for path in (0, BLOCK, SAMPLER_SUITE_PATHS - 1):
            alone = replay(_simulated(kind, number), path)
            xr.testing.assert_equal(alone, right.isel(path=path))

    def test_any_range_may_be_drawn_where_it_says_so(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        whole = sample_range(sampler, 0, BLOCK + 40)
        unit = sampler.interface.unit
        for low, high in ((0, 1), (7, 30), (BLOCK - 3, BLOCK + 5), (BLOCK, BLOCK + 40)):
            if low % unit == 0:
                assert same_paths(
                    sample_range(sampler, low, high), take_paths(whole, low, high)
                ).all()

    def test_it_draws_the_same_in_another_process(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        sent = cloudpickle.loads(cloudpickle.dumps(sampler))
        assert same_paths(sample_range(sent, 0, 20), sample_range(sampler, 0, 20)).all()

    def test_other_seeds_and_streams_are_other_noise(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        process, arguments = _example(kind, number)
        first, again, other, stream = (
            simulate(process, 50, **arguments, **noise).compute(scheduler="synchronous")
            for noise in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1, "stream": "b"})
        )
        assert first.identical(again)
        assert not first.equals(other)
        assert not first.equals(stream)

    def test_kept_times_are_those_of_all_times(self, kind: type[CodeSampler], number: int) -> None:
        right = _simulated(kind, number).compute(scheduler="synchronous")
        if "time" not in right.dims:
            return
        kept = _simulated(kind, number, keep=[0, -1]).compute(scheduler="synchronous")
        xr.testing.assert_equal(kept, right.isel(time=[0, -1]))

    def test_a_path_starts_where_its_initial_state_says(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        _, arguments = _example(kind, number)
        if "x0" not in arguments:
            return
        x0 = arguments["x0"] + np.arange(SAMPLER_SUITE_PATHS) / SAMPLER_SUITE_PATHS
        by_path = _simulated(kind, number, x0=x0)
        right = by_path.compute(scheduler="synchronous")
        chunked = _simulated(kind, number, x0=x0, chunks=BLOCK)
        assert right.identical(chunked.compute(scheduler="synchronous"))
        for path in (0, BLOCK - 1, BLOCK, SAMPLER_SUITE_PATHS - 1):
            common = _simulated(kind, number, n_paths=1, x0=x0[path].item())
            xr.testing.assert_equal(replay(common, path), right.isel(path=path))
            xr.testing.assert_equal(replay(by_path, path), right.isel(path=path))
        reversed_x0 = _simulated(kind, number, x0=x0[::-1].copy())
        assert not right.equals(reversed_x0.compute(scheduler="synchronous"))

    # --- failing and non-finite paths ----------------------------------------------------------

    def test_a_path_that_fails_is_told_and_may_be_masked(self, fragile: type[CodeSampler]) -> None:
        right, seed, limit, failing = _of_fragile(fragile)
        options = {"limit": limit, "ceiling": np.inf}
        with pytest.raises(SamplerError) as caught:
            _drawn_fragile(fragile, seed, options)
        assert caught.value.path == np.flatnonzero(failing)[0]
        assert "above the limit" in str(caught.value)
        with pytest.raises(SamplerError, match="also when drawn again, 2 times") as again:
            _drawn_fragile(fragile, seed, options, on_error="retry", retries=2)
        assert again.value.path == caught.value.path
        masked = _drawn_fragile(fragile, seed, options, on_error="mask")
        assert np.array_equal(masked[~failing], right[~failing])
        assert np.isnan(masked[failing]).all()

    def test_a_path_that_is_not_finite_is_told_kept_or_masked(
        self, fragile: type[CodeSampler]
    ) -> None:
        right, seed, ceiling, _ = _of_fragile(fragile)
        infinite = right.max(axis=1) > ceiling
        options = {"limit": np.inf, "ceiling": ceiling}
        for policy in ("raise", "retry"):
            with pytest.raises(SamplerError, match="not finite") as caught:
                _drawn_fragile(fragile, seed, options, on_nonfinite=policy)
            assert caught.value.path == np.flatnonzero(infinite)[0]
        kept = _drawn_fragile(fragile, seed, options, on_nonfinite="keep")
        assert np.array_equal(np.isinf(kept[:, -1]), infinite)
        assert np.array_equal(kept[:, :-1], right[:, :-1])
        masked = _drawn_fragile(fragile, seed, options, on_nonfinite="mask")
        assert np.array_equal(masked[~infinite], right[~infinite])
        assert np.isnan(masked[infinite]).all()

    def test_a_path_that_fails_once_is_drawn_again(self, fragile: type[CodeSampler]) -> None:
        process, arguments = fragile.fragile()
        ds = simulate(
            process, SAMPLER_SUITE_PATHS, seed=SAMPLER_SUITE_SEED, limit=np.inf, ceiling=np.inf,
            on_error="retry", **arguments,
        )  # fmt: skip
        sampler = Run.behind(ds).sampler
        flaky = _once_failing(sampler)
        arrays, report = sample_reported(flaky, 0, BLOCK + 9, None)
        assert same_paths(arrays, sample_range(sampler, 0, BLOCK + 9)).all()
        assert not report.masked
        assert report.retried
        assert {attempt for _, attempt in report.retried} <= {2, 3}

    def test_options_reach_the_code_and_others_are_refused(
        self, fragile: type[CodeSampler]
    ) -> None:
        process, arguments = fragile.fragile()
        given: dict[str, Any] = {"limit": np.inf, "ceiling": np.inf}
        one, same, other = (
            simulate(process, 50, seed=SAMPLER_SUITE_SEED, **options, **arguments)
            for options in (given, dict(given), given | {"ceiling": 1e300})
        )
        assert one.attrs["montezarr"] == same.attrs["montezarr"] != other.attrs["montezarr"]
        computed = one.compute(scheduler="synchronous")
        xr.testing.assert_equal(replay(one, 7), computed.isel(path=7))
        with pytest.raises(ArgumentTypeError, match="no_such_option"):
            simulate(process, 50, seed=SAMPLER_SUITE_SEED, no_such_option=1, **given, **arguments)

    def test_a_failure_names_its_path_and_its_stream(
        self, kind: type[CodeSampler], number: int
    ) -> None:
        sampler = Run.behind(_simulated(kind, number)).sampler
        failure = sampler.failure(BLOCK + 1, None, "no good")
        assert failure.path == BLOCK + 1
        assert "np.random.SeedSequence" in failure.context["seed key"]
        assert str(np.array(SAMPLER_SUITE_SEED)) in failure.context["seed key"]


def _example(kind: type[CodeSampler], number: int) -> tuple[Any, dict[str, Any]]:
    process, arguments = kind.examples()[number]
    return process, dict(arguments)


def _simulated(
    kind: type[CodeSampler], number: int, n_paths: int = SAMPLER_SUITE_PATHS, **more: Any
) -> xr.Dataset:
    process, arguments = _example(kind, number)
    return simulate(process, n_paths, seed=SAMPLER_SUITE_SEED, **(arguments | more))


def _drawn_fragile(
    kind: type[CodeSampler], seed: int, options: dict[str, Any], **policies: Any
) -> NDArray[Any]:
    """Return the values of the fragile code of a class, (path, time)."""
    process, arguments = kind.fragile()
    ds = simulate(process, N_FRAGILE, seed=seed, **options, **policies, **arguments)
    values: NDArray[Any] = sample_range(Run.behind(ds).sampler, 0, N_FRAGILE)["x"].T
    return values


@cache
def _of_fragile(kind: type[CodeSampler]) -> tuple[NDArray[Any], int, float, NDArray[np.bool_]]:
    """Return values of the fragile code, their seed, a limit, and which paths fail at that limit.

    The limit is above all paths of the first unit, which must not fail. A path fails with every
    path of its unit that exceeds the limit.
    """
    process, arguments = kind.fragile()
    given = {"limit": np.inf, "ceiling": np.inf}
    interface = choose_sampler(process, bool(arguments.get("legacy_global_rng")), given)[1]
    unit = kind.interfaces[interface].unit
    for seed in range(SAMPLER_SUITE_SEED, SAMPLER_SUITE_SEED + 20):
        right = _drawn_fragile(kind, seed, given)
        largest = right.max(axis=1)
        limit = max(float(largest[:unit].max()), float(np.quantile(largest, 0.99)))
        above = np.flatnonzero(largest > limit)
        if len(above):
            return right, seed, limit, np.isin(np.arange(N_FRAGILE) // unit, above // unit)
    raise AssertionError(f"no seed of {kind.__name__} has paths above all of the first unit")


def _once_failing(sampler: Sampler) -> Sampler:
    """Return a sampler that fails on the first draw of every range."""
    kind, seen = type(sampler), set()

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Flaky(kind):  # type: ignore[misc, valid-type]
        def draw(self, start: int, stop: int, x0: Any) -> PathArrays:
            if (start, stop) not in seen:
                seen.add((start, stop))
                raise self.failure(start, None, "not yet")
            drawn: PathArrays = kind.draw(self, start, stop, x0)
            return drawn

    return cast("Sampler", Flaky(**{f.name: getattr(sampler, f.name) for f in fields(sampler)}))
