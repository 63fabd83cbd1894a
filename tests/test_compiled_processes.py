"""Compiled steps of processes: every bit of the NumPy code that specifies them."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr import Draws
from montezarr.core.compat import numpy as compat_numpy
from montezarr.processes import poisson_process
from montezarr.random.draws import has_kernel
from montezarr.random.draws.shared import SharedDraws

pytestmark = pytest.mark.skipif(not has_kernel(), reason="needs Numba")

REGULAR = [mz.TimeGrid.of(T, dt) for T, dt in ((0, 0.5), (1, 0.5), (5, 0.1), (37, 1 / 252))]
IRREGULAR = mz.TimeGrid.of(times=np.cumsum([0, *[0.01, 0.01, 0.03, 0.01, 0.2] * 4]))
UNLIKE = mz.TimeGrid.of(times=np.linspace(0, 1.3, 20) ** 1.5)
GRIDS = [*REGULAR, IRREGULAR, UNLIKE]

HESTON = {
    "calm": mz.Heston(mu=0.05, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7),
    "mixed": mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9),
    "wild": mz.Heston(mu=0.0, kappa=0.5, theta=0.04, xi=3.0, rho=0.9),
    "still": mz.Heston(mu=0.0, kappa=50.0, theta=0.4, xi=1e-8, rho=1.0),
    "explosive": mz.Heston(mu=0.0, kappa=0.5, theta=9.4, xi=30.0, rho=1.0),
}


def is_same(a, b):
    """Return whether two arrays have the same bits, NaN included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def both(process, dtype, grid, x0, start, n, draws_dtype=None, shared=False):
    """Return the paths of a process by compiled code, and by NumPy."""
    found = []
    for name in ("kernel", "reference"):
        draws = Draws.of(5, start=start, n=n, dtype=draws_dtype or dtype, implementation=name)
        if shared:
            draws = SharedDraws.over(draws)
            process.sample(draws, grid, process.check_x0(x0, dtype))
        found.append(process.sample(draws, grid, process.check_x0(x0, dtype)))
    return found


places = st.tuples(st.sampled_from([0, 7, 2**33, 2**60]), st.sampled_from([1, 2, 479, 481, 1030]))


