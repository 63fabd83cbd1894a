"""Draws that several processes share, and recursions with coefficients of each path."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import montezarr as mz
from montezarr import Draws
from montezarr.core.errors import ArgumentValueError
from montezarr.processes import Process
from montezarr.processes._built_in import built_in_processes
from montezarr.random.draws import has_kernel, kernel, reference
from montezarr.random.draws.kept import KeptDraws
from montezarr.random.draws.shared import (
    CALLS_BYTES,
    PASS_BYTES,
    SharedDraws,
    shared_slices,
)

TILE = kernel.TILE
IMPLEMENTATIONS = ["kernel", "reference"] if has_kernel() else ["reference"]
DTYPES = ["float64", "float32"]


# Coefficients of each path


@st.composite
def recursions(draw):
    n = draw(st.sampled_from([0, 1, 13, TILE, TILE + 7]))
    steps, dtype = draw(st.integers(0, 9)), draw(st.sampled_from(DTYPES))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from([(3, steps), (3, steps, n), (3, 1, n)]))
    coefficients = random.uniform(-1, 1, shape) * random.choice([1.0, 1e3, 1e-3])
    x0 = random.uniform(0.1, 2, n).astype(dtype)
    return n, steps, dtype, coefficients, x0, draw(st.booleans()), draw(st.integers(0, 2**50))


@pytest.mark.skipif(not has_kernel(), reason="needs Numba")
@given(recursions(), st.booleans(), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_kernel_and_reference_agree_on_every_bit(case, is_given, column):
    n, steps, dtype, coefficients, x0, exponential, start = case
    normals = None
    if is_given:
        normals = np.random.default_rng(1).standard_normal((steps, n)).astype(dtype)
    one, other = np.full((2, steps + 1, n + column + 2), 7, dtype)
    for module, out in ((kernel, one), (reference, other)):
        with np.errstate(over="ignore", invalid="ignore"):
            module.gaussian_recursion(
                (1, 2), start, 3, coefficients, x0, out, exponential,
                column=column, normals=normals,
            )  # fmt: skip
    assert one.tobytes() == other.tobytes()
    assert (one[:, :column] == 7).all()  # nothing is written beside the paths
    assert (one[:, column + n :] == 7).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponential", [False, True])
def test_all_forms_of_equal_coefficients_give_equal_rows(implementation, dtype, exponential):
    n, steps = TILE + 5, 6
    draws = Draws.of(3, start=9, n=n, dtype=dtype, implementation=implementation)
    one = np.array([0.9, 0.1, 0.2])
    per_step = np.repeat(one[:, np.newaxis], steps, axis=1)
    per_path = np.repeat(one[:, np.newaxis, np.newaxis], n, axis=2)
    both = np.repeat(per_path, steps, axis=1)
    expected = draws.gaussian_recursion(per_step, 1.5, exponential=exponential)
    asked = []

    def some(part):
        asked.append(part)
        return both[..., part]

    for form in (per_path, both, some):
        rows = draws.gaussian_recursion(form, 1.5, steps=steps, exponential=exponential)
        assert rows.tobytes() == expected.tobytes()
    assert [asked[0].start, asked[-1].stop] == [0, n]


def test_a_function_of_paths_is_asked_for_few_at_a_time():
    sizes = []

    def some(part):
        sizes.append(part.stop - part.start)
        return np.ones((3, 2000, part.stop - part.start))

    rows = Draws.of(1, n=100).gaussian_recursion(some, 0.0, steps=2000)
    assert rows.shape == (2001, 100)
    assert max(sizes) * 3 * 2000 * 8 <= 2**20
    assert sum(sizes) == 100


@pytest.mark.parametrize("shape", [(3, 5, 7), (3, 6, 6), (3, 1, 1), (2, 5), (3,), (3, 4)])
def test_coefficients_of_another_shape_are_refused(shape):
    with pytest.raises(ArgumentValueError, match="coefficients: expected"):
        Draws.of(1, n=6).gaussian_recursion(np.ones(shape), 0.0, steps=5)


def test_float32_rows_of_format_1_take_coefficients_of_paths():
    draws = replace(Draws.of(3, n=40, dtype="float32"), format=1)
    each = np.random.default_rng(1).uniform(0, 1, (3, 1, 40))
    rows = draws.gaussian_recursion(each, 1.0, steps=5, exponential=True)
    for i in range(40):
        alone = draws.part(i, i + 1).gaussian_recursion(
            np.repeat(each[:, :, i], 5, axis=1), 1.0, exponential=True
        )
        assert alone.tobytes() == np.ascontiguousarray(rows[:, i]).tobytes()


DIGEST = "984bf6749ec1dcc1c4c8200d3fa1f22b"


def digest(implementation):
    """Digest of rows with coefficients of paths, in both precisions; its bits never change."""
    sha = hashlib.sha256()
    for dtype in DTYPES:
        draws = Draws.of([4, 2], start=2**33, n=700, dtype=dtype, implementation=implementation)
        whole = np.linspace(0.5, 1.5, 3 * 11 * 700).reshape(3, 11, 700) / 4
        for coefficients in (whole, np.ascontiguousarray(whole[:, :1])):
            for exponential in (False, True):
                rows = draws.gaussian_recursion(
                    coefficients, 1.25, steps=11, exponential=exponential, slot=2
                )
                sha.update(rows.tobytes())
    return sha.hexdigest()[:32]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_bits_of_paths_with_their_own_coefficients_never_change(implementation):
    assert digest(implementation) == DIGEST


# Shared draws


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_shared_draws_are_the_draws(dtype, implementation):
    draws = Draws.of(5, start=70, n=50, dtype=dtype, implementation=implementation)
    shared = SharedDraws.over(draws)
    for _ in range(2):  # computed, and kept
        for kind in Draws.kinds:
            mine, its = getattr(shared, kind), getattr(draws, kind)
            assert mine(range(3, 14), 2).tobytes() == its(range(3, 14), 2).tobytes()
            assert mine(4).tobytes() == its(4).tobytes()
            for one, other in zip(shared.rows(kind, 19), draws.rows(kind, 19), strict=True):
                assert one.tobytes() == other.tobytes()
        assert (shared.words(3, 1) == draws.words(3, 1)).all()


def test_each_number_is_drawn_once(monkeypatch):
    count = []
    plain = Draws._fill
    monkeypatch.setattr(Draws, "_fill", lambda *given: (count.append(given[1:]), plain(*given)))
    shared = SharedDraws.over(Draws.of(1, n=9))
    grid = mz.TimeGrid.of(20)
    for sigma in (1.0, 2.0, 3.0):
        mz.BrownianMotion(sigma=sigma).sample(shared, grid, np.array(0.0))
        mz.RandomWalk(p=sigma / 4).sample(shared, grid, np.array(0))
    # The normals; and the uniforms, at once for compiled code, else 8 + 8 + 4 steps.
    assert len(count) == (2 if has_kernel() else 4)


def test_what_a_process_writes_into_its_draws_is_its_own():
    shared = SharedDraws.over(Draws.of(1, n=9))
    clean = Draws.of(1, n=9).normal(range(8))
    shared.normal(range(8))[:] = np.nan
    next(iter(shared.rows("normal", 8)))[:] = np.nan
    first = np.empty((8, 9))
    shared.fill("normal", 0, first)
    first[:] = np.nan
    assert shared.normal(range(8)).tobytes() == clean.tobytes()
    assert np.stack([row.copy() for row in shared.rows("normal", 8)]).tobytes() == clean.tobytes()
    rows = shared.gaussian_recursion(np.ones((3, 8)), 0.0)
    rows[:] = np.nan
    assert np.isfinite(shared.gaussian_recursion(np.ones((3, 8)), 0.0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_part_of_shared_draws_is_that_of_the_draws(dtype):
    draws = Draws.of(1, start=5, n=40, dtype=dtype)
    shared = SharedDraws.over(draws)
    for part, its in (
        (shared.part(7, 20), draws.part(7, 20)),
        (shared.part(7, 30).part(2, 9), draws.part(9, 16)),
    ):
        assert part.uniform(range(5)).tobytes() == its.uniform(range(5)).tobytes()
        one = part.gaussian_recursion(np.ones((3, 8)), 0.0)
        assert one.tobytes() == its.gaussian_recursion(np.ones((3, 8)), 0.0).tobytes()
    kept = sum(rows.nbytes for rows in shared.kept.values())
    shared.part(1, 30).uniform(range(5))
    assert sum(rows.nbytes for rows in shared.kept.values()) == kept
    with pytest.raises(ArgumentValueError, match="high: expected an integer from 0 to 40"):
        shared.part(0, 41)


def test_a_recursion_writes_once_to_the_place_it_is_given():
    draws, coefficients = Draws.of(1, n=9), np.ones((3, 4))
    expected = draws.gaussian_recursion(coefficients, 0.0)
    place = np.zeros((5, 30))
    own = SharedDraws.over(draws).into(place, 11)
    rows = own.gaussian_recursion(coefficients, 0.0)
    assert np.shares_memory(rows, place)
    assert place[:, 11:20].tobytes() == expected.tobytes()
    assert not place[:, :11].any()
    assert not place[:, 20:].any()
    again = own.gaussian_recursion(coefficients, 1.0)  # another recursion of the same process
    assert not np.shares_memory(again, place)
    assert place[:, 11:20].tobytes() == expected.tobytes()
    shorter = SharedDraws.over(draws).into(place, 0).gaussian_recursion(np.ones((3, 3)), 0.0)
    assert not np.shares_memory(shorter, place)
    for rows, column in ((place[:, ::2], 0), (place, 22), (place[0], 0)):
        with pytest.raises(ArgumentValueError, match="rows: expected a writable contiguous"):
            SharedDraws.over(draws).into(rows, column)


@given(st.integers(0, 5000), st.integers(0, 3000), st.sampled_from(DTYPES),
       st.sampled_from([PASS_BYTES, CALLS_BYTES]))  # fmt: skip
def test_slices_cover_the_paths_and_stay_within_their_bytes(n, steps, dtype, size):
    slices = list(shared_slices(Draws.of(1, n=n, dtype=dtype), steps, size))
    assert [low for low, _ in slices[1:]] == [high for _, high in slices[:-1]]
    assert not n or (slices[0][0], slices[-1][1]) == (0, n)
    for low, high in slices:
        assert (high - low - 16) * steps * np.dtype(
            dtype
        ).itemsize <= 1.5 * size or high - low <= 32
    assert all(high - low > 8 for low, high in slices) or n < 32


# Processes on the same draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk(Process):
    """The process of a user, which writes into the rows that it gets."""

    scale: float = 2.0

    def sample(self, draws, grid, x0):
        x = [np.full(draws.n, float(x0))]
        for z in draws.rows("normal", grid.T):
            z *= self.scale
            x.append(x[-1] + z)
        return np.stack(x)

    @classmethod
    def examples(cls):
        return cls(), cls(scale=3.0)


@pytest.mark.parametrize("kind", [*built_in_processes().values(), Walk])
def test_processes_together_are_each_alone(kind):
    n, grid = 1100, mz.TimeGrid.of(times=[0.0, 0.1, 0.3, 0.4, 1.0])
    cases = []
    for process in kind.examples():
        dtype = process.dtypes[-1]
        names = process.variables
        x0 = process.check_x0(0.5 if kind is mz.Diffusion and len(names) == 1
                              else (0.5, 0.6) if kind is mz.Diffusion else None, dtype)  # fmt: skip
        cases.append((process, x0))
    draws = Draws.of(2, start=40, n=n, dtype="float32" if dtype == "float32" else "float64")
    shared = SharedDraws.over(draws)
    for process, x0 in cases:
        alone = process.sample(draws, grid, x0)
        assert process.sample(shared, grid, x0).tobytes() == alone.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [3, 5000])
def test_scenarios_with_starts_and_numbers_of_each_path_are_each_alone(dtype, steps):
    n, grid = 130, mz.TimeGrid.of(steps, 0.01)
    draws = Draws.of(2, n=n, dtype=dtype)
    sigma, x0 = np.linspace(0, 1, n), np.linspace(1, 2, n).astype(dtype)
    gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    out = np.zeros((3, steps + 1, n), dtype)
    processes = [gbm, gbm.with_parameters(sigma=0.4), gbm.with_arrays({"sigma": sigma})]
    shared = SharedDraws.over(draws)
    for process, start, rows in zip(processes, [x0, x0[0], x0], out, strict=True):
        found = process.sample(shared.into(rows, 0), grid, start)
        assert np.shares_memory(found, rows)
        assert rows.tobytes() == process.sample(draws, grid, start).tobytes()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponential", [False, True])
@pytest.mark.parametrize("times", [(0,), (7,), (0, 1, 4), (2, 3, 7), tuple(range(8))])
def test_kept_rows_are_those_of_the_whole_recursion(implementation, dtype, exponential, times):
    n, steps = TILE + 5, 7
    draws = Draws.of(3, start=9, n=n, dtype=dtype, implementation=implementation)
    kept = KeptDraws.over(draws, times, steps)
    per_step = np.random.default_rng(1).uniform(-1, 1, (3, steps))
    per_path = np.random.default_rng(2).uniform(-1, 1, (3, 1, n))
    for form in (per_step, per_path, lambda part: per_path[..., part]):
        whole = draws.gaussian_recursion(form, 1.5, steps=steps, exponential=exponential)
        some = kept.gaussian_recursion(form, 1.5, steps=steps, exponential=exponential)
        assert some.tobytes() == whole[list(times)].tobytes()
