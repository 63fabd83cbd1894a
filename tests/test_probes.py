"""Rules that code of the user's keeps are tried at the call: a path alone is the path among others.

What couples paths would make them depend on chunks, and `replay` show another one than the run.
"""

import functools

import numpy as np
import pytest
from numba import njit

import montezarr as mz


def unit(t, x):
    return 1.0 + 0.0 * x


def diffusion(**fields):
    return mz.Diffusion(**{"drift": unit, "diffusion": unit, **fields})


def run(process, n_paths=100, T=3, x0=1.0, **options):
    return mz.simulate(process, n_paths, T, x0=x0, dt=0.1, seed=1, **options)


def refused(process, match, **options):
    with pytest.raises(mz.SamplerError, match=match) as caught:
        run(process, **options)
    return caught.value


COUPLED = {
    "mean": lambda x: x.mean() - x,
    "sort": lambda x: np.sort(x) - x,
    "reversed": lambda x: x[::-1] - x,
    "first": lambda x: x - x[0],
    "last": lambda x: x - x[-1],
    "neighbour": lambda x: np.roll(x, 1) - x,
    "number": lambda x: x / len(x),
    "largest": lambda x: x.max() + 0 * x,
    "pairs": lambda x: np.where(np.arange(len(x)) % 2, -x, x),
}
each_coupling = pytest.mark.parametrize("couple", COUPLED.values(), ids=COUPLED)


@each_coupling
@pytest.mark.parametrize("scheme", [mz.EulerMaruyama(), mz.Milstein()])
@pytest.mark.parametrize("coefficient", ["drift", "diffusion"])
def test_coefficients_that_couple_paths_are_refused(couple, scheme, coefficient):
    def coupled(t, x):
        return 1.0 + couple(x)

    refused(diffusion(**{coefficient: coupled}, scheme=scheme), "otherwise among other paths")


class Counters:
    def __init__(self, change):
        self.change = change

    def sample(self, draws, grid, x0):
        return np.stack([self.change(z) for z in draws.normal(range(grid.T + 1))])


class Own(mz.Process):
    def sample(self, draws, grid, x0):
        z = draws.normal(range(grid.T + 1))
        return z - z.mean(axis=1, keepdims=True)


@each_coupling
def test_a_sample_that_couples_paths_is_refused(couple):
    refused(Counters(couple), "otherwise among other paths")


@pytest.mark.parametrize("n_paths", [1, 2, 5000])
def test_it_is_refused_whatever_the_number_of_paths(n_paths):
    refused(Counters(COUPLED["mean"]), "otherwise among other paths", n_paths=n_paths)
    refused(Own(), "otherwise among other paths", n_paths=n_paths)


def test_it_is_refused_where_every_path_has_its_own_start():
    def pull(t, x):
        return x.mean() - x

    refused(diffusion(drift=pull), "otherwise among other paths", x0=np.arange(100.0))
    with pytest.raises(mz.SamplerError, match="path 0: comes out otherwise"):
        mz.simulate(diffusion(drift=pull), 3, 1, x0=[1.0, 2.0, 3.0], seed=1)


def test_the_refusal_names_matrix_products_where_it_is_a_matter_of_rounding():
    weights = np.random.default_rng(0).standard_normal((20, 20)) / 20
    names = tuple(f"x{i}" for i in range(20))
    x0 = tuple(np.linspace(1.0, 2.0, 20))

    def sums(t, x):
        # As BLAS has it: the order of summation depends on the number of columns.
        order = slice(None, None, -1 if x.shape[1] > 1 else 1)
        return np.stack([sum((x * w[:, None])[order]) for w in weights])

    error = refused(diffusion(drift=sums, names=names), "a matter of rounding", x0=x0)
    assert "Add term by term" in error.message

    def by_term(t, x):
        return sum(weights[:, [j]] * x[j] for j in range(len(x)))

    ds = run(diffusion(drift=by_term, names=names), x0=x0)
    np.testing.assert_array_equal(mz.replay(ds, 7).x3, ds.x3[7])


def test_a_later_path_that_fails_is_no_matter_of_the_trial():
    class Fails:
        def sample(self, draws, grid, x0):
            if draws.start <= 5 < draws.start + draws.n:
                raise ValueError("path 5 is not possible")
            return draws.normal(range(grid.T + 1))

    values = run(Fails(), on_error="mask").x.compute()
    assert np.flatnonzero(np.isnan(values).any("time")).tolist() == [5]


