import functools
import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import montezarr as mz
from montezarr.testing.problems import GEOMETRIC, PROBLEMS, order

STEPS = (16, 32, 64, 128, 256)
N_PATHS = 30_000
TOLERANCE = 0.12
KINDS = ("euler", "milstein", "milstein without derivative")


def scheme_of(kind, problem):
    if kind == "euler":
        return mz.EulerMaruyama()
    return mz.Milstein(derivative=problem.derivative if kind == "milstein" else None)


@functools.cache
def pairs(problem, kind):
    """Return the last states of both sides by number of steps: several tests look at them."""
    scheme = scheme_of(kind, problem)
    draws = mz.Draws.of(seed=7, n=N_PATHS)
    return [[x.copy() for x in problem.paths(scheme, T, draws)] for T in STEPS]


def by_name(problem):
    return problem.name


# --- orders of convergence ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=by_name)
def test_the_strong_order_is_the_declared_one(problem, kind):
    errors = [np.abs(y - x).mean() for y, x in pairs(problem, kind)]
    # With additive noise the term that Euler-Maruyama leaves out is zero.
    expected = 1.0 if problem.additive else scheme_of(kind, problem).strong_order
    assert order(STEPS, errors) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("function", [lambda x: x, np.square], ids=["mean", "square"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("problem", PROBLEMS, ids=by_name)
def test_the_weak_order_is_the_declared_one(problem, kind, function):
    # Both sides have the same draws, so the noise of the difference shrinks with the error.
    errors = [abs((function(y) - function(x)).mean()) for y, x in pairs(problem, kind)]
    expected = scheme_of(kind, problem).weak_order
    assert order(STEPS, errors) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("problem", PROBLEMS[:3], ids=by_name)
def test_milstein_is_closer_to_the_path_than_euler(problem):
    draws = mz.Draws.of(seed=3, n=5_000)
    errors = {}
    for kind in KINDS:
        y, x = problem.paths(scheme_of(kind, problem), 256, draws)
        errors[kind] = np.abs(y - x).mean()
    assert errors["milstein"] < errors["euler"] / 3
    assert errors["milstein without derivative"] < errors["euler"] / 3


def test_the_reference_solution_is_the_exact_process_at_the_same_draws():
    draws = mz.Draws.of(seed=5, n=1_000)
    _, exact = GEOMETRIC.paths(mz.EulerMaruyama(), 32, draws)
    gbm = mz.GeometricBrownianMotion(mu=1.0, sigma=0.7)
    rows = gbm.sample(draws, mz.TimeGrid.of(32, 1 / 32), np.asarray(1.0))
    np.testing.assert_allclose(rows[-1], exact, rtol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=by_name)
def test_the_derivative_of_each_problem_is_that_of_its_diffusion(problem):
    x, step = np.linspace(-0.9, 0.9, 19), 1e-5
    ahead, behind = problem.diffusion(0.3, x + step), problem.diffusion(0.3, x - step)
    quotient = np.broadcast_to((ahead - behind) / (2 * step), x.shape)
    np.testing.assert_allclose(np.broadcast_to(problem.derivative(0.3, x), x.shape), quotient,
                               atol=1e-8)  # fmt: skip


# --- one step, by hand --------------------------------------------------------------------------


def test_one_euler_step_is_its_formula():
    x, dw = np.array([1.0, 2.0]), np.array([0.1, -0.3])
    step = mz.EulerMaruyama().step(lambda t, x: t * x, lambda t, x: x**2, 2.0, x, 0.25, dw)
    np.testing.assert_allclose(step, x + 2.0 * x * 0.25 + x**2 * dw, rtol=1e-15)


def test_one_milstein_step_is_its_formula():
    x, dw = np.array([1.0, 2.0]), np.array([0.1, -0.3])
    scheme = mz.Milstein(derivative=lambda t, x: 2 * x)
    step = scheme.step(lambda t, x: t * x, lambda t, x: x**2, 2.0, x, 0.25, dw)
    expected = x + 2.0 * x * 0.25 + x**2 * dw + 0.5 * x**2 * 2 * x * (dw**2 - 0.25)
    np.testing.assert_allclose(step, expected, rtol=1e-15)


def test_one_milstein_step_without_derivative_is_the_support_value_formula():
    x, dw = np.array([1.0, 2.0]), np.array([0.1, -0.3])
    step = mz.Milstein().step(lambda t, x: t * x, lambda t, x: x**2, 2.0, x, 0.25, dw)
    support = x + 2.0 * x * 0.25 + x**2 * 0.5
    correction = (support**2 - x**2) * (dw**2 - 0.25) / (2 * 0.5)
    np.testing.assert_allclose(step, x + 2.0 * x * 0.25 + x**2 * dw + correction, rtol=1e-15)


def test_milstein_with_constant_diffusion_is_euler():
    draws, grid = mz.Draws.of(seed=2, n=50), mz.TimeGrid.of(20, 0.1)
    equation = {"drift": lambda t, x: -x, "diffusion": lambda t, x: 0.3}
    euler = mz.Diffusion(**equation).sample(draws, grid, np.asarray(1.0))
    milstein = mz.Diffusion(**equation, scheme=mz.Milstein()).sample(draws, grid, np.asarray(1.0))
    assert np.array_equal(euler, milstein)


def test_without_noise_euler_is_the_explicit_method_for_ordinary_equations():
    draws, grid = mz.Draws.of(seed=2, n=3), mz.TimeGrid.of(10, 0.1)
    still = mz.Diffusion(drift=lambda t, x: -2 * x, diffusion=lambda t, x: 0.0)
    rows = still.sample(draws, grid, np.asarray(1.0))
    np.testing.assert_allclose(rows, 0.8 ** np.arange(11)[:, None] * np.ones(3), rtol=1e-13)


def test_constant_coefficients_give_brownian_motion_with_the_same_draws():
    draws, grid = mz.Draws.of(seed=2, n=50), mz.TimeGrid.of(times=[0.0, 0.5, 0.6, 2.0])
    euler = mz.Diffusion(drift=lambda t, x: 0.7, diffusion=lambda t, x: 1.3)
    exact = mz.BrownianMotion(mu=0.7, sigma=1.3)
    np.testing.assert_allclose(
        euler.sample(draws, grid, np.asarray(0.0)),
        exact.sample(draws, grid, np.asarray(0.0)),
        atol=1e-13,
    )


def test_coefficients_get_the_time_before_the_step():
    draws, grid = mz.Draws.of(seed=2, n=50), mz.TimeGrid.of(times=[1.0, 1.5, 3.0, 3.25])
    moving = mz.Diffusion(drift=lambda t, x: np.cos(t), diffusion=lambda t, x: t)
    rows = moving.sample(draws, grid, np.asarray(2.0))
    times, dt = grid.times[:-1, None], grid.steps[:, None]
    increments = np.cos(times) * dt + times * np.sqrt(dt) * draws.normal(range(3))
    np.testing.assert_allclose(rows[1:], 2.0 + np.cumsum(increments, axis=0), rtol=1e-13)


# --- several variables and noises ---------------------------------------------------------------


def standard(names, **options):
    """Brownian motions of unit variance, with whatever correlation the options give."""
    return mz.Diffusion(
        drift=lambda t, x: 0.0, diffusion=lambda t, x: np.ones_like(x), names=names, **options
    )


def test_increments_have_the_covariance_matrix_asked_for():
    correlation = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])
    process = standard(("x", "y", "z"), correlation=correlation)
    n, T, dt = 40_000, 4, 0.5
    rows = process.sample(mz.Draws.of(seed=1, n=n), mz.TimeGrid.of(T, dt), np.zeros((3, 1)))
    increments = np.diff(rows, axis=1)
    for k in range(T):
        sample = np.cov(increments[:, k]) / dt
        error = np.sqrt((1 + correlation**2) / n)
        assert (np.abs(sample - correlation) < 4.5 * error).all()
    earlier_and_later = np.corrcoef(increments[:, 0], increments[:, 1])[:3, 3:]
    assert np.abs(earlier_and_later).max() < 4.5 / np.sqrt(n)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_perfectly_correlated_variables_move_as_one(sign):
    process = standard(("x", "y"), correlation=[[1.0, sign], [sign, 1.0]])
    rows = process.sample(mz.Draws.of(seed=1, n=99), mz.TimeGrid.of(9, 0.1), np.zeros((2, 1)))
    assert np.array_equal(rows[1], sign * rows[0])


