"""What dtype a path declares: one plain number says none, since it may be whole by chance."""

import json

import numpy as np
import pytest
from numba import njit

import montezarr as mz


def variables(ds):
    return {v["name"]: v["dtype"] for v in json.loads(ds.attrs["montezarr"])["variables"]}


def positive_part(rng):
    return max(rng.standard_normal(), 0)


def parts(rng):
    z = rng.standard_normal()
    return {"payoff": max(z, 0), "hit": z > 0 and 1.5, "counts": np.array([3], "int8")}


def of_seed(seed):
    return max(np.random.default_rng(seed).standard_normal(), 0)


class Method:
    def sample_path(self, T, x0, rng):
        return max(rng.standard_normal(), 0)


@njit
def compiled(rng):
    return rng.poisson(3.0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("function", [positive_part, of_seed])
def test_a_plain_number_is_real_whatever_the_first_path_holds(function, seed):
    ds = mz.simulate(function, 50, seed=seed).compute()
    assert variables(ds) == {"x": "float64"}
    assert (ds.x == 0).any()
    assert (ds.x % 1 != 0).any()


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_number_is_real_in_each_variable_that_is_one(seed):
    ds = mz.simulate(parts, 50, seed=seed).compute()
    assert variables(ds) == {"payoff": "float64", "hit": "float64", "counts": "int8"}
    assert (ds.payoff > 0).equals(ds.hit == 1.5)
    assert mz.simulate(Method(), 50, 0, seed=seed).x.dtype == np.float64


def test_a_plain_number_of_compiled_code_is_real():
    assert mz.simulate(compiled, 5, seed=1).x.dtype == np.float64


@pytest.mark.parametrize(
    ("returned", "dtype"),
    [
        (np.int64(3), "int64"),
        (np.float32(3), "float32"),
        (np.int8(3), "int8"),
        ([3], "int64"),
        (np.array(3), "int64"),
        ((3, 4), "int64"),
        (np.array([3], "int16"), "int16"),
    ],
)
def test_lists_arrays_and_numbers_of_numpy_keep_their_type(returned, dtype):
    assert variables(mz.simulate(lambda rng: returned, 3, seed=1)) == {"x": dtype}


def test_dtype_and_labels_say_otherwise():
    def number(rng):
        return int(rng.integers(1, 4))

    assert variables(mz.simulate(number, 3, seed=1, dtype="int16")) == {"x": "int16"}
    coded = mz.simulate(number, 30, seed=1, labels=[1, 2, 3]).compute()
    assert coded.x.dtype == np.int32
    assert set(coded.x.values.ravel().tolist()) == {0, 1, 2}


def test_a_list_of_another_kind_than_the_first_is_an_error_that_names_the_dtype():
    def mixed(rng):
        return [0.5] if rng.bit_generator.seed_seq.spawn_key[0] == 3 else [1]

    with pytest.raises(mz.SamplerError, match=r"path 3: x: expected int64 .* such as dtype=float"):
        mz.simulate(mixed, 5, seed=1).compute()
    assert mz.simulate(mixed, 5, seed=1, dtype=float).compute().x[3, 0] == 0.5


def test_dtypes_may_be_said_by_variable():
    ds = mz.simulate(parts, 5, seed=1, dtype={"counts": "int32", "payoff": np.float32})
    assert variables(ds) == {"payoff": "float32", "hit": "float64", "counts": "int32"}
    with pytest.raises(mz.ArgumentValueError, match="dtype: expected names of variables"):
        mz.simulate(parts, 5, seed=1, dtype={"count": "int32"})
    with pytest.raises(mz.ArgumentTypeError, match="dtype: expected one dtype"):
        mz.simulate(mz.BrownianMotion(), 5, 2, seed=1, dtype={"x": "float32"})


def test_a_number_that_float64_does_not_hold_is_an_error_and_never_rounded():
    def large(rng):
        return 2**60 + rng.bit_generator.seed_seq.spawn_key[0]

    assert variables(mz.simulate(large, 3, seed=1)) == {"x": "float64"}  # the first one fits
    with pytest.raises(mz.SamplerError, match=r"path 1: .*float64 holds, got 1152921504606846977"):
        mz.simulate(large, 3, seed=1).compute(scheduler="synchronous")
    rounded = mz.simulate(lambda rng: float(large(rng)), 3, seed=1).compute()
    assert rounded.x.values.ravel().tolist() == [2.0**60] * 3
    exact = mz.simulate(large, 3, seed=1, dtype="int64").compute()
    assert exact.x.values.ravel().tolist() == [2**60, 2**60 + 1, 2**60 + 2]


# --- integers beyond 64 bits -----------------------------------------------------------------


def rarely(value):
    def sampler(rng):
        return value if rng.bit_generator.seed_seq.spawn_key[0] == 7 else [1]

    return sampler


@pytest.mark.parametrize(
    "value",
    [
        [2**63],
        [2**64],
        [-(2**63) - 1],
        [2**200],
        [10**400],
        [10**5000],
        np.array([2**63], "uint64"),
    ],
    ids=["2**63", "2**64", "below", "2**200", "beyond floats", "no text", "uint64"],
)
def test_an_integer_beyond_64_bits_fails_its_path_and_a_policy_masks_it(value):
    with pytest.raises(mz.SamplerError, match=r"path 7: x: expected int64 .*dtype=float") as caught:
        mz.simulate(rarely(value), 20, seed=1).compute(scheduler="synchronous")
    assert caught.value.path == 7
    ds = mz.simulate(rarely(value), 20, seed=1, on_error="mask").compute(scheduler="synchronous")
    hidden = np.flatnonzero(ds.x == ds.x.attrs["masked_value"])
    assert hidden.tolist() == [7]
    with pytest.raises(mz.SamplerError, match="path 0: x: expected int64"):
        mz.simulate(lambda rng: value, 3, seed=1)


def test_integers_beyond_64_bits_are_rounded_where_real_numbers_are_asked_for():
    ds = mz.simulate(rarely([2**64 + 1]), 20, seed=1, dtype=float).compute()
    assert ds.x[7, 0] == 2.0**64
    infinite = mz.simulate(rarely([10**400]), 20, seed=1, dtype=float, on_nonfinite="keep")
    assert infinite.x.compute()[7, 0] == np.inf


def test_integers_of_which_numpy_makes_floats_are_integers():
    with pytest.raises(mz.SamplerError, match="got integers from -1 to 9223372036854775809"):
        mz.simulate(lambda rng: [2**63 + 1, -1], 3, seed=1)


def test_a_large_integer_in_a_block_names_its_path():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            out = np.ones((n, T + 1), object)
            if rng.bit_generator.seed_seq.spawn_key[-1] == 1:
                out[9, 1] = 2**70
            return out

    with pytest.raises(mz.SamplerError) as caught:
        mz.simulate(Blocks(), 2000, 2, seed=1).compute(scheduler="synchronous")
    assert caught.value.path == 1024 + 9


def test_whatever_the_conversion_of_a_path_raises_is_a_failure_of_the_path():
    class Odd:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("no array")

    with pytest.raises(mz.SamplerError, match="path 7: KeyError"):
        mz.simulate(rarely(Odd()), 20, seed=1).compute(scheduler="synchronous")


# --- runs of earlier versions ----------------------------------------------------------------


def whole(rng):
    return rng.poisson(3.0)


def mixed(rng):
    n = rng.poisson(3.0)
    return {"n": n, "mean": n / 2, "path": None} if n < 0 else {"n": n, "share": n / 7}


@pytest.mark.parametrize(
    ("function", "dtypes"),
    [(whole, {"x": "int64"}), (mixed, {"n": "int64", "share": "float64"})],
)
def test_a_run_that_recorded_integers_goes_on_with_them(tmp_path, function, dtypes):
    # As it was recorded when a plain integer in the first path declared int64.
    ds = mz.simulate(function, 1500, seed=1, dtype=dtypes)
    assert variables(ds) == dtypes
    store = tmp_path / "paths.zarr"
    with mz.backend("synchronous"):
        mz.write(ds, store)
        expected = mz.simulate(function, 3000, seed=1, dtype=dtypes).compute()
        grown = mz.extend(store, 3000, process=function)
    assert variables(grown) == dtypes
    for name in dtypes:
        np.testing.assert_array_equal(grown[name], expected[name])
        assert mz.replay(grown, 2000, process=function)[name] == expected[name][2000]


def test_labels_beside_integers_of_another_type_can_be_drawn_again():
    def sky(rng):
        return {"sky": ["sun", "rain"], "day": np.array([1, 2])}

    ds = mz.simulate(sky, 5, seed=1, labels=["sun", "rain"])
    assert variables(ds) == {"sky": "int32", "day": "int64"}
    assert mz.replay(ds.compute(), 3, process=sky).sky.values.tolist() == [0, 1]