# --- what user code gets is its own, or cannot be written ------------------------------------


@pytest.mark.parametrize("name", ["drift", "diffusion"])
def test_a_coefficient_cannot_change_the_states_of_the_path(name):
    def floored(t, x):
        return np.maximum(x, 0.0, out=x)

    error = refused(
        diffusion(**{name: floored}), f"{name}: expected a function that leaves x as it"
    )
    assert "Let it work on a copy." in error.message

    def in_place(t, x):
        x += 1.0
        return x

    refused(diffusion(**{name: in_place}), "leaves x as it is")


def test_the_derivative_of_milstein_cannot_either():
    def floored(t, x):
        return np.maximum(x, 0.0, out=x)

    refused(diffusion(scheme=mz.Milstein(derivative=floored)), "derivative: expected a function")


def test_a_coefficient_may_return_the_states_that_it_gets():
    found = run(diffusion(drift=lambda t, x: x, diffusion=lambda t, x: x)).x
    np.testing.assert_array_equal(found, run(diffusion(drift=twice_half, diffusion=twice_half)).x)


def twice_half(t, x):
    return 0.5 * x * 2.0


@njit("f8[:](f8, f8[:])")
def compiled_for_writing(t, x):
    for i in range(len(x)):
        x[i] = max(x[i], 0.0)
    return -x


def test_a_coefficient_that_numba_compiled_for_arrays_to_write_has_its_own():
    found = run(diffusion(drift=compiled_for_writing), T=20, x0=0.1).x
    expected = run(diffusion(drift=lambda t, x: -np.maximum(x, 0.0)), T=20, x0=0.1).x
    np.testing.assert_array_equal(found, expected)
    assert (found < 0).any()  # what it wrote did not reach the paths


def test_a_scheme_of_ones_own_cannot_change_the_states_of_the_path():
    class Clipped(mz.Scheme):
        strong_order = weak_order = 0.5

        def step(self, drift, diffusion, t, x, dt, dw):
            np.maximum(x, 0.0, out=x)
            return x + drift(t, x) * dt + diffusion(t, x) * dw

    refused(diffusion(scheme=Clipped()), "read-only")


class Writes:
    """Writes into the initial state that it gets."""

    def sample(self, draws, grid, x0):
        x0 += 1.0
        return x0 + np.zeros((grid.T + 1, draws.n))


class WritesPaths(Writes):
    sample = None

    def sample_path(self, T, x0, rng):
        x0["a"] += 1.0
        return [x0["a"]] * (T + 1)


class WritesBlocks(Writes):
    sample = None

    def sample_paths(self, n, T, x0, rng):
        x0 += 1.0
        return x0[:, None] + np.zeros((n, T + 1))


@pytest.mark.parametrize(
    ("process", "x0"),
    [
        (Writes(), np.zeros(3000)),
        (WritesBlocks(), np.zeros(3000)),
        (WritesPaths(), {"a": 0.0}),
        (WritesPaths(), {"a": np.zeros(3000)}),
    ],
)
def test_a_sampler_that_writes_into_its_initial_state_has_its_own(process, x0):
    ds = run(process, n_paths=3000, x0=x0, chunks=1024)
    for _ in range(2):
        assert (ds.x == 1.0).all()
    assert mz.replay(ds, 2000).x.values.tolist() == [1.0] * 4


# --- the order of parameters -----------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x, t: -x,
        lambda s, time: -s,
        lambda x, t, k=1.0: -k * x,
        functools.partial(lambda k, x, t: -k * x, 1.0),
        njit(lambda x, t: -x),
    ],
)
@pytest.mark.parametrize("name", ["drift", "diffusion", "derivative"])
def test_a_function_of_x_and_t_is_refused_by_the_names_of_its_parameters(function, name):
    with pytest.raises(mz.ArgumentTypeError, match=rf"^{name}: expected a function of \(t, x\)"):
        mz.Milstein(derivative=function) if name == "derivative" else diffusion(**{name: function})


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: -x,
        lambda time, state: -state,
        lambda _, x: -x,
        lambda t, tau: -tau,
        lambda *args: -args[1],
        functools.partial(lambda k, t, x: -k * x, 1.0),
        lambda u, v, t=3.0: -v,
    ],
)
def test_other_names_are_the_users_affair(function):
    np.testing.assert_array_equal(
        run(diffusion(drift=function)).x, run(diffusion(drift=lambda t, x: -x)).x
    )