def test_a_semi_definite_correlation_is_met():
    loading = np.array([[1.0, 0.0], [0.6, 0.8], [-0.28, 0.96], [0.0, 1.0]])
    correlation = loading @ loading.T  # rank 2: two of four Brownian motions follow from the rest
    process = standard(("a", "b", "c", "d"), correlation=correlation)
    rows = process.sample(mz.Draws.of(seed=1, n=40_000), mz.TimeGrid.of(1, 1.0), np.zeros((4, 1)))
    sample = np.cov(rows[:, 1])
    assert (np.abs(sample - correlation) < 4.5 * np.sqrt((1 + correlation**2) / 40_000)).all()
    weights = np.linalg.lstsq(loading[:2].T, loading[2:].T, rcond=None)[0]
    np.testing.assert_allclose(rows[2:, 1], weights.T @ rows[:2, 1], atol=1e-6)


def test_without_correlation_variables_are_independent():
    rows = standard(("x", "y")).sample(
        mz.Draws.of(seed=1, n=40_000), mz.TimeGrid.of(1, 1.0), np.zeros((2, 1))
    )
    assert abs(np.corrcoef(rows[:, 1])[0, 1]) < 4.5 / np.sqrt(40_000)


def test_a_diagonal_matrix_gives_what_diagonal_noise_gives():
    def spread(t, x):
        return 0.3 * np.sqrt(1 + x * x)

    def matrix(t, x):
        out = np.zeros((2, 2, x.shape[1]))
        out[0, 0], out[1, 1] = spread(t, x)
        return out

    draws, grid = mz.Draws.of(seed=6, n=700), mz.TimeGrid.of(12, 0.1)
    rows = [
        mz.Diffusion(
            drift=lambda t, x: -x,
            diffusion=diffusion,
            names=("x", "y"),
            correlation=[[1, 0.4], [0.4, 1]],
        ).sample(draws, grid, np.ones((2, 1)))
        for diffusion in (spread, matrix)
    ]
    assert np.array_equal(*rows)


