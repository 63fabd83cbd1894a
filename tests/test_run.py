"""`Run`: which run is behind an object, with its number of paths, its policies and its chunks."""

import json
import pickle

import cloudpickle
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.run import Policies, Run, _tasks_alive
from montezarr.run._attributes import RUN_ATTRIBUTE
from montezarr.run._provenance import Provenance

BROWNIAN = mz.BrownianMotion()
CHOSEN = {"on_error": "mask", "on_nonfinite": "retry", "retries": 5}


def sometimes(rng):
    """Fail on some paths, but not on the first."""
    values = rng.standard_normal(3)
    if values[0] > 1.5:
        raise ArithmeticError("too large")
    return values


@pytest.fixture
def forget(monkeypatch):
    """Return a function after which no run is alive, as in another process."""

    def forgotten():
        for name in ("_by_name", "_by_recipe"):
            monkeypatch.setattr(_tasks_alive, name, type(getattr(_tasks_alive, name))())

    return forgotten


def paths(n_paths=3000, **options):
    return mz.simulate(BROWNIAN, n_paths, T=3, seed=1, **{"chunks": 1024, **options})


# --- which run is behind an object ------------------------------------------------------------


OBJECTS = {
    "dataset": lambda ds: ds,
    "variable": lambda ds: ds.x,
    "expression": lambda ds: (ds.x.isel(time=-1) - 1).clip(min=0),
    "part": lambda ds: ds.isel(path=slice(1024, 2048)),
    "several variables": lambda ds: ds.assign(y=ds.x**2),
}


@pytest.mark.parametrize("made", OBJECTS.values(), ids=OBJECTS)
def test_the_run_of_what_is_lazy_stands_in_its_graph(made):
    ds = paths()
    other = paths(n_paths=4000)  # of the same recipe, and made last
    run = Run.behind(made(ds))
    assert (run.n_paths, run.chunk) == (3000, 1024)
    assert run is Run.behind(ds)
    assert run is not Run.behind(other)


def test_the_run_of_what_is_in_memory_is_that_of_its_recipe(forget):
    ds = paths().compute()
    run = Run.behind(ds)
    forget()
    again = Run.behind(ds)
    assert run.fingerprint == again.fingerprint
    assert (again.n_paths, again.sampler.target) == (3000, BROWNIAN)
    with pytest.raises(mz.ArgumentValueError, match="montezarr"):
        Run.behind(ds.x)  # which carries nothing


def test_the_run_of_an_opened_store_is_that_of_its_recipe(tmp_path, forget):
    stored = mz.write(paths(), tmp_path / "a.zarr")
    forget()
    for obj in (stored, stored.x, stored.x.isel(time=-1) ** 2):
        run = Run.behind(obj)
        assert (run.sampler.target, run.n_paths, run.chunk) == (BROWNIAN, 3000, 1024)
    assert stored.x.mz.recipe == stored.mz.recipe


def test_the_run_of_a_result_of_the_engine_is_its_own():
    result = mz.MonteCarloEngine(BROWNIAN).simulate(100, 3, seed=1, on_error="mask")
    run = Run.behind(result)
    assert (run.n_paths, run.policies.on_error) == (100, "mask")
    assert run is Run.behind(result.dataset)


def test_the_run_of_a_snapshot_has_the_paths_so_far():
    ds = mz.simulate(BROWNIAN, None, T=3, seed=1)
    *_, last = mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(4096))
    run = Run.behind(last)
    assert (run.n_paths, run.fingerprint) == (4096, Run.behind(ds).fingerprint)


@pytest.mark.parametrize("obj", [None, 3, np.zeros(3), {"format": 1}, Run], ids=str)
def test_what_no_run_is_behind_is_refused(obj):
    with pytest.raises(mz.ArgumentTypeError, match="ds: expected a Dataset"):
        Run.behind(obj)


