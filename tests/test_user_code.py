"""Code of the user's with state, globals and surroundings: what counts, and what must not."""

import functools
import itertools
import json
import subprocess
import sys
import types

import dask
import numpy as np
import pytest

import montezarr as mz
from montezarr.run.digests import digest_of

SCALE = 1.0
TABLE = {"drift": [0.0, 1.0]}


def recipe(ds):
    return json.loads(ds.attrs["montezarr"])


class Blocks:
    """Keeps its working memory in itself."""

    def sample_paths(self, n, T, x0, rng):
        self.buffer = np.zeros((n, T + 1))
        for k in range(T):
            self.buffer[:, k + 1] = 0.9 * self.buffer[:, k] + rng.standard_normal(n)
        return self.buffer


class Walk:
    """Keeps its position in itself, one path after the other."""

    def sample_path(self, T, x0, rng):
        self.x = 0.0
        out = [self.x]
        for z in rng.standard_normal(T):
            self.x += z
            out.append(self.x)
        return out

    def path(self, rng, T):
        return self.sample_path(T, None, rng)


@pytest.mark.parametrize("sampler", [Blocks(), Walk(), Walk().path])
def test_an_object_that_works_in_itself_is_not_shared_by_threads(sampler):
    n_paths = 8192 if isinstance(sampler, Blocks) else 2048
    ds = mz.simulate(sampler, n_paths=n_paths, T=30, seed=1, chunks=1024)
    expected = ds.x.compute(scheduler="synchronous")
    for _ in range(3):
        found = ds.x.compute(scheduler="threads", num_workers=8)
        assert np.array_equal(found, expected)


def test_a_bound_method_is_copied_as_it_is_when_simulate_is_called():
    class Model:
        sigma = 1.0

        def path(self, rng):
            return self.sigma * rng.standard_normal(4)

    model = Model()
    ds = mz.simulate(model.path, n_paths=10, seed=1)
    before = ds.x.values
    model.sigma = 5.0
    assert np.array_equal(ds.x.values, before)


def scaled(rng):
    return SCALE * rng.standard_normal(4)


def looked_up(rng):
    return TABLE["drift"][1] + rng.standard_normal(4)


def helper(z):
    return 2 * z


def helped(rng):
    return helper(rng.standard_normal(4))


@pytest.mark.parametrize(
    ("function", "name", "value"),
    [
        (scaled, "SCALE", 10.0),
        (looked_up, "TABLE", {"drift": [0.0, 2.0]}),
        (helped, "helper", lambda z: 3 * z),
    ],
)
def test_what_a_function_takes_from_its_module_is_part_of_the_recipe(
    monkeypatch, function, name, value
):
    before = recipe(mz.simulate(function, n_paths=5, seed=1))["code"]
    assert recipe(mz.simulate(function, n_paths=5, seed=1))["code"] == before
    monkeypatch.setattr(sys.modules[__name__], name, value)
    assert recipe(mz.simulate(function, n_paths=5, seed=1))["code"] != before


def test_a_lambda_is_itself_and_not_the_line_that_it_stands_on():
    first = mz.simulate(lambda rng: rng.standard_normal(3), n_paths=100, seed=1)
    second = mz.simulate(lambda rng: rng.standard_normal(3), n_paths=200, seed=1)  # another line
    other = mz.simulate(lambda rng: rng.standard_normal(3) + 1, n_paths=100, seed=1)
    assert recipe(first)["code"] == recipe(second)["code"] != recipe(other)["code"]


