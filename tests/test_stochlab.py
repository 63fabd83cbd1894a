"""The processes of the package stochlab run as they are, and draw what they draw by hand."""

import json

import numpy as np
import pytest
from stochlab.core import StateSpace
from stochlab.models import MarkovChain, MM1Queue, RandomWalk

import montezarr as mz

SEED = 20_100_404
N_PATHS = 1100
CHUNKS = (None, 1, 2048)


def stream(path):
    return np.random.default_rng(np.random.SeedSequence(SEED, spawn_key=(path,)))


def chain():
    P = np.array([[0.90, 0.08, 0.02], [0.20, 0.70, 0.10], [0.25, 0.25, 0.50]])
    return MarkovChain.from_transition_matrix(["bull", "bear", "flat"], P)


def queue():
    return MM1Queue(arrival_rate=0.8, service_rate=1.0, max_queue_length=60)


def walk():
    return RandomWalk(lower_bound=-20, upper_bound=20, p=0.45)


@pytest.mark.parametrize("x0", [None, "flat"])
def test_markov_chain_gives_the_paths_of_its_own_sample_path_in_any_chunks(x0):
    process = chain()
    expected = [process.sample_path(12, x0, rng=stream(i)).states.tolist() for i in range(N_PATHS)]
    labels = np.array(["bull", "bear", "flat"], object)
    for chunks in CHUNKS:
        ds = mz.simulate(process, N_PATHS, 12, x0=x0, seed=SEED, chunks=chunks)
        assert labels[ds.x.compute().values].tolist() == expected


def test_markov_chain_keeps_its_labels_as_cf_flags():
    ds = mz.simulate(chain(), 10, 12, seed=SEED)
    assert ds.x.dtype == np.dtype("int32")
    assert ds.x.attrs["flag_values"].tolist() == [0, 1, 2]
    assert ds.x.attrs["flag_meanings"] == "bull bear flat"
    recipe = json.loads(ds.attrs["montezarr"])
    assert recipe["sampler"] == "sample_path"
    assert recipe["variables"][0]["labels"] == ["bull", "bear", "flat"]
    assert list(ds.data_vars) == ["x"]
    np.testing.assert_array_equal(ds.time, np.arange(13))


def test_markov_chain_may_start_each_path_at_a_label_of_its_own():
    x0 = np.array(["bull", "bear", "flat"])[np.arange(N_PATHS) % 3]
    ds = mz.simulate(chain(), N_PATHS, 5, x0=x0, seed=SEED, chunks=1024)
    np.testing.assert_array_equal(ds.x[:, 0], np.arange(N_PATHS) % 3)
    expected = chain().sample_path(5, "flat", rng=stream(1001)).states.tolist()
    assert [("bull", "bear", "flat")[code] for code in ds.x[1001].values] == expected


def test_queue_gives_the_paths_and_event_times_of_its_own_sample_path_in_any_chunks():
    process = queue()
    paths = [process.sample_path(20, rng=stream(i)) for i in range(N_PATHS)]
    for chunks in CHUNKS:
        ds = mz.simulate(process, N_PATHS, 20, seed=SEED, chunks=chunks).compute()
        assert list(ds.data_vars) == ["x", "event_time"]
        np.testing.assert_array_equal(ds.x, [path.states for path in paths])
        np.testing.assert_array_equal(ds.event_time, [path.times for path in paths])


def test_queue_declares_counts_and_times_in_dtypes_of_their_own():
    ds = mz.simulate(queue(), 10, 20, x0=3, seed=SEED)
    assert ds.x.dtype == np.dtype(int)
    assert ds.event_time.dtype == np.dtype("float64")
    assert (ds.x[:, 0] == 3).all()
    assert (ds.event_time[:, 0] == 0.0).all()
    assert (ds.event_time.diff("time") > 0).all()
    np.testing.assert_array_equal(ds.time, np.arange(21))


def test_queue_that_overflows_names_the_path_and_replays_its_own_exception():
    small = MM1Queue(arrival_rate=0.9, service_rate=1.0, max_queue_length=12)
    # In one chunk: of several, Dask raises the failure that it meets first.
    ds = mz.simulate(small, N_PATHS, 30, seed=SEED, chunks=N_PATHS)
    overflows = []
    for path in range(N_PATHS):
        try:
            small.sample_path(30, rng=stream(path))
        except RuntimeError:
            overflows.append(path)
    with pytest.raises(mz.SamplerError, match="exceeded max_queue_length") as caught:
        ds.compute(scheduler="synchronous")
    assert caught.value.path == overflows[0]
    with pytest.raises(RuntimeError, match="Increase the cap") as raised:
        mz.replay(ds, overflows[0])
    assert type(raised.value) is RuntimeError


def test_random_walk_draws_from_the_global_state_and_so_runs_only_if_asked_for():
    # Its sample_path takes any keyword, rng too, and ignores it.
    with pytest.raises(mz.SamplerError, match="legacy_global_rng=True"):
        mz.simulate(walk(), 10, 15, seed=SEED)


@pytest.mark.parametrize("x0", [None, -20])
def test_random_walk_gives_the_paths_of_its_own_sample_path_in_any_chunks(x0):
    process = walk()
    before = np.random.get_state()
    expected = []
    for path in range(N_PATHS):
        words = np.random.SeedSequence(SEED, spawn_key=(path,)).generate_state(624)
        np.random.seed(words)
        expected.append(process.sample_path(15, x0).states)
    np.random.set_state(before)
    for chunks in CHUNKS:
        ds = mz.simulate(
            process, N_PATHS, 15, x0=x0, seed=SEED, chunks=chunks, legacy_global_rng=True
        )
        np.testing.assert_array_equal(ds.x.compute(), expected)


def test_random_walk_keeps_its_integer_states_as_they_are():
    ds = mz.simulate(walk(), 10, 15, x0=5, seed=SEED, legacy_global_rng=True)
    assert ds.x.dtype == np.dtype(int)
    assert (ds.x[:, 0] == 5).all()
    assert (abs(ds.x.diff("time")) == 1).all()
    assert ds.x.attrs == {}
    assert json.loads(ds.attrs["montezarr"])["sampler"] == "legacy"


@pytest.mark.parametrize(
    ("process", "options"),
    [(chain, {}), (queue, {}), (walk, {"legacy_global_rng": True})],
    ids=["chain", "queue", "walk"],
)
def test_any_path_is_replayed_alone_also_far_away(process, options):
    ds = mz.simulate(process(), N_PATHS, 10, seed=SEED, **options)
    for path in (0, 1024, N_PATHS - 1):
        again = mz.replay(ds, path)
        for name in ds.data_vars:
            np.testing.assert_array_equal(again[name], ds[name][path])
    assert mz.replay(ds, 10**12).x.shape == (11,)


def test_processes_of_stochlab_are_told_apart_by_their_parameters():
    other = MarkovChain(StateSpace(["bull", "bear", "flat"]), np.full((3, 3), 1 / 3))
    recipes = {
        mz.simulate(process, 5, 3, seed=SEED).attrs["montezarr"]
        for process in (chain(), chain(), other)
    }
    assert len(recipes) == 2