def test_a_matrix_mixes_noises_that_draw_from_slots_of_their_own():
    loadings = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    process = mz.Diffusion(
        drift=lambda t, x: 0.0,
        diffusion=lambda t, x: loadings[:, :, None],
        names=("x", "y"),
        noises=3,
    )
    draws = mz.Draws.of(seed=6, n=200)
    rows = process.sample(draws, mz.TimeGrid.of(5, 0.25), np.zeros((2, 1)))
    z = np.stack([draws.normal(range(5), slot=slot) for slot in range(3)])
    expected = np.cumsum(0.5 * np.einsum("dm,mkn->dkn", loadings, z), axis=1)
    np.testing.assert_allclose(rows[:, 1:], expected, atol=1e-13)


def test_one_variable_may_have_several_noises():
    process = mz.Diffusion(
        drift=lambda t, x: 0.0, diffusion=lambda t, x: np.array([[[3.0], [4.0]]]), noises=2
    )
    rows = process.sample(mz.Draws.of(seed=1, n=40_000), mz.TimeGrid.of(1, 1.0), np.asarray(0.0))
    assert rows.shape == (2, 40_000)
    assert rows[1].var() == pytest.approx(25.0, abs=4.5 * 25 * np.sqrt(2 / 40_000))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("noises", [2, 3, 9])
def test_mixed_noise_has_the_same_bits_in_every_range_of_paths(noises, dtype):
    # Sums by BLAS or einsum take another order for other numbers of columns.
    loadings = np.random.default_rng(1).random((noises, noises, 1))
    process = mz.Diffusion(
        drift=lambda t, x: -x,
        diffusion=lambda t, x: loadings * np.sqrt(1 + x * x),
        names=tuple(f"x{i}" for i in range(noises)),
        correlation=0.5 * np.ones((noises, noises)) + 0.5 * np.eye(noises),
    )
    grid, x0 = mz.TimeGrid.of(6, 0.1), process.check_x0([1.0] * noises, dtype)
    whole = process.sample(mz.Draws.of(seed=1, n=1_000, dtype=dtype), grid, x0)
    for start, n in ((0, 1), (3, 2), (7, 13), (100, 333), (999, 1)):
        part = process.sample(mz.Draws.of(seed=1, start=start, n=n, dtype=dtype), grid, x0)
        assert np.array_equal(part, whole[..., start : start + n])


# --- refusals -----------------------------------------------------------------------------------


def simulate(**equation):
    names = equation.get("names", ("x",))
    x0 = 1.0 if len(names) == 1 else [1.0] * len(names)
    options = {"drift": lambda t, x: x, "diffusion": lambda t, x: x, **equation}
    return mz.simulate(mz.Diffusion(**options), n_paths=10, T=3, x0=x0, seed=1)


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ({"drift": lambda t, x: np.zeros(7)}, r"drift: expected shape \(\d,\)"),
        ({"drift": lambda t, x: np.zeros((2, 1, 7))}, r"drift: expected shape \(\d,\)"),
        ({"drift": lambda t, x: "a"}, "drift: expected numbers"),
        ({"diffusion": lambda t, x: x > 0}, "diffusion: expected numbers"),
        ({"diffusion": lambda t, x: np.ones((2, 2))}, r"diffusion: expected shape \(\d,\)"),
        ({"diffusion": lambda t, x: x, "noises": 2}, "expected a matrix"),
        ({"diffusion": lambda t, x: np.ones((2, 2, 1)), "noises": 2}, "diffusion: expected shape"),
        ({"names": ("x", "y"), "noises": 3}, "expected a matrix"),
        ({"names": ("x", "y"), "noises": 1}, "expected a matrix"),
        (
            {"names": ("x", "y"), "diffusion": lambda t, x: np.ones((2, 4, 1)), "noises": 3},
            r"expected one column per noise \(3\)",
        ),
        (
            {"names": ("x", "y"), "diffusion": lambda t, x: np.ones((3, 2, 1))},
            "diffusion: expected shape",
        ),
        ({"scheme": mz.Milstein(derivative=lambda t, x: np.ones(5))}, "derivative: expected shape"),
    ],
)
def test_functions_of_a_wrong_shape_are_refused_by_simulate(equation, message):
    with pytest.raises(mz.SamplerError, match=message) as caught:
        simulate(**equation)
    assert "ArgumentValueError" in caught.value.traceback