def test_a_method_with_its_arguments_in_another_order_is_refused():
    class Paths:
        def sample_path(self, x0, T, rng):
            return rng.standard_normal(T + 1)

    class Blocks:
        def sample_paths(self, T, n, x0, rng):
            return rng.standard_normal((n, T + 1))

    class Ranges:
        def sample(self, draws, x0, grid):
            return draws.normal(range(grid.T + 1))

    for process, method in (
        (Paths(), "sample_path"),
        (Blocks(), "sample_paths"),
        (Ranges(), "sam"),
    ):
        with pytest.raises(mz.ArgumentValueError, match=f"process: expected {method}.* order, got"):
            run(process)


# --- Milstein and the noise that it is for ---------------------------------------------------


def milstein(function, **fields):
    return diffusion(diffusion=function, scheme=mz.Milstein(**fields), names=("s", "v"))


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: np.stack([np.sqrt(np.abs(x[1])) * x[0], 0.3 * np.sqrt(np.abs(x[1]))]),
        lambda t, x: x[::-1],
        lambda t, x: 0.1 + x.sum(axis=0) + 0 * x,
        lambda t, x: np.stack([0.2 + 0 * x[0], 0.2 + t * x[0]]),  # not yet at the start
    ],
    ids=["stochastic volatility", "swapped", "sum", "later"],
)
def test_milstein_is_refused_for_noise_of_which_a_component_depends_on_another(function):
    for fields in ({}, {"derivative": lambda t, x: 0.0 * x}):
        error = refused(milstein(function, **fields), "diagonal noise for Milstein", x0=(1.0, 0.04))
        assert "Use EulerMaruyama()" in error.message


@pytest.mark.parametrize(
    "function",
    [
        lambda t, x: 0.3 * x,
        lambda t, x: 0.3,
        lambda t, x: np.array([[0.1], [0.2]]),
        lambda t, x: np.stack([x[0] * x[1], 0 * x[1]]),  # the other has no noise of its own
    ],
    ids=["diagonal", "number", "constant", "deterministic"],
)
def test_milstein_is_for_diagonal_noise(function):
    run(milstein(function), x0=(1.0, 0.04)).compute()
    run(milstein(function), x0=(1.0, 0.04), T=0).compute()


# --- blocks ----------------------------------------------------------------------------------


class Blocks:
    """Returns what `change` makes of a block."""

    def __init__(self, change):
        self.change, self.calls = change, 0

    def sample_paths(self, n, T, x0, rng):
        self.calls += 1
        return self.change(rng.standard_normal((n, T + 1)), self.calls)


@pytest.mark.parametrize("T", [3, 1023])
@pytest.mark.parametrize("x0", [1.0, np.ones(100)], ids=["common", "each"])
def test_a_block_with_the_times_first_is_refused(T, x0):
    refused(Blocks(lambda z, calls: z.T.copy()), "sample_paths returned shape", T=T, x0=x0)
    refused(Blocks(lambda z, calls: {"a": z, "b": z.T.copy()}), "returned shape", T=T, x0=x0)
    run(Blocks(lambda z, calls: z), T=T, x0=x0).compute()


def test_a_sampler_of_blocks_of_one_size_is_not_taken_for_a_transposed_one():
    def whole(z, calls):
        if z.shape[0] != 1024:
            raise ValueError("1024 paths")
        return z

    run(Blocks(whole), T=1023)


def test_rows_with_the_paths_first_are_refused_where_both_are_as_many():
    class Transposed:
        def sample(self, draws, grid, x0):
            return draws.normal(range(grid.T + 1)).T

    for T in (0, 1, 3, 16):
        for n_paths in (2, T + 1, 100):
            refused(Transposed(), "sample returned shape", T=T, n_paths=max(n_paths, 1))


def test_a_block_that_is_another_one_when_drawn_again_is_refused_whatever_path_differs():
    def one_path(z, calls):
        z[700] += calls
        return z

    refused(Blocks(one_path), "two different paths from one and the same stream")


def test_a_block_in_working_memory_of_the_sampler_is_compared_as_it_was():
    class Accumulates:
        def __init__(self):
            self.sum = None

        def __deepcopy__(self, memo):
            return self

        def sample_paths(self, n, T, x0, rng):
            if self.sum is None:
                self.sum = np.zeros((n, T + 1))
            self.sum += rng.standard_normal((n, T + 1))
            return self.sum

    refused(Accumulates(), "two different paths")