def test_an_array_is_of_a_run_by_its_tasks_and_not_by_its_name(forget):
    ours = [
        paths(),
        paths(x0=np.arange(3000.0)),
        mz.simulate(
            lambda rng, T, b: rng.normal(size=T + 1) + b[0], 9, T=3, seed=1, b=np.ones(9999)
        ),
        mz.simulate(lambda rng: {"a": rng.random(), "b": 3}, 9, seed=1),
    ]
    own = da.from_array(np.arange(8), name="simulate-own-0")
    theirs = [
        own,
        (own + 1).rechunk(4),
        da.Array({("simulate-mine", 0): np.ones(3)}, "simulate-mine", ((3,),), float),
    ]
    for when in ("alive", "from another process"):
        for ds in ours:
            assert Provenance.of(ds).is_simulated, when
            assert Provenance.of((ds + 1).isel(path=slice(3))).is_simulated, when
        ours = [cloudpickle.loads(cloudpickle.dumps(ds)) for ds in ours]
        forget()
    for array in theirs:
        assert not Provenance.of(xr.DataArray(array)).is_simulated


def test_texts_in_an_array_that_is_called_as_ours_are_are_no_codes():
    words = xr.DataArray(
        da.from_array(np.array(["calm", "storm"] * 600), chunks=600, name="simulate-words"),
        dims="path",
    )
    found = mz.reduce((words == "storm").rename("storms"), "mean")
    assert found.storms_mean == 0.5


def test_of_several_runs_the_attributes_tell_which_is_meant():
    one = paths()
    other = mz.simulate(BROWNIAN, 3000, T=3, seed=2, chunks=1024)
    both = one.assign(y=other.x)
    assert Run.behind(both) is Run.behind(one)
    assert Run.behind(both.y) is Run.behind(other)
    assert Run.behind((both.x + both.y).to_dataset(name="z").assign_attrs(other.attrs)) is (
        Run.behind(other)
    )


def test_a_run_that_starts_where_another_ends_is_drawn_in_any_range():
    first = mz.simulate(BROWNIAN, 4096, T=3, seed=1, chunks=1024)
    second = mz.simulate(BROWNIAN, 4096, T=3, x0=first.x.isel(time=-1), seed=2, chunks=1024)
    payoff = second.x.isel(time=-1) ** 2
    assert mz.plan(payoff).reduction.startswith("block by block")
    assert Run.behind(payoff) is Run.behind(second)
    found = mz.reduce(payoff, "mean")
    assert found.equals(mz.reduce(payoff.compute(), "mean"))


def test_the_run_that_gives_initial_states_is_drawn_once(tmp_path):
    drawn = []

    def first(rng):
        drawn.append(1)
        return rng.standard_normal(2)

    def second(rng, x0):
        return [x0, x0 + rng.standard_normal()]

    n = 4 * 1024
    begun = mz.simulate(first, n, seed=1, chunks=n)
    ds = mz.simulate(second, n, x0=begun.x.isel(time=-1), seed=2, chunks=n)
    with mz.backend("threads", n_jobs=2):
        drawn.clear()
        engine = mz.MonteCarloEngine(second)
        engine.simulate(n, x0=begun.x.isel(time=-1), seed=2, parallel=True, batch_size=64)
        assert len(drawn) <= 3 * n  # two trials, and the run
        drawn.clear()
        *_, last = mz.stream(ds.x.isel(time=-1), "mean", every=1024)
    assert last.paths == n
    assert len(drawn) <= 3 * n


# --- a recipe ---------------------------------------------------------------------------------


def test_a_recipe_makes_the_run_anew(forget):
    ds = paths(keep=[0, 3], stream="a")
    text = ds.attrs["montezarr"]
    for recipe in (text, json.loads(text), ds.mz.recipe):
        forget()
        run = Run.from_recipe(recipe, n_paths=3000, chunks=2048)
        assert (run.n_paths, run.chunk) == (3000, 2048)
        assert run.fingerprint == Run.behind(ds).fingerprint
        assert Run.from_recipe(recipe).n_paths is None


WRONG = {
    "n_paths": [0, -5, 2.5, True, "7", 2**70],
    "chunks": [0, -1, 1.5, True, "many"],
    "policies": [3, "mask", {"on_error": "mask"}],
}