def test_milstein_refuses_a_matrix_of_noise_by_simulate():
    with pytest.raises(mz.SamplerError, match="diagonal noise for Milstein") as caught:
        simulate(
            names=("x", "y"),
            diffusion=lambda t, x: np.ones((2, 2, 1)),
            scheme=mz.Milstein(),
        )
    assert "ArgumentValueError" in caught.value.traceback


@pytest.mark.parametrize(
    "correlation",
    [
        [[1.0, 2.0], [2.0, 1.0]],
        [[1.0, 0.5], [0.4, 1.0]],
        [[2.0, 0.0], [0.0, 2.0]],
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]],
    ],
)
def test_what_is_no_correlation_matrix_is_refused(correlation):
    with pytest.raises(mz.ArgumentValueError, match="correlation: expected"):
        standard(("x", "y"), correlation=correlation)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"drift": 1.0}, TypeError, "drift: expected a function"),
        ({"diffusion": None}, TypeError, "diffusion: expected a function"),
        ({"scheme": "milstein"}, TypeError, "scheme: expected"),
        ({"names": "x"}, TypeError, "names: expected"),
        ({"names": ()}, ValueError, "names: expected distinct"),
        ({"names": ("x", "x")}, ValueError, "names: expected distinct"),
        ({"names": ("time",)}, ValueError, "names: expected identifiers"),
        ({"names": ("a b",)}, ValueError, "names: expected identifiers"),
        ({"noises": 0}, ValueError, "noises: expected"),
        ({"noises": True}, TypeError, "noises: expected"),
        ({"noises": "2", "correlation": [[1.0]]}, TypeError, "noises: expected"),
        ({"noises": 3, "correlation": [[1.0]]}, ValueError, "correlation: expected"),
    ],
)
def test_an_argument_out_of_its_terms_is_refused(options, error, message):
    functions = {"drift": lambda t, x: x, "diffusion": lambda t, x: x}
    with pytest.raises(error, match=message):
        mz.Diffusion(**{**functions, **options})


def test_an_integer_of_numpy_counts_noises():
    process = standard(("x", "y"), noises=np.int64(2))
    assert process.noises == 2
    assert type(process.noises) is int


def test_a_diffusion_has_no_start_of_its_own():
    with pytest.raises(mz.ArgumentValueError, match="x0: expected an initial state"):
        mz.simulate(standard(("x",)), n_paths=3, T=1, seed=1)


def test_a_derivative_that_is_no_function_is_refused():
    with pytest.raises(mz.ArgumentTypeError, match="derivative: expected a function"):
        mz.Milstein(derivative=2.0)


# --- schemes as values --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [mz.EulerMaruyama(), mz.Milstein()], ids=lambda s: str(s))
def test_schemes_are_values(scheme):
    copy = pickle.loads(pickle.dumps(scheme))
    assert copy == scheme
    assert hash(copy) == hash(scheme)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifting(mz.Scheme):
    """A scheme of the user's own, which forgets the noise, or half of the paths."""

    strong_order: ClassVar[float] = 0.0
    weak_order: ClassVar[float] = 0.0

    half: bool = False

    def step(self, drift, diffusion, t, x, dt, dw):
        out = x + drift(t, x) * dt
        return out[::2] if self.half else out


def test_a_scheme_of_the_users_own_takes_the_steps():
    ds = simulate(scheme=Drifting())
    np.testing.assert_array_equal(ds.x.values, np.tile([1.0, 2.0, 4.0, 8.0], (10, 1)))


def test_a_scheme_that_returns_another_shape_is_refused():
    with pytest.raises(mz.SamplerError, match="scheme: expected a step of shape"):
        simulate(scheme=Drifting(half=True))
