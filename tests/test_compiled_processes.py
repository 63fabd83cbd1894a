"""Compiled steps of processes: every bit of the NumPy code that specifies them."""

import hashlib
import sys
from collections import OrderedDict

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr import Draws
from montezarr.core.compat import numpy_loops
from montezarr.processes import _fused, poisson_process
from montezarr.random.draws import has_kernel
from montezarr.random.draws.shared import SharedDraws

numba = pytest.importorskip("numba")
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
    loop = numpy_loops.loop_of(function)
    assert loop is not None  # else processes are slow, with the same bits
    x = np.exp(np.random.default_rng(1).normal(0, 20, 20_001))
    with np.errstate(all="ignore"):
        for some in (x, x[:1], x[3:10], -x, x[:0]):
            assert is_same(numpy_loops.called(loop, some), function(some))


@pytest.mark.parametrize("function", [np.add, np.floor_divide, np.isnan, np.gcd, abs, None])
def test_other_functions_have_no_loop(function):
    assert numpy_loops.loop_of(function) is None


def test_a_loop_with_other_bits_is_not_taken(monkeypatch):
    numpy_loops.loop_of.cache_clear()
    monkeypatch.setattr(numpy_loops, "called", lambda loop, x: np.sqrt(np.abs(x)))
    assert numpy_loops.loop_of(np.exp) is None
    numpy_loops.loop_of.cache_clear()


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


class Fixed:
    """Draws that are these uniform numbers, one for each path, at every step."""

    dtype, key, start = "float64", (0, 0), 0

    def __init__(self, implementation, uniforms):
        self.implementation, self.uniforms, self.n = implementation, uniforms, len(uniforms)

    def rows(self, kind, count, slot=0):
        return iter(self.kept_rows(kind, count))

    def kept_rows(self, kind, count, slot=0):
        return np.tile(self.uniforms, (count, 1))

    def empty_rows(self, count, dtype):
        return np.full((count, self.n), -99, dtype)

    def part(self, low, high):
        return Fixed(self.implementation, self.uniforms[low:high])


@pytest.mark.parametrize("name", sorted(INTEGERS))
def test_uniform_numbers_at_the_edges_of_tables_are_those_of_numpy(name):
    process, grid = INTEGERS[name], mz.TimeGrid.of(3, 0.01)
    edges = [0.0, 0.2, 0.5, 1 / 3, 2 / 3, *(np.arange(120) / 120)]
    if isinstance(process, mz.PoissonProcess):
        edges += poisson_process._distribution(process.rate * 0.01)[1].tolist()
    edges = np.array(edges)
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)])
    edges = edges[(edges >= 0) & (edges <= 1 - 2.0**-53)]
    found = [
        process.sample(Fixed(how, edges), grid, process.check_x0(0, "int64"))
        for how in ("kernel", "reference")
    ]
    assert is_same(*found)


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


# Diffusion


@pytest.fixture
def at_once(monkeypatch):
    """Compile the functions of a Diffusion at its first steps."""
    monkeypatch.setattr(_fused, "STEPS_BEFORE", 1)
    monkeypatch.setattr(_fused, "STEPS_BEFORE_COMPILED", 1)
    monkeypatch.setattr(_fused, "_KNOWN", OrderedDict())


def was_taken():
    """Return whether the compiled loop of the last equation was taken in its last run."""
    known = next(reversed(_fused._KNOWN.values()))
    return known.loop is not None and next(reversed(known.trials.values()))


def pull(t, x, kappa, level=1):
    return kappa * (level - x) + 0.1 * t


def spread(t, x, sigma):
    return sigma**2 * np.sqrt(np.abs(x))


def slope(t, x, sigma):
    return 0.5 * sigma**2 * np.sign(x) / np.sqrt(np.abs(x) + 1e-9)