@pytest.mark.parametrize("is_alive", [True, False], ids=["alive", "anew"])
@pytest.mark.parametrize(("name", "value"), [(n, v) for n in WRONG for v in WRONG[n]], ids=str)
def test_paths_and_chunks_that_are_none_are_refused(name, value, is_alive, forget):
    ds = paths()
    if not is_alive:
        forget()
    asked = {"n_paths": 7, name: value}
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError), match=f"^{name}: expected"):
        Run.from_recipe(ds.attrs["montezarr"], **asked)
    with pytest.raises(mz.ArgumentValueError, match="chunks: expected None"):
        Run.from_recipe(ds.attrs["montezarr"], chunks=1024)
    with pytest.raises(mz.MemoryBudgetError, match="chunks"):
        Run.from_recipe(ds.attrs["montezarr"], n_paths=2**62, chunks=1024)


HASHED = {
    "a process": lambda n: Run.of(BROWNIAN, n, T=3, seed=1),
    "a function": lambda n: Run.of(sometimes, n, seed=1),
    "an array as an option": lambda n: Run.of(
        lambda rng, b: rng.random(3) + b[0], n, seed=1, options={"b": np.ones(4)}
    ),
    "an x0 of each path": lambda n: Run.of(BROWNIAN, n, T=3, seed=1, x0=np.arange(float(n))),
    "matrices": lambda n: Run.of(
        mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["a", "b"]), n, T=3, seed=1
    ),
    "no end": lambda n: Run.of(BROWNIAN, None, T=n, seed=1),
}


@pytest.mark.parametrize("make", HASHED.values(), ids=HASHED)
def test_runs_are_equal_and_have_a_hash_by_their_recipe(make):
    run, same, other = make(50), make(50), make(51)
    assert run == same
    assert hash(run) == hash(same)
    assert run != other
    assert run != run.recipe
    masking = run.under(Policies(on_error="mask"))
    assert {run, same, other, masking} == {run, other, masking}
    assert len({run, same, other, masking}) == 3


@pytest.mark.parametrize("recipe", [None, 3, "{", "[]", "{}", {"format": 1}], ids=str)
def test_what_is_no_recipe_is_refused(recipe):
    with pytest.raises((mz.ArgumentTypeError, mz.ArgumentValueError)):
        Run.from_recipe(recipe)


def test_how_a_live_run_treats_failures_is_nothing_to_a_recipe_that_asks_for_another_way():
    ds = paths(on_error="mask")
    text = ds.attrs["montezarr"]
    assert Run.from_recipe(text, n_paths=10).policies.on_error == "mask"
    run = Run.from_recipe(text, n_paths=10, policies=Policies(on_nonfinite="keep"))
    assert (run.policies.on_error, run.policies.on_nonfinite) == ("raise", "keep")


# --- policies and chunks ----------------------------------------------------------------------


def test_policies_are_in_the_attributes_where_they_are_not_as_by_default():
    assert RUN_ATTRIBUTE not in paths().attrs
    ds = paths(**CHOSEN)
    assert json.loads(ds.attrs[RUN_ATTRIBUTE]) == CHOSEN
    assert Run.behind(ds).policies == Policies(**CHOSEN)
    assert ds.attrs["montezarr"] == paths().attrs["montezarr"]


STATES = {
    "lazy": lambda ds: ds,
    "in memory": lambda ds: ds.compute(),
    "a part": lambda ds: ds.isel(path=slice(10, 20), time=[0]),
}


@pytest.mark.parametrize("made", STATES.values(), ids=STATES)
def test_a_pickled_dataset_keeps_its_policies(made, forget):
    data = pickle.dumps(made(paths(**CHOSEN)))
    for is_other in (False, True):
        if is_other:
            forget()
        assert Run.behind(pickle.loads(data)).policies == Policies(**CHOSEN)


def test_a_pickled_dataset_keeps_the_chunks_that_were_asked_for(forget):
    ds = paths(n_paths=100, chunks=4096)
    data = pickle.dumps(ds)
    forget()
    again = pickle.loads(data)
    run = Run.behind(again)
    assert (run.chunk, run.store_chunk) == (1024, 4096)
    assert mz.plan(again).reduction.startswith("block by block")