def test_comments_and_blanks_of_a_function_do_not_count(tmp_path):
    texts = [
        "def f(rng):\n    return rng.standard_normal(3)\n",
        "def f(rng):\n    # why\n\n    return rng.standard_normal( 3 )\n",
        "def f(rng):\n    return rng.standard_normal(4)\n",
    ]
    for number, text in enumerate(texts):
        (tmp_path / f"model{number}.py").write_text(text)
    script = (
        "import importlib, sys, json; sys.path.insert(0, sys.argv[1])\n"
        "import montezarr as mz\n"
        "for number in range(3):\n"
        "    f = importlib.import_module(f'model{number}').f\n"
        "    f.__module__ = 'model'\n"
        "    print(json.loads(mz.simulate(f, 3, seed=1).attrs['montezarr'])['code'])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    codes = done.stdout.splitlines()
    assert codes[0] == codes[1] != codes[2]


def test_a_partial_function_runs_and_its_arguments_count():
    def sampler(rng, scale):
        return scale * rng.standard_normal(3)

    one, two = (
        mz.simulate(functools.partial(sampler, scale=s), n_paths=4, seed=1) for s in (1.0, 2.0)
    )
    assert np.array_equal(2 * one.x.values, two.x.values)
    assert recipe(one)["code"] != recipe(two)["code"]


def test_coefficients_that_fit_two_paths_by_chance_are_refused():
    with pytest.raises(mz.SamplerError, match="drift: expected shape"):
        mz.simulate(
            mz.Diffusion(
                drift=lambda t, x: np.array([1.0, 2.0]),
                diffusion=lambda t, x: np.ones_like(x),
                names=("x", "y"),
            ),
            n_paths=2,
            T=3,
            x0={"x": 0.0, "y": 0.0},
            seed=1,
        )


def test_a_run_that_cannot_fit_on_all_workers_is_refused_with_the_numbers(monkeypatch):
    from montezarr.run import chunk_policy

    gbm = mz.GeometricBrownianMotion(mu=0.0, sigma=0.2)
    monkeypatch.setattr(chunk_policy, "memory_limit", lambda: 2**30)
    with pytest.raises(mz.MemoryBudgetError, match=r"781\.\d MiB"):
        mz.simulate(gbm, n_paths=10_000, T=100_000 - 1, seed=1)
    assert mz.plan(mz.simulate(gbm, n_paths=10_000, T=10_000, seed=1)).peak_bytes <= 2**30


def test_the_number_of_workers_that_dask_is_told_is_the_plans():
    ds = mz.simulate(mz.BrownianMotion(), n_paths=10_000, T=10, seed=1)
    with dask.config.set(num_workers=7):
        assert mz.plan(ds).workers == 7
    with dask.config.set(scheduler="synchronous"):
        assert mz.plan(ds).workers == 1


class Pair:
    """A vectorised process of two variables that stay where they are."""

    variables = ("s", "v")

    def sample(self, draws, grid, x0):
        out = np.empty((2, grid.T + 1, draws.n))
        out[:] = x0.reshape(2, 1, -1)
        return out


def test_initial_states_by_the_names_of_the_variables_also_one_for_each_path():
    states = {"v": 2.0, "s": np.arange(2048.0)}
    ds = mz.simulate(Pair(), n_paths=2048, T=1, x0=states, seed=1)
    np.testing.assert_array_equal(ds.s.isel(time=1), np.arange(2048.0))
    assert (ds.v == 2).all()
    ds = mz.simulate(Pair(), n_paths=4, T=1, x0={"v": 2.0, "s": 1.0}, seed=1)
    assert (ds.v == 2).all()
    assert (ds.s == 1).all()
    with pytest.raises(mz.ArgumentValueError, match="x0: expected a value for each of s, v"):
        mz.simulate(Pair(), n_paths=4, T=1, x0={"v": 2.0}, seed=1)


class Job:
    """Made with the simulation that it belongs to."""

    def __init__(self, world, length):
        self.world, self.length = world, length


class World:
    """As SimPy has it: classes that its instances hold as methods, bound to themselves."""

    def __init__(self, start):
        self.now, self.numbers = start, itertools.count(start)
        self.job = types.MethodType(Job, self)


class Queue:
    def __init__(self, start=0, kind=World):
        self.world = kind(start)

    def sample_path(self, T, x0, rng):
        return self.world.job(rng.random(T + 1)).length


def test_an_object_that_holds_a_class_as_a_bound_method_can_be_run():
    def code(start):
        return recipe(mz.simulate(Queue(start), n_paths=5, T=3, seed=1))["code"]

    assert code(0) == code(0) != code(1)
    ds = mz.simulate(Queue(), n_paths=5, T=3, seed=1)
    assert np.array_equal(mz.replay(ds, 2).x, ds.x[2])


def test_an_object_that_holds_a_simulation_of_simpy_can_be_run():
    simpy = pytest.importorskip("simpy")

    class Shop:
        def __init__(self, servers):
            self.world = simpy.Environment()
            self.servers = simpy.Resource(self.world, servers)

        def sample_path(self, T, x0, rng):
            world, out = simpy.Environment(), []

            def arrivals():
                while len(out) <= T:
                    yield world.timeout(rng.exponential())
                    out.append(world.now)

            world.process(arrivals())
            world.run()
            return out

    one, two = (mz.simulate(Shop(n), n_paths=5, T=3, seed=1) for n in (1, 2))
    assert recipe(one)["code"] != recipe(two)["code"]
    assert (one.x.diff("time") > 0).all()


def test_what_cannot_be_looked_into_counts_by_its_type_and_its_pickled_bytes():
    class Odd:
        """Fails wherever it is looked into, but for pickling."""

        def __init__(self, value):
            self.value = value

        def __reduce__(self):
            return Odd, (Reluctant(self.value),)

    digests = [digest_of(Odd(value)) for value in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]
    assert digest_of(10**5000) == digest_of(10**5000) != digest_of(10**5000 + 1)
    assert digest_of(types.MethodType(len, [1])) != digest_of(types.MethodType(len, [2]))


class Reluctant(dict):
    """A mapping whose entries cannot be had."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def items(self):
        raise RuntimeError("not now")

    def __reduce__(self):
        return Reluctant, (self.value,)


def test_what_goes_too_deep_is_refused_and_no_crash():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(mz.ArgumentTypeError, match="process: expected values that can be pickled"):
        digest_of(deep)


def test_digests_of_what_could_be_looked_into_are_what_they_were():
    values = [1, 1.5, "a", None, (1, [2.0]), {"a": {3}}, np.arange(3), itertools.count(5)]
    assert [digest_of(value)[:8] for value in values] == [
        "c4d35178", "75803c6a", "6b64c3c8", "79d0642e",
        "24380cd6", "713abbd1", "364330e0", "da851647",
    ]  # fmt: skip