@given(
    st.sampled_from(sorted(HESTON)), st.sampled_from(["float64", "float32"]),
    st.sampled_from(GRIDS), places, st.booleans(), st.sampled_from([0.0, 0.04, 3.0]),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_heston_is_that_of_numpy(name, dtype, grid, place, shared, v0):
    start, n = place
    assert is_same(*both(HESTON[name], dtype, grid, (100.0, v0), start, n, shared=shared))


@given(st.sampled_from(["float64", "float32"]), st.sampled_from(GRIDS), places, st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_heston_with_numbers_of_each_path_is_that_of_numpy(dtype, grid, place, seed):
    start, n = place
    random = np.random.default_rng(seed)
    process = HESTON["calm"].with_arrays(
        {"kappa": random.uniform(0.1, 5, n), "xi": random.uniform(0.05, 2, n)}
        | ({"rho": random.uniform(-1, 1, n)} if seed % 2 else {})
    )
    x0 = {"s": random.uniform(50, 150, n), "v": random.uniform(0, 0.2, n)}
    assert is_same(*both(process, dtype, grid, x0, start, n))


def test_without_the_loops_of_numpy_heston_has_the_same_bits(monkeypatch):
    wanted, _ = both(HESTON["mixed"], "float64", REGULAR[2], (100.0, 0.04), 0, 700)
    called = []

    def unknown(function):
        called.append(function)

    monkeypatch.setattr("montezarr.processes._kernels._loops.loop_of", unknown)
    found, _ = both(HESTON["mixed"], "float64", REGULAR[2], (100.0, 0.04), 0, 700)
    assert called
    assert is_same(found, wanted)


# The loops of NumPy


@pytest.mark.parametrize("function", [np.exp, np.log, np.log1p])
def test_a_loop_of_numpy_gives_the_bits_of_its_function(function):
    loop = compat_numpy.loop_of(function)
    assert loop is not None  # else processes are slow, with the same bits
    x = np.exp(np.random.default_rng(1).normal(0, 20, 20_001))
    with np.errstate(all="ignore"):
        for some in (x, x[:1], x[3:10], -x, x[:0]):
            assert is_same(compat_numpy.called(loop, some), function(some))


@pytest.mark.parametrize("function", [np.add, np.floor_divide, np.isnan, np.gcd, abs, None])
def test_other_functions_have_no_loop(function):
    assert compat_numpy.loop_of(function) is None


def test_a_loop_with_other_bits_is_not_taken(monkeypatch):
    compat_numpy.loop_of.cache_clear()
    monkeypatch.setattr(compat_numpy, "called", lambda loop, x: np.sqrt(np.abs(x)))
    assert compat_numpy.loop_of(np.exp) is None
    compat_numpy.loop_of.cache_clear()


# Processes of integers

MATRICES = {
    "three": ((0.2, 0.5, 0.3), (0.0, 0.7, 0.3), (0.0, 0.0, 1.0)),
    "many": np.random.default_rng(1).dirichlet(np.full(120, 0.05), 120).tolist(),
}
INTEGERS = {
    "few": mz.PoissonProcess(rate=3.0),
    "thousands": mz.PoissonProcess(rate=5000.0),
    "millions": mz.PoissonProcess(rate=1e6),
    "even": mz.RandomWalk(),
    "falling": mz.RandomWalk(p=0.2),
    "sure": mz.RandomWalk(p=1.0),
    "three": mz.MarkovChain(transition=MATRICES["three"]),
    "many": mz.MarkovChain(transition=MATRICES["many"]),
}


@given(
    st.sampled_from(sorted(INTEGERS)), st.sampled_from(["int64", "int32"]),
    st.sampled_from(GRIDS), places, st.booleans(), st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_processes_of_integers_are_those_of_numpy(name, dtype, grid, place, shared, own_x0):
    start, n = place
    x0 = np.arange(n) % 3 if own_x0 else 1
    process = INTEGERS[name]
    found = both(process, dtype, grid, x0, start, n, "float64", shared)
    assert is_same(*found)


@given(st.sampled_from(GRIDS), places, st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_integers_with_numbers_of_each_path_are_those_of_numpy(grid, place, shared, seed):
    start, n = place
    random = np.random.default_rng(seed)
    walk = mz.RandomWalk().with_arrays({"p": random.uniform(0, 1, n)})
    assert is_same(*both(walk, "int64", grid, 0, start, n, "float64", shared))
    rates = random.choice([0.01, 1.0, 50.0, 2000.0], n) * random.uniform(0.5, 1.5, n)
    poisson = mz.PoissonProcess(rate=1.0).with_arrays({"rate": rates})
    assert is_same(*both(poisson, "int64", grid, 0, start, n, "float64", shared))


def test_states_of_single_bytes_and_draws_of_single_precision_are_those_of_numpy():
    chain = INTEGERS["three"]
    for dtype in ("int8", "int16"):
        assert is_same(*both(chain, dtype, REGULAR[3], 0, 3, 700, "float64"))
    for process in (chain, INTEGERS["even"], INTEGERS["few"]):
        assert is_same(*both(process, "int32", REGULAR[3], 0, 3, 700, "float32"))


def test_tables_beyond_the_memory_for_them_are_made_one_after_the_other(monkeypatch):
    monkeypatch.setattr(poisson_process, "TABLE_BYTES", 60_000)
    assert is_same(*both(INTEGERS["thousands"], "int64", UNLIKE, 0, 3, 700, "float64"))
    process = INTEGERS["few"].with_arrays({"rate": np.linspace(0.1, 40.0, 700)})
    assert is_same(*both(process, "int64", IRREGULAR, 0, 3, 700, "float64"))


DIGESTS = {
    "few": "decb6cd79db78a78",
    "three": "8a4fe08322ae532a",
    "falling": "2b2be7c16f1ab3b8",
}
"""Of the paths of version 0.1.0, which have the same bits on every machine."""


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_paths_of_integers_are_those_of_earlier_versions(name):
    process = INTEGERS[name]
    paths = process.sample(Draws.of(7, start=5, n=999), UNLIKE, process.check_x0(1, "int64"))
    assert hashlib.sha256(paths.astype("<i8").tobytes()).hexdigest()[:16] == DIGESTS[name]