def test_a_pickled_dataset_is_masked_as_it_was(forget):
    ds = mz.simulate(sometimes, 200, seed=1, on_error="mask")
    with pytest.warns(mz.MaskedPathsWarning):
        wanted = [part.x.values for part in mz.batches(ds, 100)]
    data = cloudpickle.dumps(ds)
    forget()
    again = pickle.loads(data)
    assert Run.behind(again, sometimes).policies.on_error == "mask"
    assert np.isnan(wanted[0]).any()
    np.testing.assert_array_equal(again.x, np.concatenate(wanted))


def test_runs_that_differ_in_retries_do_not_share_an_array():
    one, other = (paths(on_error="retry", retries=n) for n in (3, 4))
    assert one.x.data.name != other.x.data.name
    assert [Run.behind(ds).policies.retries for ds in (one, other)] == [3, 4]


def test_the_name_of_a_function_sets_no_policy():
    def sampler(rng):
        return rng.standard_normal(3)

    sampler.__name__ = "on_error:mask-chunks:4096-x"
    ds = mz.simulate(sampler, 100, seed=1)
    run = Run.behind(ds, sampler)
    assert (run.policies, run.asked) == (Policies(), 0)


def test_a_store_has_the_recipe_and_no_policies_in_its_attributes(tmp_path):
    stored = mz.write(paths(**CHOSEN), tmp_path / "a.zarr")
    assert list(stored.attrs) == ["montezarr"]
    assert RUN_ATTRIBUTE not in (tmp_path / "a.zarr/zarr.json").read_text()
    assert mz.write(paths(**CHOSEN), tmp_path / "a.zarr").equals(stored)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"on_error": 1}', '{"on_error": "x"}', '{"retries": -1}', 3, '{"chunks": ""}'],
)
def test_what_montezarr_did_not_write_beside_a_recipe_is_refused(text):
    ds = paths().compute().assign_attrs({RUN_ATTRIBUTE: text})
    with pytest.raises(mz.ArgumentValueError, match="montezarr wrote"):
        Run.behind(ds)


# --- a number of paths, or none ---------------------------------------------------------------


def test_a_number_of_paths_is_a_number_whichever_it_is():
    ds = mz.simulate(BROWNIAN, 2**40, T=1, seed=1)
    plan = mz.plan(ds)
    assert plan.paths == 2**40
    assert f"{2**40:,} paths" in str(plan)
    assert Run.behind(ds).n_paths == 2**40
    assert mz.replay(ds, 2**40 - 1).sizes == {"time": 2}
    assert ds.x[2**40 - 1, 0].compute() == 0.0
    few = mz.stream(ds.x.isel(time=-1), "mean", until=mz.PathCount(1024))
    assert next(few).paths == 1024


def test_a_run_without_end_says_so_itself(forget):
    ds = mz.simulate(BROWNIAN, None, T=1, seed=1)
    assert Run.behind(ds.x.isel(time=-1)).n_paths is None
    plan = mz.plan(ds)
    assert plan.paths is None
    assert "any number of paths" in str(plan)
    data = pickle.dumps(ds)
    forget()
    again = pickle.loads(data)
    assert Run.behind(again).n_paths is None
    *_, last = mz.stream(again, "mean", until=mz.PathCount(2048))
    assert last.paths == 2048
    with pytest.raises(mz.ArgumentValueError, match="n_paths=None"):
        mz.reduce(again, "mean")
    with pytest.raises(mz.MemoryBudgetError, match="n_paths"):
        again.x[:3].compute()


def test_a_run_without_end_and_one_with_an_end_are_refused_in_one_expression():
    endless, other = (mz.simulate(BROWNIAN, n, T=1, seed=1) for n in (None, 2048))
    difference = endless.x.isel(path=slice(2048)) - other.x
    told = "no end and 2,048 paths.*pass the same n_paths= to simulate"
    with pytest.raises(mz.ArgumentValueError, match=told):
        mz.stream(difference, "mean", until=mz.PathCount(1024))


def test_an_initial_state_of_each_path_needs_a_number_of_paths():
    for x0 in (np.zeros(3), xr.DataArray(np.zeros(2), dims="path")):
        with pytest.raises(mz.ArgumentValueError, match="x0: expected one initial state of all"):
            mz.simulate(BROWNIAN, None, T=1, x0=x0, seed=1)