SCHEMES = {
    "Euler": mz.EulerMaruyama(),
    "Milstein": mz.Milstein(),
    "derivative": mz.Milstein(derivative=slope),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_compiled_diffusion_is_that_of_numpy(at_once, scheme):
    process = mz.Diffusion(
        drift=pull, diffusion=spread, scheme=SCHEMES[scheme],
        parameters={"kappa": 1.1, "sigma": 0.3},
    )  # fmt: skip
    random = np.random.default_rng(1)
    for grid in (REGULAR[1], REGULAR[3], UNLIKE):
        for n in (1, 500):
            x0 = random.uniform(0.5, 2, n)
            assert is_same(*both(process, "float64", grid, x0, 2**40, n))
            assert was_taken()
    if scheme == "Euler":
        own = process.with_arrays({"sigma": random.uniform(0.1, 0.5, n)})
        assert is_same(*both(own, "float64", UNLIKE, x0, 0, n, shared=True))
        assert was_taken()
        assert is_same(*both(process, "float32", UNLIKE, x0, 0, n))
        assert was_taken()


def test_functions_of_numba_are_compiled_into_the_loop(at_once):
    process = mz.Diffusion(
        drift=numba.njit(lambda t, x: 0.1 * np.exp(-x)), diffusion=numba.njit(lambda t, x: 0.2 * x)
    )
    assert is_same(*both(process, "float64", REGULAR[3], 1.0, 0, 500))
    assert was_taken()


@numba.njit(fastmath=True)
def fast(t, x):
    return 0.1 * x


def inside(t, x):
    return sum(0.1 * x for _ in range(2))


REFUSED = {
    "another exp": lambda t, x: np.exp(-x),
    "another power": lambda t, x: x**1.5,
    "an array": lambda t, x: np.where(x > 0, x, 0.0),
    "no single number": lambda t, x: 0.1 * np.broadcast_to(x, x.shape),
    "fast": fast,
    "a function inside": inside,
    "keywords": lambda t, x, *, a=0.1: a * x,
    "a list": lambda t, x, a=[0.1]: a[0] * x,
}


@pytest.mark.parametrize("case", REFUSED)
def test_functions_with_other_bits_than_numpy_are_not_compiled(at_once, case):
    process = mz.Diffusion(drift=REFUSED[case], diffusion=REFUSED[case])
    assert is_same(*both(process, "float64", REGULAR[2], 1.0, 0, 50))
    assert not _fused._KNOWN or not was_taken()


@pytest.mark.parametrize("power", [lambda t, x: x**3, lambda t, x: t**2 * x])
def test_powers_that_numpy_rounds_otherwise_are_found_by_the_trial(at_once, power):
    process = mz.Diffusion(drift=power, diffusion=power)
    assert is_same(*both(process, "float64", UNLIKE, 0.3, 0, 1))
    assert not was_taken()


RATE = 0.1


def changing(t, x):
    return RATE * x


def test_a_global_that_changes_is_seen(at_once, monkeypatch):
    process = mz.Diffusion(drift=changing, diffusion=lambda t, x: 0.2 * x)
    first, _ = both(process, "float64", REGULAR[2], 1.0, 0, 50)
    assert was_taken()
    monkeypatch.setattr(sys.modules[__name__], "RATE", 0.3)
    found, wanted = both(process, "float64", REGULAR[2], 1.0, 0, 50)
    assert is_same(found, wanted)
    assert not is_same(found, first)


def test_few_steps_compile_nothing(monkeypatch):
    monkeypatch.setattr(_fused, "_KNOWN", OrderedDict())
    process = mz.Diffusion(drift=changing, diffusion=changing)
    both(process, "float64", REGULAR[2], 1.0, 0, 50)
    (known,) = _fused._KNOWN.values()
    assert known.loop is None
    assert known.steps == 50 * REGULAR[2].T


def test_a_compiled_run_is_that_of_numpy(at_once, monkeypatch):
    process = mz.Diffusion(drift=lambda t, x: 0.05 * x, diffusion=lambda t, x: 0.2 * x)
    vary = {"x0": xr.DataArray([90.0, 100.0], dims="start")}
    run = {"n_paths": 3000, "T": 9, "dt": 0.1, "seed": 3, "keep": [4, 9]}
    compiled = mz.simulate(process, **run, vary=vary).compute()
    assert was_taken()
    monkeypatch.setattr(_fused, "STEPS_BEFORE", 10**12)
    monkeypatch.setattr(_fused, "_KNOWN", OrderedDict())
    assert compiled.identical(mz.simulate(process, **run, vary=vary).compute())
