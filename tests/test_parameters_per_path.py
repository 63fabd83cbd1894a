"""Parameters with one number per path: the paths are those of separate processes, bit for bit."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr.core.errors import ArgumentTypeError, ArgumentValueError, SamplerError
from montezarr.processes import heston
from montezarr.processes._base import HasBound, HasDeviation, HasMean, HasVariance
from montezarr.processes._built_in import built_in_processes
from montezarr.processes._per_path import number_fields, square
from montezarr.processes.poisson_process import Tables, _distribution
from montezarr.random.draws import has_kernel, kernel

numba = pytest.importorskip("numba") if has_kernel() else None

RANGES = {
    "GeometricBrownianMotion": {"mu": (-0.5, 0.5), "sigma": (0.0, 1.0)},
    "BrownianMotion": {"mu": (-2.0, 2.0), "sigma": (0.0, 3.0)},
    "OrnsteinUhlenbeck": {"theta": (0.01, 30.0), "mu": (-2.0, 2.0), "sigma": (0.0, 3.0)},
    "Heston": {
        "mu": (-0.2, 0.2),
        "kappa": (0.1, 5.0),
        "theta": (0.01, 0.2),
        "xi": (0.05, 1.5),
        "rho": (-1.0, 1.0),
    },
    "PoissonProcess": {"rate": (0.01, 60.0)},
    "RandomWalk": {"p": (0.0, 1.0)},
    "BirthDeath": {"birth": (0.0, 2.0), "death": (0.0, 2.0), "immigration": (0.0, 3.0)},
    "GeneExpression": {
        "transcription": (0.0, 4.0),
        "translation": (0.0, 4.0),
        "mrna_decay": (0.1, 3.0),
        "protein_decay": (0.1, 3.0),
    },
    "MichaelisMenten": {"bind": (0.0, 0.2), "release": (0.0, 2.0), "convert": (0.0, 2.0)},
    "SEIR": {"beta": (0.0, 3.0), "sigma": (0.0, 3.0), "gamma": (0.0, 3.0)},
    "SIR": {"beta": (0.0, 3.0), "gamma": (0.0, 3.0)},
    "SIS": {"beta": (0.0, 3.0), "gamma": (0.0, 3.0)},
}
"""Values to test, by process and parameter."""

NO_NUMBERS = {"MarkovChain", "Diffusion", "ReactionNetwork"}
"""Processes without a field that is one number; those of others have tests of their own."""


def drift(t, x, kappa, level=0.5):
    return kappa**2 * (level - x)


def diffusion(t, x, *, sigma):
    return sigma**2 * np.sqrt(np.abs(x)) + 0.01 * np.exp(-sigma)


def slope(t, x, sigma):
    return 0.5 * sigma**2 * np.sign(x) / np.sqrt(np.abs(x) + 1e-9)


SCALAR = mz.Diffusion(drift=drift, diffusion=diffusion, parameters={"kappa": 1.1, "sigma": 0.3})
MILSTEIN = mz.Diffusion(
    drift=drift,
    diffusion=diffusion,
    scheme=mz.Milstein(derivative=slope),
    parameters={"kappa": 1.1, "sigma": 0.3},
)
PAIR = mz.Diffusion(
    drift=drift,
    diffusion=diffusion,
    names=("x", "y"),
    correlation=((1.0, 0.5), (0.5, 1.0)),
    parameters={"kappa": 1.1, "sigma": 0.3},
)
ARGUMENTS = {"kappa": (0.1, 2.0), "sigma": (0.0, 0.5), "level": (-1.0, 1.0)}

CASES = [
    *((kind.examples()[0], RANGES[name]) for name, kind in built_in_processes().items()
      if name in RANGES),
    (SCALAR, ARGUMENTS),
    (MILSTEIN, ARGUMENTS),
    (PAIR, ARGUMENTS),
]  # fmt: skip
NAMES = [*(name for name in built_in_processes() if name in RANGES), "scalar", "milstein", "pair"]
GRIDS = {
    "regular": mz.TimeGrid.of(9, 0.07),
    "irregular": mz.TimeGrid.of(times=[-1.0, -0.9, 0.0, 0.001, 1.5]),
    "one time": mz.TimeGrid.of(0, 0.07),
}


def start_of(process):
    if isinstance(process, mz.Diffusion):
        return 0.7 if len(process.variables) == 1 else (0.7, 1.1)
    return (100.0, 0.04) if isinstance(process, mz.Heston) else None


def values_of(ranges, names, n, seed):
    random = np.random.default_rng(seed)
    return {name: random.uniform(*ranges[name], n) for name in names}


def test_every_process_with_numbers_is_tested():
    for name, kind in built_in_processes().items():
        fields = set(number_fields(kind.examples()[0]))
        assert (set(RANGES[name]) if name not in NO_NUMBERS else set()) == fields


@pytest.mark.parametrize(("process", "ranges"), CASES, ids=NAMES)
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    data=st.data(),
    grid=st.sampled_from(list(GRIDS.values())),
    kind=st.integers(0, 1),
    n=st.integers(1, 25),
    start=st.sampled_from([0, 1000, 2**40]),
    implementation=st.sampled_from(["kernel", "reference"]),
    seed=st.integers(0, 2**32),
)
def test_each_path_is_that_of_a_process_with_its_numbers(
    process, ranges, data, grid, kind, n, start, implementation, seed
):
    names = data.draw(st.lists(st.sampled_from(sorted(ranges)), min_size=1, unique=True))
    values = values_of(ranges, names, n, seed)
    dtype = process.dtypes[kind % len(process.dtypes)]
    make = partial(
        mz.Draws.of, 7, dtype=dtype if dtype == "float32" else "float64",
        implementation=implementation if has_kernel() else "reference",
    )  # fmt: skip
    x0 = process.check_x0(start_of(process), dtype)
    found = process.with_arrays(values).sample(make(start=start, n=n), grid, x0)
    for i in range(n):
        alone = process.with_parameters(**{name: float(v[i]) for name, v in values.items()})
        expected = alone.sample(make(start=start + i, n=1), grid, x0)
        assert found.dtype == expected.dtype
        assert found[..., i].tobytes() == expected[..., 0].tobytes()


@pytest.mark.parametrize(("process", "ranges"), CASES, ids=NAMES)
def test_paths_beyond_a_tile_are_those_of_parts(process, ranges):
    n = 2 * kernel.TILE + 41 if has_kernel() else 1001
    values = values_of(ranges, sorted(ranges), n, 3)
    whole = process.with_arrays(values)
    x0 = process.check_x0(start_of(process), process.dtypes[0])
    for grid in (GRIDS["regular"], GRIDS["irregular"]):
        rows = whole.sample(mz.Draws.of(7, n=n), grid, x0)
        for low in (0, 479, 777):
            part = process.with_arrays({k: v[low : low + 19] for k, v in values.items()})
            few = part.sample(mz.Draws.of(7, start=low, n=19), grid, x0)
            assert few.tobytes() == np.ascontiguousarray(rows[..., low : low + 19]).tobytes()


@pytest.mark.parametrize("name", ["GeometricBrownianMotion", "BrownianMotion", "OrnsteinUhlenbeck"])
def test_coefficients_of_many_numbers_have_the_bits_of_each(name):
    kind, n = built_in_processes()[name], 4000
    values = values_of(RANGES[name], RANGES[name], n, 11)
    dt = np.array([0.07])
    many = kind.examples()[0].with_arrays(values)._coefficients(dt[:, np.newaxis])
    many = np.stack(np.broadcast_arrays(*many))[:, 0]
    for i in range(n):
        one = kind(**{k: float(v[i]) for k, v in values.items()})._coefficients(dt)
        assert np.stack(one)[:, 0].tobytes() == many[:, i].tobytes()


def test_coefficients_of_heston_have_the_bits_of_each():
    n = 4000
    values = values_of(RANGES["Heston"], RANGES["Heston"], n, 12)
    base = mz.Heston.examples()[0]
    many = heston._coefficients_by_length(base.with_arrays(values))(0.07)
    for i in range(n):
        alone = mz.Heston(**{k: float(v[i]) for k, v in values.items()})
        assert tuple(part[i] for part in many) == heston._coefficients_by_length(alone)(0.07)


def test_a_square_is_that_of_python():
    numbers = np.random.default_rng(1).uniform(0, 3, 20_000)
    assert square(numbers).tolist() == [number**2 for number in numbers.tolist()]
    assert (square(numbers) != numbers * numbers).any()  # so an array's own square would not do
    assert square(0.3) == 0.3**2


# A table of counts for each path


def test_counts_of_a_path_with_a_rate_of_its_own_in_a_large_table():
    rates = np.random.default_rng(2).uniform(3000, 3010, 40)
    process, grid = mz.PoissonProcess(rate=1.0), mz.TimeGrid.of(3, 1.0)
    rows = process.with_arrays({"rate": rates}).sample(mz.Draws.of(1, n=40), grid, np.array(0))
    for i, rate in enumerate(rates.tolist()):
        alone = mz.PoissonProcess(rate=rate).sample(mz.Draws.of(1, start=i), grid, np.array(0))
        assert (rows[:, i] == alone[:, 0]).all()


def test_a_rate_too_large_for_its_step_is_an_error():
    process = mz.PoissonProcess(rate=1.0).with_arrays({"rate": np.array([1.0, 2e7])})
    with pytest.raises(ArgumentValueError, match=r"rate \* dt <= 1e\+07, got 2e\+07"):
        process.sample(mz.Draws.of(1, n=2), mz.TimeGrid.of(1), np.array(0))


# What runs ask of a process beside its paths


@pytest.mark.parametrize(("process", "ranges"), CASES[:6], ids=NAMES[:6])
def test_bounds_and_moments_are_those_of_each_path(process, ranges):
    n = 150
    values = values_of(ranges, ranges, n, 5)
    each = process.with_arrays(values)
    ones = [process.with_parameters(**{k: float(v[i]) for k, v in values.items()})
            for i in range(n)]  # fmt: skip
    for grid in (GRIDS["regular"], GRIDS["irregular"]):
        if isinstance(process, HasBound):
            assert each.bound(grid, 2.0) == pytest.approx(max(p.bound(grid, 2.0) for p in ones))
    x0 = each.check_x0(start_of(process), process.dtypes[0])
    if isinstance(process, HasDeviation):
        wide = np.broadcast_to(x0, (2, n))
        expected = [p.deviation(0.5, x0[:, :1])[:, 0] for p in ones]
        np.testing.assert_allclose(each.deviation(0.5, wide), np.transpose(expected))
    elif isinstance(process, HasVariance):
        np.testing.assert_allclose(
            each.variance(3, 1.0), [p.variance(3, 1.0) for p in ones], rtol=1e-13
        )
    if isinstance(process, HasMean) and len(process.variables) == 1:
        np.testing.assert_allclose(each.mean(3, 1.0), [p.mean(3, 1.0) for p in ones])


def test_a_start_that_is_a_parameter_is_that_of_each_path():
    mu = np.array([1.0, -2.0, 0.5])
    each = mz.OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=0.0).with_arrays({"mu": mu})
    rows = each.sample(mz.Draws.of(1, n=3), mz.TimeGrid.of(4), each.check_x0(None, "float64"))
    np.testing.assert_allclose(rows, np.tile(mu, (5, 1)))
    calm = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.1, rho=0.0)
    theta = np.array([0.01, 0.09])
    assert calm.with_arrays({"theta": theta}).check_x0(None, "float64").tolist() == [
        [1.0, 1.0],
        theta.tolist(),
    ]


def test_the_original_keeps_its_numbers():
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    each = gbm.with_arrays({"sigma": np.array([0.1, 0.3])})
    assert gbm.sigma == 0.2
    assert not gbm.arrays_per_path()
    assert list(each.arrays_per_path()) == ["sigma"]
    assert each.mu == 0.05


@pytest.mark.parametrize(("process", "ranges"), CASES, ids=NAMES)
def test_an_array_of_another_length_is_an_error(process, ranges):
    name = min(ranges)
    each = process.with_arrays(values_of(ranges, [name], 3, 1))
    x0 = process.check_x0(start_of(process), process.dtypes[0])
    for grid in (GRIDS["regular"], GRIDS["irregular"]):
        with pytest.raises(ArgumentValueError, match=rf"{name}: .* each of 2 paths, got \(3,\)"):
            each.sample(mz.Draws.of(1, n=2), grid, x0)


# Checks of values


GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1, np.nan, -1.0], r"sigma\[1\]: expected a finite number >= 0, got nan"),
        ([0.1, 0.2, -1.0, -2.0], r"sigma\[3\]: expected a finite number >= 0, got -2.0"),
        ([np.inf], r"sigma\[0\]: expected a finite number >= 0, got inf"),
        ([[0.1, 0.2]], r"sigma: expected one number per path, in one dimension, got \(1, 2\)"),
        ([], r"sigma: expected one number per path, in one dimension, got \(0,\)"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "masked"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_range(values, message):
    with pytest.raises(ArgumentValueError, match=message):
        GBM.check_values("sigma", values)


def test_an_upper_end_of_the_range_holds_too():
    with pytest.raises(ArgumentValueError, match=r"rho\[2\]: .*<= 1, got 1.5"):
        mz.Heston.examples()[0].check_values("rho", [0.0, 1.0, 1.5])
    assert mz.Heston.examples()[0].check_values("rho", [0, 1]).dtype == np.float64


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ArgumentTypeError, match="sigma: expected numbers, one per path"):
        GBM.check_values("sigma", ["a", "b"])


@pytest.mark.parametrize("process", [GBM, SCALAR])
def test_an_unknown_name_is_an_error_with_the_nearest_one(process):
    for act in (
        lambda: process.check_values("sgima", [0.1]),
        lambda: process.with_arrays({"sgima": np.array([0.1])}),
        lambda: process.with_parameters(sgima=0.1),
    ):
        with pytest.raises(ArgumentValueError, match=r"'sgima'\. Did you mean 'sigma'\? Known: "):
            act()


def test_a_parameter_that_is_not_one_number_is_refused():
    chain = mz.MarkovChain.examples()[0]
    with pytest.raises(ArgumentTypeError, match="transition: expected a parameter that is one"):
        chain.check_values("transition", [0.1])
    with pytest.raises(ArgumentValueError, match="unknown parameter 'scheme'"):
        SCALAR.check_values("scheme", [0.1])


def test_other_values_are_checked():
    assert GBM.with_parameters(sigma=0.5) == mz.GeometricBrownianMotion(mu=0.05, sigma=0.5)
    with pytest.raises(ArgumentValueError, match="sigma: expected a finite number >= 0, got -1"):
        GBM.with_parameters(sigma=-1)
    with pytest.raises(ArgumentTypeError, match="sigma: expected a finite number"):
        SCALAR.with_parameters(sigma="large")
    with pytest.raises(ArgumentTypeError, match="parameters: expected a mapping"):
        mz.Diffusion(drift=drift, diffusion=diffusion, parameters=[1])


# Arguments of the functions of a Diffusion


def test_values_of_arguments_are_part_of_the_equation():
    half = SCALAR.with_parameters(sigma=0.5)
    assert half != SCALAR
    assert half.parameters == (("kappa", 1.1), ("sigma", 0.5))
    assert hash(half) != hash(SCALAR)
    assert half.to_dict()["parameters"] == {"kappa": 1.1, "sigma": 0.5}
    assert "parameters" not in mz.Diffusion(drift=drift, diffusion=diffusion).to_dict()
    again = mz.Diffusion(drift=drift, diffusion=diffusion, parameters=half.parameters)
    assert again == half


def test_a_run_gives_each_function_what_it_asks_for():
    ds = mz.simulate(SCALAR, n_paths=50, T=6, dt=0.1, x0=1.0, seed=1)
    plain = mz.Diffusion(
        drift=lambda t, x: 1.1**2 * (0.5 - x),
        diffusion=lambda t, x: 0.3**2 * np.sqrt(np.abs(x)) + 0.01 * np.exp(-0.3),
    )
    same = mz.simulate(plain, n_paths=50, T=6, dt=0.1, x0=1.0, seed=1)
    np.testing.assert_allclose(ds.x.values, same.x.values, rtol=1e-14)
    other = mz.simulate(SCALAR.with_parameters(level=2.0), n_paths=50, T=6, dt=0.1, x0=1.0, seed=1)
    assert (other.x.values[:, 1:] > ds.x.values[:, 1:]).all()


@pytest.mark.parametrize("per_path", [False, True])
def test_an_argument_without_a_value_is_named_at_the_call(per_path):
    process = mz.Diffusion(drift=drift, diffusion=diffusion, parameters={"kappa": 1.0})
    x0 = np.ones(20) if per_path else 1.0
    with pytest.raises(SamplerError, match=r"diffusion: .* got none for sigma\. Give them"):
        mz.simulate(process, n_paths=20, T=6, dt=0.1, x0=x0, seed=1)


def test_functions_get_arrays_that_they_cannot_write_into():
    def greedy(t, x, sigma):
        sigma *= 2
        return sigma * x

    process = mz.Diffusion(drift=lambda t, x: -x, diffusion=greedy, parameters={"sigma": 1.0})
    with pytest.raises(SamplerError, match="leaves x and its arguments as they are"):
        mz.simulate(process, n_paths=20, T=6, dt=0.1, x0=1.0, seed=1)


def test_functions_that_take_any_argument_get_all():
    def rate(t, x, **given):
        return given["kappa"] * x

    process = mz.Diffusion(drift=rate, diffusion=lambda t, x: 0 * x, parameters={"kappa": 0.5})
    rows = process.sample(mz.Draws.of(1, n=2), mz.TimeGrid.of(1, 1.0), np.array(1.0))
    assert rows.tolist() == [[1.0, 1.0], [1.5, 1.5]]


@pytest.mark.skipif(not has_kernel(), reason="needs Numba")
def test_compiled_functions_get_their_arguments_too():
    @numba.njit
    def pull(t, x, kappa):
        return kappa * (0.5 - x)

    @numba.njit("float64[:](float64, float64[::1], float64[::1])")
    def spread(t, x, sigma):
        return sigma * np.sqrt(np.abs(x))

    process = mz.Diffusion(drift=pull, diffusion=spread, parameters={"kappa": 1.1})
    grid, x0 = mz.TimeGrid.of(5, 0.1), np.array(1.0)
    values = values_of(ARGUMENTS, ["kappa", "sigma"], 30, 4)
    rows = process.with_arrays(values).sample(mz.Draws.of(7, n=30), grid, x0)
    few = process.with_arrays({"kappa": values["kappa"][9:12], "sigma": values["sigma"][9:12]})
    part = few.sample(mz.Draws.of(7, start=9, n=3), grid, x0)
    assert part.tobytes() == np.ascontiguousarray(rows[:, 9:12]).tobytes()
    with_number = mz.Diffusion(drift=pull, diffusion=lambda t, x: 0 * x, parameters={"kappa": 1.0})
    assert with_number.sample(mz.Draws.of(1), mz.TimeGrid.of(1), x0)[1] == 0.5


@given(st.lists(st.floats(1e-3, 5e4), min_size=1, max_size=12), st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_counts_of_tables_are_those_of_each_distribution(means, seed):
    tables = Tables.of(np.array(means))
    uniforms = np.random.default_rng(seed).random((8, len(means)))
    uniforms[0], uniforms[1], uniforms[2] = 0.0, 1 - 2**-53, 0.5
    for j in range(len(means)):  # also exactly at an entry, and just below it
        own = tables.cdf[tables.start[j] : tables.start[j] + tables.length[j]]
        uniforms[3, j] = own[seed % len(own)]
        uniforms[4, j] = np.nextafter(uniforms[3, j], 0)
    right = np.zeros((9, len(means)), np.int64)
    for j, mean in enumerate(means):
        first, cdf = _distribution(mean)
        right[1:, j] = np.cumsum(first + np.searchsorted(cdf, uniforms[:, j], side="right"))
    for implementation in ("kernel", "reference") if has_kernel() else ("reference",):
        rows = np.zeros((9, len(means) + 2), np.int64)
        tables.add_counts(uniforms, rows[:, 1:-1], implementation)
        np.testing.assert_array_equal(rows[:, 1:-1], right)
        assert not rows[:, [0, -1]].any()
