"""The conformance suite of backends: same bits, lowest failing path, clean end."""

# ruff: noqa: D102 - the names of the tests are their sentences

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.execute import BACKENDS, Backend, in_force
from montezarr.run._run import Run
from montezarr.samplers import SAMPLERS
from montezarr.samplers._code import CodeSampler

N, T = 1500, 12


class BackendTests:
    """Tests that every backend must pass; a test module subclasses it and adds nothing.

    By default it tests all backends of montezarr whose packages are installed, with the `examples`
    of every sampler class. A backend states itself what it cannot run.

    Attributes
    ----------
    backends : tuple of Backend types, optional
        The backends to test instead of the built-in ones. Each is called with a number of
        workers.
    workers : tuple of int
        Numbers of workers to test with.

    Examples
    --------
    In a test module of your own package::

        from montezarr.testing import BackendTests

        class TestMyBackend(BackendTests):
            backends = (MyBackend,)
    """

    backends: ClassVar[tuple[Callable[[int], Backend], ...] | None] = None
    workers: ClassVar[tuple[int, ...]] = (1, 2)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on each backend, with each number of workers."""
        if "make" in metafunc.fixturenames:
            chosen = _installed() if self.backends is None else self.backends
            names = [getattr(entry, "name", str(entry)) for entry in chosen]
            metafunc.parametrize("make", chosen, ids=names)
        if "n_jobs" in metafunc.fixturenames:
            metafunc.parametrize("n_jobs", self.workers)

    # --- the bits ----------------------------------------------------------------------------

    def test_samplers_of_every_class_have_the_paths_of_one_thread(
        self, make: Any, n_jobs: int
    ) -> None:
        place = make(n_jobs)
        with place:
            for kind, number in _examples():
                process, arguments = kind.examples()[number]
                ds = mz.simulate(process, N, seed=7, chunks=1024, **arguments)
                if not (place.has_threads and Run.behind(ds).sampler.interface.uses_global_state):
                    assert ds.compute().identical(_expected(kind, number)), (kind, number)

    def test_the_engine_has_the_paths_of_one_thread(self, make: Any, n_jobs: int) -> None:
        process = mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.3)
        result = mz.MonteCarloEngine(process).simulate(
            N, T, seed=7, parallel=True, backend=make(n_jobs), batch_size=700
        )
        assert result.metadata["backend"] == make(n_jobs).name
        with mz.backend("synchronous"):
            expected = mz.simulate(process, n_paths=N, T=T, seed=7).compute()
        assert np.array_equal(result.dataset.x.values, expected.x.values)

    def test_expressions_statistics_and_stores_have_the_bits_of_one_thread(
        self, make: Any, n_jobs: int, tmp_path: Any
    ) -> None:
        process = mz.OrnsteinUhlenbeck(theta=2.0, mu=1.0, sigma=0.3)
        ds = mz.simulate(process, n_paths=N, T=T, seed=7, chunks=1024)
        with make(n_jobs) as place:
            assert place.workers >= 1
            lazy = (ds.x**2).compute()
            found = mz.reduce(ds, ["mean", "q95"])
            stored = mz.write(ds, tmp_path / "paths.zarr")
        with mz.backend("synchronous"):
            assert lazy.identical((ds.x**2).compute())
            assert found.identical(mz.reduce(ds, ["mean", "q95"]))
            assert np.array_equal(stored.x, ds.x)

    # --- failures ----------------------------------------------------------------------------

    def test_the_error_of_a_run_is_that_of_its_lowest_failing_path(
        self, make: Any, n_jobs: int
    ) -> None:
        engine = mz.MonteCarloEngine(_fragile())
        with pytest.raises(mz.SamplerError, match="too high") as error:
            engine.simulate(N, T, seed=1, parallel=True, backend=make(n_jobs), batch_size=300)
        with pytest.raises(mz.SamplerError) as alone:
            engine.simulate(N, T, seed=1)
        assert error.value.path == alone.value.path

    # --- the block ---------------------------------------------------------------------------

    def test_it_is_in_force_in_its_block_and_over_at_the_end(self, make: Any) -> None:
        before = _now()
        place: Any = make(2)
        with place:
            assert _now() is place
            with mz.backend("synchronous") as inner:
                assert _now() is inner
            assert _now() is place
            assert place.submit(abs, -3).result() == 3
        assert _now() is before
        with pytest.raises(RuntimeError, match="stopped"):
            _ = place.executor

    def test_an_exception_in_its_block_ends_it_too(self, make: Any) -> None:
        place = make(2)
        with pytest.raises(ZeroDivisionError):
            self._fail_in_the_block_of(place)
        with pytest.raises(RuntimeError, match="stopped"):
            _ = place.executor

    @staticmethod
    def _fail_in_the_block_of(place: Backend) -> None:
        with place:
            place.submit(abs, -3).result()
            raise ZeroDivisionError

    def test_it_can_be_used_again(self, make: Any) -> None:
        place = make(1)
        for _ in range(2):
            with place:
                assert place.submit(abs, -3).result() == 3


def _now() -> Any:
    return in_force()


def _installed() -> tuple[type[Backend], ...]:
    out = []
    for kind in BACKENDS.values():
        try:
            kind.check_installed()
        except mz.MissingDependencyError:
            continue
        out.append(kind)
    return tuple(out)


def _examples() -> list[tuple[type[CodeSampler], int]]:
    """Return all sampler classes with the numbers of their examples."""
    return [(kind, i) for kind in SAMPLERS for i in range(len(kind.examples()))]


@cache
def _expected(kind: type[CodeSampler], number: int) -> xr.Dataset:
    process, arguments = kind.examples()[number]
    with mz.backend("synchronous"):
        return mz.simulate(process, N, seed=7, chunks=1024, **arguments).compute()


def _fragile() -> Any:
    """Return a function that fails on some paths; it is local, so that it is pickled by value."""

    def fragile(rng: Any, T: int) -> Any:
        x = rng.standard_normal(T + 1)
        if x.max() > 3.0:
            raise ValueError("too high")
        return x

    return fragile
