"""Varying parameters that cannot be: errors at the call that say what to do."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from random_scenarios import BUILT_IN, GBM, HESTON, SEED, USERS, T, check_scenarios, computed

import montezarr as mz
from montezarr.random.distributions import Normal

MODELS = {model.name: model for model in (*BUILT_IN, *USERS)}
N = 10
A = xr.DataArray


def f(rng, T, a, b=1.0):
    return a + b * rng.random(T + 1)


def of_n(rng, n, T, a, b=1.0):
    return a + b * rng.random((n, T + 1)).sum(axis=0)


def several(rng, T, a):
    return {
        "x": a * rng.random(T + 1),
        "y": A(rng.random((T + 1, 2)), dims=("time", "asset"), coords={"asset": ["L", "R"]}),
    }


def on(values, *dims, **coords):
    return A(np.array(values), dims=dims, coords=coords)


DATES = np.array(["2020-01-01", "2020-01-02"], "M8[ns]")
LEVELS = pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=["l", "m"])
PATHS = np.arange(N)

REFUSED = {
    "unknown": ({"aa": on([1.0], "q")}, "vary: expected parameters of f: .*'aa'. Did you mean 'a'"),
    "too few": ({"a": np.ones(7)}, r"10 values, one per path, got '7 values'.*xr.DataArray\(value"),
    "too few of a DataArray": ({"a": on(np.ones(7), "path")}, "vary.'a'.: expected 10 paths.*7"),
    "too few lazy": ({"a": da.ones(7)}, "10 values, one per path, got '7 values'"),
    "NaN": ({"a": on([0.1, np.nan], "q")}, r"vary\['a'\]: .*finite numbers, got nan at .* q=1"),
    "infinity": ({"a": on([[0.1, np.inf]], "q", "r")}, "got inf at the position q=0, r=1"),
    "NaN of a path": ({"a": np.where(PATHS == 9, np.nan, 1.0)}, "got nan at the position path=9"),
    "one NaN": ({"a": np.nan}, "expected finite numbers, got nan"),
    "time": ({"a": on([1.0, 2.0], "time")}, "dimensions other than 'time'.*at all times"),
    "variable": ({"a": on([1.0, 2.0], "x")}, "names of their own, got 'x'.*a variable.*rename"),
    "coordinate of a variable": (
        {"a": on([1.0, 2.0], "q", x=("q", [1, 2]))}, "names of their own, got 'x'",
    ),
    "coordinate of paths": (
        {"a": on([1.0, 2.0], "q", path=("q", [1, 2]))}, "names of their own, got 'path'",
    ),
    "coordinate of times": (
        {"a": on([1.0], "q", time=("q", [3.0]))}, "names of their own, got 'time'",
    ),
    "times": ({"dt": on([1.0, 2.0], "t"), "a": 1.0}, "got 't'. 't' is the coordinate of the times"),
    "no value": ({"a": on([], "q")}, "one value or more, got {'q': 0}"),
    "no value by path": ({"a": on(np.ones((0, N)), "q", "path")}, "one value or more"),
    "no lazy value": ({"a": A(da.ones((0, N)), dims=("q", "path"))}, "one value or more"),
    "lengths": (
        {"a": on([1.0, 2.0], "q"), "b": on([1.0, 2.0, 3.0], "q")},
        r"vary\['b'\]: expected 2 values along 'q'.*got 3. For a grid",
    ),
    "labels": (
        {"a": on([1.0, 2.0], "q", q=[1, 2]), "b": on([1.0, 2.0], "q", q=[1, 3])},
        r"coordinate 'q' of another parameter, \[1, 2\], got \[1, 3\]",
    ),
    "labels that are another parameter": (
        {"b": on([1.0, 2.0], "a", a=[1.0, 2.0]), "a": on([3.0, 4.0], "a")},
        r"coordinate 'a' of another parameter, \[1.0, 2.0\], got \[3.0, 4.0\]",
    ),
    "labels of paths": (
        {"a": on(np.ones(N), "path", path=PATHS[::-1])}, r"vary\['a'\]: .*paths 0, 1, 2.*Sort them",
    ),
    "dates": ({"a": on(DATES, "q")}, r"vary\['a'\]: expected numbers, or text .*datetime64"),
    "dates by path": ({"a": np.repeat(DATES, 5)}, "expected numbers, or text .*datetime64"),
    "dates as labels": ({"a": on([1.0, 2.0], "q", q=DATES)}, r"its coordinate 'q'.*drop_vars"),
    "NaN as a label": ({"a": on([1.0], "q", q=[np.nan])}, r"finite numbers or text in its coord"),
    "levels": (
        {"a": A([1.0, 2.0], dims="q", coords=xr.Coordinates.from_pandas_multiindex(LEVELS, "q"))},
        "its coordinate 'q'",
    ),
    "objects": ({"a": on([None, f], "q")}, "expected numbers, or text"),
    "complex": ({"a": on([1j], "q")}, "expected numbers, or text"),
    "text by path": ({"a": ["up"] * N}, "text that all paths of a scenario share"),
    "masked": ({"a": np.ma.masked_equal(PATHS, 3)}, r"vary\['a'\]: .*none is masked, got 1"),
    "masked lazy": ({"a": da.ma.masked_equal(da.arange(N), 3)}, r"vary\['a'\]: .* fill them"),
    "large integers": ({"a": np.full(N, 2**63, np.uint64)}, r"integers below 2\*\*63"),
    "dt by path": ({"dt": np.ones(N), "a": 1.0}, r"vary\['dt'\]: expected values by scenario"),
    "dt drawn": ({"dt": Normal(1.0, 0.1), "a": 1.0}, r"vary\['dt'\]: expected values by scenario"),
    "dt below 0": ({"dt": on([1.0, -1.0], "q"), "a": 1.0}, r"\['dt'\]: .*> 0, got -1.0 .* q=1"),
    "a function": ({"a": lambda u: u}, r"or a distribution, such as mz.Normal.*<lambda>"),
    "None": ({"a": None}, "or a distribution, such as mz.Normal"),
    "a Dataset": ({"a": xr.Dataset()}, "or a distribution, such as mz.Normal"),
    "unnamed dimensions": ({"a": [[1.0, 2.0]]}, r"an xr.DataArray, which names its dim.*\(1, 2\)"),
    "rows": ({"a": [[1.0, 2.0], [1.0]]}, r"vary\['a'\]: "),
    "no names": ({3: on([1.0], "q")}, "names of parameters, or tuples of them, as keys, got 3"),
    "several": ({("a", "b"): on([1.0], "q")}, "expected a joint distribution"),
    "twice": ({"a": 1.0, ("a",): Normal(0.0, 1.0)}, "each parameter once, got 'a'"),
    "dimension of its name": ({"a": on(np.ones((2, N)), "a", "path")}, "no dimensions, got 'a'"),
    "argument": ({"seed": on([1, 2], "q"), "a": 1.0}, "got 'seed'. seed is an argument of the run"),
    "stream": ({"rng": 1.0, "a": 1.0}, "got 'rng'. rng is an argument of the run"),
    "list": ([("a", 1.0)], "vary: expected a mapping of parameters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_vary_is_refused_at_the_call(name):
    vary, message = REFUSED[name]
    with pytest.raises((mz.ArgumentValueError, mz.ArgumentTypeError), match=message):
        mz.simulate(f, N, T, seed=SEED, vary=vary)


OTHERS = {
    "an argument too": (f, {"a": on([1.0], "q")}, {"a": 2.0}, r"vary\['a'\]: .*Leave out a="),
    "x0 too": (GBM, {"x0": on([1.0], "q")}, {"x0": 2.0}, r"vary\['x0'\]: .*Leave out x0="),
    "dt too": (GBM, {"dt": on([1.0], "q")}, {"dt": 2.0, "x0": 1.0}, r"vary\['dt'\]: "),
    "times": (GBM, {"dt": 1.0}, {"T": None, "times": [0, 1], "x0": 1.0}, "vary.'dt'.: .*no times="),
    "noise": (GBM, {"mu": 1.0}, {"noise": "loud", "x0": 1.0}, "'common' or 'independent'.*'loud'"),
    "no noise": (GBM, {"mu": 1.0}, {"noise": None, "x0": 1.0}, "'common' or 'independent'"),
    "range": (
        GBM, {"sigma": on([0.1, -0.5], "q")}, {"x0": 1.0}, r"sigma.* >= 0, got -0.5",
    ),
    "range at first": (
        GBM, {"sigma": on([-0.5, 0.1], "q")}, {"x0": 1.0}, r"sigma.* >= 0, got -0.5",
    ),
    "no start": (MODELS["MarkovChain"].process, {"x0": on(["calm", "warm"], "q")}, {}, "'warm'"),
    "one start of two": (HESTON, {"x0": on([1.0, 2.0], "q")}, {}, "for each of s, v"),
    "dimension of the paths": (
        several, {"a": on([1.0, 2.0], "asset")}, {}, "got 'asset'. 'asset' is a dimension",
    ),
    "a variable of the paths": (
        several, {"a": on([1.0, 2.0], "y")}, {}, "names of their own, got 'y'",
    ),
    "without end": (f, {"a": np.ones(N)}, {"n_paths": None}, "a number of paths, got '10 values'"),
    "without end, a DataArray": (
        f, {"a": on(np.ones(N), "path")}, {"n_paths": None}, "there is no number of paths",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_fit_the_run_is_refused_at_the_call(name):
    process, vary, more, message = OTHERS[name]
    arguments = {"n_paths": N, "T": T, "seed": SEED, "vary": vary} | more
    with pytest.raises((mz.ArgumentValueError, mz.ArgumentTypeError), match=message):
        mz.simulate(process, **arguments)


@pytest.mark.parametrize("name", ["vary", "noise"])
def test_a_parameter_of_the_name_of_an_argument_is_refused_with_the_remedy(name):
    made = {}
    exec(f"def f(rng, T, {name}=None): return rng.random(T + 1)", made)
    with pytest.raises(mz.ArgumentValueError, match=f"{name}= is an argument of simulate.*rename"):
        mz.simulate(made["f"], N, T, seed=SEED)


def test_a_grid_of_which_no_chunk_fits_is_refused_before_any_scenario_is_made():
    wide = {name: on(np.linspace(0.1, 0.2, 3000), name) for name in ("sigma", "mu", "dt")}
    with pytest.raises(mz.MemoryBudgetError, match=r"27,000,000,000 scenarios .*take fewer scen"):
        mz.simulate(GBM, 1, 1, 1.0, seed=SEED, vary=wide)
    two = {name: wide[name] for name in ("sigma", "mu")}
    with pytest.raises(mz.MemoryBudgetError, match=r"1,024 paths of 9,000,000 scenarios .* = 169"):
        mz.simulate(GBM, 10**6, 2520, 1.0, seed=SEED, vary=two)


def test_what_could_be_mistaken_is_taken():
    n = on([1, 2], "n")  # of a function that draws one path, the number of no paths
    vary = {"n": n, "a": on([0.5], "q"), "b": xr.DataArray(2.0)}
    ds = computed(mz.simulate(of_n, N, T, seed=SEED, vary=vary))
    assert ds.x.dims == ("n", "q", "path", "time")
    one = mz.simulate(of_n, N, T, seed=SEED, n=2, a=0.5, b=2.0)
    np.testing.assert_array_equal(ds.x.isel(n=1, q=0), one.x)
    labels = {"a": on(np.linspace(0.0, 1.0, N), "path", path=PATHS)}
    assert mz.simulate(f, N, T, seed=SEED, vary=labels).a.dims == ("path",)
    long = np.array([0.1, 0.2], np.longdouble)
    assert mz.simulate(f, N, T, seed=SEED, vary={"a": on(long, "a")}).a.dtype == np.float64


def test_text_chooses_among_scenarios():
    def walk(rng, T, way):
        return rng.random(T + 1) * {"up": 1, "down": -1}[way]

    for ways in (on(["up", "down"], "way"), A(np.array(["up", "down"], object), dims="q")):
        ds = computed(mz.simulate(walk, N, T, seed=SEED, vary={"way": ways}, noise="independent"))
        assert ds.way.values.tolist() == ["up", "down"]
        first, second = (ds.x.isel({ways.dims[0]: k}) for k in (0, 1))
        assert (first > 0).all()
        assert (second < 0).all()
        stream = '{"way": "down"}'
        one = mz.simulate(walk, N, T, seed=SEED, way="down", stream=stream)
        np.testing.assert_array_equal(second, one.x)


def test_what_the_caller_does_to_an_array_later_changes_no_path():
    model = MODELS["rng"]
    shared, own = np.array([0.5, 1.0]), np.linspace(0.5, 1.0, N)
    vary = {"b": xr.DataArray(shared, dims="j"), "a": own}
    ds = model.simulate(N, vary)
    right = computed(ds)
    shared[:], own[:] = 9.0, 9.0
    xr.testing.assert_identical(computed(ds), right)


def test_coordinates_are_carried_along():
    model = MODELS["BrownianMotion"]
    mu = on([[0.1, 0.2, 0.3]], "p1", "p2", p2=[10, 20, 30], name=("p2", ["a", "b", "c"]), time=7.0)
    ds = model.simulate(N, {"mu": mu, "sigma": on([0.5], "p1")})
    assert ds.p2.values.tolist() == [10, 20, 30]
    assert ds.name.dims == ("p2",)
    assert ds.time.dims == ("time",)  # where a value came from is no coordinate of a scenario
    assert ds.mu.dims == ("p1", "p2")
    assert ds.sigma.dims == ("p1",)
    check_scenarios(model, {"mu": mu, "sigma": on([0.5], "p1")}, ds, N)


def test_times_differ_along_the_dimensions_of_their_steps():
    model = MODELS["BrownianMotion"]
    vary = {"mu": on([0.1, 0.2], "j"), "dt": on([[0.5, 0.5]], "p1", "p2")}
    ds = model.simulate(N, vary, keep=[0, -1])
    assert ds.t.dims == ("p1", "p2", "time")
    np.testing.assert_array_equal(ds.t[0, 1], [0.0, 1.5])
    assert model.simulate(N, {"dt": 0.5}).t.dims == ("time",)


def one(rng, T, sigma):
    return rng.normal(0.0, abs(sigma), T + 1)


def many(n, T, rng, sigma):
    return rng.poisson(np.broadcast_to(sigma, n)[:, None], (n, T + 1))  # fails for NaN, as a block


def with_lazy(process, bad, name="sigma", at=1500, n=2600, **options):
    """A run of which one path has a bad value in a lazy array."""
    values = np.linspace(0.1, 0.4, n)
    values[at] = bad
    lazy = xr.DataArray(da.from_array(values, chunks=700), dims="path")
    if options.pop("in_scenarios", False):
        lazy = xr.concat([abs(lazy.fillna(1.0)), lazy], "case")
    return mz.simulate(process, n, 4, seed=SEED, chunks=1024, vary={name: lazy}, **options)


LAZY = {
    "a process": ({"process": mz.BrownianMotion()}, "sigma"),
    "in scenarios": ({"process": mz.BrownianMotion(), "in_scenarios": True}, "sigma"),
    "an initial state": ({"process": mz.BrownianMotion(), "name": "x0"}, "x0"),
    "a function": ({"process": one}, "sigma"),
    "a function of a block": ({"process": many}, "sigma"),
    "masked": ({"process": one, "on_error": "mask", "on_nonfinite": "mask"}, "sigma"),
}


@pytest.mark.parametrize("kind", LAZY)
def test_bad_values_of_a_lazy_array_are_an_error_that_names_the_path(kind):
    given, name = LAZY[kind]
    ds = with_lazy(bad=np.nan, **given)
    message = rf"path 1500: vary\['{name}'\]: expected finite numbers, got nan"
    for use in (ds.compute, lambda: mz.reduce(ds.x, "mean"), lambda: mz.replay(ds, 1500)):
        with mz.backend("threads", 1), pytest.raises(mz.SamplerError, match=message) as caught:
            use()
        assert caught.value.path == 1500
    assert ds.isel(path=slice(1024)).compute().sizes["path"] == 1024


def test_values_of_a_lazy_array_out_of_range_are_found_as_in_memory():
    ds = with_lazy(mz.BrownianMotion(), -0.5)
    with pytest.raises(mz.SamplerError, match=r"path 1500: vary\['sigma'\]: .* >= 0, got -0.5"):
        ds.compute()
    for values, message in (
        ({"sigm": da.ones(100)}, "unknown parameter 'sigm'. Did you mean 'sigma'"),
        ({"sigma": da.ones(100) > 0}, "sigma: expected numbers, one per path"),
    ):
        with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=message):
            mz.simulate(mz.BrownianMotion(), 100, 4, seed=SEED, vary=values)


def test_a_failure_of_a_lower_path_comes_before_a_bad_value():
    def fails(rng, T, sigma):
        if rng.bit_generator.seed_seq.spawn_key == (1100,):
            raise RuntimeError("this one")
        return rng.normal(size=T + 1)

    with pytest.raises(mz.SamplerError, match="path 1100: RuntimeError: this one"):
        with_lazy(fails, np.nan).compute()
    masked = with_lazy(fails, 0.2, on_error="mask").compute()
    assert np.flatnonzero(np.isnan(masked.x[:, 0])).tolist() == [1100]


# --- mistakes that are easily made -----------------------------------------------------------


def block_of_paths(n, T, rng, R0):
    return rng.poisson(R0, size=(n, T + 1))


MISTAKES = {
    "a table": (pd.DataFrame({"sigma": [0.1]}), {}, TypeError, r"pass mz\.scenarios\(table\)"),
    "a table of a parameter": (
        {"sigma": pd.DataFrame({"a": [0.1, 0.2]})}, {}, ValueError, r"mz\.scenarios\(table\)"
    ),
    "no dimensions": (
        {"sigma": np.ones((2, 3))}, {}, ValueError, r"Pass xr\.DataArray\(values, dims=\[\.\.\.\]\)"
    ),
    "an argument of the run": (
        {"seed": xr.DataArray([1, 2], dims="seed")}, {}, ValueError,
        "unknown parameter 'seed'.* seed is an argument of simulate",
    ),
    "a negative volatility of a grid": (
        {"sigma": xr.DataArray([[0.1, 0.2], [0.3, -0.2]], dims=("a", "b"))}, {}, ValueError,
        r"vary\['sigma'\]: .*>= 0, got -0\.2 at the position a=1, b=1\.",
    ),
    "a negative volatility of a path": (
        {"sigma": np.where(np.arange(100) == 7, -1.0, 0.2)}, {}, ValueError,
        r"vary\['sigma'\]: .*got -1\.0 at the position path=7\.",
    ),
    "draws out of range": (
        {"sigma": mz.Normal(0.2, 0.1)}, {}, ValueError,
        r"vary\['sigma'\]: .*the smallest value that Normal\(mean=0\.2, sd=0\.1\) can draw",
    ),
    "draws of a joint distribution out of range": (
        {("mu", "sigma"): mz.JointNormal({"mu": 0.0, "sigma": 0.2}, sd=[1, 1])}, {}, ValueError,
        r"vary\['sigma'\]: .*smallest value that JointNormal",
    ),
    "text": (
        {"sigma": xr.DataArray(["a"], dims="s")}, {}, TypeError, r"vary\['sigma'\]: .*numbers"
    ),
    "a hole": (
        {"sigma": xr.DataArray(np.array([1, None], object), dims="s")}, {}, TypeError,
        r"vary\['sigma'\]: .*got None",
    ),
    "a step below 0": (
        {"dt": xr.DataArray([0.1, -0.2], dims="dt")}, {"dt": None}, ValueError,
        r"vary\['dt'\]: expected steps > 0, got -0\.2 at the position dt=1",
    ),
    "a start of several variables": (
        {"x0": xr.DataArray([90.0, 100.0], dims="x0")},
        {"x0": None, "process": mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.3, rho=-0.5)},
        ValueError, r"vary\['x0'\]: expected a mapping .* each of s, v, got 'one for a Heston'",
    ),
    "other paths than those of a design": (
        mz.saltelli({"mu": mz.Normal(0, 1)}, 4), {}, ValueError, "n_paths: expected 12, as",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_to_do(name):
    vary, others, error, said = MISTAKES[name]
    given = {"n_paths": 100, "T": 4, "x0": 100.0, "dt": 0.25, "seed": 1, **others}
    process = given.pop("process", mz.GeometricBrownianMotion(mu=0.05, sigma=0.2))
    with pytest.raises(error, match=said):
        mz.simulate(process, vary=vary, **given)


def test_code_of_blocks_that_fails_is_told_what_it_gets():
    with pytest.raises(mz.SamplerError) as caught:
        mz.simulate(block_of_paths, 100, 4, seed=1, vary={"R0": mz.Gamma(2.0, 1.0)})
    assert caught.value.__notes__ == [
        "R0: one value per path: code that draws n paths gets arrays (n,)."
    ]
